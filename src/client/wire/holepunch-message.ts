// Messages of the extension ut_holepunch (BEP 55), by which a peer that two others are connected to has them connect to each other at the
// same time. Read only: connecting so is of use over uTP, which there is none of yet, and nobody is told that we can.
//
//   ├ type (1) ─┼ family (1) ─┼ address (4 or 16) ─┼ port (2) ─┼ error (4) ─┤
//
// Always: what a peer sends becomes a message with an address, or PeerError.

import { entryOf } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { addressText } from "../../codec/compact-address.js";
import { readUint32 } from "./decode.js";

const KINDS = ["rendezvous", "connect", "error"] as const;
const ERRORS = ["none", "no such peer", "not connected", "no support", "no self"] as const;
const ADDRESS_AT = 2;

export interface HolepunchMessage {
  readonly kind: (typeof KINDS)[number];
  readonly host: string;
  readonly port: number;
  /** Of an error: why not; undefined for a reason that the BEP does not name. */
  readonly error: (typeof ERRORS)[number] | undefined;
}

/** Throws PeerError `PEER_MESSAGE_MALFORMED`. */
export function decodeHolepunch(bytes: Uint8Array): HolepunchMessage {
  const kind = KINDS[bytes[0] ?? -1];
  const addressBytes = bytes[1] === 0 ? 4 : bytes[1] === 1 ? 16 : 0;
  const portAt = ADDRESS_AT + addressBytes;
  const host = addressText(bytes.subarray(ADDRESS_AT, portAt));
  if (kind === undefined || host === undefined || bytes.length !== portAt + 6)
    throw new PeerError("PEER_MESSAGE_MALFORMED", "ut_holepunch", {
      expected: "12 bytes, or 24 with an IPv6 address",
      received: `${bytes.length} bytes: ${Buffer.from(bytes.subarray(0, 32)).toString("hex")}`,
    });
  const port = (entryOf(bytes, portAt) << 8) | entryOf(bytes, portAt + 1);
  return { kind, host, port, error: ERRORS[readUint32(bytes, portAt + 2)] };
}
