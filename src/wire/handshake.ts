// The handshake of BEP 3: 68 bytes that open a connection in both directions.
//
//   0            1                         20              28            48          68
//   ├ 19 ────────┼ "BitTorrent protocol" ──┼ reserved (8) ─┼ info hash ──┼ peer id ──┤
//
// Reserved bits that we know: 20 (of 64, from the right) extension protocol, BEP 10; 2 Fast extension, BEP 6; 0 DHT, BEP 5.

import { randomFillSync } from "node:crypto";
import { assert } from "../assert.js";
import { PeerError } from "../errors.js";
import { HANDSHAKE_BYTES } from "../limits.js";

const PROTOCOL = Uint8Array.of(19, ...Buffer.from("BitTorrent protocol", "latin1"));
const RESERVED_AT = 20;
const INFO_HASH_AT = 28;
const PEER_ID_AT = 48;
const EXTENDED_BIT = 0x10;
const FAST_BIT = 0x04;
const DHT_BIT = 0x01;
const PEER_ID_PREFIX = "-SW0100-";

export interface Handshake {
  readonly infoHash: Uint8Array;
  readonly peerId: Uint8Array;
  /** BEP 6. */
  readonly fast: boolean;
  /** BEP 10. */
  readonly extended: boolean;
  /** BEP 5. */
  readonly dht: boolean;
}

/** Writes our handshake (68 bytes) at `at`; it offers BEP 6 and BEP 10. */
export function encodeHandshake(
  target: Uint8Array,
  at: number,
  { infoHash, peerId }: { infoHash: Uint8Array; peerId: Uint8Array },
): number {
  assert(infoHash.length === 20 && peerId.length === 20, "info hash and peer id have 20 bytes");
  target.set(PROTOCOL, at);
  target.fill(0, at + RESERVED_AT, at + INFO_HASH_AT);
  target[at + RESERVED_AT + 5] = EXTENDED_BIT;
  target[at + RESERVED_AT + 7] = FAST_BIT;
  target.set(infoHash, at + INFO_HASH_AT);
  target.set(peerId, at + PEER_ID_AT);
  return HANDSHAKE_BYTES;
}

/** Throws PeerError `PEER_PROTOCOL_NAME` if the first `length` bytes cannot become a handshake. */
export function checkHandshakePrefix(bytes: Uint8Array, length: number): void {
  const count = Math.min(length, PROTOCOL.length);
  for (let index = 0; index < count; index++) {
    if (bytes[index] === PROTOCOL[index]) continue;
    throw new PeerError("PEER_PROTOCOL_NAME", "not a BitTorrent handshake (or an encrypted one, which we do not speak)", {
      expected: '19 and "BitTorrent protocol"',
      received: Buffer.from(bytes.subarray(0, count)).toString("hex"),
    });
  }
}

/** Decodes 68 bytes; the result owns copies. Throws PeerError `PEER_PROTOCOL_NAME`. */
export function decodeHandshake(bytes: Uint8Array): Handshake {
  assert(bytes.length >= HANDSHAKE_BYTES, "a handshake is decoded when it is complete");
  checkHandshakePrefix(bytes, HANDSHAKE_BYTES);
  return {
    infoHash: bytes.slice(INFO_HASH_AT, PEER_ID_AT),
    peerId: bytes.slice(PEER_ID_AT, HANDSHAKE_BYTES),
    extended: (bytes[RESERVED_AT + 5]! & EXTENDED_BIT) !== 0,
    fast: (bytes[RESERVED_AT + 7]! & FAST_BIT) !== 0,
    dht: (bytes[RESERVED_AT + 7]! & DHT_BIT) !== 0,
  };
}

/** A peer id in Azureus style (BEP 20): "-SW0100-" and 12 random bytes. */
export function makePeerId(): Uint8Array {
  const peerId = new Uint8Array(20);
  peerId.set(Buffer.from(PEER_ID_PREFIX, "latin1"));
  randomFillSync(peerId, PEER_ID_PREFIX.length);
  return peerId;
}

const CLIENT_NAMES: Readonly<Record<string, string>> = {
  A2: "aria2",
  DE: "Deluge",
  LT: "libtorrent (Rasterbar)",
  lt: "libTorrent (rTorrent)",
  qB: "qBittorrent",
  SW: "scatterwire",
  TR: "Transmission",
  UT: "µTorrent",
  WW: "WebTorrent",
};

/** The client that a peer id names (BEP 20), as far as we know it: "Transmission 3.0.0"; else printable bytes of it. */
export function describePeerId(peerId: Uint8Array): string {
  const text = Buffer.from(peerId).toString("latin1");
  const match = /^-([A-Za-z0-9]{2})([0-9A-Za-z.]{4})-/.exec(text);
  if (match !== null) {
    const name = CLIENT_NAMES[match[1]!] ?? match[1]!;
    return `${name} ${[...match[2]!].join(".")}`;
  }
  return text.replace(/[^ -~]/g, "").slice(0, 20);
}
