// What a program hands to the DHT is checked once, here.
//
// Always: what is wrong is a UsageError, USAGE_OPTION, which names the option and what it may be.

import { UsageError } from "../base/errors.js";
import { compactAddress } from "../codec/compact-address.js";
import type { SocketAddress } from "../native/binding.js";
import { Contact } from "./contact.js";
import { ID_BYTES } from "./node-id.js";
import type { DhtOptions } from "./options.js";

/** What the store of peers needs for one torrent of any size. */
const PEER_BYTES_MIN = 1024 * 1024;
const PEER_BYTES_MAX = 2 ** 40;

export function checkId(id: Uint8Array | undefined): Uint8Array | undefined {
  if (id !== undefined && id.length !== ID_BYTES)
    throw new UsageError(
      "USAGE_OPTION",
      `an id or info hash of the DHT has ${ID_BYTES} bytes, not ${id.length}`,
    );
  return id;
}

export function checkOptions(options: DhtOptions): void {
  if (options.listen?.length === 0)
    throw new UsageError("USAGE_OPTION", "listen names an address or more: a node without a socket is none");
  for (const name of ["incomingPerSecond", "outgoingPerSecond", "answersPerSecond"] as const) {
    const rate = options[name];
    // Not a number is not above 0 either.
    if (rate !== undefined && !(rate > 0))
      throw new UsageError("USAGE_OPTION", `${name} is a number above 0, not ${rate}`);
  }
  checkWhole("peerBytesMax", options.peerBytesMax, PEER_BYTES_MIN, PEER_BYTES_MAX);
}

export function checkWhole(name: string, value: number | undefined, low: number, high: number): void {
  if (value !== undefined && !(Number.isInteger(value) && value >= low && value <= high))
    throw new UsageError("USAGE_OPTION", `${name} is a whole number from ${low} to ${high}, not ${value}`);
}

/** Nodes that are known by their addresses only. */
export function contactsOf(nodes: readonly SocketAddress[]): Contact[] {
  return nodes.map(({ host, port }) => {
    const address = compactAddress(host);
    if (address === undefined || !Number.isInteger(port) || port < 1 || port > 65_535)
      throw new UsageError(
        "USAGE_OPTION",
        `a node of the DHT has a numeric address and a port, not ${host} ${port}`,
      );
    const compact = new Uint8Array(ID_BYTES + address.length + 2);
    compact.set(address, ID_BYTES);
    compact[compact.length - 2] = port >> 8;
    compact[compact.length - 1] = port & 0xff;
    return new Contact(compact, address.length === 4 ? 4 : 6);
  });
}
