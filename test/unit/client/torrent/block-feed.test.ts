// Blocks of verified pieces that a program takes one by one: torrent.blocks().

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import { BLOCK_SIZE, MIB } from "../../../../src/base/limits.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { type BlockLease, Session, type StorageKind } from "../../../../src/index.js";
import { temporaryFolder } from "../../../support/data.js";
import { Program } from "../../../support/program.js";
import { closeWhole, makeShared, seed } from "../session/loopback.js";

const TIMEOUT = { timeout: 120_000 };
const PIECE = 65_536;
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe("torrent.blocks()", TIMEOUT, () => {
  const cases: [StorageKind, number][] = [
    ["null", 32 * MIB],
    ["null", MIB],
    ["file", MIB],
    ["mapped", MIB],
  ];
  for (const [storage, poolBytes] of cases)
    it(`gives each block of each piece once: ${storage}, pool ${poolBytes / MIB} MiB`, async () => {
      const shared = await makeShared(3_000_000);
      const seeder = await seed(shared);
      const session = new Session({ poolBytes });
      const directory = temporaryFolder(after);
      const options = { storage, directory, lendBlocks: true, peers: [seeder.address] };
      const torrent = await session.add(shared.metainfo, options);
      const copy = Buffer.alloc(3_000_000);
      const ends = new Map<number, number>();
      for await (const lease of torrent.blocks()) {
        assert.equal(ends.get(lease.piece) ?? 0, lease.begin, "in ascending order");
        ends.set(lease.piece, lease.begin + lease.bytes.length);
        copy.set(lease.bytes, lease.piece * PIECE + lease.begin);
        lease.release();
      }
      assert.ok(copy.equals(shared.data));
      await torrent.done;
      for await (const lease of torrent.blocks()) assert.fail(`piece ${lease.piece} comes again`);
      await closeWhole(session);
      await closeWhole(seeder.session);
    });

  it("lends no more than a quarter of the pool, and goes on when leases come back", async () => {
    const shared = await makeShared(6_000_000);
    const seeder = await seed(shared);
    const session = new Session({ poolBytes: 2 * MIB });
    const { pool } = sessionCoreOf(session);
    const torrent = await session.add(shared.metainfo, {
      storage: "null",
      lendBlocks: true,
      peers: [seeder.address],
    });
    const kept: BlockLease[] = [];
    const max = Math.floor(pool.slotCount / 4);
    let bytes = 0;
    for await (const lease of torrent.blocks()) {
      kept.push(lease);
      bytes += lease.bytes.length;
      assert.ok(kept.length <= max);
      if (kept.length < max) continue;
      // Nothing more comes, however long it is waited for: all that is lent is here.
      await turns(50);
      for (const each of kept.splice(0)) each.release();
    }
    assert.equal(bytes, 6_000_000);
    for (const each of kept) each.release();
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("is broken off and gone on with, by one taker at a time", async () => {
    const shared = await makeShared(1_000_000);
    const seeder = await seed(shared);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, {
      storage: "null",
      lendBlocks: true,
      peers: [seeder.address],
    });
    let blocks = 0;
    for await (const lease of torrent.blocks()) {
      await assert.rejects(torrent.blocks().next(), { code: "USAGE_STATE" });
      lease.release();
      if (++blocks === 5) break;
    }
    for await (const lease of torrent.blocks()) {
      lease.release();
      blocks++;
    }
    assert.equal(blocks, Math.ceil(1_000_000 / BLOCK_SIZE));
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("throws what ends the torrent, and gives back what nobody took", async () => {
    const shared = await makeShared(1_000_000);
    const seeder = await seed(shared);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { storage: "null", lendBlocks: true });
    const blocks = torrent.blocks();
    const waits = blocks.next();
    const connected = once(torrent, "piece");
    torrent.addPeer(seeder.address);
    await connected;
    const { value } = await waits;
    (value as BlockLease).release();
    await torrent.close();
    await assert.rejects(blocks.next(), { code: "ABORTED" });
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("needs its option, and nobody else who takes the blocks", async () => {
    const shared = await makeShared(100_000);
    const session = new Session();
    const onBlock = (lease: BlockLease): void => lease.release();
    await assert.rejects(session.add(shared.metainfo, { storage: "null", lendBlocks: true, onBlock }), {
      code: "USAGE_OPTION",
    });
    const torrent = await session.add(shared.metainfo, { storage: "null" });
    assert.throws(() => torrent.blocks(), { code: "USAGE_STATE" });
    await closeWhole(session);
  });

  it("a lease that is lost is told of, where that was asked for", async () => {
    const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `
      const { Lease } = await import(${url("../../../../src/client/torrent/lease.js")});
      const { Memory } = await import(${url("../../../../src/client/memory/memory.js")});
      const memory = new Memory(new Uint8Array(2 ** 21));
      let told = false;
      process.on("warning", ({ message }) => {
        told = true;
        console.log(message);
      });
      const lend = (piece) => new Lease(memory, memory.pool.acquire(4), piece, 0, 16384, () => {});
      lend(1).release();
      lend(7);
      while (!told) {
        global.gc();
        await new Promise((resolve) => setImmediate(resolve));
      }`;
    const args = ["--expose-gc", "--input-type=module", "-e", script];
    const program = new Program(process.execPath, args, { environment: { SCATTERWIRE_LEASES: "1" } });
    assert.equal(await program.ended, 0, program.errors);
    assert.match(program.output, /lost without release\(\): piece 7, byte 0/);
    assert.doesNotMatch(program.output, /piece 1,/);
  });
});
