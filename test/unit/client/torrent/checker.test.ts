// Hashing what lies on disk: every digest right, missing and short files told apart from good ones, aborts, and memory that
// comes home however it ends.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { StorageError, UsageError } from "../../../../src/base/errors.js";
import type { SlotIndex } from "../../../../src/base/ids.js";
import { MIB } from "../../../../src/base/limits.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { openStorage } from "../../../../src/client/storage/open.js";
import { checkPieces, hashPieces } from "../../../../src/client/torrent/checker.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";

interface Shape {
  readonly pieceLength: number;
  readonly files: readonly number[];
  readonly slabBytes?: number;
  /** Indices of files that are padding: zeros, and never stored. */
  readonly padding?: readonly number[];
}

class Check {
  readonly folder = temporaryFolder(after);
  readonly layout: Layout;
  readonly data: Buffer;
  readonly digests: Buffer;
  readonly #slabBytes: number;

  constructor({ pieceLength, files, slabBytes = 4 * MIB, padding = [] }: Shape) {
    this.#slabBytes = slabBytes;
    let offset = 0;
    const laidOut = files.map((length, index) => {
      const file = { path: [`file-${index}`], length, offset, padding: padding.includes(index) };
      offset += length;
      return file;
    });
    this.layout = new Layout({ pieceLength, totalLength: offset, files: laidOut });
    this.data = bytesOf(5, offset);
    for (const file of laidOut.filter((each) => each.padding))
      this.data.fill(0, file.offset, file.offset + file.length);
    for (const file of laidOut.filter((each) => !each.padding))
      writeFileSync(
        this.path(entryOf(file.path, 0)),
        this.data.subarray(file.offset, file.offset + file.length),
      );
    this.digests = Buffer.concat(
      Array.from({ length: this.layout.pieceCount }, (_, piece) => this.#digestOf(piece)),
    );
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  #digestOf(piece: number): Buffer {
    const at = piece * this.layout.pieceLength;
    return createHash("sha1")
      .update(this.data.subarray(at, at + this.layout.pieceLength))
      .digest();
  }

  /** Runs `work` with storage and memory, and sees that nothing is left of either. */
  async with<T>(
    work: (tools: {
      memory: Memory;
      reactor: Reactor;
      storage: Awaited<ReturnType<typeof openStorage>>["storage"];
    }) => Promise<T>,
  ): Promise<T> {
    const reactor = new Reactor(this.#slabBytes);
    const memory = new Memory(reactor.engine.slab, reactor.engine);
    const { storage } = await openStorage({
      kind: "file",
      layout: this.layout,
      directory: this.folder,
      reactor,
      memory,
      preallocate: false,
      readOnly: true,
      onWarning: () => {},
    });
    try {
      return await work({ memory, reactor, storage });
    } finally {
      assert.equal(memory.pool.heldByHolder()["storage"], undefined, "its slots are home");
      await storage.close();
      await reactor.idle();
      reactor.close();
    }
  }

  /** Good and bad pieces, in ascending order. */
  async good(pieces?: Iterable<number>): Promise<{ good: number[]; bad: number[] }> {
    const good: number[] = [];
    const bad: number[] = [];
    await this.with((tools) =>
      checkPieces({
        ...tools,
        layout: this.layout,
        digests: this.digests,
        pieces: pieces ?? this.all(),
        onPiece: (piece, isGood) => void (isGood ? good : bad).push(piece),
      }),
    );
    return { good: good.sort((a, b) => a - b), bad: bad.sort((a, b) => a - b) };
  }

  all(): number[] {
    return Array.from({ length: this.layout.pieceCount }, (_, piece) => piece);
  }
}

describe("hashPieces", () => {
  const shapes: [string, Shape][] = [
    ["one small file", { pieceLength: 16_384, files: [5] }],
    ["many small pieces and a short last one", { pieceLength: 16_384, files: [1_000_000] }],
    [
      "pieces that are no power of two, over many files",
      { pieceLength: 50_000, files: [70_000, 1, 0, 400_000, 33_333] },
    ],
    [
      "padding between files, of less and of more than a job names",
      { pieceLength: 8 * MIB, files: [100, MIB, 70_000, 6 * MIB, 5_000_000], padding: [1, 3] },
    ],
    ["more files than one job names", { pieceLength: MIB, files: Array.from({ length: 700 }, () => 1_001) }],
    [
      "a piece in more small files than one job opens, with padding between them",
      { pieceLength: MIB, files: Array.from({ length: 900 }, (_, index) => index % 50), padding: [450, 600] },
    ],
    ["pieces larger than the pool", { pieceLength: 4 * MIB, files: [10_000_001], slabBytes: MIB }],
  ];
  for (const [what, shape] of shapes) {
    it(`gives each digest once: ${what}`, async () => {
      const check = new Check(shape);
      const seen = new Map<number, string>();
      await check.with((tools) =>
        hashPieces({
          ...tools,
          layout: check.layout,
          pieces: check.all(),
          onDigest: (piece, digest) => {
            assert.ok(!(digest instanceof StorageError));
            assert.equal(seen.has(piece), false);
            seen.set(piece, Buffer.from(digest).toString("hex"));
          },
        }),
      );
      const expected = check
        .all()
        .map((piece) => [piece, check.digests.subarray(20 * piece, 20 * piece + 20).toString("hex")]);
      assert.deepEqual(
        [...seen].sort(([a], [b]) => a - b),
        expected,
      );
    });
  }

  for (const [what, shape] of shapes) {
    it(`reads what cannot be held open through storage: ${what}`, async () => {
      const check = new Check(shape);
      const bad: number[] = [];
      await check.with(({ storage, ...tools }) =>
        checkPieces({
          ...tools,
          storage: Object.create(storage, {
            holdFile: { value: () => -1 },
            takeRoomForFile: { value: () => false },
            read: { value: storage.read.bind(storage) },
          }),
          layout: check.layout,
          digests: check.digests,
          pieces: check.all(),
          onPiece: (piece, isGood) => void (isGood || bad.push(piece)),
        }),
      );
      assert.deepEqual(bad, []);
    });
  }

  it("opens no more small files at one time than there is room for, and waits where there is none", async () => {
    const check = new Check({ pieceLength: 16_384, files: Array.from({ length: 1000 }, () => 1_001) });
    let taken = 0;
    let takenMax = 0;
    const bad: number[] = [];
    await check.with(({ storage, ...tools }) =>
      checkPieces({
        ...tools,
        storage: Object.create(storage, {
          takeRoomForFile: {
            value: () => {
              if (taken === 3) return false;
              takenMax = Math.max(takenMax, ++taken);
              return true;
            },
          },
          giveRoomForFile: { value: () => void taken-- },
          pathOfFile: { value: storage.pathOfFile?.bind(storage) },
          read: { value: () => assert.fail("nothing needs to be read through storage") },
        }),
        layout: check.layout,
        digests: check.digests,
        pieces: check.all(),
        onPiece: (piece, isGood) => void (isGood || bad.push(piece)),
      }),
    );
    assert.deepEqual(bad, []);
    assert.deepEqual({ taken, takenMax }, { taken: 0, takenMax: 3 });
  });

  it("tells pieces with missing, short and odd files apart from others, where they lie in many small ones", async () => {
    const check = new Check({ pieceLength: 16_384, files: Array.from({ length: 500 }, () => 1_000) });
    unlinkSync(check.path("file-20"));
    truncateSync(check.path("file-100"), 999);
    unlinkSync(check.path("file-200"));
    mkdirSync(check.path("file-200"));
    writeFileSync(check.path("file-300"), Buffer.alloc(1_000));
    const { bad } = await check.good();
    const pieceOf = (file: number): number => Math.floor((1_000 * file) / 16_384);
    assert.deepEqual(bad, [20, 100, 200, 300].map(pieceOf));
  });

  it("hashes those that are asked for, and no others", async () => {
    const check = new Check({ pieceLength: 16_384, files: [500_000] });
    assert.deepEqual(await check.good([3, 7, 30]), { good: [3, 7, 30], bad: [] });
    assert.deepEqual(await check.good([]), { good: [], bad: [] });
  });

  it("ends with what onDigest throws", async () => {
    const check = new Check({ pieceLength: 16_384, files: [500_000] });
    const error = new Error("enough");
    const hashing = check.with((tools) =>
      hashPieces({
        ...tools,
        layout: check.layout,
        pieces: check.all(),
        onDigest: () => {
          throw error;
        },
      }),
    );
    await assert.rejects(hashing, error);
  });

  it("stops at the next piece when it is aborted, and says so", async () => {
    const check = new Check({ pieceLength: 16_384, files: [3_000_000] });
    const controller = new AbortController();
    let count = 0;
    const hashing = check.with((tools) =>
      hashPieces({
        ...tools,
        layout: check.layout,
        pieces: check.all(),
        signal: controller.signal,
        onDigest: () => {
          if (++count === 5) controller.abort();
        },
      }),
    );
    await assert.rejects(hashing, (error) => error instanceof UsageError && error.code === "ABORTED");
    assert.ok(
      count < check.layout.pieceCount / 2,
      `${count} of ${check.layout.pieceCount} were still hashed`,
    );
  });

  it("aborted before it began, it hashes nothing", async () => {
    const check = new Check({ pieceLength: 16_384, files: [100_000] });
    const hashing = check.with((tools) =>
      hashPieces({
        ...tools,
        layout: check.layout,
        pieces: check.all(),
        signal: AbortSignal.abort(),
        onDigest: () => assert.fail("nothing is hashed"),
      }),
    );
    await assert.rejects(hashing, { code: "ABORTED" });
  });

  it("waits for memory that others hold, and leaves nothing behind", async () => {
    const check = new Check({ pieceLength: 16_384, files: [100_000] });
    let digests = 0;
    await check.with(async ({ memory, ...tools }) => {
      const { pool } = memory;
      const held: SlotIndex[] = [];
      for (let slot = pool.acquire(SlotHolder.user); slot !== -1; slot = pool.acquire(SlotHolder.user))
        held.push(slot);
      const onDigest = (): void => void digests++;
      const options = { ...tools, memory, layout: check.layout, pieces: check.all(), onDigest };
      const hashing = [hashPieces(options), hashPieces(options)];
      // Two slots are too few for both of them, and one is too few for anyone.
      for (const count of [1, 1, held.length - 2]) {
        for (const slot of held.splice(0, count)) pool.release(slot, SlotHolder.user);
        pool.wakeWaiters(1);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(hashing);
    });
    assert.equal(digests, 2 * check.layout.pieceCount);
  });

  it("aborted while it waits for memory, it waits no more", async () => {
    const check = new Check({ pieceLength: 16_384, files: [100_000] });
    const controller = new AbortController();
    const reason = new Error("enough");
    await check.with(async ({ memory, ...tools }) => {
      const { pool } = memory;
      while (pool.acquire(SlotHolder.user) !== -1);
      const { signal } = controller;
      const options = { ...tools, memory, layout: check.layout, pieces: check.all(), signal };
      const hashing = hashPieces({ ...options, onDigest: () => assert.fail("nothing is hashed") });
      controller.abort(reason);
      await assert.rejects(hashing, { code: "ABORTED", cause: reason });
      assert.equal(pool.waiterCount, 0);
      for (let slot = 0; slot < pool.slotCount; slot++) pool.release(slot as SlotIndex, SlotHolder.user);
    });
  });
});

describe("checkPieces", () => {
  const shape: Shape = { pieceLength: 20_000, files: [50_000, 50_000, 45_000] };

  it("all is good where nothing is changed", async () => {
    const check = new Check(shape);
    assert.deepEqual(await check.good(), { good: check.all(), bad: [] });
  });

  it("one wrong byte makes one piece bad", async () => {
    const check = new Check(shape);
    const bytes = Buffer.from(check.data.subarray(50_000, 100_000));
    bytes[30_000] = entryOf(bytes, 30_000) ^ 1;
    writeFileSync(check.path("file-1"), bytes);
    assert.deepEqual((await check.good()).bad, [4]);
  });

  it("a missing file makes the pieces bad that lie in it, those at its edges included", async () => {
    const check = new Check(shape);
    unlinkSync(check.path("file-1"));
    assert.deepEqual(await check.good(), { good: [0, 1, 5, 6, 7], bad: [2, 3, 4] });
  });

  it("a short file makes the pieces bad that lie behind its end", async () => {
    const check = new Check(shape);
    truncateSync(check.path("file-2"), 25_000);
    assert.deepEqual((await check.good()).bad, [6, 7]);
  });

  it("a file that is cut short and grows again all the while makes pieces bad, not crashes", async () => {
    const length = 64 * MIB;
    const check = new Check({ pieceLength: MIB, files: [length] });
    const path = check.path("file-0");
    let cuts = 0;
    let checking = true;
    const cut = () => {
      if (!checking) return;
      truncateSync(path, 0);
      truncateSync(path, length);
      cuts++;
      setImmediate(cut);
    };
    cut();
    for (let round = 0; round < 20 || cuts < 200; round++) {
      const { good, bad } = await check.good();
      assert.equal(good.length + bad.length, check.layout.pieceCount);
    }
    checking = false;
    writeFileSync(path, check.data);
    assert.deepEqual((await check.good()).bad, []);
  });

  it("a file that is too long is as good as its beginning", async () => {
    const check = new Check(shape);
    writeFileSync(check.path("file-2"), Buffer.concat([check.data.subarray(100_000), Buffer.alloc(7)]));
    assert.deepEqual((await check.good()).bad, []);
  });
});
