// The kinds of storage on disk, by themselves: many files, edges, alignment, and paths that lead out.

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, describe, it, mock } from "node:test";
import { StorageError } from "../../../../src/base/errors.js";
import { BLOCK_SIZE, MIB, PAGE_SIZE } from "../../../../src/base/limits.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { FileTable } from "../../../../src/client/storage/file-table.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { acceptsDirect, openStorage } from "../../../../src/client/storage/open.js";
import type { MemoryList, Storage, StorageKind } from "../../../../src/client/storage/storage.js";
import type { JobOwner } from "../../../../src/native/jobs.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";

type Files = readonly { readonly path: string[]; readonly length: number; readonly padding?: boolean }[];

function layoutOf(files: Files, pieceLength = 65_536): Layout {
  let offset = 0;
  const laidOut = files.map(({ path, length, padding }) => {
    const file = { path, length, offset, padding: padding === true };
    offset += length;
    return file;
  });
  return new Layout({ pieceLength, totalLength: offset, files: laidOut });
}

class Bench {
  readonly reactor = new Reactor(4 * MIB);
  readonly memory = new Memory(this.reactor.engine.slab, this.reactor.engine);
  readonly warnings: string[] = [];

  async open(
    kind: StorageKind,
    layout: Layout,
    directory: string,
    readOnly = false,
    populate = false,
  ): Promise<Storage> {
    const { reactor, memory } = this;
    const onWarning = (text: string): void => void this.warnings.push(text);
    const options = { kind, layout, directory, reactor, memory, preallocate: false, readOnly, populate };
    return (await openStorage({ ...options, onWarning })).storage;
  }

  /** Memory for `length` bytes in slots, as blocks. */
  list(length: number): MemoryList {
    const count = Math.ceil(length / BLOCK_SIZE);
    const addresses = Float64Array.from({ length: count }, () => {
      const slot = this.memory.pool.acquire(SlotHolder.storage);
      assert.notEqual(slot, -1);
      return this.memory.pool.addressOf(slot as never);
    });
    const lengths = Float64Array.from({ length: count }, (_, index) =>
      Math.min(BLOCK_SIZE, length - index * BLOCK_SIZE),
    );
    return { addresses, lengths, count };
  }

  free(list: MemoryList): void {
    for (const address of list.addresses)
      this.memory.pool.release(this.memory.pool.slotAt(address) as never, SlotHolder.storage);
  }

  async write(storage: Storage, offset: number, bytes: Uint8Array): Promise<StorageError | undefined> {
    const list = this.list(bytes.length);
    for (let index = 0; index < list.count; index++) {
      const at = index * BLOCK_SIZE;
      this.memory.bytes.set(
        bytes.subarray(at, at + entryOf(list.lengths, index)),
        entryOf(list.addresses, index),
      );
    }
    const error = await new Promise<StorageError | undefined>((resolve) => {
      storage.write(offset, list, { storageDone: (_tag, result) => resolve(result) }, 1);
    });
    this.free(list);
    return error;
  }

  async read(storage: Storage, offset: number, length: number): Promise<Buffer | StorageError> {
    const list = this.list(length);
    for (const address of list.addresses) this.memory.bytes.fill(0xee, address, address + BLOCK_SIZE);
    const error = await new Promise<StorageError | undefined>((resolve) => {
      storage.read(offset, list, { storageDone: (_tag, result) => resolve(result) }, 1);
    });
    const parts = Array.from({ length: list.count }, (_, index) => {
      const address = entryOf(list.addresses, index);
      return Buffer.from(this.memory.bytes.slice(address, address + entryOf(list.lengths, index)));
    });
    this.free(list);
    return error ?? Buffer.concat(parts);
  }

  async close(storage: Storage): Promise<void> {
    await storage.close();
    const { pool } = this.memory;
    assert.equal(pool.freeCount, pool.slotCount);
    await this.reactor.idle();
    this.reactor.close();
  }
}

const EDGES: Files = [
  { path: ["t", "a"], length: 70_001 },
  { path: ["t", "empty"], length: 0 },
  { path: ["t", ".pad", "1"], length: 61_071, padding: true },
  { path: ["t", "sub", "b"], length: 200_000 },
  { path: ["t", "c"], length: 3 },
];

describe("storage on disk", { timeout: 60_000 }, () => {
  for (const kind of ["file", "direct", "mapped"] as const) {
    it(`${kind}: writes and reads over the edges of files; padding is not stored and reads as zeros`, async () => {
      const folder = temporaryFolder(after);
      const layout = layoutOf(EDGES);
      const bench = new Bench();
      const storage = await bench.open(kind, layout, folder);
      const data = bytesOf(1, layout.totalLength);
      data.fill(0, 70_001, 70_001 + 61_071);
      for (let at = 0; at < data.length; at += 65_536) {
        assert.equal(await bench.write(storage, at, data.subarray(at, at + 65_536)), undefined);
      }
      assert.deepEqual(await bench.read(storage, 60_000, 150_000), data.subarray(60_000, 210_000));
      await storage.sync();
      await bench.close(storage);
      for (const file of layout.files) {
        const path = join(folder, ...file.path);
        if (file.padding) assert.equal(existsSync(path), false);
        else assert.deepEqual(readFileSync(path), data.subarray(file.offset, file.offset + file.length));
      }
    });
  }

  it("direct: writes whole aligned pages with O_DIRECT, and counts what it cannot align", async () => {
    const folder = temporaryFolder(after);
    const layout = layoutOf([
      { path: ["a"], length: 131_072 + 5000 },
      { path: ["b"], length: 20_000 },
    ]);
    const bench = new Bench();
    const storage = await bench.open("direct", layout, folder);
    const data = bytesOf(2, layout.totalLength);
    for (let at = 0; at < data.length; at += 65_536)
      await bench.write(storage, at, data.subarray(at, at + 65_536));
    if (storage.kind === "direct") {
      // a: 33 whole pages of 33.2; b begins in the middle of a page of the torrent, so none of it can be aligned.
      assert.equal(storage.counters.directBytes, 131_072 + 4096);
      assert.equal(storage.counters.bufferedBytes, 904 + 20_000);
    } else {
      assert.match(bench.warnings.join(), /"direct" cannot be used in/);
    }
    await bench.close(storage);
    assert.equal(statSync(join(folder, "a")).size, 131_072 + 5000);
    assert.deepEqual(readFileSync(join(folder, "b")), data.subarray(136_072));
  });

  it("mapped: gives each block inside one file its place there", async () => {
    const folder = temporaryFolder(after);
    const layout = layoutOf(EDGES);
    const bench = new Bench();
    const storage = await bench.open("mapped", layout, folder);
    assert.ok(storage.landingAddress(0, BLOCK_SIZE) >= 2 ** 40);
    assert.equal(storage.landingAddress(65_536, BLOCK_SIZE), -1, "crosses the end of a file");
    assert.equal(storage.landingAddress(80_000, 1000), -1, "padding");
    await bench.close(storage);
  });

  it("keeps few files open, however many there are", async () => {
    const folder = temporaryFolder(after);
    const layout = layoutOf(
      Array.from({ length: 400 }, (_, index) => ({ path: ["many", `${index}`], length: 1000 })),
    );
    const bench = new Bench();
    const storage = await bench.open("file", layout, folder);
    const data = bytesOf(3, layout.totalLength);
    for (let at = 0; at < data.length; at += 65_536)
      await bench.write(storage, at, data.subarray(at, at + 65_536));
    const open = readdirSync("/proc/self/fd").length;
    assert.ok(open < 300, `${open} descriptors are open`);
    await bench.close(storage);
    for (const file of layout.files) {
      assert.deepEqual(
        readFileSync(join(folder, ...file.path)),
        data.subarray(file.offset, file.offset + 1000),
      );
    }
  });

  it("writes through no link that leads out of the folder", async () => {
    const outside = temporaryFolder(after);
    const folder = temporaryFolder(after);
    symlinkSync(outside, join(folder, "t"));
    const bench = new Bench();
    await assert.rejects(bench.open("file", layoutOf([{ path: ["t", "a"], length: 10 }]), folder), {
      name: "StorageError",
      code: "STORAGE_PATH",
    });
    writeFileSync(join(outside, "target"), "mine");
    mkdirSync(join(folder, "u"));
    symlinkSync(join(outside, "target"), join(folder, "u", "a"));
    await assert.rejects(
      bench.open("file", layoutOf([{ path: ["u", "a"], length: 10 }]), folder),
      StorageError,
    );
    assert.equal(readFileSync(join(outside, "target"), "utf8"), "mine");
    await bench.reactor.idle();
    bench.reactor.close();
  });

  it("says which file is short or missing when it is read", async () => {
    const folder = temporaryFolder(after);
    writeFileSync(join(folder, "a"), "short");
    const bench = new Bench();
    const storage = await bench.open("file", layoutOf([{ path: ["a"], length: 5000 }]), folder, true);
    const error = await bench.read(storage, 0, 5000);
    assert.ok(error instanceof StorageError && /shorter than it should be/.test(error.message));
    await bench.close(storage);
  });

  it("maps for sending what is there, and leaves what is missing or short to be read", async () => {
    for (const populate of [false, true]) {
      const folder = temporaryFolder(after);
      const whole = bytesOf(4, 30_000);
      writeFileSync(join(folder, "whole"), whole);
      writeFileSync(join(folder, "short"), "short");
      const layout = layoutOf([
        { path: ["whole"], length: 30_000 },
        { path: ["short"], length: 30_000 },
        { path: ["missing"], length: 30_000 },
      ]);
      const bench = new Bench();
      const storage = await bench.open("file", layout, folder, true, populate);
      assert.ok(storage.sourceAddress(1000, 29_000) >= 2 ** 40);
      assert.equal(storage.sourceAddress(29_000, 2000), -1, "crosses the end of a file");
      assert.ok(storage.sourceAddress(30_000, 1000) < 0, "short");
      assert.ok(storage.sourceAddress(60_000, 1000) < 0, "missing");
      const error = await bench.read(storage, 60_000, 1000);
      assert.ok(error instanceof StorageError && error.message.includes(join(folder, "missing")));
      writeFileSync(join(folder, "missing"), whole);
      assert.ok(storage.sourceAddress(60_000, 1000) >= 2 ** 40, "there now");
      await bench.close(storage);
    }
  });

  it("makes durable few files at a time, and after a failure the rest the next time", async () => {
    const count = 40;
    const folder = temporaryFolder(after);
    const layout = layoutOf(
      Array.from({ length: count }, (_, index) => ({ path: [`${index}`], length: 1000 })),
    );
    const bench = new Bench();
    const storage = await bench.open("file", layout, folder);
    assert.equal(await bench.write(storage, 0, bytesOf(3, 1000 * count)), undefined);
    const { acquire, release } = FileTable.prototype;
    let held = 0;
    let heldMost = 0;
    let refused = 0;
    const synced = new Set<number>();
    const acquired = mock.method(FileTable.prototype, "acquire", function (this: FileTable, index: number) {
      if (index === 20 && refused++ === 0)
        throw new StorageError("STORAGE_IO", "EMFILE: no descriptor is left");
      const fd = acquire.call(this, index);
      heldMost = Math.max(heldMost, ++held);
      synced.add(index);
      return fd;
    });
    const released = mock.method(FileTable.prototype, "release", function (this: FileTable, index: number) {
      held--;
      release.call(this, index);
    });
    await assert.rejects(storage.sync(), /no descriptor is left/);
    assert.equal(held, 0);
    await storage.sync();
    assert.equal(synced.size, count);
    assert.ok(heldMost <= 16, `${heldMost} files were held open at one time`);
    // What is being made durable is waited for.
    await bench.write(storage, 0, bytesOf(3, 1000 * count));
    const [syncing] = [storage.sync(), storage.close()];
    await syncing;
    acquired.mock.restore();
    released.mock.restore();
    await bench.close(storage);
  });

  it("a file of more than a TiB is read to be sent, where it cannot be mapped", async () => {
    const folder = temporaryFolder(after);
    const length = 2 ** 40 + 50_000;
    writeFileSync(join(folder, "long"), "the beginning");
    truncateSync(join(folder, "long"), length);
    const bench = new Bench();
    const storage = await bench.open(
      "file",
      layoutOf([{ path: ["long"], length }], 2 ** 26),
      folder,
      true,
      true,
    );
    assert.ok(storage.sourceAddress(0, 16_384) < 0);
    assert.deepEqual(await bench.read(storage, 0, 13), Buffer.from("the beginning"));
    assert.deepEqual(await bench.read(storage, length - 5, 5), Buffer.alloc(5));
    await bench.close(storage);
  });
});

describe("storage direct", () => {
  it("is used only where a page can really be written", async () => {
    const folder = temporaryFolder(after);
    for (const [result, accepted] of [
      [PAGE_SIZE, true],
      [-22, false],
      [0, false],
    ] as const) {
      const warnings: string[] = [];
      const jobs = {
        begin: (_kind: number, owner: JobOwner, tag: number) =>
          queueMicrotask(() => owner.jobDone(tag, result)),
        add: () => {},
        end: () => {},
      };
      // O_NONBLOCK instead of O_DIRECT: a flag that every file system opens files with.
      const found = await acceptsDirect(folder, 0o4000, jobs, (text) => warnings.push(text));
      assert.equal(found, accepted);
      assert.equal(warnings.length, accepted ? 0 : 1);
      assert.deepEqual(readdirSync(folder, { recursive: true }), [".scatterwire"]);
    }
    assert.equal(await acceptsDirect(folder, 0, new Bench().reactor.jobs, () => {}), false);
  });
});
