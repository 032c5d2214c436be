// Blocks that are lent to the program (option onBlock): of verified pieces, all of them, whatever memory there is.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { BLOCK_SIZE, MIB } from "../../../../src/base/limits.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { type BlockLease, type PeerAddress, Session, type StorageKind } from "../../../../src/index.js";
import { difference, temporaryFolder } from "../../../support/data.js";
import { makeRandom } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "../session/loopback.js";

const TIMEOUT = { timeout: 60_000 };
const HOST = "127.0.0.1";

/** A peer that says it has everything, and sends zeros. */
async function seedGarbage(shared: Shared): Promise<{ session: Session; address: PeerAddress }> {
  const folder = temporaryFolder(after);
  writeFileSync(join(folder, "data.bin"), Buffer.alloc(shared.data.length));
  const session = new Session();
  const address = await session.listen({ host: HOST, port: 0 });
  await session.add(shared.metainfo, { directory: folder, readOnly: true, assumeComplete: true });
  return { session, address };
}

/** Turns of the loop until `done` says so. */
async function turnsUntil(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}

describe("Blocks that are lent", TIMEOUT, () => {
  it("are of verified pieces: what a garbage peer sends is not lent, not announced, not claimed", async () => {
    const shared = await makeShared(300_000);
    const garbage = await seedGarbage(shared);
    const directory = temporaryFolder(after);
    let lent = 0;
    let pieces = 0;
    const onBlock = (): void => {
      lent++;
    };
    const leecher = new Session();
    const torrent = await leecher.add(shared.metainfo, { directory, onBlock, peers: [garbage.address] });
    torrent.on("piece", () => pieces++);
    let failed = false;
    torrent.on("pieceFailed", () => {
      failed = true;
    });
    await turnsUntil(() => failed);
    await closeWhole(leecher);
    assert.deepEqual([lent, pieces], [0, 0]);
    await using again = new Session();
    assert.equal((await again.add(shared.metainfo, { directory })).progress().piecesVerified, 0);
    await garbage.session.close();
  });

  // Pieces of 4 MiB do not fit a pool of 1 MiB.
  const cases: [StorageKind, number, number, number][] = [
    ["file", 32 * MIB, 256 * 1024, 3_000_000],
    ["file", MIB, 4 * MIB, 10_000_000],
    ["mapped", MIB, 4 * MIB, 10_000_000],
    ["memory", MIB, 65_536, 3_000_000],
    ["null", 32 * MIB, 256 * 1024, 3_000_000],
    ["null", MIB, 4 * MIB, 10_000_000],
  ];
  for (const [storage, poolBytes, pieceLength, length] of cases) {
    it(`are whole and in order: ${storage}, pool ${poolBytes / MIB} MiB, pieces of ${pieceLength / 1024} KiB`, async () => {
      const shared = await makeShared(length, pieceLength);
      const seeder = await seed(shared);
      const session = new Session({ poolBytes });
      const directory = temporaryFolder(after);
      const verified = new Set<number>();
      const ends = new Map<number, number>();
      let bytes = 0;
      const held: BlockLease[] = [];
      const onBlock = (lease: BlockLease): void => {
        const at = lease.piece * pieceLength + lease.begin;
        assert.equal(verified.has(lease.piece), true);
        assert.equal(ends.get(lease.piece) ?? 0, lease.begin);
        ends.set(lease.piece, lease.begin + lease.bytes.length);
        assert.ok(shared.data.subarray(at, at + lease.bytes.length).equals(lease.bytes));
        bytes += lease.bytes.length;
        held.push(lease);
        if (held.length > 8) required(held.shift(), "an entry of held").release();
      };
      const torrent = await session.add(shared.metainfo, { storage, directory, onBlock });
      torrent.on("piece", (piece) => verified.add(piece));
      torrent.addPeer(seeder.address);
      await torrent.done;
      assert.equal(bytes, length);
      for (const lease of held) lease.release();
      await closeWhole(session);
      await closeWhole(seeder.session);
      if (storage === "file" || storage === "mapped")
        assert.equal(difference(join(shared.folder, "data.bin"), join(directory, "data.bin")), undefined);
    });
  }

  it("without verification come as they arrive, and nothing is announced or claimed", async () => {
    const shared = await makeShared(300_000);
    const seeder = await seed(shared);
    const directory = temporaryFolder(after);
    const session = new Session();
    let blocks = 0;
    const onBlock = (lease: BlockLease): void => {
      blocks++;
      lease.release();
    };
    const torrent = await session.add(shared.metainfo, { directory, onBlock, verify: false });
    torrent.addPeer(seeder.address);
    await torrent.done;
    assert.equal(blocks, Math.ceil(300_000 / BLOCK_SIZE));
    assert.equal(torrent.have.count, 0);
    assert.equal(torrent.progress().verified, false);
    assert.deepEqual(
      seeder.torrent.peers().map(({ pieces }) => pieces),
      [0],
    );
    await closeWhole(session);
    await using again = new Session();
    assert.equal((await again.add(shared.metainfo, { directory })).progress().piecesVerified, 0);
    await closeWhole(seeder.session);
  });

  it("do not go on while the program keeps them all: memory is the bound, and closing ends it", async () => {
    const shared = await makeShared(4_000_000);
    const seeder = await seed(shared);
    const session = new Session({ poolBytes: MIB });
    const held: BlockLease[] = [];
    const onBlock = (lease: BlockLease): void => {
      held.push(lease);
    };
    const torrent = await session.add(shared.metainfo, nowhere({ onBlock, peers: [seeder.address] }));
    const { slotCount } = sessionCoreOf(session).memory.pool;
    await turnsUntil(() => held.length > slotCount / 2);
    assert.ok(held.length <= slotCount);
    await torrent.close();
    for (const lease of held) lease.release();
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("never stand still, whatever the program keeps of a small pool, and in whatever order it gives back", async () => {
    const seed0 = process.env["SEED"] === undefined ? Date.now() & 0xffff : Number(process.env["SEED"]);
    let checks = 0;
    for (let run = 0; run < 12; run++) {
      const random = makeRandom(seed0 + run);
      const pieceLength = BLOCK_SIZE << Math.floor(8 * random());
      const shared = await makeShared(500_000 + Math.floor(2_000_000 * random()), pieceLength);
      const seeders = [await seed(shared), await seed(shared)];
      const session = new Session({ poolBytes: MIB });
      const storage = entryOf(["file", "memory", "null"] as const, run % 3);
      const directory = temporaryFolder(after);
      const keep = Math.floor(20 * random());
      const held: BlockLease[] = [];
      let [bytes, isDone] = [0, false];
      const checkBetweenTurns = (): void => {
        if (isDone) return;
        checks++;
        sessionCoreOf(session).checkInvariants();
      };
      const onBlock = (lease: BlockLease): void => {
        bytes += lease.bytes.length;
        held.push(lease);
        setImmediate(checkBetweenTurns);
        if (held.length > keep) entryOf(held.splice(Math.floor(held.length * random()), 1), 0).release();
      };
      const peers = seeders.map(({ address }) => address);
      const torrent = await session.add(shared.metainfo, { storage, directory, onBlock, peers });
      await torrent.done;
      isDone = true;
      assert.equal(bytes, shared.data.length, `SEED=${seed0 + run}`);
      for (const lease of held) lease.release();
      await closeWhole(session);
      for (const seeder of seeders) await closeWhole(seeder.session);
    }
    assert.ok(checks > 0, "what is counted was counted again");
  });

  it("keep a torrent that is added from being checked only until the program gives some back", async () => {
    const shared = await makeShared(2_000_000);
    const { session, torrent } = await seed(shared, { poolBytes: MIB });
    const { slotCount } = sessionCoreOf(session).memory.pool;
    const held = await Promise.all(Array.from({ length: slotCount }, () => torrent.read(0, 0, 1)));
    const other = await makeShared(1_000_000);
    const options = { directory: other.folder, readOnly: true };
    const aborting = new AbortController();
    const aborted = session.add(other.metainfo, { ...options, signal: aborting.signal });
    aborting.abort();
    await assert.rejects(aborted, { code: "ABORTED" });
    const added = session.addInBackground(other.metainfo, options);
    await turnsUntil(() => sessionCoreOf(session).memory.pool.waiterCount === 1);
    for (const lease of held) lease.release();
    await added.ready;
    assert.equal(added.state, "seeding");
    await closeWhole(session);
  });

  it("show no bytes after their release, with a word on why", async () => {
    const shared = await makeShared(100_000);
    const { session, torrent } = await seed(shared);
    const lease = await torrent.read(0, 0, 100);
    assert.equal(lease.bytes.length, 100);
    lease.release();
    assert.throws(() => lease.bytes, { code: "USAGE_STATE", message: /released/ });
    await assert.rejects(torrent.read(0, 0, 32_768), { code: "USAGE_OPTION", message: /16384/ });
    const held = await torrent.read(0, 0, 100);
    await session.close();
    assert.throws(() => held.bytes, { code: "USAGE_STATE", message: /closed/ });
    held.release();
  });
});
