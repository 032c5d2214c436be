// What a DHT keeps over restarts: its id, and nodes to begin with. One byte each of version and family, then nodes as packets have them.
//
// Always: bytes that are not ours, or cut off, give what can be read of them, or nothing; never an error. They are asked like any
// entrance before they count.

import { addressBytesOf, Contact, type Family } from "./contact.js";
import { ID_BYTES } from "./node-id.js";
import type { RoutingTable } from "./routing-table.js";

const MAGIC = Buffer.from("scatterwire dht 1\n", "latin1");
/** Enough to be sure that some are there after weeks, and no flood when all are asked. */
const CONTACTS_MAX = 200;

export function saveContacts(id: Uint8Array, tables: readonly RoutingTable[]): Uint8Array {
  const parts: Uint8Array[] = [MAGIC, id];
  for (const table of tables) {
    const contacts = table.buckets.flatMap((bucket) => bucket.contacts);
    contacts.sort((a, b) => b.answeredMs - a.answeredMs);
    for (const contact of contacts.slice(0, CONTACTS_MAX))
      parts.push(Uint8Array.of(table.family), contact.compact);
  }
  return Buffer.concat(parts);
}

export function loadContacts(
  bytes: Uint8Array,
): { readonly id: Uint8Array; readonly contacts: Contact[] } | undefined {
  if (bytes.length < MAGIC.length + ID_BYTES || MAGIC.some((byte, at) => bytes[at] !== byte))
    return undefined;
  let at = MAGIC.length;
  const id = bytes.slice(at, at + ID_BYTES);
  at += ID_BYTES;
  const contacts: Contact[] = [];
  while (at < bytes.length && contacts.length < 2 * CONTACTS_MAX) {
    const family = bytes[at];
    if (family !== 4 && family !== 6) break;
    const end = at + 1 + ID_BYTES + addressBytesOf(family satisfies Family) + 2;
    if (end > bytes.length) break;
    contacts.push(new Contact(bytes.slice(at + 1, end), family));
    at = end;
  }
  return { id, contacts };
}
