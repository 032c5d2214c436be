// What data that was there before may be of use, as far as sizes tell: read by nobody yet.
//
// Always: a piece that is left out lies in a file that is missing, or in holes that do not make it; so nothing that is good is
// fetched again, and a file that was only made, and never written to, is not hashed.

import { createHash } from "node:crypto";
import { entryOf } from "../../base/assert.js";
import type { Layout } from "../storage/layout.js";
import type { Survey } from "../storage/survey.js";

const DIGEST_BYTES = 20;
const ZEROS_BYTES = 64 * 1024;

export class OldData {
  readonly #layout: Layout;
  readonly #survey: Survey;
  readonly #digests: Uint8Array;
  /** Digests of zeros, by how many. */
  readonly #digestsOfZeros = new Map<number, Buffer>();

  /** `digests`: 20 bytes per piece. */
  constructor(layout: Layout, survey: Survey, digests: Uint8Array) {
    this.#layout = layout;
    this.#survey = survey;
    this.#digests = digests;
  }

  /** True if the piece may be good: its files are there, and what of them is not a hole, or holes are what it is made of. */
  mayHold(piece: number): boolean {
    const layout = this.#layout;
    const survey = this.#survey;
    let isThere = true;
    let isHole = true;
    layout.forEachSpan(
      layout.pieceOffset(piece),
      layout.pieceLengthOf(piece),
      (fileIndex, fileOffset, _at, length) => {
        if (entryOf(layout.files, fileIndex).padding) return;
        if (survey.sizeOf(fileIndex) < fileOffset + length) isThere = false;
        if (survey.allocatedOf(fileIndex) > 0) isHole = false;
      },
    );
    return isThere && (!isHole || this.#isZeros(piece));
  }

  /** True if the piece consists of zeros, as its digest says. */
  #isZeros(piece: number): boolean {
    const length = this.#layout.pieceLengthOf(piece);
    let digest = this.#digestsOfZeros.get(length);
    if (digest === undefined) {
      digest = digestOfZeros(length);
      this.#digestsOfZeros.set(length, digest);
    }
    const expected = this.#digests.subarray(DIGEST_BYTES * piece, DIGEST_BYTES * (piece + 1));
    return Buffer.compare(digest, expected) === 0;
  }
}

function digestOfZeros(length: number): Buffer {
  const zeros = Buffer.alloc(Math.min(length, ZEROS_BYTES));
  const hash = createHash("sha1");
  for (let left = length; left > 0; left -= zeros.length) hash.update(zeros.subarray(0, left));
  return hash.digest();
}
