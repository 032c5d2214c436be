// What may lie unsent in the system's buffers for one peer (src/client/send/unsent-bound.ts).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KIB, MIB } from "../../../../src/base/limits.js";
import {
  BLOCKS_PER_CALL_MAX,
  UNSENT_BYTES_MIN,
  UNSENT_FREE,
  UnsentBound,
} from "../../../../src/client/send/unsent-bound.js";

describe("UnsentBound", () => {
  it("is none before the peer is unchoked", () => {
    const bound = new UnsentBound();
    assert.equal(bound.bytes, UNSENT_FREE);
    assert.equal(bound.wrote(MIB), false);
    assert.equal(bound.blocksPerCall, BLOCKS_PER_CALL_MAX);
  });

  it("begins with a block, or with what a moment of our link is", () => {
    const bound = new UnsentBound();
    bound.begin(100);
    assert.deepEqual([bound.bytes, bound.blocksPerCall], [UNSENT_BYTES_MIN, 1]);
    bound.begin(100 * KIB);
    assert.deepEqual([bound.bytes, bound.blocksPerCall], [128 * KIB, 8]);
    bound.begin(16 * MIB);
    assert.deepEqual([bound.bytes, bound.blocksPerCall], [UNSENT_FREE, BLOCKS_PER_CALL_MAX]);
  });

  it("grows with what is written, until there is none", () => {
    const bound = new UnsentBound();
    bound.begin(0);
    let written = 0;
    while (bound.bytes !== UNSENT_FREE && written < 64 * MIB) {
      bound.wrote(16 * KIB);
      written += 16 * KIB;
    }
    assert.ok(written <= 8 * MIB, `${written} bytes`);
  });

  it("follows what the peer takes, but not below where it began", () => {
    const bound = new UnsentBound();
    bound.begin(32 * KIB);
    assert.equal(bound.tick(200 * KIB), true);
    assert.equal(bound.bytes, 256 * KIB);
    assert.equal(bound.tick(250 * KIB), false, "the same power of two");
    assert.equal(bound.tick(4 * MIB), true);
    assert.equal(bound.bytes, UNSENT_FREE);
    assert.equal(bound.tick(0), true);
    assert.equal(bound.bytes, 32 * KIB);
  });
});
