// The allowed fast set (BEP 6): the BEP's examples, and its bounds.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ALLOWED_FAST_COUNT, allowedFastSet } from "../../../../src/client/wire/allowed-fast.js";

const infoHash = new Uint8Array(20).fill(0xaa);

describe("allowedFastSet", () => {
  it("is that of the examples in BEP 6", () => {
    const set = [1059, 431, 808, 1217, 287, 376, 1188, 353, 508];
    assert.deepEqual(allowedFastSet("80.4.4.200", infoHash, 1313, 7), set.slice(0, 7));
    assert.deepEqual(allowedFastSet("80.4.4.200", infoHash, 1313, 9), set);
  });

  it("is the same for all addresses of a network of 24 bits", () => {
    const set = allowedFastSet("80.4.4.200", infoHash, 1313);
    assert.equal(set.length, ALLOWED_FAST_COUNT);
    assert.deepEqual(allowedFastSet("80.4.4.1", infoHash, 1313), set);
    assert.notDeepEqual(allowedFastSet("80.4.5.200", infoHash, 1313), set);
  });

  it("is all of a small torrent, and ends for every size", () => {
    for (let pieceCount = 0; pieceCount <= 40; pieceCount++) {
      const set = allowedFastSet("10.0.0.1", infoHash, pieceCount);
      assert.equal(set.length, Math.min(ALLOWED_FAST_COUNT, pieceCount));
      assert.equal(new Set(set).size, set.length);
      assert.ok(set.every((piece) => piece >= 0 && piece < pieceCount));
    }
  });

  it("is empty where the BEP defines none", () => {
    assert.deepEqual(allowedFastSet("2001:db8::1", infoHash, 1313), []);
    assert.deepEqual(allowedFastSet("localhost", infoHash, 1313), []);
  });
});
