// Info dictionaries from peers, over sockets of this machine: honest ones, liars, those that have none, those that speak in cipher only, and
// addresses that nobody is connected to.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { MetadataSeeder, madeHash, madeInfo } from "../../../../bench/load/metadata-seeder.js";
import { decodeExtensionHandshake, encodeExtensionHandshake } from "../../../../src/client/wire/extension.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import {
  decodeMetadataMessage,
  encodeMetadataMessage,
  METADATA_PIECE_BYTES,
  MetadataMessageType,
} from "../../../../src/client/wire/metadata-message.js";
import { createTorrentFile, parseMetainfo, Session } from "../../../../src/index.js";
import { type FetcherOptions, MetadataFetcher } from "../../../../src/indexer/fetch/metadata-fetcher.js";
import { systemWorld, type World } from "../../../../src/native/world.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { until } from "../../../support/index-network.js";
import { SimulatedNetwork } from "../../../support/simulated-network.js";

const HOST = "127.0.0.1";

interface SetUp {
  readonly fetcher: MetadataFetcher;
  /** Waits for the end of a fetch that was begun. */
  ended(infoHash: Uint8Array): Promise<Uint8Array | undefined>;
}

/** A clock that a test puts forward. */
function makeClock(): { readonly world: World; aheadMs: number } {
  const world = systemWorld();
  const clock = { aheadMs: 0, world };
  const ground = { ...world.ground, nowMs: () => world.ground.nowMs() + clock.aheadMs };
  clock.world = { ...world, ground };
  return clock;
}

function setUp(context: TestContext, options: Partial<FetcherOptions> = {}, world = systemWorld()): SetUp {
  const waiting = new Map<string, (info: Uint8Array | undefined) => void>();
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const fetcher = new MetadataFetcher(
    {
      connectionsMax: 20,
      infoBytesMax: 2 ** 20,
      isLocal: true,
      wants: () => false,
      ended: (infoHash, info) => waiting.get(hex(infoHash))?.(info),
      warn: (text) => assert.fail(text),
      ...options,
    },
    world,
  );
  context.after(() => fetcher.close());
  return { fetcher, ended: (infoHash) => new Promise((resolve) => waiting.set(hex(infoHash), resolve)) };
}

/** Somebody who listens, and does what a test says with whoever connects. */
async function listen(context: TestContext, accept: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    accept(socket);
  }).listen(0, HOST);
  context.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

/** A peer that has a dictionary of so many bytes, and does with requests for its pieces what a test says. */
function answerTo(
  socket: Socket,
  infoHash: Uint8Array,
  metadataSize: number,
  asked: (piece: number, send: (data: Uint8Array) => void) => void = () => {},
): void {
  const framed = (id: number, payload: Uint8Array): Buffer => {
    const head = Buffer.from([0, 0, 0, 0, 20, id]);
    head.writeUInt32BE(2 + payload.length);
    return Buffer.concat([head, payload]);
  };
  let received = Buffer.alloc(0);
  let theirId = 0;
  let isGreeted = false;
  socket.on("data", (chunk) => {
    received = Buffer.concat([received, chunk]);
    if (!isGreeted && received.length >= 68) {
      isGreeted = true;
      received = received.subarray(68);
      const handshake = Buffer.alloc(68);
      encodeHandshake(handshake, 0, { infoHash, peerId: Buffer.alloc(20, 7) });
      const told = {
        v: "",
        p: 0,
        reqq: 250,
        uploadOnly: false,
        yourip: "",
        m: { ut_metadata: 1 },
        metadataSize,
      };
      socket.write(Buffer.concat([handshake, framed(0, encodeExtensionHandshake(told))]));
    }
    while (isGreeted && received.length >= 4 && received.length >= 4 + received.readUInt32BE()) {
      const message = received.subarray(4, 4 + received.readUInt32BE());
      received = received.subarray(4 + message.length);
      if (message[0] !== 20) continue;
      if (message[1] === 0) theirId = decodeExtensionHandshake(message.subarray(2)).m.get("ut_metadata") ?? 0;
      else {
        const { piece } = decodeMetadataMessage(message.subarray(2)) ?? { piece: 0 };
        asked(piece, (data) =>
          socket.write(
            framed(theirId, encodeMetadataMessage(MetadataMessageType.data, piece, metadataSize, data)),
          ),
        );
      }
    }
  });
}

async function startSeeder(context: TestContext): Promise<MetadataSeeder> {
  const seeder = await MetadataSeeder.start(HOST);
  context.after(() => seeder.close());
  return seeder;
}

describe("the fetcher of metadata", { timeout: 120_000 }, () => {
  it("fetches of many torrents at once from one peer, and closes what it has no more use for", async (t) => {
    const { fetcher, ended } = setUp(t);
    const seeder = await startSeeder(t);
    const numbers = Array.from({ length: 100 }, (_, number) => number);
    const infos = numbers.map((number) => {
      const hash = seeder.add(number);
      const end = ended(hash);
      const swarm = fetcher.fetch(hash);
      swarm.add({ host: HOST, port: seeder.port });
      swarm.noMore();
      return end;
    });
    for (const [number, info] of (await Promise.all(infos)).entries())
      assert.deepEqual(Buffer.from(info ?? []), madeInfo(number));
    assert.equal(fetcher.count, 0);
    assert.equal(fetcher.connections, 0);
    assert.equal(fetcher.counters.fetched, 100);
    assert.equal(fetcher.counters.connected, 100);
  });

  it("has it of an honest peer among such as lie, say nothing they were asked for, or are gone", async (t) => {
    const { fetcher, ended } = setUp(t);
    const seeder = await startSeeder(t);
    const liar = await startSeeder(t);
    const hash = seeder.add(41);
    liar.addLie(hash, 42);
    const closes = await listen(t, (socket) => socket.destroy());
    const gone = await listen(t, () => {});
    const babbles = await listen(t, (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n".repeat(9)));
    const end = ended(hash);
    const swarm = fetcher.fetch(hash);
    for (const port of [liar.port, closes, babbles, gone, seeder.port]) swarm.add({ host: HOST, port });
    swarm.noMore();
    assert.deepEqual(Buffer.from((await end) ?? []), madeInfo(41));
    assert.ok(fetcher.counters.lied <= 1, "the honest one may be sooner");
  });

  it("counts who lies of the whole, brings nothing, has nothing that may be asked for, and is one too many", async (t) => {
    const clock = makeClock();
    const { fetcher, ended } = setUp(t, { infoBytesMax: 2000 }, clock.world);
    const liar = await startSeeder(t);
    const [wrong, mute, long, nobodys] = [madeHash(41), madeHash(43), madeHash(44), madeHash(45)];
    liar.addLie(wrong, 42);
    const end = ended(wrong);
    const lying = fetcher.fetch(wrong);
    lying.add({ host: HOST, port: liar.port });
    lying.noMore();
    assert.equal(await end, undefined);
    assert.equal(fetcher.counters.lied, 1);

    const tooLong = await listen(t, (socket) => answerTo(socket, long, 2001));
    const ends = ended(long);
    fetcher.fetch(long).add({ host: HOST, port: tooLong });
    fetcher.fetch(long).noMore();
    assert.equal(await ends, undefined);
    assert.equal(fetcher.counters.useless, 1);

    // It names a length, is asked, and never answers.
    let asked = 0;
    const silent = await listen(t, (socket) => answerTo(socket, mute, 1000, () => asked++));
    const over = ended(mute);
    fetcher.fetch(mute).add({ host: HOST, port: silent });
    fetcher.fetch(mute).noMore();
    await until(() => asked > 0, "it is asked");
    clock.aheadMs += 13_000;
    assert.equal(await over, undefined);
    assert.equal(fetcher.counters.silent, 1);

    const late = ended(nobodys);
    const waiting = fetcher.fetch(nobodys);
    for (let port = 200; port < 270; port++) waiting.add({ host: "127.9.9.9", port });
    assert.equal(fetcher.counters.addressesTooMany, 6);
    clock.aheadMs += 61_000;
    assert.equal(await late, undefined);
    assert.equal(fetcher.counters.expired, 1);
  });

  it("holds a bounded part of all dictionaries: the largest goes", async (t) => {
    const lengths = 9 * 2 ** 20;
    const { fetcher, ended } = setUp(t, { infoBytesMax: 10 * 2 ** 20 });
    const hashes = Array.from({ length: 6 }, (_, number) => madeHash(number));
    const over: Promise<unknown>[] = [];
    for (const hash of hashes) {
      // All but the last piece comes.
      const port = await listen(t, (socket) =>
        answerTo(socket, hash, lengths, (piece, send) => {
          if ((piece + 1) * METADATA_PIECE_BYTES < lengths) send(Buffer.alloc(METADATA_PIECE_BYTES));
        }),
      );
      over.push(ended(hash));
      fetcher.fetch(hash).add({ host: HOST, port });
    }
    // 54 MiB are more than 48.
    await Promise.race(over);
    assert.equal(fetcher.counters.crowdedOut, 1);
    assert.equal(fetcher.count, 5);
  });

  it("ends when nobody is left, and when a dictionary is longer than it may be", async (t) => {
    const { fetcher, ended } = setUp(t, { infoBytesMax: 300 });
    const seeder = await startSeeder(t);
    const hash = seeder.add(39);
    assert.ok(madeInfo(39).length > 300);
    const closed = await listen(t, (socket) => socket.destroy());
    const nobodys = madeHash(1000);
    const ends = [ended(nobodys), ended(hash)];
    const swarm = fetcher.fetch(nobodys);
    swarm.add({ host: HOST, port: closed });
    swarm.noMore();
    const tooLong = fetcher.fetch(hash);
    tooLong.add({ host: HOST, port: seeder.port });
    tooLong.noMore();
    assert.deepEqual(await Promise.all(ends), [undefined, undefined]);
    assert.equal(seeder.served, 0, "nothing of what is too long is asked for");
  });

  it("talks in cipher to a peer that wants it so", async (t) => {
    const { fetcher, ended } = setUp(t);
    const folder = temporaryFolder((run) => t.after(run));
    writeFileSync(join(folder, "data"), bytesOf(3, 300_000));
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), { pieceLength: 16_384 }));
    const session = new Session({ encryption: "required" });
    t.after(() => session.close());
    const { port } = await session.listen({ host: HOST, port: 0 });
    await session.add(metainfo, { directory: folder, readOnly: true });
    const end = ended(metainfo.infoHash);
    const swarm = fetcher.fetch(metainfo.infoHash);
    swarm.add({ host: HOST, port });
    swarm.noMore();
    assert.deepEqual(Buffer.from((await end) ?? []), Buffer.from(metainfo.info));
  });

  it("takes those who come by themselves for what is wanted, and for nothing else", async (t) => {
    const wanted = madeHash(5);
    const isWanted = (hash: Uint8Array): boolean => Buffer.compare(hash, wanted) === 0;
    const { fetcher, ended } = setUp(t, { wants: isWanted });
    const seeder = await startSeeder(t);
    const other = seeder.add(6);
    seeder.add(5);
    const { port } = fetcher.listen({ host: HOST, port: 0 });
    const end = ended(wanted);
    seeder.connect(port, other);
    seeder.connect(port, wanted);
    assert.deepEqual(Buffer.from((await end) ?? []), madeInfo(5));
    assert.equal(fetcher.counters.accepted, 1);
    assert.equal(fetcher.counters.fetched, 1);
  });

  it("connects to nobody who cannot be meant, and to one address so often only, whoever names it", async (t) => {
    const { fetcher, ended } = setUp(t, { isLocal: false });
    const impossible = ["127.0.0.1", "10.1.2.3", "192.168.1.1", "224.0.0.1", "0.0.0.0", "::1", "fe80::1"];
    const hash = madeHash(2000);
    const end = ended(hash);
    const swarm = fetcher.fetch(hash);
    for (const host of impossible) swarm.add({ host, port: 6881 });
    swarm.add({ host: "192.0.2.1", port: 80 });
    swarm.noMore();
    assert.equal(await end, undefined);
    assert.equal(fetcher.counters.refused, impossible.length + 1);
    assert.equal(fetcher.counters.connected, 0);
    // 2,000 hashes that name one address, which no packet reaches: 100::/64 is for nothing (RFC 6666).
    for (let number = 0; number < 2000; number++) {
      const each = fetcher.fetch(madeHash(number));
      each.add({ host: "100::1", port: 6881 });
      each.noMore();
    }
    assert.ok(fetcher.counters.connected <= 8, `${fetcher.counters.connected} connections to one address`);
  });

  it("connects to a site of IPv6 as often as to eight networks, however many addresses of it are named", async (t) => {
    const network = new SimulatedNetwork(1);
    const wire = { delayMs: 5, bytesPerMs: 1000, windowBytes: 65_536 };
    const { fetcher } = setUp(t, { isLocal: false }, network.addMachine("198.51.100.1", wire));
    for (let number = 0; number < 2000; number++) {
      const each = fetcher.fetch(madeHash(number));
      each.add({ host: `2001:db8:1:${number.toString(16)}::1`, port: 6881 });
      each.noMore();
    }
    await network.run(() => network.nowMs >= 10_000, 11_000, "connections are refused");
    const { connected } = fetcher.counters;
    // Eight times 5 at once and one in 2 s.
    assert.ok(connected >= 40 && connected <= 80, `${connected} connections to one site`);
  });
});
