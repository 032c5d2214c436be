// Storage that the program brings: the contract, what a torrent does with it, and what it does where the storage does not do its part.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Timer } from "../../../../src/base/ground.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { type CustomStorage, Session, StorageError, type StoredTorrent } from "../../../../src/index.js";
import { systemWorld } from "../../../../src/native/world.js";
import { customStorageContract } from "../../../../src/testing/index.js";
import { entryOf, required } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, seed } from "../session/loopback.js";

const TIMEOUT = { timeout: 120_000 };
const LENGTH = 1_000_000;

/** A program's storage: in a buffer that outlives it. */
class BufferStorage implements CustomStorage {
  bytes: Buffer | undefined;
  readonly calls: string[] = [];

  constructor(bytes?: Buffer) {
    this.bytes = bytes;
  }

  async open({ totalLength }: StoredTorrent): Promise<boolean> {
    this.calls.push("open");
    const isThere = this.bytes !== undefined;
    this.bytes ??= Buffer.alloc(totalLength);
    return isThere;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return Uint8Array.from(required(this.bytes, "bytes").subarray(offset, offset + length));
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    required(this.bytes, "bytes").set(bytes, offset);
  }

  async sync(): Promise<void> {
    this.calls.push("sync");
  }

  async close(): Promise<void> {
    this.calls.push("close");
  }
}

describe("The contract of custom storage", TIMEOUT, () => {
  const again = (former: CustomStorage): CustomStorage => new BufferStorage((former as BufferStorage).bytes);
  for (const { name, run } of customStorageContract(() => new BufferStorage(), again)) it(name, run);

  it("finds storage that forgets, mixes up places, or answers with its own memory", async () => {
    const flawed: Record<string, Partial<CustomStorage>> = {
      forgets: { write: async () => {} },
      "answers short": { read: async () => new Uint8Array(1) },
    };
    for (const [name, flaw] of Object.entries(flawed)) {
      const checks = customStorageContract(() => Object.assign(new BufferStorage(), flaw));
      const failures = await Promise.all(
        checks.map(({ run }) =>
          run().then(
            () => 0,
            () => 1,
          ),
        ),
      );
      assert.ok(failures.includes(1), name);
    }
    const shares = customStorageContract(() => {
      const storage = new BufferStorage();
      storage.read = async (offset, length) =>
        required(storage.bytes, "bytes").subarray(offset, offset + length);
      return storage;
    });
    const apart = required(
      shares.find(({ name }) => name.includes("answered before")),
      "apart",
    );
    await assert.rejects(apart.run(), { name: "AssertionError" });
  });
});

describe("A torrent in custom storage", TIMEOUT, () => {
  it("is downloaded, seeded from, read, looked at again, and found at the next start", async () => {
    const shared = await makeShared(LENGTH);
    const seeder = await seed(shared);
    const session = new Session();
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const customStorage = new BufferStorage();
    const torrent = await session.add(shared.metainfo, { customStorage, peers: [seeder.address] });
    await torrent.done;
    assert.equal(torrent.storageKind, "custom");
    assert.ok(customStorage.bytes?.equals(shared.data));
    const lease = await torrent.read(3, 100, 5000);
    assert.ok(
      shared.data
        .subarray(3 * 65_536 + 100)
        .subarray(0, 5000)
        .equals(lease.bytes),
    );
    lease.release();
    const leecher = new Session();
    await (await leecher.add(shared.metainfo, nowhere({ peers: [address] }))).done;
    await closeWhole(leecher);
    const kept: Buffer | undefined = customStorage.bytes;
    assert.ok(kept !== undefined);
    kept[0] = entryOf(shared.data, 0) ^ 1;
    await torrent.recheck();
    assert.equal(torrent.have.has(0), false);
    assert.equal(torrent.have.count, torrent.have.pieceCount - 1);
    await closeWhole(session);
    assert.deepEqual(customStorage.calls.at(-1), "close");
    const next = new Session();
    const found = await next.add(shared.metainfo, { customStorage: new BufferStorage(shared.data) });
    assert.equal(found.state, "seeding");
    await closeWhole(next);
    await closeWhole(seeder.session);
  });

  const flaws: Record<string, (storage: BufferStorage) => void> = {
    "rejects write()": (storage) => {
      storage.write = async () => Promise.reject(new Error("no more room"));
    },
    "throws in write()": (storage) => {
      storage.write = () => {
        throw new Error("no more room");
      };
    },
    "rejects sync()": (storage) => {
      storage.sync = async () => Promise.reject(new Error("no more room"));
    },
  };
  for (const [name, spoil] of Object.entries(flaws))
    it(`fails with a StorageError where it ${name}`, async () => {
      const shared = await makeShared(LENGTH);
      const seeder = await seed(shared);
      const session = new Session();
      const customStorage = new BufferStorage();
      spoil(customStorage);
      const torrent = await session.add(shared.metainfo, { customStorage, peers: [seeder.address] });
      await assert.rejects(torrent.done, (error: unknown) => {
        assert.ok(error instanceof StorageError);
        assert.equal(error.code, "STORAGE_IO");
        assert.match(error.message, /no more room/);
        return true;
      });
      await closeWhole(session);
      await closeWhole(seeder.session);
    });

  it("is refused where open() fails or answers what is none, or where other storage is asked for as well", async () => {
    const shared = await makeShared(LENGTH);
    const session = new Session();
    const rejects = new BufferStorage();
    rejects.open = async () => Promise.reject(new Error("locked"));
    await assert.rejects(session.add(shared.metainfo, { customStorage: rejects }), { message: /locked/ });
    const answers = new BufferStorage();
    answers.open = (async () => "yes") as never;
    await assert.rejects(session.add(shared.metainfo, { customStorage: answers }), { code: "STORAGE_IO" });
    const both = { customStorage: new BufferStorage(), storage: "null" as const };
    await assert.rejects(session.add(shared.metainfo, both), { code: "USAGE_OPTION" });
    await assert.rejects(session.add(shared.metainfo, { customStorage: {} as never }), {
      code: "USAGE_OPTION",
    });
    await closeWhole(session);
  });

  it("holds up nobody else where it settles nothing: neither another torrent of the session, nor a third one that is stuck", async () => {
    const stuck = await makeShared(20 * LENGTH);
    const alsoStuck = await makeShared(20 * LENGTH, 131_072);
    const other = await makeShared(LENGTH);
    const seeders = await Promise.all([stuck, alsoStuck, other].map((shared) => seed(shared)));
    const [first, second, third] = seeders.map(({ address }) => address);
    const world = systemWorld();
    const never: Timer = { ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} };
    const deadlines: (() => void)[] = [];
    const after = (ms: number, callback: () => void): Timer => {
      if (ms !== 60_000) return world.ground.after(ms, callback);
      deadlines.push(callback);
      return never;
    };
    const session = new Session(
      { poolBytes: 8 * 1024 * 1024 },
      { ...world, ground: { ...world.ground, after } },
    );
    const { pool } = sessionCoreOf(session).memory;
    for (const [shared, peer] of [
      [stuck, first],
      [alsoStuck, second],
    ] as const) {
      const customStorage = new BufferStorage();
      customStorage.write = () => new Promise(() => {});
      const waiting = pool.waiterCount;
      const torrent = await session.add(shared.metainfo, {
        customStorage,
        peers: [required(peer, "a peer")],
      });
      torrent.done.catch(() => {});
      while (pool.waiterCount === waiting) await turn();
    }
    const torrent = await session.add(other.metainfo, nowhere({ peers: [required(third, "a peer")] }));
    await torrent.done;
    let closed = false;
    const closing = closeWhole(session).then(() => {
      closed = true;
    });
    while (!closed) {
      for (const passed of deadlines.splice(0)) passed();
      await turn();
    }
    await closing;
    for (const { session: seeding } of seeders) await closeWhole(seeding);
  });

  it("fails when a call is never settled, and closes", async () => {
    const shared = await makeShared(LENGTH);
    const seeder = await seed(shared);
    const world = systemWorld();
    /** Deadlines of calls, which pass when the test says so. */
    const deadlines = new Set<() => void>();
    const after = (ms: number, callback: () => void): Timer => {
      if (ms !== 60_000) return world.ground.after(ms, callback);
      deadlines.add(callback);
      const close = (): void => void deadlines.delete(callback);
      return { ref: () => {}, unref: () => {}, refresh: () => {}, close };
    };
    const session = new Session({}, { ...world, ground: { ...world.ground, after } });
    const customStorage = new BufferStorage();
    let asked = false;
    customStorage.write = () => {
      asked = true;
      return new Promise(() => {});
    };
    const torrent = await session.add(shared.metainfo, { customStorage, peers: [seeder.address] });
    let over = false;
    const failed = assert.rejects(torrent.done, { message: /did not answer write\(\).* within 60 s/ });
    failed.finally(() => {
      over = true;
    });
    while (!asked) await turn();
    while (!over) {
      for (const passed of [...deadlines]) passed();
      await turn();
    }
    await failed;
    const closed = closeWhole(session).then(() => {
      over = false;
    });
    while (over) {
      for (const passed of [...deadlines]) passed();
      await turn();
    }
    await closed;
    await closeWhole(seeder.session);
  });
});
