// The table of nodes that all virtual nodes of one family share: buckets by prefix, in natural order, found by binary search. A bucket
// splits when it is full and covers the id of a virtual node of ours, any of them; so many nodes on one machine know the whole
// key space better than each by itself (Grunthal 2010, "shared routing table").
//
// Always: buckets part the key space without gap or overlap. The list of buckets and each bucket are never changed but replaced, so that
// whoever reads one sees it as it was. Nobody is in the table who has not answered us; one subscriber (an IPv4 address, an IPv6
// /64) has one place at the most, one network two in a bucket, unless the table was made for addresses of this machine.

import { assert } from "../base/assert.js";
import { type BoundCounters, makeBoundCounters } from "./bound-counters.js";
import { type Contact, endpointKey, type Family, networkKey, subscriberKey } from "./contact.js";
import { commonBits, compareDistance, compareIds, ID_BITS, ID_BYTES, idBit, sameId } from "./node-id.js";
import { bestReplacement, isQuickerOnly } from "./replacements.js";

export const BUCKET_CONTACTS = 8;
const REPLACEMENTS_MAX = 8;
/** Of one /24 or /48 in one bucket. */
const NETWORK_CONTACTS_MAX = 2;
/** One lost packet is no failure of the node; two in a row are, when somebody else waits for its place. */
const FAILURES_TO_REPLACE = 2;
const FAILURES_TO_REMOVE = 4;

export interface Bucket {
  /** The first id that it covers. */
  readonly prefix: Uint8Array;
  /** Bits of the prefix that are fixed. */
  readonly depth: number;
  readonly contacts: readonly Contact[];
  /** Who waits for a place; the last came last. */
  readonly replacements: readonly Contact[];
}

export interface RoutingTableOptions {
  readonly family: Family;
  /** False where all nodes have few addresses: on one machine. */
  readonly limitsNetworks?: boolean;
  /** Counts who got no place, and why. */
  readonly bounds?: BoundCounters;
}

export class RoutingTable {
  readonly family: Family;
  #buckets: readonly Bucket[] = [emptyBucket(new Uint8Array(ID_BYTES), 0)];
  #locals: readonly Uint8Array[] = [];
  #count = 0;
  readonly #limitsNetworks: boolean;
  readonly #bounds: BoundCounters;
  /** Contacts and replacements, by endpoint and by subscriber. */
  readonly #byEndpoint = new Map<number | string, Contact>();
  readonly #bySubscriber = new Map<number | string, Contact>();

  constructor(options: RoutingTableOptions) {
    this.family = options.family;
    this.#limitsNetworks = options.limitsNetworks !== false;
    this.#bounds = options.bounds ?? makeBoundCounters();
  }

  /** Contacts in buckets, those that wait not counted. */
  get count(): number {
    return this.#count;
  }

  /** As it is now; it stays so, whatever happens to the table. */
  get buckets(): readonly Bucket[] {
    return this.#buckets;
  }

  /** Ids of our virtual nodes: around them the table is finest. */
  get locals(): readonly Uint8Array[] {
    return this.#locals;
  }

  addLocal(id: Uint8Array): void {
    assert(id.length === ID_BYTES, "a virtual node has an id");
    this.#locals = [...this.#locals, id];
  }

  removeLocal(id: Uint8Array): void {
    this.#locals = this.#locals.filter((local) => !sameId(local, 0, id, 0));
    this.#mergeAll();
  }

  /** The contact at an endpoint, if the table knows it, waiting or not. `at`: of the address. */
  find(bytes: Uint8Array, at: number): Contact | undefined {
    return this.#byEndpoint.get(endpointKey(bytes, at, this.family));
  }

  /** Takes in who has just answered. False if there is no place for it. */
  insert(contact: Contact): boolean {
    assert(contact.family === this.family && contact.answeredMs >= 0, "who is in the table has answered");
    const known = this.#byEndpoint.get(endpointKey(contact.compact, ID_BYTES, this.family));
    if (known !== undefined) {
      if (sameId(known.compact, 0, contact.compact, 0)) return this.#isPlaced(known);
      // A node has one id. Whoever changes it loses its place, and gets one as a stranger does.
      this.#bounds.idsChanged++;
      this.remove(known);
    }
    if (this.#locals.some((local) => sameId(local, 0, contact.compact, 0))) return false;
    if (this.#limitsNetworks && this.#bySubscriber.has(this.#subscriberOf(contact))) return this.#isFull();
    for (;;) {
      const at = this.indexOf(contact.compact, 0);
      const bucket = this.#buckets[at]!;
      // The id is somebody else's already: who came first keeps it until it fails.
      if (bucket.contacts.some((other) => sameId(other.compact, 0, contact.compact, 0))) {
        this.#bounds.idsTaken++;
        return false;
      }
      if (this.#limitsNetworks && this.#networkCount(bucket, contact) >= NETWORK_CONTACTS_MAX)
        return this.#isFull();
      if (bucket.contacts.length < BUCKET_CONTACTS) {
        this.#replace(at, { ...bucket, contacts: [...bucket.contacts, contact] });
        this.#count++;
        this.#index(contact);
        return true;
      }
      if (!this.#canSplit(bucket)) return this.#wait(at, bucket, contact);
      this.#split(at);
    }
  }

  /** Tells that a query was not answered: who fails again and again loses its place to one who waits, or at last to nobody. */
  failed(contact: Contact): void {
    const at = this.indexOf(contact.compact, 0);
    const bucket = this.#buckets[at]!;
    const place = bucket.contacts.indexOf(contact);
    if (place < 0) {
      if (bucket.replacements.includes(contact)) this.remove(contact);
      return;
    }
    const enough = bucket.replacements.length > 0 ? FAILURES_TO_REPLACE : FAILURES_TO_REMOVE;
    if (contact.failures >= enough) this.remove(contact);
  }

  /** Takes a contact out, and the best of those who wait in. */
  remove(contact: Contact): void {
    const at = this.indexOf(contact.compact, 0);
    const bucket = this.#buckets[at]!;
    if (bucket.replacements.includes(contact)) {
      const replacements = bucket.replacements.filter((other) => other !== contact);
      this.#replace(at, { ...bucket, replacements });
      this.#forget(contact);
      return;
    }
    if (!bucket.contacts.includes(contact)) return;
    const contacts = bucket.contacts.filter((other) => other !== contact);
    const next = bestReplacement(bucket.replacements);
    if (next?.isSecure === true && bucket.replacements.some((other) => isQuickerOnly(other, next)))
      this.#bounds.insecurePassedOver++;
    const replacements = bucket.replacements.filter((other) => other !== next);
    if (next !== undefined) contacts.push(next);
    else this.#count--;
    this.#replace(at, { ...bucket, contacts, replacements });
    this.#forget(contact);
  }

  /** Which bucket covers an id. */
  indexOf(id: Uint8Array, idAt: number): number {
    let low = 0;
    let high = this.#buckets.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (compareIds(this.#buckets[middle]!.prefix, 0, id, idAt) <= 0) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Puts the `want` contacts that are nearest to a target, nearest first, into `out` from index 0 on; how many there are. */
  closest(target: Uint8Array, targetAt: number, want: number, out: Contact[]): number {
    return this.#collect(0, this.#buckets.length, 0, target, targetAt, want, out, 0);
  }

  /** Checks what the header promises. */
  checkInvariants(): void {
    let contacts = 0;
    let known = 0;
    let prefix: Uint8Array | undefined = new Uint8Array(ID_BYTES);
    for (const bucket of this.#buckets) {
      assert(
        prefix !== undefined && sameId(bucket.prefix, 0, prefix, 0),
        "buckets follow each other without gap",
      );
      assert(bucket.contacts.length <= BUCKET_CONTACTS, "a bucket has room for its contacts");
      assert(bucket.replacements.length <= REPLACEMENTS_MAX, "few wait");
      for (const contact of [...bucket.contacts, ...bucket.replacements]) {
        assert(covers(bucket, contact.compact), "a contact is where its id belongs");
        assert(this.find(contact.compact, ID_BYTES) === contact, "a contact is found by its endpoint");
        known++;
      }
      contacts += bucket.contacts.length;
      prefix = behind(bucket);
    }
    assert(prefix === undefined, "buckets cover the whole key space");
    assert(contacts === this.#count && known === this.#byEndpoint.size, "contacts are counted");
  }

  // ── buckets ────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Buckets of [low, high), whose first `depth` bits are one, in order of their distance: the half that the target is in, then the
   * other one; no further than is wanted.
   */
  #collect(
    low: number,
    high: number,
    depth: number,
    target: Uint8Array,
    targetAt: number,
    want: number,
    out: Contact[],
    found: number,
  ): number {
    if (found >= want) return found;
    if (high - low === 1) return this.#take(this.#buckets[low]!, target, targetAt, want, out, found);
    let first = low;
    let last = high;
    while (first < last) {
      const middle = (first + last) >> 1;
      if (idBit(this.#buckets[middle]!.prefix, 0, depth) === 0) first = middle + 1;
      else last = middle;
    }
    const next = depth + 1;
    if (idBit(target, targetAt, depth) === 0) {
      const sum = this.#collect(low, first, next, target, targetAt, want, out, found);
      return this.#collect(first, high, next, target, targetAt, want, out, sum);
    }
    const sum = this.#collect(first, high, next, target, targetAt, want, out, found);
    return this.#collect(low, first, next, target, targetAt, want, out, sum);
  }

  /** Sorts the contacts of a bucket in behind those that were found: every one of them is nearer than any of the next bucket. */
  #take(
    bucket: Bucket,
    target: Uint8Array,
    targetAt: number,
    want: number,
    out: Contact[],
    found: number,
  ): number {
    let count = found;
    for (const contact of bucket.contacts) {
      let at = count;
      while (
        at > found &&
        compareDistance(target, targetAt, contact.compact, 0, out[at - 1]!.compact, 0) < 0
      ) {
        if (at < want) out[at] = out[at - 1]!;
        at--;
      }
      if (at >= want) continue;
      out[at] = contact;
      if (count < want) count++;
    }
    return count;
  }

  /** Of an address, or in a network, there are enough: there is no place. */
  #isFull(): false {
    this.#bounds.networkFull++;
    return false;
  }

  #isPlaced(contact: Contact): boolean {
    return this.#buckets[this.indexOf(contact.compact, 0)]!.contacts.includes(contact);
  }

  /** A full bucket: the place of one that fails is free; else the newcomer waits, instead of the one that waits for longest. */
  #wait(at: number, bucket: Bucket, contact: Contact): boolean {
    const failing = bucket.contacts.find((other) => other.failures >= FAILURES_TO_REPLACE);
    if (failing !== undefined) {
      const contacts = bucket.contacts.map((other) => (other === failing ? contact : other));
      this.#replace(at, { ...bucket, contacts });
      this.#forget(failing);
      this.#index(contact);
      return true;
    }
    const isFull = bucket.replacements.length === REPLACEMENTS_MAX;
    if (isFull) this.#forget(bucket.replacements[0]!);
    this.#replace(at, { ...bucket, replacements: [...bucket.replacements.slice(isFull ? 1 : 0), contact] });
    this.#index(contact);
    return false;
  }

  #canSplit(bucket: Bucket): boolean {
    return bucket.depth < ID_BITS - 1 && this.#locals.some((local) => covers(bucket, local));
  }

  #split(at: number): void {
    const bucket = this.#buckets[at]!;
    const depth = bucket.depth + 1;
    const upperPrefix = bucket.prefix.slice();
    upperPrefix[bucket.depth >> 3] = upperPrefix[bucket.depth >> 3]! | (0x80 >> (bucket.depth & 7));
    const half = (bit: number, prefix: Uint8Array): Bucket => {
      const isIn = (contact: Contact): boolean => idBit(contact.compact, 0, bucket.depth) === bit;
      const contacts = bucket.contacts.filter(isIn);
      const waiting = bucket.replacements.filter(isIn);
      // Whoever waited gets a place, as far as there is one.
      const promoted = waiting.slice(Math.max(0, waiting.length - (BUCKET_CONTACTS - contacts.length)));
      this.#count += promoted.length;
      return {
        prefix,
        depth,
        contacts: [...contacts, ...promoted],
        replacements: waiting.filter((contact) => !promoted.includes(contact)),
      };
    };
    const halves = [half(0, bucket.prefix), half(1, upperPrefix)];
    this.#buckets = [...this.#buckets.slice(0, at), ...halves, ...this.#buckets.slice(at + 1)];
  }

  /** Puts neighbours together that no virtual node needs apart any more, and that fit into one bucket. */
  #mergeAll(): void {
    for (let at = 0; at + 1 < this.#buckets.length; ) {
      const merged = this.#merged(this.#buckets[at]!, this.#buckets[at + 1]!);
      if (merged === undefined) {
        at++;
        continue;
      }
      this.#buckets = [...this.#buckets.slice(0, at), merged, ...this.#buckets.slice(at + 2)];
      at = Math.max(0, at - 1);
    }
  }

  #merged(lower: Bucket, upper: Bucket): Bucket | undefined {
    const depth = lower.depth - 1;
    if (depth < 0 || lower.depth !== upper.depth) return undefined;
    if (commonBits(lower.prefix, 0, upper.prefix, 0) < depth) return undefined;
    const parent: Bucket = {
      prefix: lower.prefix,
      depth,
      contacts: [...lower.contacts, ...upper.contacts],
      replacements: [...lower.replacements, ...upper.replacements].slice(-REPLACEMENTS_MAX),
    };
    if (parent.contacts.length > BUCKET_CONTACTS || this.#canSplit(parent)) return undefined;
    for (const contact of [...lower.replacements, ...upper.replacements])
      if (!parent.replacements.includes(contact)) this.#forget(contact);
    return parent;
  }

  #replace(at: number, bucket: Bucket): void {
    this.#buckets = this.#buckets.with(at, bucket);
  }

  #networkCount(bucket: Bucket, contact: Contact): number {
    const network = networkKey(contact.compact, ID_BYTES, this.family);
    let count = 0;
    for (const other of bucket.contacts)
      if (networkKey(other.compact, ID_BYTES, this.family) === network) count++;
    return count;
  }

  #subscriberOf(contact: Contact): number | string {
    return subscriberKey(contact.compact, ID_BYTES, this.family);
  }

  #index(contact: Contact): void {
    this.#byEndpoint.set(endpointKey(contact.compact, ID_BYTES, this.family), contact);
    this.#bySubscriber.set(this.#subscriberOf(contact), contact);
  }

  #forget(contact: Contact): void {
    this.#byEndpoint.delete(endpointKey(contact.compact, ID_BYTES, this.family));
    if (this.#bySubscriber.get(this.#subscriberOf(contact)) === contact)
      this.#bySubscriber.delete(this.#subscriberOf(contact));
  }
}

function emptyBucket(prefix: Uint8Array, depth: number): Bucket {
  return { prefix, depth, contacts: [], replacements: [] };
}

function covers(bucket: Bucket, id: Uint8Array): boolean {
  return commonBits(bucket.prefix, 0, id, 0) >= bucket.depth;
}

/** The first id behind a bucket; undefined behind the last. */
function behind(bucket: Bucket): Uint8Array | undefined {
  const next = bucket.prefix.slice();
  for (let bit = bucket.depth - 1; bit >= 0; bit--) {
    const mask = 0x80 >> (bit & 7);
    next[bit >> 3] = next[bit >> 3]! ^ mask;
    if ((next[bit >> 3]! & mask) !== 0) return next;
  }
  return undefined;
}
