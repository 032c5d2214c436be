// Messages of the extension ut_pex (BEP 11): peers that the sender has connected to, and lost, since its last message. Addresses are
// compact, those of IPv6 in fields of their own, with a byte of flags for each that was added.
//
// Always: what a peer sends becomes addresses with a port, as many as asked for at the most, or PeerError. Whether they may be
// connected to is not looked at here.

import bencode from "bencode";
import { entryOf } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import {
  BencodeError,
  type BencodeLimits,
  dictionarySpans,
  isDictionary,
  isString,
  type Span,
  skipValue,
  stringSpan,
} from "../../codec/bencode-spans.js";
import { addressText, compactAddress } from "../../codec/compact-address.js";

/** Bits of a peer's flags. */
export const ExchangeFlag = {
  prefersEncryption: 0x01,
  /** It has all that it wants, and uploads only. */
  uploadOnly: 0x02,
  utp: 0x04,
  /** BEP 55. */
  holepunch: 0x08,
  /** Somebody connected to it: it can be reached. */
  reachable: 0x10,
} as const;

export interface ExchangedPeer {
  readonly host: string;
  readonly port: number;
  readonly flags: number;
}

const LIMITS: BencodeLimits = { depthMax: 4, valuesMax: 64 };
const PORT_BYTES = 2;

/** Peers without a compact form are left out. `dropped` have no flags. */
export function encodePeerExchange(
  added: readonly ExchangedPeer[],
  dropped: readonly { host: string; port: number }[],
): Uint8Array {
  const v4 = packed(added, 4);
  const v6 = packed(added, 16);
  const goneV6 = packed(dropped, 16).addresses;
  return bencode.encode({
    added: v4.addresses,
    "added.f": v4.flags,
    dropped: packed(dropped, 4).addresses,
    ...(v6.flags.length === 0 ? {} : { added6: v6.addresses, "added6.f": v6.flags }),
    ...(goneV6.length === 0 ? {} : { dropped6: goneV6 }),
  });
}

function packed(
  peers: readonly { host: string; port: number; flags?: number }[],
  addressBytes: number,
): { addresses: Uint8Array; flags: Uint8Array } {
  const parts: Uint8Array[] = [];
  const flags: number[] = [];
  for (const { host, port, flags: its } of peers) {
    const address = compactAddress(host);
    if (address?.length !== addressBytes) continue;
    parts.push(address, Uint8Array.of(port >> 8, port & 0xff));
    flags.push(its ?? 0);
  }
  return { addresses: Buffer.concat(parts), flags: Uint8Array.from(flags) };
}

/** The peers that were added, `max` of them at the most: first those of IPv4. Throws PeerError `PEER_MESSAGE_MALFORMED`. */
export function decodePeerExchange(bytes: Uint8Array, max: number): ExchangedPeer[] {
  const spans = checkedSpans(bytes);
  const peers: ExchangedPeer[] = [];
  const field = (name: string): Uint8Array => {
    const span = spans.get(name);
    if (!isString(bytes, span)) return new Uint8Array(0);
    const { start, end } = stringSpan(bytes, span);
    return bytes.subarray(start, end);
  };
  for (const [name, size] of [
    ["added", 4],
    ["added6", 16],
  ] as const) {
    const addresses = field(name);
    const flags = field(`${name}.f`);
    const length = size + PORT_BYTES;
    for (let index = 0; (index + 1) * length <= addresses.length && peers.length < max; index++) {
      const at = index * length;
      const port = (entryOf(addresses, at + size) << 8) | entryOf(addresses, at + size + 1);
      const host = addressText(addresses.subarray(at, at + size));
      if (port !== 0 && host !== undefined) peers.push({ host, port, flags: flags[index] ?? 0 });
    }
  }
  return peers;
}

function checkedSpans(bytes: Uint8Array): Map<string, Span> {
  const malformed = (received: string, cause?: unknown): PeerError => {
    const expected = "a bencoded dictionary";
    return new PeerError("PEER_MESSAGE_MALFORMED", "ut_pex", { expected, received, cause });
  };
  if (!isDictionary(bytes, { start: 0, end: bytes.length })) throw malformed("another value");
  try {
    skipValue(bytes, 0, LIMITS);
    return dictionarySpans(bytes, 0);
  } catch (error) {
    if (error instanceof BencodeError) throw malformed(error.message, error);
    throw error;
  }
}
