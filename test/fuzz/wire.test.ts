// Whatever a peer sends: a message that is handled, or PeerError, and soon. What a message looks like in the stream is
// the business of the receive modes and their tests; here it is what is in it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PeerError, type PeerErrorCode } from "../../src/base/errors.js";
import { HANDSHAKE_BYTES } from "../../src/base/limits.js";
import { dispatchMessage } from "../../src/client/wire/decode.js";
import { decodeExtensionHandshake, encodeExtensionHandshake } from "../../src/client/wire/extension.js";
import {
  checkHandshakePrefix,
  decodeHandshake,
  describePeerId,
  encodeHandshake,
} from "../../src/client/wire/handshake.js";
import { MESSAGE_BODIES, MessageId } from "../../src/client/wire/messages.js";
import { check } from "../support/property.js";
import { recordMessages } from "../unit/client/wire/record-messages.js";
import { mutationsOf } from "./mutate.js";

/** Undefined if `run` throws PeerError with one of the codes; nothing else may be thrown, and it may not take long. */
function peerMay<Result>(run: () => Result, ...codes: PeerErrorCode[]): Result | undefined {
  const start = performance.now();
  try {
    return run();
  } catch (error) {
    assert.ok(error instanceof PeerError, `not a PeerError: ${error instanceof Error ? error.stack : error}`);
    assert.ok(codes.includes(error.code), error.code);
    assert.ok(error.message.length < 400 && !/\p{Cc}/u.test(error.message), "one line, and not a long one");
    return undefined;
  } finally {
    assert.ok(performance.now() - start < 1000, "it takes no time to speak of");
  }
}

const handshake = Buffer.alloc(HANDSHAKE_BYTES);
encodeHandshake(handshake, 0, { infoHash: new Uint8Array(20).fill(1), peerId: new Uint8Array(20).fill(2) });

const extensionSamples = [
  Buffer.from(
    encodeExtensionHandshake({
      v: "v",
      p: 1,
      reqq: 250,
      uploadOnly: true,
      yourip: "1.2.3.4",
      m: { ut_pex: 1 },
    }),
  ),
  Buffer.from(
    "d1:md11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei9e1:pi6881e4:reqqi500e1:v3:abc6:yourip4:abcde",
  ),
];

describe("any bytes from a peer", () => {
  it("as a message: one call, or PEER_MESSAGE_MALFORMED and none", () => {
    const id = fc.oneof(fc.constantFrom(...Object.values(MessageId)), fc.nat({ max: 255 }));
    const notPiece = id.filter((value) => value !== MessageId.piece);
    check(
      fc.property(
        notPiece,
        fc.uint8Array({ maxLength: 20 }),
        fc.nat({ max: 5 }),
        (messageId, body, before) => {
          const bytes = Uint8Array.from([...new Uint8Array(before), messageId, ...body, 0xee, 0xee]);
          const { handler, calls } = recordMessages();
          peerMay(() => dispatchMessage(bytes, before, 1 + body.length, handler), "PEER_MESSAGE_MALFORMED");
          const expected = MESSAGE_BODIES[messageId];
          const isRight =
            expected === undefined ||
            (expected.isVariable ? body.length >= expected.bytes : body.length === expected.bytes);
          assert.equal(calls.length, isRight ? 1 : 0);
        },
      ),
      20_000,
    );
  });

  it("as a handshake: decoded, or PEER_PROTOCOL_NAME at the first byte that is wrong", () => {
    const any = fc.oneof(fc.uint8Array({ maxLength: 100 }), mutationsOf([handshake]));
    check(
      fc.property(any, (bytes) => {
        let refusedAt = Infinity;
        for (let length = 0; length <= Math.min(bytes.length, HANDSHAKE_BYTES); length++) {
          const fine = peerMay(() => checkHandshakePrefix(bytes, length) ?? true, "PEER_PROTOCOL_NAME");
          if (fine === undefined) refusedAt = Math.min(refusedAt, length);
          else assert.equal(refusedAt, Infinity, "what is refused once stays refused");
        }
        if (bytes.length < HANDSHAKE_BYTES) return;
        const decoded = peerMay(() => decodeHandshake(bytes), "PEER_PROTOCOL_NAME");
        assert.equal(decoded === undefined, refusedAt <= HANDSHAKE_BYTES);
        if (decoded !== undefined) assert.match(describePeerId(decoded.peerId), /^[ -~µ]*$/);
      }),
      5000,
    );
  });

  it("as an extension handshake: values in range, or PEER_MESSAGE_MALFORMED", () => {
    const letters = fc.constantFrom(..."dlie0123456789:-+.mvpr");
    const any = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.array(letters, { maxLength: 40 }).map((text) => Buffer.from(`d${text.join("")}`)),
      mutationsOf(extensionSamples),
    );
    let decodedCount = 0;
    check(
      fc.property(any, (bytes) => {
        const decoded = peerMay(() => decodeExtensionHandshake(bytes), "PEER_MESSAGE_MALFORMED");
        if (decoded === undefined) return;
        decodedCount++;
        for (const id of decoded.m.values()) assert.ok(Number.isInteger(id) && id >= 1 && id <= 255);
        const { p = 1, reqq = 1, metadataSize = 1, v = "" } = decoded;
        assert.ok(Number.isInteger(p) && p >= 1 && p <= 65_535);
        assert.ok(Number.isInteger(reqq) && reqq >= 1);
        assert.ok(Number.isInteger(metadataSize) && metadataSize >= 1);
        assert.ok([...v].length <= 80 && !/\p{Cc}/u.test(v));
      }),
      30_000,
    );
    assert.ok(decodedCount > 100, `some of them are handshakes: ${decodedCount}`);
  });
});
