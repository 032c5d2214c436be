// Ports that a router forwards, asked of routers that a test answers for, on loopback: PCP, NAT-PMP, and a package for UPnP that is none.

import assert from "node:assert/strict";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { describe, it, type TestContext } from "node:test";
import { type Ground, SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { PortMapping, type UpnpClient, type UpnpPort } from "../../../../src/client/sources/port-mapping.js";
import { Session } from "../../../../src/index.js";
import { gatewayIn } from "../../../../src/native/gateway.js";
import { systemWorld } from "../../../../src/native/world.js";

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

/** Waits a millisecond where it should wait for half of a lifetime, which is an hour. */
const IMPATIENT: Ground = {
  ...SYSTEM_GROUND,
  after: (ms, callback) => setTimeout(callback, ms > 60_000 ? 1 : ms),
};

/** What one that knows NAT-PMP only answers. */
const natPmp: Router = (request) => {
  if (request[0] !== 0) return [Buffer.from([0, request[1]! | 128, 0, 1, 0, 0, 0, 0])];
  const answer = Buffer.alloc(16);
  answer[1] = 130;
  request.copy(answer, 8, 4, 6);
  answer.writeUInt16BE(OUTSIDE, 10);
  answer.writeUInt32BE(request.readUInt32BE(8), 12);
  return [answer];
};

interface Place {
  readonly heard: Buffer[];
  readonly warnings: string[];
  readonly mapping: PortMapping;
  readonly socket: Socket;
}

async function place(
  t: TestContext,
  router: Router,
  upnp?: UpnpClient,
  ground: Ground = SYSTEM_GROUND,
): Promise<Place> {
  const heard: Buffer[] = [];
  const warnings: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (message: Buffer, from: RemoteInfo) => {
    heard.push(message);
    for (const answer of router(message)) socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const mapping = new PortMapping({
    ground,
    gateway: () => ({ host: "127.0.0.1", port: socket.address().port }),
    loadUpnp: async () => upnp,
    warn: (text) => warnings.push(text),
  });
  t.after(async () => {
    await mapping.close();
    socket.close();
  });
  return { heard, warnings, mapping, socket };
}

async function until(condition: () => boolean): Promise<void> {
  // A test that is given up leaves no loop behind, which would keep the file from ending.
  for (let turns = 0; !condition() && turns < 5000; turns++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition(), "it never happened");
}

describe("a port of the router", TIMEOUT, () => {
  it("is mapped by PCP, and given back with the same nonce", async (t) => {
    const { heard, mapping, warnings } = await place(t, pcp);
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
    const { heard, mapping } = await place(t, natPmp);
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

  it("is asked of UPnP again and again, and leaves nothing behind", async (t) => {
    const told: Error[] = [];
    const tell = (warning: Error): number => told.push(warning);
    process.on("warning", tell);
    t.after(() => process.off("warning", tell));
    let asked = 0;
    const upnp: UpnpClient = { map: async () => ++asked > 0, destroy: async () => {} };
    const refuses: Router = (request) => [Buffer.from([request[0]!, 130, 0, 2])];
    const { mapping } = await place(t, refuses, upnp, IMPATIENT);
    mapping.map(PORT);
    await until(() => asked > 20);
    assert.deepEqual([mapping.portOutside, told], [PORT, []]);
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
      otherNonce[24]! ^= 1;
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

  it("is asked of UPnP last, and whoever is there is let go at the end", async (t) => {
    const asked: UpnpPort[] = [];
    let destroyed = 0;
    const upnp: UpnpClient = {
      map: async (what) => asked.push(what) > 0,
      destroy: async () => ++destroyed,
    };
    const { mapping, warnings } = await place(t, (request) => [Buffer.from([request[0]!, 130, 0, 2])], upnp);
    mapping.map(PORT);
    await until(() => mapping.portOutside === PORT);
    await mapping.close();
    await until(() => destroyed > 0);
    assert.deepEqual(asked, [{ publicPort: PORT, privatePort: PORT, protocol: "TCP", ttl: 7200 }]);
    assert.deepEqual([destroyed, warnings], [1, []]);
  });

  it("of UPnP that throws, or never says, is a warning, and the end waits no longer than it must", async (t) => {
    const router: Router = (request) => [Buffer.from([request[0]!, 130, 0, 2])];
    const throws = await place(t, router, {
      map: () => Promise.reject(new Error("no gateway")),
      destroy: async () => {},
    });
    throws.mapping.map(PORT);
    await until(() => throws.warnings.length === 2);
    assert.equal(throws.warnings[0], "UPnP: no gateway");
    let isAsked = false;
    const silent = await place(t, router, {
      map: () => {
        isAsked = true;
        return new Promise(() => {});
      },
      destroy: () => new Promise(() => {}),
    });
    silent.mapping.map(PORT);
    await until(() => isAsked);
    await silent.mapping.close();
  });

  it("of a session is asked for where it listens, and given back when it closes", async (t) => {
    const { heard, socket } = await place(t, pcp);
    const gateway = () => ({ host: "127.0.0.1", port: socket.address().port });
    const session = new Session({ portMapping: true }, { ...systemWorld(), gateway });
    const { port } = await session.listen({ host: "127.0.0.1", port: 0 });
    await until(() => heard.length > 0);
    assert.equal(heard[0]?.readUInt16BE(40), port);
    await session.close();
    await until(() => heard.at(-1)?.readUInt32BE(4) === 0);
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
});
