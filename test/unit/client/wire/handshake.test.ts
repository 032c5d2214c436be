// The handshake (BEP 3): its bytes, its reserved bits, and what is refused.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AssertionError } from "../../../../src/base/assert.js";
import { PeerError } from "../../../../src/base/errors.js";
import { HANDSHAKE_BYTES } from "../../../../src/base/limits.js";
import {
  checkHandshakePrefix,
  decodeHandshake,
  describePeerId,
  encodeHandshake,
  makePeerId,
} from "../../../../src/client/wire/handshake.js";
import { entryOf } from "../../../support/required.js";

const infoHash = Uint8Array.from({ length: 20 }, (_, index) => index);
const peerId = Uint8Array.from({ length: 20 }, (_, index) => 100 + index);

function handshakeBytes(dht = false): Uint8Array {
  const bytes = new Uint8Array(HANDSHAKE_BYTES);
  assert.equal(encodeHandshake(bytes, 0, { infoHash, peerId, dht }), HANDSHAKE_BYTES);
  return bytes;
}

function peerErrorOf(run: () => void): PeerError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof PeerError);
    return error;
  }
  assert.fail("no PeerError");
}

describe("handshake", () => {
  it("is laid out as in BEP 3, over whatever was there", () => {
    const target = new Uint8Array(72).fill(0xff);
    encodeHandshake(target, 2, { infoHash, peerId });
    const expected = Buffer.concat([
      Buffer.from("\x13BitTorrent protocol", "latin1"),
      Uint8Array.of(0, 0, 0, 0, 0, 0x10, 0, 0x04),
      infoHash,
      peerId,
    ]);
    assert.deepEqual(Buffer.from(target.subarray(2, 70)), expected);
    assert.deepEqual([target[1], target[70]], [0xff, 0xff]);
  });

  it("gives back what was encoded", () => {
    const { reserved, ...fields } = decodeHandshake(handshakeBytes(true));
    assert.deepEqual(fields, { infoHash, peerId, fast: true, extended: true, dht: true });
    assert.equal(Buffer.from(reserved).toString("hex"), "0000000000100005");
    assert.equal(decodeHandshake(handshakeBytes()).dht, false);
  });

  it("reads each reserved bit by itself, and ignores the others", () => {
    const bits = [
      [25, 0x10, "extended"],
      [27, 0x04, "fast"],
      [27, 0x01, "dht"],
    ] as const;
    for (const [at, bit, name] of bits) {
      const bytes = handshakeBytes();
      bytes.fill(0, 20, 28);
      bytes[at] = bit;
      const { extended, fast, dht } = decodeHandshake(bytes);
      assert.deepEqual({ extended, fast, dht }, { extended: false, fast: false, dht: false, [name]: true });
      bytes.fill(0xff, 20, 28);
      bytes[at] = entryOf(bytes, at) & ~bit;
      assert.equal(decodeHandshake(bytes)[name], false);
    }
  });

  it("owns what it decodes, also of a Buffer", () => {
    const bytes = Buffer.from(handshakeBytes());
    const handshake = decodeHandshake(bytes);
    bytes.fill(0);
    assert.deepEqual(handshake.infoHash, infoHash);
    assert.deepEqual(handshake.peerId, peerId);
  });

  it("is refused at its first wrong byte", () => {
    const good = handshakeBytes();
    for (let length = 0; length <= HANDSHAKE_BYTES; length++) checkHandshakePrefix(good, length);
    for (let wrong = 0; wrong < 20; wrong++) {
      const bytes = handshakeBytes();
      bytes[wrong] = entryOf(bytes, wrong) ^ 0x20;
      checkHandshakePrefix(bytes, wrong);
      const error = peerErrorOf(() => checkHandshakePrefix(bytes, wrong + 1));
      assert.equal(error.code, "PEER_PROTOCOL_NAME");
      assert.equal(error.received, `bytes ${Buffer.from(bytes.subarray(0, wrong + 1)).toString("hex")}`);
      assert.equal(peerErrorOf(() => decodeHandshake(bytes)).code, "PEER_PROTOCOL_NAME");
    }
  });

  it("asserts sizes that are ours to keep", () => {
    assert.throws(() => decodeHandshake(new Uint8Array(67)), AssertionError);
    assert.throws(() => encodeHandshake(new Uint8Array(67), 0, { infoHash, peerId }), AssertionError);
    const short = new Uint8Array(19);
    assert.throws(() => encodeHandshake(new Uint8Array(68), 0, { infoHash: short, peerId }), AssertionError);
  });
});

describe("peer ids", () => {
  it("are ours, and differ", () => {
    const [a, b] = [makePeerId(), makePeerId()];
    assert.equal(a.length, 20);
    assert.equal(Buffer.from(a.subarray(0, 8)).toString("latin1"), "-SW0100-");
    assert.notDeepEqual(a, b);
    assert.equal(describePeerId(a), "scatterwire 0.1.0");
  });

  it("name the clients that we know", () => {
    const cases: [peerId: string, client: string][] = [
      ["-qB4630-abcdefghijkl", "qBittorrent 4.6.3"],
      ["-LT20B0-abcdefghijkl", "libtorrent 2.0.11"],
      ["-lt0D80-abcdefghijkl", "rTorrent 0.13.8"],
      ["-TR300Z-abcdefghijkl", "Transmission 3.0.0.Z"],
      ["-ZZ1234-abcdefghijkl", "ZZ 1.2.3.4"],
      ["A2-1-36-0-abcdefghij", "aria2 1.36.0"],
      ["M7-10-5-abcdefghijkl", "BitTorrent 7.10.5"],
      ["\x00\x1b[31mhello\xffworld     ", "[31mhelloworld"],
      ["\x00".repeat(20), ""],
    ];
    for (const [text, client] of cases) assert.equal(describePeerId(Buffer.from(text, "latin1")), client);
  });
});
