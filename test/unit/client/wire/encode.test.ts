// Messages are written byte by byte as their BEPs draw them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AssertionError } from "../../../../src/base/assert.js";
import * as encode from "../../../../src/client/wire/encode.js";
import { MessageId } from "../../../../src/client/wire/messages.js";

/** What `write` writes at offset 3 of memory full of 0xEE, as hex; nothing else may have changed. */
function written(write: (target: Uint8Array, at: number) => number): string {
  const target = new Uint8Array(64).fill(0xee);
  const count = write(target, 3);
  assert.ok(
    target.subarray(0, 3).every((byte) => byte === 0xee),
    "nothing before the message",
  );
  assert.ok(
    target.subarray(3 + count).every((byte) => byte === 0xee),
    "nothing behind the message",
  );
  return Buffer.from(target.subarray(3, 3 + count)).toString("hex");
}

describe("encode", () => {
  it("writes each message as its BEP draws it", () => {
    const cases: [expected: string, write: (target: Uint8Array, at: number) => number][] = [
      ["00000000", (target, at) => encode.encodeKeepAlive(target, at)],
      ["0000000100", (target, at) => encode.encodeEmpty(target, at, MessageId.choke)],
      ["000000010e", (target, at) => encode.encodeEmpty(target, at, MessageId.haveAll)],
      ["000000050401020304", (target, at) => encode.encodeHave(target, at, 0x01020304)],
      [
        "000000050dffffffff",
        (target, at) => encode.encodePieceIndex(target, at, MessageId.suggest, 2 ** 32 - 1),
      ],
      ["000000051100000007", (target, at) => encode.encodePieceIndex(target, at, MessageId.allowedFast, 7)],
      [
        "0000000d06000000010000400000004000",
        (t, at) => encode.encodeRequest(t, at, MessageId.request, 1, 16384, 16384),
      ],
      [
        "0000000d08000000020000000000000001",
        (t, at) => encode.encodeRequest(t, at, MessageId.cancel, 2, 0, 1),
      ],
      [
        "0000000d1080000000ffffc00000004000",
        (t, at) => encode.encodeRequest(t, at, MessageId.reject, 2 ** 31, 0xffffc000, 16384),
      ],
      ["00004009070000000100004000", (target, at) => encode.encodePieceHeader(target, at, 1, 16384, 16384)],
      ["0000000305a080", (target, at) => encode.encodeBitfield(target, at, Uint8Array.of(0xa0, 0x80))],
      ["0000000105", (target, at) => encode.encodeBitfield(target, at, new Uint8Array(0))],
      ["00000003091ae1", (target, at) => encode.encodePort(target, at, 6881)],
      ["0000000414036465", (target, at) => encode.encodeExtended(target, at, 3, Buffer.from("de"))],
    ];
    for (const [expected, write] of cases) assert.equal(written(write), expected);
  });

  it("asserts that there is room, as a typed array would drop the bytes", () => {
    const bits = new Uint8Array(8);
    const cases: [bytes: number, write: (target: Uint8Array) => number][] = [
      [4, (target) => encode.encodeKeepAlive(target, 0)],
      [5, (target) => encode.encodeEmpty(target, 0, MessageId.choke)],
      [9, (target) => encode.encodeHave(target, 0, 1)],
      [17, (target) => encode.encodeRequest(target, 0, MessageId.request, 1, 2, 3)],
      [13, (target) => encode.encodePieceHeader(target, 0, 1, 2, 3)],
      [13, (target) => encode.encodeBitfield(target, 0, bits)],
      [7, (target) => encode.encodePort(target, 0, 1)],
      [14, (target) => encode.encodeExtended(target, 0, 1, bits)],
    ];
    for (const [bytes, write] of cases) {
      assert.equal(write(new Uint8Array(bytes)), bytes);
      assert.throws(() => write(new Uint8Array(bytes - 1)), AssertionError);
    }
  });

  it("asserts that numbers fit their fields", () => {
    const target = new Uint8Array(32);
    assert.throws(() => encode.encodeHave(target, 0, -1), AssertionError);
    assert.throws(() => encode.encodeHave(target, 0, 2 ** 32), AssertionError);
    assert.throws(() => encode.encodeRequest(target, 0, MessageId.request, 0, Number.NaN, 1), AssertionError);
    assert.throws(() => encode.encodePieceHeader(target, 0, 0, 2 ** 32, 1), AssertionError);
    assert.throws(() => encode.encodePort(target, 0, 65_536), AssertionError);
    assert.throws(() => encode.encodeExtended(target, 0, 256, target), AssertionError);
  });
});
