// The handshake of BEP 3: 68 bytes that open a connection in both directions.
//
//   0            1                         20              28            48          68
//   ├ 19 ────────┼ "BitTorrent protocol" ──┼ reserved (8) ─┼ info hash ──┼ peer id ──┤
//
// Reserved bits that we know: reserved[5] & 0x10 extension protocol (BEP 10), reserved[7] & 0x04 Fast extension (BEP 6),
// reserved[7] & 0x01 DHT (BEP 5). Others are ignored, whatever they are.
//
// Always: what cannot become a handshake is refused at its first wrong byte, without waiting for the 68th.

import { assert, entryOf } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { type Ground, SYSTEM_GROUND } from "../../base/ground.js";
import { HANDSHAKE_BYTES } from "../../base/limits.js";
import { PEER_ID_PREFIX } from "../../base/version.js";

const PROTOCOL = Uint8Array.of(19, ...Buffer.from("BitTorrent protocol", "latin1"));
const RESERVED_AT = 20;
const INFO_HASH_AT = 28;
const PEER_ID_AT = 48;
const EXTENDED_BIT = 0x10;
const FAST_BIT = 0x04;
const DHT_BIT = 0x01;

assert(PROTOCOL.length === RESERVED_AT, "the reserved bytes follow the protocol name");
assert(
  PEER_ID_AT + (PEER_ID_AT - INFO_HASH_AT) === HANDSHAKE_BYTES,
  "info hash and peer id end the handshake",
);

export interface Handshake {
  readonly infoHash: Uint8Array;
  readonly peerId: Uint8Array;
  /** BEP 6. */
  readonly fast: boolean;
  /** BEP 10. */
  readonly extended: boolean;
  /** BEP 5. */
  readonly dht: boolean;
  /** The 8 reserved bytes as they came. */
  readonly reserved: Uint8Array;
}

/** Writes our handshake (68 bytes) at `at`. It offers BEP 6 and BEP 10, and BEP 5 where `dht` is true. Returns 68. */
export function encodeHandshake(
  target: Uint8Array,
  at: number,
  { infoHash, peerId, dht = false }: { infoHash: Uint8Array; peerId: Uint8Array; dht?: boolean },
): number {
  assert(infoHash.length === 20 && peerId.length === 20, "info hash and peer id have 20 bytes");
  assert(at + HANDSHAKE_BYTES <= target.length, "a handshake is written where there is room for it");
  target.set(PROTOCOL, at);
  target.fill(0, at + RESERVED_AT, at + INFO_HASH_AT);
  target[at + RESERVED_AT + 5] = EXTENDED_BIT;
  target[at + RESERVED_AT + 7] = dht ? FAST_BIT | DHT_BIT : FAST_BIT;
  target.set(infoHash, at + INFO_HASH_AT);
  target.set(peerId, at + PEER_ID_AT);
  return HANDSHAKE_BYTES;
}

/** Throws PeerError `PEER_PROTOCOL_NAME` if the first `length` bytes cannot become a handshake. */
export function checkHandshakePrefix(bytes: Uint8Array, length: number): void {
  assert(length <= bytes.length, "the prefix that is checked is there");
  const count = Math.min(length, PROTOCOL.length);
  for (let index = 0; index < count; index++) {
    if (bytes[index] === PROTOCOL[index]) continue;
    const what = "not a BitTorrent handshake (or an encrypted one, which we do not speak)";
    throw new PeerError("PEER_PROTOCOL_NAME", what, {
      expected: '19 and "BitTorrent protocol"',
      received: `bytes ${Buffer.from(bytes.subarray(0, count)).toString("hex")}`,
    });
  }
}

/** Decodes 68 bytes; the result owns copies. Throws PeerError `PEER_PROTOCOL_NAME`. */
export function decodeHandshake(bytes: Uint8Array): Handshake {
  assert(bytes.length >= HANDSHAKE_BYTES, "a handshake is decoded when it is complete");
  checkHandshakePrefix(bytes, HANDSHAKE_BYTES);
  const reserved = Uint8Array.from(bytes.subarray(RESERVED_AT, INFO_HASH_AT));
  return {
    infoHash: Uint8Array.from(bytes.subarray(INFO_HASH_AT, PEER_ID_AT)),
    peerId: Uint8Array.from(bytes.subarray(PEER_ID_AT, HANDSHAKE_BYTES)),
    extended: (entryOf(reserved, 5) & EXTENDED_BIT) !== 0,
    fast: (entryOf(reserved, 7) & FAST_BIT) !== 0,
    dht: (entryOf(reserved, 7) & DHT_BIT) !== 0,
    reserved,
  };
}

/** A peer id in Azureus style (BEP 20): "-SW", the version, "-" and 12 random bytes. */
export function makePeerId(ground: Pick<Ground, "fillRandom"> = SYSTEM_GROUND): Uint8Array {
  const peerId = new Uint8Array(20);
  peerId.set(Buffer.from(PEER_ID_PREFIX, "latin1"));
  ground.fillRandom(peerId, PEER_ID_PREFIX.length);
  return peerId;
}

/** By the two letters of an Azureus-style peer id, "-XX1234-". */
const AZUREUS_NAMES: ReadonlyMap<string, string> = new Map([
  ["A2", "aria2"],
  ["AG", "Ares"],
  ["AZ", "Azureus"],
  ["BC", "BitComet"],
  ["BI", "BiglyBT"],
  ["BT", "BitTorrent"],
  ["DE", "Deluge"],
  ["FD", "Free Download Manager"],
  ["KT", "KTorrent"],
  ["LT", "libtorrent"],
  ["lt", "rTorrent"],
  ["qB", "qBittorrent"],
  ["rQ", "rqbit"],
  ["SD", "Thunder"],
  ["SW", "scatterwire"],
  ["TR", "Transmission"],
  ["TX", "Tixati"],
  ["UM", "µTorrent Mac"],
  ["UT", "µTorrent"],
  ["WS", "web seed"],
  ["WW", "WebTorrent"],
  ["XL", "Thunder"],
]);

/** By what stands before the first dash of "M7-10-5-…": version numbers of any length. */
const DASHED_NAMES: ReadonlyMap<string, string> = new Map([
  ["A2", "aria2"],
  ["M", "BitTorrent"],
]);

/**
 * The client that a peer id names (BEP 20), as far as we know it: "qBittorrent 4.6.3". A peer writes what it likes
 * there, so the text is for people. Unknown ids give their printable characters, "" if there are none.
 */
export function describePeerId(peerId: Uint8Array): string {
  const text = Buffer.from(peerId).toString("latin1");
  const azureus = /^-([A-Za-z0-9]{2})([0-9A-Za-z.]{4})-/.exec(text);
  if (azureus !== null) {
    const [, letters = "", version = ""] = azureus;
    return `${AZUREUS_NAMES.get(letters) ?? letters} ${describeVersion(version)}`;
  }
  const dashed = /^(A2-|M)(\d{1,3})-(\d{1,3})-(\d{1,3})-/.exec(text);
  if (dashed !== null) {
    const [, prefix = "", ...numbers] = dashed;
    return `${DASHED_NAMES.get(prefix.replace("-", ""))} ${numbers.join(".")}`;
  }
  return text.replace(/[^ -~]/g, "").trim();
}

/** "4630" is 4.6.3, "20B0" is 2.0.11: digits are hexadecimal; a fourth that says nothing is left out. */
function describeVersion(digits: string): string {
  const numbers = [...digits].map((digit) =>
    /[A-F]/.test(digit) ? String(digit.charCodeAt(0) - 55) : digit,
  );
  return (numbers[3] === "0" ? numbers.slice(0, 3) : numbers).join(".");
}
