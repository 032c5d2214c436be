// Messages are read as they were written; those of a wrong length are refused.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../../../src/base/assert.js";
import { PeerError } from "../../../../src/base/errors.js";
import { dispatchMessage, readUint32 } from "../../../../src/client/wire/decode.js";
import * as encode from "../../../../src/client/wire/encode.js";
import { MESSAGE_BODIES, MessageId } from "../../../../src/client/wire/messages.js";
import { check } from "../../../support/property.js";
import { recordMessages } from "./record-messages.js";

/** Writes a message, and hands it over without its length prefix, with other bytes around it. */
function decoded(write: (target: Uint8Array, at: number) => number): unknown[] {
  const target = new Uint8Array(128).fill(0xee);
  const count = write(target, 11);
  const { handler, calls } = recordMessages();
  dispatchMessage(target, 15, count - 4, handler);
  return calls;
}

const uint32 = fc.nat({ max: 0xffff_ffff });

describe("readUint32", () => {
  it("reads unsigned, high byte first", () => {
    assert.equal(readUint32(Uint8Array.of(9, 0, 0, 1, 2), 1), 258);
    assert.equal(readUint32(Uint8Array.of(0xff, 0xff, 0xff, 0xff), 0), 0xffff_ffff);
  });
});

describe("dispatchMessage", () => {
  it("gives back what the encoder wrote", () => {
    const block = fc.tuple(uint32, uint32, uint32);
    check(
      fc.property(
        block,
        fc.nat({ max: 65_535 }),
        fc.nat({ max: 255 }),
        fc.uint8Array(),
        (numbers, port, id, bytes) => {
          const [piece, begin, length] = numbers;
          const { request, cancel, reject, suggest, allowedFast } = MessageId;
          assert.deepEqual(
            decoded((t, at) => encode.encodeHave(t, at, piece)),
            [["have", piece]],
          );
          assert.deepEqual(
            decoded((t, at) => encode.encodePieceIndex(t, at, suggest, piece)),
            [["suggest", piece]],
          );
          assert.deepEqual(
            decoded((t, at) => encode.encodePieceIndex(t, at, allowedFast, piece)),
            [["allowedFast", piece]],
          );
          for (const [name, blockId] of [
            ["request", request],
            ["cancel", cancel],
            ["reject", reject],
          ] as const) {
            const calls = decoded((t, at) => encode.encodeRequest(t, at, blockId, piece, begin, length));
            assert.deepEqual(calls, [[name, piece, begin, length]]);
          }
          assert.deepEqual(
            decoded((t, at) => encode.encodePort(t, at, port)),
            [["port", port]],
          );
          const hex = Buffer.from(bytes).toString("hex");
          assert.deepEqual(
            decoded((t, at) => encode.encodeBitfield(t, at, bytes)),
            [["bitfield", hex]],
          );
          assert.deepEqual(
            decoded((t, at) => encode.encodeExtended(t, at, id, bytes)),
            [["extended", id, hex]],
          );
        },
      ),
      200,
    );
  });

  it("tells messages of an id alone apart", () => {
    const names = ["choke", "unchoke", "interested", "notInterested", "haveAll", "haveNone"] as const;
    for (const name of names) {
      assert.deepEqual(
        decoded((t, at) => encode.encodeEmpty(t, at, MessageId[name])),
        [[name]],
      );
    }
  });

  it("refuses each wrong length, and says what was expected and what came", () => {
    for (const [id, body] of MESSAGE_BODIES.entries()) {
      if (body === undefined || id === MessageId.piece) continue;
      for (let bodyBytes = 0; bodyBytes <= 14; bodyBytes++) {
        const bytes = new Uint8Array(1 + bodyBytes);
        bytes[0] = id;
        const { handler, calls } = recordMessages();
        const dispatch = () => dispatchMessage(bytes, 0, bytes.length, handler);
        if (body.isVariable ? bodyBytes >= body.bytes : bodyBytes === body.bytes) {
          dispatch();
          assert.equal(calls.length, 1);
          continue;
        }
        assert.throws(dispatch, (error) => {
          assert.ok(error instanceof PeerError);
          assert.equal(error.code, "PEER_MESSAGE_MALFORMED");
          assert.equal(error.expected, `${body.isVariable ? "at least " : ""}${1 + body.bytes} bytes`);
          assert.equal(error.received, `${1 + bodyBytes}`);
          return true;
        });
        assert.deepEqual(calls, []);
      }
    }
  });

  it("hands over messages that it does not know", () => {
    for (const id of [10, 12, 18, 21, 255]) {
      const { handler, calls } = recordMessages();
      dispatchMessage(Uint8Array.of(id, 1, 2), 0, 3, handler);
      assert.deepEqual(calls, [["unknown", id, 3]]);
    }
  });

  it("asserts that a message is whole, and no block", () => {
    const { handler } = recordMessages();
    assert.throws(() => dispatchMessage(Uint8Array.of(4, 0, 0), 0, 5, handler), AssertionError);
    assert.throws(() => dispatchMessage(Uint8Array.of(0), 0, 0, handler), AssertionError);
    assert.throws(() => dispatchMessage(new Uint8Array(20).fill(7), 0, 9, handler), AssertionError);
  });
});
