// The router that this machine reaches the rest of the world through.

import { readFileSync } from "node:fs";

/** Of PCP and NAT-PMP. */
const GATEWAY_PORT = 5351;
const ROUTES = "/proc/net/route";
const ANYWHERE = "00000000";

/** Undefined where there is none, or nobody says. */
export function systemGateway(): { host: string; port: number } | undefined {
  try {
    const host = gatewayIn(readFileSync(ROUTES, "latin1"));
    return host === undefined ? undefined : { host, port: GATEWAY_PORT };
  } catch {
    return undefined;
  }
}

/** The IPv4 address of the router that the table names for all else: `Iface Destination Gateway …`, numbers of 32 bits in hex, low byte first. */
export function gatewayIn(table: string): string | undefined {
  for (const line of table.split("\n").slice(1)) {
    const [, destination, gateway] = line.split("\t");
    if (destination !== ANYWHERE || gateway === undefined || gateway === ANYWHERE) continue;
    if (!/^[\dA-F]{8}$/i.test(gateway)) continue;
    return Buffer.from(gateway, "hex").reverse().join(".");
  }
  return undefined;
}
