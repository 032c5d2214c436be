// The assembler with real storage and real jobs: blocks in any order, pools too small for one piece, wrong bytes.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { BlockIndex, PieceIndex } from "../../../../src/base/ids.js";
import { BLOCK_SIZE, MIB } from "../../../../src/base/limits.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { openStorage } from "../../../../src/client/storage/open.js";
import type { StorageKind } from "../../../../src/client/storage/storage.js";
import { Assembler } from "../../../../src/client/torrent/assembler.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { entryOf, required } from "../../../support/required.js";

interface Case {
  readonly kind: StorageKind;
  readonly pieceLength: number;
  readonly totalLength: number;
  readonly slabBytes: number;
  readonly seed: number;
  /** Pieces whose first delivery has one wrong byte. */
  readonly corrupt: readonly number[];
  /** 0: in order; 1: anything goes. */
  readonly disorder: number;
  readonly verify: boolean;
  /** The host wants digests of failed pieces, and of those that are right after that. */
  readonly suspicious?: boolean;
  /** Pieces that are begun with wrong bytes, and dropped before their last block comes. */
  readonly dropped?: readonly number[];
}

function dice(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Outcome {
  readBackBytes: number;
  failed: number[];
  /** Digests of each piece that failed, and then of the right one; undefined: not known. */
  digestsOf: Map<number, (Float64Array | undefined)[]>;
}

async function assemble(folder: string, options: Case): Promise<Outcome> {
  const { pieceLength, totalLength } = options;
  const data = bytesOf(options.seed, totalLength);
  const layout = new Layout({
    pieceLength,
    totalLength,
    files: [{ path: ["data.bin"], length: totalLength, offset: 0, padding: false }],
  });
  const digests = Buffer.concat(
    Array.from({ length: layout.pieceCount }, (_, piece) =>
      createHash("sha1")
        .update(data.subarray(piece * pieceLength, (piece + 1) * pieceLength))
        .digest(),
    ),
  );
  const reactor = new Reactor(options.slabBytes);
  const memory = new Memory(reactor.engine.slab, reactor.engine);
  const { storage } = await openStorage({
    kind: options.kind,
    layout,
    directory: folder,
    reactor,
    memory,
    preallocate: false,
    readOnly: false,
    onWarning: () => {},
  });
  const verified = new Set<number>();
  const dropped = new Set<number>();
  const failed: number[] = [];
  const digestsOf: Outcome["digestsOf"] = new Map();
  let wake = (): void => {};
  const assembler = new Assembler({
    layout,
    digests,
    storage,
    memory,
    reactor,
    verify: options.verify,
    host: {
      pieceVerified: (piece, itsDigests) => {
        digestsOf.get(piece)?.push(itsDigests?.slice());
        assert.ok(!verified.has(piece), "a piece is verified once");
        verified.add(piece);
        wake();
      },
      pieceFailed: (piece, itsDigests) => {
        digestsOf.set(piece, [itsDigests?.slice()]);
        failed.push(piece);
        wake();
      },
      pieceDropped: (piece) => {
        assert.ok(options.dropped?.includes(piece), "it was to be dropped");
        dropped.add(piece);
        wake();
      },
      wantsDigests: (piece, bad) => options.suspicious === true && (bad || failed.includes(piece)),
      isQuiet: options.suspicious !== true,
      storageFailed: (error) => assert.fail(error),
    },
  });
  const { pool } = memory;
  const random = dice(options.seed);
  const deliver = async (blocks: [number, number][], corruptNow: boolean, wrong = false): Promise<void> => {
    for (const [piece, block] of blocks) {
      let slot = pool.acquire(SlotHolder.storage);
      for (let turns = 0; slot === -1; turns++) {
        assert.ok(turns < 60_000, `no slot comes home: ${JSON.stringify(pool.heldByHolder())}`);
        // Threads write and hash meanwhile: on a busy machine they take their time.
        await new Promise((resolve) => (turns < 100 ? setImmediate(resolve) : setTimeout(resolve, 1)));
        slot = pool.acquire(SlotHolder.storage);
      }
      const address = pool.addressOf(slot);
      const at = piece * pieceLength + block * BLOCK_SIZE;
      const length = layout.blockLength(piece, block);
      memory.bytes.set(data.subarray(at, at + length), address);
      if (wrong) memory.bytes.fill(0xaa, address, address + length);
      if (corruptNow && options.corrupt.includes(piece) && block === 0)
        memory.bytes[address] = entryOf(memory.bytes, address) ^ 1;
      assembler.addBlock(piece as PieceIndex, block as BlockIndex, address);
      assembler.checkInvariants();
      if (random() < 0.05) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const settled = async (count: number): Promise<void> => {
    while (verified.size + failed.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const blocks: [number, number][] = [];
  for (let piece = 0; piece < layout.pieceCount; piece++) {
    for (let block = 0; block < layout.blocksInPiece(piece); block++) blocks.push([piece, block]);
  }
  // Swaps over a distance that grows with the disorder.
  for (let index = blocks.length - 1; index > 0; index--) {
    const reach = Math.floor(options.disorder * index);
    const other = index - Math.floor(random() * (reach + 1));
    [blocks[index], blocks[other]] = [entryOf(blocks, other), entryOf(blocks, index)];
  }
  for (const piece of options.dropped ?? []) {
    const count = layout.blocksInPiece(piece) - 1;
    const begun = Array.from({ length: count }, (_, block): [number, number] => [piece, block]);
    await deliver(
      begun.filter(() => options.disorder < random() + 0.5),
      false,
      true,
    );
    assembler.dropPiece(piece as PieceIndex);
  }
  while (dropped.size < (options.dropped?.length ?? 0))
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  await deliver(blocks, true);
  await settled(layout.pieceCount);
  assert.deepEqual(
    [...failed].sort((a, b) => a - b),
    options.verify ? [...options.corrupt] : [],
  );
  const again = blocks.filter(([piece]) => failed.includes(piece));
  await deliver(again, false);
  await settled(layout.pieceCount + failed.length);
  assert.equal(verified.size, layout.pieceCount);
  await assembler.close();
  await storage.close();
  assert.equal(pool.freeCount, pool.slotCount, `all slots are home: ${JSON.stringify(pool.heldByHolder())}`);
  await reactor.idle();
  reactor.close();
  if (options.kind === "file" || options.kind === "direct" || options.kind === "mapped") {
    assert.equal(Buffer.compare(readFileSync(join(folder, "data.bin")), data), 0, "the file is the data");
  }
  return { readBackBytes: storage.counters.readBackBytes, failed, digestsOf };
}

const BASE: Case = {
  kind: "file",
  pieceLength: 256 * 1024,
  totalLength: 4 * MIB + 12_345,
  slabBytes: 8 * MIB,
  seed: 1,
  corrupt: [],
  disorder: 0,
  verify: true,
};

describe("Assembler", { timeout: 120_000 }, () => {
  it("hashes and writes blocks that come in order, and reads nothing back", async () => {
    const { readBackBytes } = await assemble(temporaryFolder(after), BASE);
    assert.equal(readBackBytes, 0);
  });

  it("reads nothing back while the pool has room, in whatever order blocks come", async () => {
    const { readBackBytes } = await assemble(temporaryFolder(after), {
      ...BASE,
      disorder: 1,
      slabBytes: 16 * MIB,
    });
    assert.equal(readBackBytes, 0);
  });

  it("tells wrong pieces from right ones, and takes them again", async () => {
    await assemble(temporaryFolder(after), { ...BASE, corrupt: [0, 3, 16] });
  });

  for (const kind of ["file", "direct", "mapped", "memory", "null"] as const) {
    it(`assembles pieces larger than its pool, in any order, in storage ${kind}`, async () => {
      const options = {
        ...BASE,
        kind,
        pieceLength: 2 * MIB,
        totalLength: 6 * MIB + 777,
        slabBytes: MIB,
        disorder: 1,
        corrupt: [1],
      };
      const { readBackBytes } = await assemble(temporaryFolder(after), options);
      assert.ok(readBackBytes > 0, "blocks had to leave memory");
    });
  }

  for (const kind of ["file", "direct", "mapped", "memory", "null"] as const) {
    for (const slabBytes of [MIB, 8 * MIB]) {
      it(`tells which block of a failed piece was wrong, pool of ${slabBytes / MIB} MiB, storage ${kind}`, async () => {
        const { digestsOf, failed } = await assemble(temporaryFolder(after), {
          ...BASE,
          kind,
          slabBytes,
          disorder: 1,
          corrupt: [2, 16],
          suspicious: true,
        });
        assert.equal(failed.length, 2);
        for (const piece of failed) {
          const [wrong, right] = required(digestsOf.get(piece), "the digests of a piece");
          assert.ok(wrong !== undefined && right !== undefined, "both are known");
          assert.equal(wrong.length, piece === 16 ? 1 : 16);
          assert.ok(wrong.every((digest) => Number.isSafeInteger(digest)));
          const differing = [...wrong.keys()].filter((block) => wrong[block] !== right[block]);
          assert.deepEqual(differing, [0]);
        }
      });
    }
  }

  for (const kind of ["file", "direct", "mapped", "memory", "null"] as const) {
    it(`drops what came of a piece, whatever is under way, and takes it anew, storage ${kind}`, async () => {
      for (const disorder of [0, 0.7]) {
        const dropped = [0, 1, 2, 3];
        const options = { ...BASE, kind, disorder, dropped, pieceLength: MIB, slabBytes: 2 * MIB };
        const { failed } = await assemble(temporaryFolder(after), options);
        assert.deepEqual(failed, []);
      }
    });
  }

  it("takes pieces of odd lengths, in any order, from tiny pools and large ones (SEED to run one again)", async () => {
    const only = process.env["SEED"];
    const seeds = only === undefined ? Array.from({ length: 12 }, (_, index) => index + 1) : [Number(only)];
    for (const seed of seeds) {
      const random = dice(seed * 7919);
      const pieceLength = 16_384 + Math.floor(random() * 400_000);
      const totalLength = 1 + Math.floor(random() * 5_000_000);
      const pieceCount = Math.ceil(totalLength / pieceLength);
      const verify = random() < 0.8;
      const options: Case = {
        kind: random() < 0.5 ? "file" : "direct",
        pieceLength,
        totalLength,
        slabBytes: random() < 0.5 ? MIB : 8 * MIB,
        seed,
        corrupt: !verify || random() < 0.5 ? [] : [Math.floor(random() * pieceCount)],
        disorder: random(),
        verify,
        suspicious: random() < 0.3,
        dropped: random() < 0.3 ? [Math.floor(random() * pieceCount)] : [],
      };
      await assemble(temporaryFolder(after), options).catch((error: unknown) => {
        throw new Error(`SEED=${seed}: ${JSON.stringify(options)}`, { cause: error });
      });
    }
  });
});
