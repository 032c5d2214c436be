// The routers that this machine reaches the rest of the world through, one for each kind of address.
//
// Always: what the system does not say, or says otherwise than we know it, is as if there were no router.

import { readFileSync } from "node:fs";
import { scopeOf } from "../base/network-address.js";

/** A router, as whoever asks it for a port needs it. */
export interface Gateway {
  /** Numeric; one of a single wire with its zone ("fe80::1%eth0"). */
  readonly host: string;
  readonly port: number;
  /** IPv6: addresses of ours at which everybody would reach us, if the router let them. */
  readonly ours?: readonly string[];
}

/** Of PCP and NAT-PMP. */
const GATEWAY_PORT = 5351;
const ROUTES = "/proc/net/route";
const ROUTES_V6 = "/proc/net/ipv6_route";
const ADDRESSES_V6 = "/proc/net/if_inet6";
const ANYWHERE = "00000000";
const ANYWHERE_V6 = "0".repeat(32);
/** Of an address: another one is there already, it is going away, or it is not known yet whether it is ours. */
const FLAGS_UNUSABLE = 0x08 | 0x20 | 0x40;

/** Undefined where there is none, or nobody says. */
export function systemGateway(family: 4 | 6): Gateway | undefined {
  try {
    if (family === 6)
      return gatewayV6In(readFileSync(ROUTES_V6, "latin1"), readFileSync(ADDRESSES_V6, "latin1"));
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

/**
 * The same of IPv6, which has it in words of hex: `destination length source length next-hop … interface`; and the addresses of that interface:
 * `address index length scope flags interface`.
 */
export function gatewayV6In(routes: string, addresses: string): Gateway | undefined {
  for (const line of routes.split("\n")) {
    const [destination, length, , , nextHop, , , , , name] = line.trim().split(/\s+/);
    if (destination !== ANYWHERE_V6 || length !== "00" || name === undefined) continue;
    const router = nextHop === ANYWHERE_V6 ? undefined : textOfHex(nextHop);
    if (router === undefined) continue;
    const ours: string[] = [];
    for (const each of addresses.split("\n")) {
      const [hex, , , , flags, at] = each.trim().split(/\s+/);
      const text = textOfHex(hex);
      const isUsable = (Number.parseInt(flags ?? "", 16) & FLAGS_UNUSABLE) === 0;
      if (at === name && isUsable && text !== undefined && scopeOf(text) === "global") ours.push(text);
    }
    const host = router.startsWith("fe80:") ? `${router}%${name}` : router;
    return { host, port: GATEWAY_PORT, ours };
  }
  return undefined;
}

function textOfHex(hex: string | undefined): string | undefined {
  return hex === undefined || !/^[\da-f]{32}$/i.test(hex) ? undefined : hex.match(/.{4}/g)?.join(":");
}
