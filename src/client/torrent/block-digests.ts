// Digests of single blocks, for telling afterwards which of them was wrong. A torrent has a digest for each piece only.
//
// They are made only of pieces that failed, or that are right after all: a piece costs a read and two digests of its bytes then, a few
// blocks in a turn.
//
// Always: a digest is keyed with bytes that never leave the process, so that 48 bits suffice: they fit a number.

import { createHash, type Hash } from "node:crypto";
import type { Ground } from "../../base/ground.js";
import type { Memory } from "../memory/memory.js";

const KEY_BYTES = 16;
const DIGEST_BYTES = 6;

export class BlockDigests {
  readonly #memory: Memory;
  readonly #key = new Uint8Array(KEY_BYTES);

  constructor(memory: Memory, ground: Ground) {
    this.#memory = memory;
    ground.fillRandom(this.#key, 0);
  }

  /** Of the block of `length` bytes at `address`, in the slab or in a mapping. */
  of(address: number, length: number): number {
    return this.ofBytes(this.bytesAt(address, length));
  }

  ofBytes(bytes: Uint8Array): number {
    return createHash("sha256").update(this.#key).update(bytes).digest().readUIntBE(0, DIGEST_BYTES);
  }

  /** Valid until the next call. */
  bytesAt(address: number, length: number): Uint8Array {
    const { bytes, sinkAddress } = this.#memory;
    if (!this.#memory.isMapped(address)) return bytes.subarray(address, address + length);
    this.#memory.copy(address, sinkAddress, length);
    return bytes.subarray(sinkAddress, sinkAddress + length);
  }
}

/** The blocks of one piece, gone through in order. */
export class PieceExamination {
  readonly digests: Float64Array;
  readonly #blockDigests: BlockDigests;
  readonly #expected: Uint8Array;
  readonly #whole: Hash = createHash("sha1");
  #next = 0;
  #isSound = false;

  /** `expected`: the digest of the piece when it was judged. */
  constructor(blockDigests: BlockDigests, blockCount: number, expected: Uint8Array) {
    this.#blockDigests = blockDigests;
    this.#expected = expected;
    this.digests = new Float64Array(blockCount);
  }

  /** The next block lies at `address`. */
  add(address: number, length: number): void {
    const bytes = this.#blockDigests.bytesAt(address, length);
    this.digests[this.#next++] = this.#blockDigests.ofBytes(bytes);
    this.#whole.update(bytes);
    if (this.#next === this.digests.length)
      this.#isSound = Buffer.compare(this.#whole.digest(), this.#expected) === 0;
  }

  /** True once all blocks were gone through, if they are the ones that were judged: nobody is blamed for what a disk changed. */
  get isSound(): boolean {
    return this.#isSound;
  }
}
