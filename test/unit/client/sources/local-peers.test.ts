// Peers that find each other by multicast, over the loopback interface; and what is read from whatever else comes there.

import { strict as assert } from "node:assert";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { type Ground, SYSTEM_GROUND } from "../../../../src/base/ground.js";
import type { PeerAddress } from "../../../../src/client/options.js";
import { LocalPeers, parseSearch } from "../../../../src/client/sources/local-peers.js";
import { check } from "../../../support/property.js";

const TIMEOUT = { timeout: 60_000 };
const GROUP = "239.192.152.143";
const HASH = Uint8Array.from({ length: 20 }, (_, index) => index + 200);
const HEX = Buffer.from(HASH).toString("hex");

/** A port of the group that nobody else uses now. */
async function groupPort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0);
  await once(socket, "listening");
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

/** True while somebody receives at a port over IPv4. */
function isBound(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/udp", "latin1").includes(`:${hex} 00000000:0000`);
}

class Place {
  nowMs = 0;
  readonly brought: PeerAddress[] = [];
  readonly local: LocalPeers;

  constructor(t: TestContext, port: number, ours: number | undefined) {
    const ground: Ground = { ...SYSTEM_GROUND, nowMs: () => this.nowMs };
    const ports = () => ({ v4: ours, v6: undefined });
    this.local = new LocalPeers({ ground, ports, port, interfaceV4: "127.0.0.1" });
    t.after(() => this.local.close());
  }

  add(hash: Uint8Array): void {
    this.local.add(hash, {
      bring: (source, addresses) => {
        assert.equal(source.origin, "local");
        this.brought.push(...addresses);
        return addresses.length;
      },
    });
  }
}

async function until(condition: () => boolean, each: () => void = () => {}): Promise<void> {
  while (!condition()) {
    each();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("local peers", () => {
  it("hear of each other, those that have the same torrent, and not of themselves", TIMEOUT, async (t) => {
    const port = await groupPort();
    const [one, two, other] = [new Place(t, port, 7001), new Place(t, port, 7002), new Place(t, port, 7003)];
    one.add(HASH);
    two.add(HASH);
    other.add(new Uint8Array(20));
    const pass = (): void => {
      for (const place of [one, two, other]) {
        place.nowMs += 400_000;
        place.local.tick();
      }
    };
    await until(() => one.brought.length > 0 && two.brought.length > 0, pass);
    const portsOf = ({ brought }: Place): Set<number> => new Set(brought.map((each) => each.port));
    assert.deepEqual([portsOf(one), portsOf(two)], [new Set([7002]), new Set([7001])]);
    assert.deepEqual(other.brought, []);
  });

  it(
    "say nothing again for five minutes, one datagram a second, and nothing without a port",
    TIMEOUT,
    async (t) => {
      const port = await groupPort();
      const heard: Buffer[] = [];
      const socket = createSocket({ type: "udp4", reuseAddr: true });
      t.after(() => socket.close());
      socket.on("message", (message) => heard.push(message));
      await new Promise<void>((resolve) => socket.bind(port, resolve));
      socket.addMembership(GROUP, "127.0.0.1");
      const place = new Place(t, port, 7001);
      const silent = new Place(t, port, undefined);
      silent.add(HASH);
      const hashes = Array.from({ length: 45 }, (_, index) => new Uint8Array(20).fill(index));
      for (const hash of hashes) place.add(hash);
      // Its sockets are bound in a turn of the loop, or some.
      await until(
        () => heard.length >= 3,
        () => {
          place.nowMs += 1000;
          place.local.tick();
          silent.nowMs += 1000;
          silent.local.tick();
        },
      );
      const told = heard.map((message) => parseSearch(message) ?? assert.fail("it is understood"));
      assert.ok(told.every(({ hashes: each }) => each.length <= 20));
      assert.equal(new Set(told.map(({ port: its }) => its)).size, 1);
      const before = heard.length;
      for (let second = 0; second < 200; second++) {
        place.nowMs += 1000;
        place.local.tick();
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(heard.length, before, "all were told of within five minutes");
    },
  );

  it(
    "are heard beside one of their network that says much, and nothing is received for a while beside a flood",
    TIMEOUT,
    async (t) => {
      const port = await groupPort();
      const place = new Place(t, port, undefined);
      place.add(HASH);
      const speaker = async (host: string): Promise<(its: number) => void> => {
        const socket = createSocket("udp4");
        t.after(() => socket.close());
        await new Promise<void>((resolve) => socket.bind(0, host, resolve));
        return (its) => {
          const lines = ["BT-SEARCH * HTTP/1.1", `Port: ${its}`, `Infohash: ${HEX}`];
          socket.send(`${lines.join("\r\n")}\r\n\r\n\r\n`, port, "127.0.0.1");
        };
      };
      const isHeard = (its: number): boolean => place.brought.some((each) => each.port === its);
      const [loud, quiet] = [await speaker("127.0.0.2"), await speaker("127.0.0.3")];
      await until(
        () => isHeard(1),
        () => loud(1),
      );
      for (let its = 2; its <= 150; its++) loud(its);
      // A datagram may be lost.
      await until(
        () => isHeard(7001),
        () => quiet(7001),
      );
      const ofLoud = place.brought.filter(({ host }) => host === "127.0.0.2").length;
      assert.ok(ofLoud <= 10, `${ofLoud} of the loud one are heard in a second`);
      await until(
        () => !isBound(port),
        () => {
          for (let count = 0; count < 100; count++) loud(count + 1);
        },
      );
      place.nowMs += 9000;
      place.local.tick();
      assert.equal(isBound(port), false, "it rests");
      place.nowMs += 1000;
      place.local.tick();
      await until(
        () => isHeard(7002),
        () => quiet(7002),
      );
    },
  );

  it("are read from what is one, whatever case it has, and from nothing else", () => {
    const search = (lines: readonly string[]): Buffer => Buffer.from(`${lines.join("\r\n")}\r\n\r\n\r\n`);
    const good = [
      "BT-SEARCH * HTTP/1.1",
      `Host: ${GROUP}:6771`,
      "Port: 6881",
      `Infohash: ${HEX.toUpperCase()}`,
    ];
    assert.deepEqual(parseSearch(search(good)), { port: 6881, hashes: [HEX], cookie: undefined });
    assert.deepEqual(parseSearch(search([...good, "cookie: x", "other: y"]))?.cookie, "x");
    for (const lines of [
      ["NOTIFY * HTTP/1.1", ...good.slice(1)],
      good.slice(0, 3),
      [...good.slice(0, 2), good[3] ?? ""],
      [...good.slice(0, 2), "Port: 0", good[3] ?? ""],
      [...good.slice(0, 2), "Port: 65536", good[3] ?? ""],
      [...good.slice(0, 2), "Port: -1", good[3] ?? ""],
      [...good.slice(0, 3), "Infohash: 1234"],
      [...good, ...Array.from({ length: 21 }, (_, index) => `Infohash: ${String(index).padStart(40, "0")}`)],
      [...good, `x: ${"y".repeat(2000)}`],
    ])
      assert.equal(parseSearch(search(lines)), undefined, lines.join("|").slice(0, 120));
  });

  it("end in a search or in none, whatever bytes come", () => {
    const base = Buffer.from(`BT-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: ${HEX}\r\n\r\n\r\n`);
    const property = fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(base.length), (bytes, at) => {
      const mixed = Buffer.concat([base.subarray(0, at), bytes, base.subarray(at)]);
      const said = parseSearch(mixed);
      assert.ok(said === undefined || (said.port > 0 && said.port < 65_536 && said.hashes.length > 0));
    });
    check(property, 2000);
  });
});
