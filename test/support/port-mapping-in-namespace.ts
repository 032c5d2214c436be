// A session behind a real router (Debian's miniupnpd over nftables), and one far away, in network namespaces that
// test/e2e/port-mapping-namespace.test.ts makes. This one is the far one's; what stands behind the router runs this file again, by `nsenter`.
//
//   11.77.0.2 (far) ───wan─── 11.77.0.1     router 192.168.7.1   ───lan─── 192.168.7.2 (inside)
//   2001:db8:1::2             2001:db8:1::1        2001:db8:7::1           2001:db8:7::2
//
// usage: node port-mapping-in-namespace.js far <a process behind the router> <the router's file of leases>
//        node port-mapping-in-namespace.js inside <pcp | nat-pmp | upnp> <port of the far one>
//
// The far one prints {"protocol": name} for each that did all that is asked of it, and {"done": true}.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Ground, SYSTEM_GROUND } from "../../src/base/ground.js";
import { Session } from "../../src/index.js";
import type { Gateway } from "../../src/native/gateway.js";
import { systemWorld } from "../../src/native/world.js";
import { until } from "./clients.js";
import { Program } from "./program.js";

const FAR = "11.77.0.2";
const INSIDE = "192.168.7.2";
const INSIDE_V6 = "2001:db8:7::2";
/** Another machine behind the router, which has the port outside already. */
const OTHER = "192.168.7.3";
const ROUTER = { host: "192.168.7.1", port: 5351 };
const ROUTER_OUTSIDE = "11.77.0.1";
const TIMEOUT_MS = 60_000;
/** Both have a network of their own, where nothing else listens. */
const PORT = 6881;
const MAGNET = `magnet:?xt=urn:btih:${"5".repeat(40)}`;

function say(what: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

/** Renews every 300 ms, where it should every hour. */
const IMPATIENT: Ground = {
  ...SYSTEM_GROUND,
  after: (ms, callback) => SYSTEM_GROUND.after(ms === 3_600_000 ? 300 : ms, callback),
};

/** A router that does not know PCP: what is of NAT-PMP is handed on to the one that does both. */
async function natPmpOnly(): Promise<Gateway> {
  const inner = createSocket("udp4");
  const outer = createSocket("udp4");
  inner.bind(0, "127.0.0.1");
  outer.bind(0, INSIDE);
  await Promise.all([once(inner, "listening"), once(outer, "listening")]);
  let asker = 0;
  inner.on("message", (message, { port }) => {
    asker = port;
    if (message[0] !== 0) inner.send(Buffer.from([0, 128, 0, 1, 0, 0, 0, 0]), port, "127.0.0.1");
    else outer.send(message, ROUTER.port, ROUTER.host);
  });
  outer.on("message", (message) => inner.send(message, asker, "127.0.0.1"));
  inner.unref();
  outer.unref();
  return { host: "127.0.0.1", port: inner.address().port };
}

/** Somebody else behind the router takes the port outside, by NAT-PMP. */
async function takePort(port: number): Promise<void> {
  const socket = createSocket("udp4");
  socket.bind(0, OTHER);
  await once(socket, "listening");
  const request = Buffer.alloc(12);
  request[1] = 2;
  request.writeUInt16BE(port, 4);
  request.writeUInt16BE(port, 6);
  request.writeUInt32BE(7200, 8);
  // The router may be about to start.
  const send = (): void => socket.send(request, ROUTER.port, ROUTER.host);
  const again = setInterval(send, 200);
  send();
  const [answer] = (await once(socket, "message")) as [Buffer];
  clearInterval(again);
  assert.deepEqual([answer.readUInt16BE(2), answer.readUInt16BE(10)], [0, port]);
  socket.close();
}

async function inside(protocol: string, farPort: number): Promise<void> {
  const { gateway: system = () => undefined } = systemWorld();
  const only = protocol === "nat-pmp" ? await natPmpOnly() : undefined;
  const gateways: Record<string, (family: 4 | 6) => Gateway | undefined> = {
    pcp: system,
    "nat-pmp": (family) => (family === 4 ? only : undefined),
    // Nobody speaks the other two at that port.
    upnp: (family) => (family === 4 ? { ...ROUTER, port: 9 } : undefined),
  };
  const gateway = gateways[protocol];
  assert.ok(gateway);
  await takePort(PORT);
  const session = new Session({ portMapping: true }, { ...systemWorld(), ground: IMPATIENT, gateway });
  session.on("warning", (text) => say({ warning: String(text) }));
  const torrent = session.addInBackground(MAGNET, { storage: "memory" });
  await session.listen({ host: "0.0.0.0", port: PORT });
  await session.listen({ host: "::", port: PORT });
  const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  say({ listening: PORT });
  await commands.next();
  torrent.addPeer({ host: FAR, port: farPort });
  await commands.next();
  await session.close();
  say({ closed: true });
  // Whatever else keeps this process is a fault, by which the far one waits for it in vain.
  process.stdin.destroy();
}

/** Whether a connection is accepted there; nothing answers where nothing is let through. */
async function accepts(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  const isOpen = await Promise.race([
    once(socket, "connect").then(
      () => true,
      () => false,
    ),
    new Promise<boolean>((resolve) => setTimeout(resolve, 500, false)),
  ]);
  socket.destroy();
  return isOpen;
}

interface Lease {
  readonly outside: number;
  readonly endsAt: number;
}

/** What the router forwards to the inside. */
function leaseIn(file: string): Lease | undefined {
  for (const line of existsSync(file) ? readFileSync(file, "utf8").split("\n") : []) {
    const [, outside, host, , endsAt] = line.split(":");
    if (host === INSIDE) return { outside: Number(outside), endsAt: Number(endsAt) };
  }
  return undefined;
}

/**
 * Over IPv6 nobody comes in before PCP, which is last: that the port is given back is not seen here, since this miniupnpd refuses it over nftables
 * (issue 611 of its project), where it compares what it noted with more than it noted.
 */
async function far(pid: string, leases: string): Promise<void> {
  const session = new Session({ listen: { host: FAR, port: 0 } });
  const torrent = session.addInBackground(MAGNET, { storage: "memory" });
  const { port } = await session.listen();
  const file = fileURLToPath(import.meta.url);
  for (const protocol of ["upnp", "nat-pmp", "pcp"]) {
    const program = new Program("nsenter", [
      ...["--target", pid, "--net", process.execPath, file],
      ...["inside", protocol, String(port)],
    ]);
    await program.line("listening", TIMEOUT_MS);
    await until(async () => leaseIn(leases) !== undefined, TIMEOUT_MS);
    const { outside, endsAt } = leaseIn(leases) ?? assert.fail();
    assert.notEqual(outside, PORT, "somebody else has it");
    // Peers are told the port outside, where the mapping was there before them.
    program.say("connect");
    const told = (): number | undefined =>
      torrent.peers().find(({ address }) => address.host === ROUTER_OUTSIDE)?.listenPort;
    await until(async () => told() !== undefined, TIMEOUT_MS);
    assert.equal(told(), outside);
    const other = new Session();
    const theirs = other.addInBackground(MAGNET, { storage: "memory" });
    theirs.addPeer({ host: ROUTER_OUTSIDE, port: outside });
    await until(async () => theirs.peers().some(({ state }) => state === "open"), TIMEOUT_MS);
    await other.close();
    await until(async () => (await accepts(INSIDE_V6, PORT)) === (protocol === "pcp"), TIMEOUT_MS);
    await until(async () => (leaseIn(leases)?.endsAt ?? 0) > endsAt, TIMEOUT_MS);
    program.say("close");
    await program.line("closed", TIMEOUT_MS);
    await until(async () => leaseIn(leases) === undefined, TIMEOUT_MS);
    await until(async () => !(await accepts(ROUTER_OUTSIDE, outside)), TIMEOUT_MS);
    const { status, errors } = await program.result();
    assert.equal(status, 0, errors);
    assert.deepEqual(
      program.lines.filter((line) => "warning" in line),
      [],
    );
    say({ protocol });
  }
  await session.close();
  say({ done: true });
}

const [role, ...rest] = process.argv.slice(2);
if (role === "inside") await inside(rest[0] ?? "", Number(rest[1]));
else await far(rest[0] ?? "", rest[1] ?? "");
