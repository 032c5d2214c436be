// Nodes that answered lately near keys that were looked up lately, for all lookups together (Grunthal 2010, "lookup cache"): the
// next lookup of a key near by begins where the last one ended. It pays with lookups in the order of their keys, and hardly
// without.
//
// Nodes and anchors (the keys) are sorted in natural order, which is close enough to nearness: neighbours in the one are mostly
// neighbours in the other. One failure evicts a node; it comes back when it answers. What no anchor needs goes at the cleanup, or with its
// anchor: where there is no room the key that was looked up longest ago goes, for lookups in order do not come back to it for days.
//
// Always: nodes and anchors are bounded, each endpoint is there once, both lists are in order.

import { assert } from "../base/assert.js";
import { type Contact, contactIndex, endpointKey } from "./contact.js";
import { compareDistance, compareIds, ID_BYTES } from "./node-id.js";

export interface LookupCacheOptions {
  readonly contactsMax?: number;
  readonly anchorsMax?: number;
  /** How long a key is held to be of interest, in milliseconds. */
  readonly anchorMs?: number;
}

const CONTACTS_MAX = 16_384;
const ANCHORS_MAX = 8192;
const ANCHOR_MS = 30 * 60_000;
/** Nodes that are kept for one anchor; a few more than a lookup ends with. */
const CONTACTS_PER_ANCHOR = 10;
/** When dropping one key makes no room, one in so many is dropped. */
const KEYS_DROPPED_SHARE = 4;
export const CACHE_CLEANUP_MS = 10 * 60_000;

interface Anchor {
  readonly key: Uint8Array;
  untilMs: number;
  /** In the order in which they were looked up last. */
  older: Anchor | undefined;
  newer: Anchor | undefined;
}

export class LookupCache {
  readonly #contactsMax: number;
  readonly #anchorsMax: number;
  readonly #anchorMs: number;
  #contacts: Contact[] = [];
  #anchors: Anchor[] = [];
  #oldest: Anchor | undefined;
  #newest: Anchor | undefined;
  readonly #known = new Set<number | string>();

  constructor(options: LookupCacheOptions = {}) {
    this.#contactsMax = options.contactsMax ?? CONTACTS_MAX;
    this.#anchorsMax = options.anchorsMax ?? ANCHORS_MAX;
    this.#anchorMs = options.anchorMs ?? ANCHOR_MS;
  }

  get contactCount(): number {
    return this.#contacts.length;
  }

  get anchorCount(): number {
    return this.#anchors.length;
  }

  /** A lookup of `key` begins: nodes near it are of interest for a while. */
  anchor(key: Uint8Array, nowMs: number): void {
    const known = this.#anchors[this.#anchorIndex(key)];
    if (known !== undefined && compareIds(known.key, 0, key, 0) === 0) {
      known.untilMs = nowMs + this.#anchorMs;
      this.#unlink(known);
      this.#link(known);
      return;
    }
    if (this.#anchors.length >= this.#anchorsMax) this.#dropOldest();
    const anchor = {
      key: key.slice(),
      untilMs: nowMs + this.#anchorMs,
      older: undefined,
      newer: undefined,
    };
    this.#anchors.splice(this.#anchorIndex(key), 0, anchor);
    this.#link(anchor);
  }

  /** Somebody answered. Kept if no anchor is near that has enough of nearer ones; never who may have picked its id for an anchor. */
  answered(contact: Contact): void {
    if (this.#anchors.length === 0 || contact.isPicked) return;
    const key = endpointKey(contact.compact, ID_BYTES, contact.family);
    if (this.#known.has(key) || !this.#isWanted(contact)) return;
    if (this.#contacts.length >= this.#contactsMax && !this.#makesRoom(contact)) return;
    this.#contacts.splice(contactIndex(this.#contacts, contact.compact), 0, contact);
    this.#known.add(key);
  }

  failed(contact: Contact): void {
    if (!this.#known.has(endpointKey(contact.compact, ID_BYTES, contact.family))) return;
    const at = this.#contacts.indexOf(contact, contactIndex(this.#contacts, contact.compact));
    if (at < 0) return;
    this.#contacts.splice(at, 1);
    this.#known.delete(endpointKey(contact.compact, ID_BYTES, contact.family));
  }

  /** Puts up to `want` nodes near a key into `out`, from index 0 on, in no order; how many. */
  near(key: Uint8Array, want: number, out: Contact[]): number {
    const at = contactIndex(this.#contacts, key);
    let count = 0;
    for (let index = Math.max(0, at - (want >> 1)); count < want && index < this.#contacts.length; index++)
      out[count++] = this.#contacts[index]!;
    return count;
  }

  /** Drops keys that are of no interest any more, and nodes that no key needs. Some milliseconds for thousands of each. */
  clean(nowMs: number): void {
    while (this.#oldest !== undefined && this.#oldest.untilMs <= nowMs) this.#dropOldest();
    this.#dropUnneeded();
  }

  #dropUnneeded(): void {
    const needed = new Set<Contact>();
    const near: Contact[] = [];
    for (const { key } of this.#anchors) {
      const count = this.near(key, 2 * CONTACTS_PER_ANCHOR, near);
      const nearest = near
        .slice(0, count)
        .sort((a, b) => compareDistance(key, 0, a.compact, 0, b.compact, 0));
      for (const contact of nearest.slice(0, CONTACTS_PER_ANCHOR)) needed.add(contact);
    }
    for (const contact of this.#contacts)
      if (!needed.has(contact)) this.#known.delete(endpointKey(contact.compact, ID_BYTES, contact.family));
    this.#contacts = this.#contacts.filter((contact) => needed.has(contact));
  }

  checkInvariants(): void {
    for (let index = 1; index < this.#contacts.length; index++)
      assert(
        compareIds(this.#contacts[index - 1]!.compact, 0, this.#contacts[index]!.compact, 0) <= 0,
        "nodes are in order",
      );
    for (let index = 1; index < this.#anchors.length; index++)
      assert(
        compareIds(this.#anchors[index - 1]!.key, 0, this.#anchors[index]!.key, 0) < 0,
        "anchors are in order",
      );
    let linked = 0;
    for (let anchor = this.#oldest; anchor !== undefined; anchor = anchor.newer) {
      assert(
        anchor.newer === undefined || anchor.newer.untilMs >= anchor.untilMs,
        "anchors are linked by age",
      );
      linked++;
    }
    assert(linked === this.#anchors.length, "each anchor has an age");
    assert(this.#known.size === this.#contacts.length, "each endpoint is there once");
    assert(this.#contacts.length <= this.#contactsMax, "nodes are bounded");
    assert(this.#anchors.length <= this.#anchorsMax, "anchors are bounded");
  }

  /** True if there is room for a contact now, and it is still wanted. */
  #makesRoom(contact: Contact): boolean {
    this.#dropOldest();
    if (this.#contacts.length >= this.#contactsMax) {
      // Its nodes are near to other keys, too, if not the nearest. So a part of the keys goes, and all that those left do not need: now and then.
      for (let count = this.#anchors.length / KEYS_DROPPED_SHARE; count > 0; count--) this.#dropOldest();
      this.#dropUnneeded();
    }
    return this.#anchors.length > 0 && this.#contacts.length < this.#contactsMax && this.#isWanted(contact);
  }

  /** Drops the key that was looked up longest ago, and nodes around it that no other key needs. */
  #dropOldest(): void {
    const anchor = this.#oldest;
    if (anchor === undefined) return;
    this.#unlink(anchor);
    this.#anchors.splice(this.#anchorIndex(anchor.key), 1);
    const at = contactIndex(this.#contacts, anchor.key);
    const last = Math.min(this.#contacts.length, at + CONTACTS_PER_ANCHOR) - 1;
    for (let index = last; index >= Math.max(0, at - CONTACTS_PER_ANCHOR); index--) {
      const contact = this.#contacts[index]!;
      if (this.#anchors.length > 0 && this.#isWanted(contact)) continue;
      this.#contacts.splice(index, 1);
      this.#known.delete(endpointKey(contact.compact, ID_BYTES, contact.family));
    }
  }

  #link(anchor: Anchor): void {
    anchor.older = this.#newest;
    anchor.newer = undefined;
    if (this.#newest === undefined) this.#oldest = anchor;
    else this.#newest.newer = anchor;
    this.#newest = anchor;
  }

  #unlink(anchor: Anchor): void {
    if (anchor.older === undefined) this.#oldest = anchor.newer;
    else anchor.older.newer = anchor.newer;
    if (anchor.newer === undefined) this.#newest = anchor.older;
    else anchor.newer.older = anchor.older;
  }

  /** True if fewer than enough nodes lie between a contact and the nearest anchor to either side. */
  #isWanted(contact: Contact): boolean {
    const id = contact.compact;
    const at = contactIndex(this.#contacts, id);
    const above = this.#anchorIndex(id);
    return (
      (above < this.#anchors.length && this.#between(at, 1, id, this.#anchors[above]!.key)) ||
      (above > 0 && this.#between(at - 1, -1, id, this.#anchors[above - 1]!.key))
    );
  }

  #between(from: number, step: number, id: Uint8Array, key: Uint8Array): boolean {
    let nearer = 0;
    for (let index = from; nearer < CONTACTS_PER_ANCHOR; index += step) {
      const other = this.#contacts[index];
      // On the far side of the key they compete as well: nearest ones come first on both sides.
      if (other === undefined || compareDistance(key, 0, other.compact, 0, id, 0) > 0) return true;
      nearer++;
    }
    return false;
  }

  #anchorIndex(key: Uint8Array): number {
    let low = 0;
    let high = this.#anchors.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareIds(this.#anchors[middle]!.key, 0, key, 0) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
