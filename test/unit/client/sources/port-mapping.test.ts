// Ports that a router forwards, asked of routers that a test answers for, on loopback: PCP, NAT-PMP, and a package for UPnP that is none.
//
// It is long because all that is said of mappings is said of the same routers: the port of IPv4, addresses of IPv6, and what a session tells.

import assert from "node:assert/strict";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { describe, it, type TestContext } from "node:test";
import { type Ground, SYSTEM_GROUND, type Timer } from "../../../../src/base/ground.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { PortMapping, type UpnpClient } from "../../../../src/client/sources/port-mapping.js";
import { PortMappings } from "../../../../src/client/sources/port-mappings.js";
import { type MappedPort, Session } from "../../../../src/index.js";
import { gatewayIn, gatewayV6In } from "../../../../src/native/gateway.js";
import { systemWorld } from "../../../../src/native/world.js";
import { entryOf } from "../../../support/required.js";

const TIMEOUT = { timeout: 60_000 };
const PORT = 6881;
const OUTSIDE = 40_001;

type Router = (request: Buffer) => readonly Buffer[];

/** What one that knows PCP answers. */
const pcp: Router = (request) => {
  const answer = Buffer.from(request);
  answer[1] = 129;
  answer.writeUInt16BE(OUTSIDE, 42);
  return [answer];
};

/** Nothing is sent anew while a machine that is very busy has not answered yet. */
const PATIENT: Ground = { ...SYSTEM_GROUND, after: (ms, callback) => setTimeout(callback, 20 * ms) };

/** Besides waits a millisecond where it should wait for half of a lifetime, which is an hour. */
const IMPATIENT: Ground = {
  ...SYSTEM_GROUND,
  after: (ms, callback) => setTimeout(callback, ms > 60_000 ? 1 : 20 * ms),
};

/** Renews twenty times a second, and has time for all else. */
const RENEWING: Ground = {
  ...SYSTEM_GROUND,
  after: (ms, callback) => setTimeout(callback, ms > 60_000 ? 50 : 20 * ms),
};

/** What one that knows NAT-PMP only answers. */
const natPmp: Router = (request) => {
  if (request[0] !== 0) return [Buffer.from([0, entryOf(request, 1) | 128, 0, 1, 0, 0, 0, 0])];
  const answer = Buffer.alloc(16);
  answer[1] = 130;
  request.copy(answer, 8, 4, 6);
  answer.writeUInt16BE(OUTSIDE, 10);
  answer.writeUInt32BE(request.readUInt32BE(8), 12);
  return [answer];
};

const REFUSES: Router = (request) => [Buffer.from([entryOf(request, 0), 130, 0, 2])];

interface Place {
  readonly heard: Buffer[];
  readonly warnings: string[];
  readonly mapping: PortMapping;
  readonly socket: Socket;
  /** How often UPnP's client was made. */
  readonly loads: () => number;
  /** Whether UPnP's client was told that all is over. */
  readonly isOver: () => boolean;
}

async function place(
  t: TestContext,
  router: Router,
  upnp?: UpnpClient,
  ground: Ground = SYSTEM_GROUND,
): Promise<Place> {
  const heard: Buffer[] = [];
  const warnings: string[] = [];
  let loads = 0;
  let over: AbortSignal | undefined;
  const socket = createSocket("udp4");
  socket.on("message", (message: Buffer, from: RemoteInfo) => {
    heard.push(message);
    for (const answer of router(message)) socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const mapping = new PortMapping({
    ground,
    gateway: () => ({ host: "127.0.0.1", port: socket.address().port }),
    loadUpnp: async (signal) => {
      loads++;
      over = signal;
      return upnp ?? { map: async () => undefined, unmap: async () => {} };
    },
    warn: (text) => warnings.push(text),
  });
  t.after(async () => {
    await mapping.close();
    socket.close();
  });
  return { heard, warnings, mapping, socket, loads: () => loads, isOver: () => over?.aborted === true };
}

async function until(condition: () => boolean): Promise<void> {
  // A test that is given up leaves no loop behind, which would keep the file from ending.
  for (let turns = 0; !condition() && turns < 5000; turns++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition(), "it never happened");
}

describe("a port of the router", TIMEOUT, () => {
  it("is mapped by PCP, and given back with the same nonce", async (t) => {
    const { heard, mapping, warnings } = await place(t, pcp, undefined, PATIENT);
    mapping.map(PORT);
    await until(() => mapping.portOutside === OUTSIDE);
    await mapping.close();
    // On a machine that is very busy closing goes on before the router has heard of it.
    await until(() => heard.length > 1);
    assert.equal(mapping.portOutside, undefined);
    const [asked, back] = heard;
    assert.deepEqual([heard.length, asked?.length, warnings], [2, 60, []]);
    assert.equal(asked?.subarray(0, 8).toString("hex"), `0201000000001c20`);
    assert.equal(asked?.subarray(8, 24).toString("hex"), "00000000000000000000ffff7f000001");
    assert.deepEqual([asked?.[36], asked?.readUInt16BE(40), asked?.readUInt16BE(42)], [6, PORT, PORT]);
    assert.deepEqual(back?.subarray(24, 36), asked?.subarray(24, 36));
    assert.deepEqual([back?.readUInt32BE(4), back?.readUInt16BE(40)], [0, PORT]);
  });

  it("is mapped by NAT-PMP where PCP is not spoken, and given back", async (t) => {
    const { heard, mapping } = await place(t, natPmp, undefined, PATIENT);
    mapping.map(PORT);
    await until(() => mapping.portOutside === OUTSIDE);
    await mapping.close();
    await until(() => heard.length > 2);
    assert.deepEqual(
      heard.slice(1).map((each) => each.toString("hex")),
      ["000200001ae11ae100001c20", "000200001ae1000000000000"],
    );
  });

  for (const [by, router, first] of [
    ["PCP", pcp, 0],
    ["NAT-PMP", natPmp, 1],
  ] as const)
    it(`is asked of ${by} again and again, for the port that it was given, and leaves nothing behind`, async (t) => {
      const told: Error[] = [];
      const tell = (warning: Error): number => told.push(warning);
      process.on("warning", tell);
      t.after(() => process.off("warning", tell));
      const { heard, mapping } = await place(t, router, undefined, IMPATIENT);
      mapping.map(PORT);
      await until(() => heard.length > 20);
      assert.equal(mapping.portOutside, OUTSIDE);
      const at = by === "PCP" ? 42 : 6;
      const asked = heard.slice(first).map((each) => each.readUInt16BE(at));
      assert.deepEqual(new Set(asked.slice(0, 1)), new Set([PORT]));
      assert.deepEqual(new Set(asked.slice(1)), new Set([OUTSIDE]));
      assert.deepEqual(told, []);
    });

  it("is asked of UPnP again and again, for what it was given, and leaves nothing behind", async (t) => {
    const told: Error[] = [];
    const tell = (warning: Error): number => told.push(warning);
    process.on("warning", tell);
    t.after(() => process.off("warning", tell));
    let asked = 0;
    const upnp: UpnpClient = {
      map: async () => (++asked > 0 ? { kind: "mapped" } : undefined),
      unmap: async () => {},
    };
    const { heard, mapping, loads } = await place(t, REFUSES, upnp, IMPATIENT);
    mapping.map(PORT);
    await until(() => asked > 20);
    assert.deepEqual([mapping.portOutside, told, loads()], [PORT, [], 1]);
    // What brought it is asked for more time, and nobody else.
    assert.equal(heard.length, 2);
  });

  it("that somebody else has of UPnP's router is another one there", async (t) => {
    const asked: number[] = [];
    const given: number[] = [];
    const upnp: UpnpClient = {
      map: async (port, portOutside) => {
        assert.equal(port, PORT);
        return asked.push(portOutside) > 2 ? { kind: "mapped" } : { kind: "taken", code: 718 };
      },
      unmap: async (portOutside) => void given.push(portOutside),
    };
    const { mapping, warnings } = await place(t, REFUSES, upnp);
    mapping.map(PORT);
    await until(() => mapping.portOutside !== undefined);
    assert.deepEqual([asked.length, asked[0], mapping.portOutside, warnings], [3, PORT, asked[2], []]);
    assert.ok(asked.slice(1).every((each) => each >= 49_152 && each < 65_536));
    await mapping.close();
    await until(() => given.length > 0);
    assert.deepEqual(given, [asked[2]]);
  });

  it("of UPnP's router that has none for us is asked for three times, and no more", async (t) => {
    let asked = 0;
    const upnp: UpnpClient = {
      map: async () => (++asked > 0 ? { kind: "taken", code: 718 } : undefined),
      unmap: async () => {},
    };
    const { mapping, warnings } = await place(t, REFUSES, upnp);
    mapping.map(PORT);
    await until(() => warnings.length > 0);
    assert.equal(asked, 3);
  });

  it("is not mapped by what is no answer: short, of another port, without our nonce, for no port, or no answer at all", async (t) => {
    let answered = 0;
    const { mapping } = await place(t, (request) => {
      const [good] = pcp(request) as [Buffer];
      const [otherPort, otherNonce, question] = [0, 1, 2].map(() => Buffer.from(good)) as [
        Buffer,
        Buffer,
        Buffer,
      ];
      otherPort.writeUInt16BE(7, 40);
      otherNonce[24] = entryOf(otherNonce, 24) ^ 1;
      question[1] = 1;
      answered++;
      const portNought = Buffer.from(good);
      portNought.writeUInt16BE(0, 42);
      const bad = [
        Buffer.alloc(0),
        Buffer.from([2]),
        good.subarray(0, 59),
        otherPort,
        otherNonce,
        question,
        portNought,
      ];
      return answered === 1 ? bad : [...bad, good];
    });
    mapping.map(PORT);
    await until(() => mapping.portOutside === OUTSIDE);
    assert.equal(answered, 2, "the first time nothing counted, and it was asked again");
  });

  it("that is refused, with no UPnP, is a warning, and closing waits for nobody", async (t) => {
    const { mapping, warnings } = await place(t, (request) => {
      if (request[0] !== 2) return [Buffer.from([0, 130, 0, 2])];
      const [answer] = pcp(request) as [Buffer];
      answer[3] = 8;
      return [answer];
    });
    mapping.map(PORT);
    await until(() => warnings.length > 0);
    assert.match(warnings[0] ?? "", /^port 6881 is not mapped: the router refuses it \(2\)/);
  });

  it("that a silent router is asked for holds up neither the start nor the end", async (t) => {
    const { heard, mapping, warnings } = await place(t, () => []);
    mapping.map(PORT);
    await until(() => heard.length > 0);
    await mapping.close();
    assert.deepEqual([mapping.portOutside, warnings], [undefined, []]);
  });

  it("is asked of UPnP last, and given back at the end", async (t) => {
    const asked: number[][] = [];
    const given: number[] = [];
    const upnp: UpnpClient = {
      map: async (...what) => (asked.push(what) > 0 ? { kind: "mapped" } : undefined),
      unmap: async (portOutside) => void given.push(portOutside),
    };
    const { mapping, warnings } = await place(t, REFUSES, upnp);
    mapping.map(PORT);
    await until(() => mapping.portOutside === PORT);
    await mapping.close();
    await until(() => given.length > 0);
    assert.deepEqual([asked, given, warnings], [[[PORT, PORT, 7200]], [PORT], []]);
  });

  it("is asked for again after a mistake of whoever asks, which is told and ends nothing", async (t) => {
    let calls = 0;
    const upnp: UpnpClient = {
      map: () => {
        calls++;
        return Promise.reject(new Error("no such thing"));
      },
      unmap: () => Promise.reject(new Error("no such thing either")),
    };
    const { mapping, warnings } = await place(t, REFUSES, upnp, IMPATIENT);
    mapping.map(PORT);
    await until(() => calls >= 3);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /^port 6881 is not mapped: no such thing/);
    assert.equal(mapping.portOutside, undefined);
    await mapping.close();
  });

  it("that UPnP gives after the end is given back, and the end waits no longer than it must", async (t) => {
    const given: number[] = [];
    let answer: (() => void) | undefined;
    const upnp: UpnpClient = {
      map: () =>
        new Promise((resolve) => {
          answer = () => resolve({ kind: "mapped" });
        }),
      unmap: async (portOutside) => void given.push(portOutside),
    };
    const { mapping } = await place(t, REFUSES, upnp);
    mapping.map(PORT);
    await until(() => answer !== undefined);
    await mapping.close();
    given.length = 0;
    answer?.();
    await until(() => given.length > 0);
    assert.deepEqual([given, mapping.portOutside], [[PORT], undefined]);
  });

  it("that UPnP neither gives nor refuses is waited for no longer when it closes", async (t) => {
    let asked = 0;
    const never = (): Promise<never> => {
      asked++;
      return new Promise(() => {});
    };
    const { mapping, isOver } = await place(t, REFUSES, { map: never, unmap: never });
    mapping.map(PORT);
    await until(() => asked > 0);
    assert.equal(isOver(), false);
    await mapping.close();
    assert.equal(isOver(), true);
  });

  it("that is given back to a router that has fallen silent leaves no timer behind", async (t) => {
    const waiting = new Set<Timer>();
    // A machine that is very busy has all the time it wants until it closes.
    let factor = 20;
    const ground: Ground = {
      ...SYSTEM_GROUND,
      after: (ms, callback) => {
        const timer = setTimeout(() => {
          waiting.delete(timer);
          callback();
        }, factor * ms);
        waiting.add(timer);
        const close = (): void => {
          waiting.delete(timer);
          timer.close();
        };
        return { ref: () => timer.ref(), unref: () => timer.unref(), refresh: () => timer.refresh(), close };
      },
    };
    const { heard, mapping } = await place(
      t,
      (request) => (request.readUInt32BE(4) === 0 ? [] : pcp(request)),
      undefined,
      ground,
    );
    mapping.map(PORT);
    await until(() => mapping.portOutside === OUTSIDE);
    factor = 1;
    await mapping.close();
    assert.equal(waiting.size, 0);
    await until(() => heard.at(-1)?.readUInt32BE(4) === 0);
  });

  it("of a session is asked for where it listens, and given back when it closes", async (t) => {
    const { heard, socket } = await place(t, pcp);
    const gateway = () => ({ host: "127.0.0.1", port: socket.address().port });
    const session = new Session({ portMapping: true }, { ...systemWorld(), gateway });
    t.after(() => session.close());
    const { port } = await session.listen({ host: "127.0.0.1", port: 0 });
    await until(() => heard.length > 0);
    assert.equal(heard[0]?.readUInt16BE(40), port);
    // Who is far away comes through the router, and who is near does not.
    const core = sessionCoreOf(session);
    await until(() => core.listenPortFor("11.0.0.1") === OUTSIDE);
    const near = ["127.0.0.1", "192.168.7.7", "fe80::1", "2001:db8::1"].map((host) =>
      core.listenPortFor(host),
    );
    assert.deepEqual(near, [port, port, 0, 0]);
    await session.close();
    await until(() => heard.at(-1)?.readUInt32BE(4) === 0);
  });

  it("is told to a program: what is mapped, once for each port outside, and no more when it was given back", async (t) => {
    let outside = OUTSIDE;
    const { heard, socket } = await place(t, (request) => {
      const [answer] = pcp(request);
      answer?.writeUInt16BE(outside, 42);
      return answer === undefined ? [] : [answer];
    });
    const gateway = () => ({ host: "127.0.0.1", port: socket.address().port });
    const world = { ...systemWorld(), ground: RENEWING, gateway };
    const session = new Session({ portMapping: true }, world);
    t.after(() => session.close());
    const told: MappedPort[] = [];
    session.on("portMapped", (mapping) => told.push(mapping));
    assert.deepEqual([session.mappedPorts, session.stats().portsMapped], [[], 0]);
    const { port } = await session.listen({ host: "127.0.0.1", port: 0 });
    const first = { family: 4, host: undefined, port, portOutside: OUTSIDE, protocol: "PCP" } as const;
    await until(() => told.length === 1);
    assert.deepEqual(told, [first]);
    assert.deepEqual(session.mappedPorts, [first]);
    assert.equal(session.stats().portsMapped, 1);
    const { host: _, ...shown } = first;
    assert.deepEqual(session.dump().mappedPorts, [shown]);
    // Renewed a few times it is the same; then the router has another one for us.
    const renewals = heard.length + 3;
    await until(() => heard.length >= renewals);
    assert.equal(told.length, 1);
    outside = OUTSIDE + 1;
    const second = { ...first, portOutside: OUTSIDE + 1 };
    await until(() => told.length === 2);
    assert.deepEqual(told, [first, second]);
    assert.deepEqual(session.mappedPorts, [second]);
    await session.close();
    assert.deepEqual([session.mappedPorts, session.stats().portsMapped], [[], 0]);
  });

  it("says by what it was asked for", async (t) => {
    const upnp: UpnpClient = { map: async () => ({ kind: "mapped" }), unmap: async () => {} };
    for (const [router, client, protocol] of [
      [pcp, undefined, "PCP"],
      [natPmp, undefined, "NAT-PMP"],
      [REFUSES, upnp, "UPnP"],
    ] as const) {
      const { mapping } = await place(t, router, client, PATIENT);
      mapping.map(PORT);
      await until(() => mapping.mapping?.protocol === protocol);
    }
  });
});

describe("addresses of IPv6", TIMEOUT, () => {
  const startRouter = async (
    t: TestContext,
    router: Router = pcp,
  ): Promise<{ port: number; heard: Buffer[] }> => {
    const heard: Buffer[] = [];
    const socket = createSocket("udp6");
    t.after(() => socket.close());
    socket.on("message", (message: Buffer, from: RemoteInfo) => {
      heard.push(message);
      for (const answer of router(message)) socket.send(answer, from.port, from.address);
    });
    await new Promise<void>((resolve) => socket.bind(0, "::1", resolve));
    return { port: socket.address().port, heard };
  };

  it("are let through by PCP, asked for from each of them, and given back", async (t) => {
    const { port, heard } = await startRouter(t);
    const warnings: string[] = [];
    const told: MappedPort[] = [];
    const mappings = new PortMappings({
      ground: SYSTEM_GROUND,
      gateway: (family) => (family === 6 ? { host: "::1", port, ours: ["::1"] } : undefined),
      warn: (text) => warnings.push(text),
      mapped: (mapping) => told.push(mapping),
    });
    t.after(() => mappings.close());
    assert.equal(mappings.portOutside(6), undefined);
    mappings.listening({ host: "::", port: PORT });
    await until(() => mappings.portOutside(6) === OUTSIDE);
    const ports = { port: PORT, portOutside: OUTSIDE };
    const mapping = { family: 6, host: "::1", ...ports, protocol: "PCP" } as const;
    assert.deepEqual([told, mappings.all], [[mapping], [mapping]]);
    const [asked] = heard;
    assert.equal(asked?.subarray(0, 8).toString("hex"), "0201000000001c20");
    assert.equal(asked?.subarray(8, 24).toString("hex"), `${"0".repeat(31)}1`);
    assert.equal(asked?.subarray(44, 60).toString("hex"), "0".repeat(32));
    await mappings.close();
    await until(() => heard.at(-1)?.readUInt32BE(4) === 0);
    assert.deepEqual([mappings.portOutside(4), warnings], [undefined, []]);
  });

  it("that are ours no longer are given back, and nothing is asked once all are closed meanwhile", async (t) => {
    const { port, heard } = await startRouter(t, () => []);
    let ours = ["::1"];
    let looks = 0;
    const mappings = new PortMappings({
      // What was asked is not given up meanwhile, and a close waits for a tenth of a second.
      ground: {
        ...SYSTEM_GROUND,
        after: (ms, callback) => setTimeout(callback, ms < 1000 ? 20 * ms : ms / 10),
      },
      gateway: () => {
        looks++;
        return { host: "::1", port, ours };
      },
      warn: () => {},
      mapped: () => assert.fail("nobody answers"),
    });
    mappings.listening({ host: "::", port: PORT });
    await until(() => heard.length > 0);
    ours = ["2001:db8::1"];
    mappings.listening({ host: "::", port: PORT });
    // The router may have granted what it has not answered.
    await until(() => heard.some((message) => message.readUInt32BE(4) === 0));
    await mappings.close();
    const before = looks;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(looks, before, "a router was asked after the close");
  });

  it("are not asked for where nobody has a router, nor one of this machine or of its network alone", async (t) => {
    const { port, heard } = await startRouter(t);
    for (const [host, gateway] of [
      ["::", undefined],
      ["::", { host: "::1", port, ours: [] }],
      ["fe80::1", { host: "::1", port, ours: ["::1"] }],
      ["fd00::1", { host: "::1", port, ours: ["::1"] }],
      ["::1", { host: "2001:db8::1", port, ours: ["2001:db8::2"] }],
    ] as const) {
      const mappings = new PortMappings({
        ground: SYSTEM_GROUND,
        gateway: () => gateway,
        warn: (text) => assert.fail(text),
        mapped: () => assert.fail("nobody was asked"),
      });
      mappings.listening({ host, port: PORT });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await mappings.close();
    }
    assert.equal(heard.length, 0);
  });
});

describe("the table of routes", () => {
  it("names the router for all else, if there is one", () => {
    const head = "Iface\tDestination\tGateway \tFlags\n";
    const local = "eth0\t0001A8C0\t00000000\t0001\n";
    assert.equal(gatewayIn(`${head}eth0\t00000000\t0101A8C0\t0003\n${local}`), "192.168.1.1");
    assert.equal(gatewayIn(head + local), undefined);
    assert.equal(gatewayIn("nothing of the kind"), undefined);
  });

  it("of IPv6 names the router of the first way to all else, and the addresses at which everybody reaches us", () => {
    const none = "0".repeat(32);
    const way = `${none} 00 ${none} 00 fe80000000000000021122fffe334455 00000400 00000000 00000000 00000003     eth0`;
    const lost = `${none} 00 ${none} 00 ${none} ffffffff 00000001 00000000 00200200       lo`;
    const addresses = [
      "20010db8000000000000000000000002 02 40 00 80     eth0",
      "20010db8000000000000000000000003 02 40 00 01     eth0",
      "20010db8000000000000000000000004 02 40 00 20     eth0",
      "20010db8000000000000000000000005 02 40 00 48     eth0",
      "20010db8000000000000000000000006 03 40 00 80    wlan0",
      "fd000000000000000000000000000001 02 40 00 80     eth0",
      "fe800000000000000000000000000001 02 40 20 80     eth0",
      "nothing of the kind",
    ].join("\n");
    const host = "fe80:0000:0000:0000:0211:22ff:fe33:4455%eth0";
    const ours = ["2001:0db8:0000:0000:0000:0000:0000:0002", "2001:0db8:0000:0000:0000:0000:0000:0003"];
    assert.deepEqual(gatewayV6In(`${lost}\n${way}\n`, addresses), { host, port: 5351, ours });
    assert.equal(gatewayV6In(lost, addresses), undefined);
    assert.equal(gatewayV6In(`${none} 00\nnothing of the kind`, addresses), undefined);
  });
});
