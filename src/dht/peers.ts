// Peers of an answer to get_peers: endpoints of 6 or 18 bytes (BEP 5, 32), which are an address and a port.

import { entryOf } from "../base/assert.js";
import { mayNameAddress } from "../base/network-address.js";
import { addressText } from "../codec/compact-address.js";
import type { SocketAddress } from "../native/binding.js";
import type { Contact, Family } from "./contact.js";
import type { KrpcReader } from "./krpc-reader.js";

/**
 * Shows each endpoint of an answer to `wants`, by its offset in the answer's bytes. What that gives back, if anything, is called with
 * the address: so text is made of those that are wanted only. Left out are those that nobody may be sent to by who answers, `by`.
 */
export function readPeers(
  answer: KrpcReader,
  by: Contact,
  wants: (family: Family, at: number) => ((peer: SocketAddress) => void) | undefined,
): void {
  let at = answer.valuesAt;
  for (let index = 0; index < answer.valuesCount; index++) {
    const valueAt = answer.valueAt(at);
    const length = answer.valueBytes;
    at = valueAt + length;
    if (length !== 6 && length !== 18) continue;
    const port = (entryOf(answer.bytes, at - 2) << 8) | entryOf(answer.bytes, at - 1);
    if (port === 0) continue;
    const tell = wants(length === 6 ? 4 : 6, valueAt);
    const host = tell === undefined ? undefined : addressText(answer.bytes.slice(valueAt, at - 2));
    if (host !== undefined && mayNameAddress(by.host, host)) tell?.({ host, port });
  }
}
