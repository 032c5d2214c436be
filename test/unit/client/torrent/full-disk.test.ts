// A disk that fills up, or fails, at the worst places: the torrent fails with a StorageError, the session goes on, and what was
// made durable before stays claimed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, it, mock } from "node:test";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { FileStorage } from "../../../../src/client/storage/file-storage.js";
import { Session, StorageError, type StorageKind } from "../../../../src/index.js";
import { temporaryFolder } from "../../../support/data.js";
import { systemError, withFs } from "../../../support/full-disk.js";
import { collectUncaught } from "../../../support/uncaught.js";
import { closeWhole, makeShared, seed } from "../session/loopback.js";

const TIMEOUT = { timeout: 30_000 };
type Call = (...args: unknown[]) => unknown;

/** Resume records after the first `good` find half of their room, and then none. */
function recordsFail(good: number): (real: Call) => Call {
  let count = 0;
  return (real) =>
    (...args) => {
      const bytes = args[1];
      // Records of resume data have 12 bytes.
      const isRecord = bytes instanceof Uint8Array && bytes.length === 12;
      if (!isRecord || ++count <= good) return real(...args);
      if (count === good + 1) return real(args[0], bytes.subarray(0, 5), 0);
      throw systemError("ENOSPC");
    };
}

describe("A disk that fills up", TIMEOUT, () => {
  for (const storage of ["file", "direct", "mapped"] as const satisfies readonly StorageKind[]) {
    it(`while pieces are noted as verified (${storage}): the torrent fails, and goes on where it was`, async () => {
      const shared = await makeShared(1_000_000);
      const seeder = await seed(shared);
      const directory = temporaryFolder(after);
      const session = new Session();
      const errors = await collectUncaught(async () => {
        await withFs("writeSync", recordsFail(4), async () => {
          const torrent = await session.add(shared.metainfo, { directory, storage, preallocate: true });
          const failed = once(torrent, "failed");
          torrent.addPeer(seeder.address);
          await assert.rejects(
            torrent.done,
            (error) => error instanceof StorageError && error.code === "STORAGE_NO_SPACE",
          );
          const [error] = await failed;
          assert.ok(error instanceof StorageError);
          assert.equal(torrent.state, "failed");
          await sessionCoreOf(session).reactor.idle();
          await torrent.close();
          assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {});
        });
      });
      assert.deepEqual(errors, []);
      // There is room again: what was noted is hashed and taken, the rest comes.
      const again = await session.add(shared.metainfo, { directory, storage });
      assert.ok(again.progress().piecesVerified >= 4);
      again.addPeer(seeder.address);
      await again.done;
      await closeWhole(session);
      await closeWhole(seeder.session);
    });
  }

  it("when what was stored is made durable at the end: close() says so, the lock is free, nothing false is claimed", async () => {
    const shared = await makeShared(300_000);
    const seeder = await seed(shared);
    const directory = temporaryFolder(after);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { directory });
    const fails = () => (): never => {
      throw systemError("EIO");
    };
    const errors = await collectUncaught(async () => {
      await withFs("fdatasyncSync", fails, async () => {
        torrent.once("piece", () => void torrent.close().catch(() => {}));
        torrent.addPeer(seeder.address);
        await assert.rejects(torrent.done);
        await assert.rejects(torrent.close(), (error) => error instanceof StorageError);
      });
    });
    assert.deepEqual(errors, []);
    assert.equal(session.torrents.size, 0);
    const again = await session.add(shared.metainfo, { directory, peers: [seeder.address] });
    await again.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("when all is durable and only the last word about it finds no room: close() is content and says so, and all stays claimed", async () => {
    const shared = await makeShared(300_000);
    const seeder = await seed(shared);
    const directory = temporaryFolder(after);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { directory, peers: [seeder.address] });
    await torrent.done;
    const full = () => (): never => {
      throw systemError("ENOSPC");
    };
    await withFs("writeSync", full, async () => {
      const warned = once(torrent, "warning");
      await torrent.close();
      assert.match((await warned)[0], /ENOSPC/);
    });
    const again = await session.add(shared.metainfo, { directory });
    assert.equal(again.state, "seeding");
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("ends no process by an aborted torrent that cannot be closed well", async () => {
    const shared = await makeShared(300_000);
    const seeder = await seed(shared);
    const session = new Session();
    const controller = new AbortController();
    const torrent = await session.add(shared.metainfo, {
      directory: temporaryFolder(after),
      signal: controller.signal,
    });
    const fails = () => (): never => {
      throw systemError("EIO");
    };
    const errors = await collectUncaught(async () => {
      await withFs("fdatasyncSync", fails, async () => {
        const warned = once(torrent, "warning");
        torrent.once("piece", () => controller.abort());
        torrent.addPeer(seeder.address);
        await assert.rejects(torrent.done);
        assert.match((await warned)[0], /EIO/);
      });
    });
    assert.deepEqual(errors, []);
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("is told apart from a bug of ours, which ends the torrent too and is heard of", async () => {
    const shared = await makeShared(300_000);
    const seeder = await seed(shared);
    const session = new Session();
    const bug = new TypeError("a bug made by a test");
    const errors = await collectUncaught(async () => {
      const torrent = await session.add(shared.metainfo, { directory: temporaryFolder(after) });
      const sync = mock.method(FileStorage.prototype, "sync", () => Promise.reject(bug));
      torrent.addPeer(seeder.address);
      await assert.rejects(torrent.done, (error) => error === bug);
      assert.equal(torrent.state, "failed");
      await session.close();
      sync.mock.restore();
    });
    assert.deepEqual(errors, [bug]);
    await closeWhole(seeder.session);
  });
});
