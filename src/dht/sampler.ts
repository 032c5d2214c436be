// Asks nodes which torrents they know of (BEP 51), one after the other through the key space: each answer names nodes near the one that was
// asked, and the nearest behind it is next, so that all are met once before any is met again.
//
// Always: a node is asked again no sooner than it says, and a subscriber (an IPv4 address, a /64) is asked as one node, whatever nodes it has, and few of a /48;
// who cannot be remembered is not asked. Of one answer so many hashes count, and only a few that lie so far from the node that it can
// hardly have them: whoever makes hashes up is believed little. What waits to be asked is bounded, and so is what waits for the reader.

import { assert, entryOf } from "../base/assert.js";
import type { AskedNodes } from "./asked-nodes.js";
import type { Call, CallListener } from "./calls.js";
import { NODES_PER_ANSWER_MAX } from "./candidates.js";
import { Contact, contactIndex, endpointKey, type Family, mayNameContact, subscriberKey } from "./contact.js";
import { type KrpcReader, NODE_BYTES_V4, NODE_BYTES_V6 } from "./krpc-reader.js";
import type { LookupHost } from "./lookup.js";
import { commonBits, compareIds, ID_BITS, ID_BYTES } from "./node-id.js";

/** Nodes that wait to be asked: the next ones in order. */
export const FRONTIER_MAX = 2048;
/** Whom we may have to leave alone for hours: at the longest interval these are 12 nodes a second. */
const ASKED_MAX = 2 ** 18;
/** The longest that BEP 51 knows; and the shortest that we take, whatever a node says. */
const INTERVAL_SECONDS_MAX = 21_600;
const INTERVAL_SECONDS_MIN = 60;
/** Whoever does not answer, and whoever answers without samples. */
const SILENT_MS = 30 * 60_000;
const WITHOUT_MS = 1000 * INTERVAL_SECONDS_MAX;
/** As many as a packet has room for beside eight nodes, and then some. */
export const SAMPLES_PER_ANSWER_MAX = 48;
/** A node knows torrents of its neighbourhood, which is as wide as that of the nodes it names; this many bits beyond it are left to doubt. */
const FAR_BITS = 8;
/** Of those that lie farther still: some announce where nobody looks. */
export const FAR_SAMPLES_MAX = 2;
/** Under way at once, and of those that take long. */
const CONCURRENCY = 8;
const STALLED_MAX = 256;
const FORGET_MS = 1000;
const FORGOTTEN_MAX = 512;
/** Where nobody is known, and where all are to be left alone, it is looked again. */
const IDLE_MS = 1000;

/** What came of asking for samples (BEP 51). */
export interface SamplerCounters {
  /** Nodes that were asked. */
  asked: number;
  /** Answers with hashes. */
  told: number;
  /** Answers without hashes. */
  without: number;
  /** Nodes that did not answer within 10 s. */
  silent: number;
  /** Hashes that were told and count: neither too many nor too far from the node. */
  samples: number;
  /** Hashes beyond the 48 of an answer that count. */
  samplesTooMany: number;
  /** Hashes that lie far from the node that told them, beyond the two of an answer that count. */
  samplesTooFar: number;
  /** Times that a node was met, and left alone since it was asked of late. */
  leftAlone: number;
}

export function makeSamplerCounters(): SamplerCounters {
  return {
    asked: 0,
    told: 0,
    without: 0,
    silent: 0,
    samples: 0,
    samplesTooMany: 0,
    samplesTooFar: 0,
    leftAlone: 0,
  };
}

export interface SamplerListener {
  /** `hashes` are of `answer`'s node, and the listener's. `answer` is there until the call returns. */
  sampled(contact: Contact, hashes: readonly Uint8Array[], answer: KrpcReader): void;
  /** The whole key space was gone through once more. */
  swept(sampler: Sampler): void;
  /** No more answers for now, please. */
  readonly isFull: boolean;
}

export class Sampler implements CallListener {
  /** How often the key space was gone through. */
  sweeps = 0;
  readonly #host: LookupHost;
  readonly #listener: SamplerListener;
  readonly #counters: SamplerCounters;
  readonly #family: Family;
  /** In order of their ids. */
  #frontier: Contact[] = [];
  readonly #waiting = new Set<number | string>();
  /** It outlives sweeps, and belongs to the overlay. */
  readonly #asked: AskedNodes;
  /** Whose neighbours were asked for last. */
  readonly #position = new Uint8Array(ID_BYTES);
  #active = 0;
  /** Those that take long: their answers count, and others are asked meanwhile. */
  #stalled = 0;
  #forgotMs: number;
  #idleUntilMs = 0;
  #isPumping = false;
  #isStopped = false;
  /** Somebody was asked since the key space was gone through last. */
  #hasAsked = false;

  constructor(host: LookupHost, listener: SamplerListener, counters: SamplerCounters, asked: AskedNodes) {
    this.#host = host;
    this.#listener = listener;
    this.#counters = counters;
    this.#asked = asked;
    this.#family = host.family;
    this.#forgotMs = host.nowMs;
  }

  /** Goes on, if it may. */
  advance(): void {
    this.#forgetAsked();
    this.#pump();
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  stop(): void {
    this.#isStopped = true;
  }

  answered(call: Call, answer: KrpcReader): void {
    this.#end(call);
    if (this.#isStopped) return;
    const { contact } = call;
    this.#addNodes(contact, answer);
    if (answer.samplesAt < 0 && answer.num < 0) {
      this.#counters.without++;
      this.#leaveAlone(contact, WITHOUT_MS);
    } else {
      this.#counters.told++;
      const seconds = Math.min(INTERVAL_SECONDS_MAX, Math.max(INTERVAL_SECONDS_MIN, answer.interval));
      this.#leaveAlone(contact, 1000 * seconds);
      this.#listener.sampled(contact, this.#hashesOf(contact, answer), answer);
    }
    this.#pump();
  }

  stalled(): void {
    this.#active--;
    this.#stalled++;
    this.#pump();
  }

  failed(call: Call): void {
    this.#end(call);
    if (this.#isStopped) return;
    this.#counters.silent++;
    this.#leaveAlone(call.contact, SILENT_MS);
    this.#pump();
  }

  checkInvariants(): void {
    for (let index = 1; index < this.#frontier.length; index++)
      assert(
        compareIds(
          entryOf(this.#frontier, index - 1).compact,
          0,
          entryOf(this.#frontier, index).compact,
          0,
        ) <= 0,
        "nodes wait in order",
      );
    assert(this.#frontier.length <= FRONTIER_MAX, "nodes that wait are bounded");
    assert(this.#waiting.size === this.#frontier.length, "each waits once");
    assert(this.#asked.size <= ASKED_MAX, "who is remembered is bounded");
  }

  #end(call: Call): void {
    if (call.isStalled) this.#stalled--;
    else this.#active--;
  }

  #pump(): void {
    // Whoever ends a query while others are sent comes back here.
    if (this.#isPumping || this.#isStopped || this.#host.nowMs < this.#idleUntilMs) return;
    this.#isPumping = true;
    while (!this.#isStopped && !this.#isBusy && !this.#listener.isFull) {
      const contact = this.#next();
      if (contact === undefined) break;
      this.#ask(contact);
    }
    this.#isPumping = false;
  }

  get #isBusy(): boolean {
    return (
      this.#active >= CONCURRENCY ||
      this.#stalled >= STALLED_MAX ||
      this.#asked.size + this.#active >= ASKED_MAX
    );
  }

  /** Takes the next node out that may be asked; undefined if there is none for now. */
  #next(): Contact | undefined {
    if (this.#frontier.length === 0) this.#refill();
    let at = contactIndex(this.#frontier, this.#position);
    if (at === this.#frontier.length) {
      // Behind the last one the key space ends, once nobody is left who may name nodes there.
      if (this.#active > 0) return undefined;
      this.#position.fill(0);
      at = 0;
      if (this.#hasAsked) {
        this.sweeps++;
        this.#listener.swept(this);
      }
      this.#hasAsked = false;
    }
    const contact = this.#isStopped ? undefined : this.#frontier[at];
    if (contact === undefined) {
      this.#idleUntilMs = this.#host.nowMs + IDLE_MS;
      return undefined;
    }
    this.#frontier.splice(at, 1);
    this.#waiting.delete(endpointKey(contact.compact, ID_BYTES, this.#family));
    this.#position.set(contact.compact.subarray(0, ID_BYTES));
    return contact;
  }

  #ask(contact: Contact): void {
    const key = this.#subscriberOf(contact);
    if (this.#isLeftAlone(key)) {
      this.#counters.leftAlone++;
      return;
    }
    // Its own neighbours are what it knows best; and they are where the next ones are.
    const target = contact.compact.subarray(0, ID_BYTES);
    // Who has got enough of us already is met again in the next sweep.
    if (!this.#host.nextNode().sampleInfoHashes(contact, target, this)) return;
    // Whatever becomes of the query: nobody is asked twice.
    this.#asked.leaveAlone(key, this.#host.nowMs + SILENT_MS);
    this.#active++;
    this.#hasAsked = true;
    this.#counters.asked++;
  }

  /** From the table and the cache: where the sweep stands, and where it began. */
  #refill(): void {
    const near: Contact[] = [];
    for (const from of [this.#position, new Uint8Array(ID_BYTES)]) {
      const count = this.#host.near(from, 64, near);
      for (let index = 0; index < count; index++) this.#add(entryOf(near, index));
    }
  }

  #hashesOf(contact: Contact, answer: KrpcReader): Uint8Array[] {
    const hashes: Uint8Array[] = [];
    const count = answer.samplesBytes / ID_BYTES;
    const near = this.#neighbourhoodBits(contact, answer) - FAR_BITS;
    let far = 0;
    for (let index = 0; index < count; index++) {
      if (index === SAMPLES_PER_ANSWER_MAX) {
        this.#counters.samplesTooMany += count - index;
        break;
      }
      const at = answer.samplesAt + index * ID_BYTES;
      if (commonBits(contact.compact, 0, answer.bytes, at) < near && ++far > FAR_SAMPLES_MAX) {
        this.#counters.samplesTooFar++;
        continue;
      }
      this.#counters.samples++;
      hashes.push(answer.bytes.slice(at, at + ID_BYTES));
    }
    return hashes;
  }

  /** How many bits the node shares with the farthest of the nodes that it named; few are named in networks where all are neighbours. */
  #neighbourhoodBits(contact: Contact, answer: KrpcReader): number {
    const [at, bytes, nodeBytes] = this.#nodesOf(answer);
    let bits = ID_BITS;
    for (let offset = 0; offset < bytes; offset += nodeBytes)
      bits = Math.min(bits, commonBits(contact.compact, 0, answer.bytes, at + offset));
    return bytes === 0 ? 0 : bits;
  }

  #nodesOf(answer: KrpcReader): [at: number, bytes: number, nodeBytes: number] {
    return this.#family === 4
      ? [answer.nodesAt, answer.nodesBytes, NODE_BYTES_V4]
      : [answer.nodes6At, answer.nodes6Bytes, NODE_BYTES_V6];
  }

  #addNodes(by: Contact, answer: KrpcReader): void {
    const [at, bytes, nodeBytes] = this.#nodesOf(answer);
    const count = Math.min(NODES_PER_ANSWER_MAX, bytes / nodeBytes);
    for (let index = 0; index < count; index++) {
      const from = at + index * nodeBytes;
      const contact = new Contact(answer.bytes.slice(from, from + nodeBytes), this.#family);
      if (mayNameContact(by, contact)) this.#add(contact);
    }
  }

  #add(contact: Contact): void {
    const key = endpointKey(contact.compact, ID_BYTES, this.#family);
    if (this.#waiting.has(key) || this.#host.isOurs(contact) || !this.#host.isPossible(contact)) return;
    if (this.#isLeftAlone(this.#subscriberOf(contact))) return;
    const frontier = this.#frontier;
    if (frontier.length === FRONTIER_MAX) {
      // The last that the sweep comes to makes room, if the new one is before it.
      const last = (contactIndex(this.#frontier, this.#position) + FRONTIER_MAX - 1) % FRONTIER_MAX;
      const dropped = entryOf(frontier, last);
      if (!this.#isSooner(contact.compact, dropped.compact)) return;
      frontier.splice(last, 1);
      this.#waiting.delete(endpointKey(dropped.compact, ID_BYTES, this.#family));
    }
    this.#waiting.add(key);
    frontier.splice(contactIndex(this.#frontier, contact.compact), 0, contact);
  }

  /** True if the sweep comes to `a` before `b`. */
  #isSooner(a: Uint8Array, b: Uint8Array): boolean {
    const isPast = (id: Uint8Array): boolean => compareIds(id, 0, this.#position, 0) < 0;
    return isPast(a) === isPast(b) ? compareIds(a, 0, b, 0) < 0 : isPast(b);
  }

  #subscriberOf(contact: Contact): number | string {
    const key = this.#host.limitsNetworks ? subscriberKey : endpointKey;
    return key(contact.compact, ID_BYTES, this.#family);
  }

  #isLeftAlone(key: number | string): boolean {
    return this.#asked.isLeftAlone(key, this.#host.nowMs);
  }

  #leaveAlone(contact: Contact, ms: number): void {
    this.#asked.leaveAlone(this.#subscriberOf(contact), this.#host.nowMs + ms);
  }

  /** Now and then a few of the oldest. */
  #forgetAsked(): void {
    const { nowMs } = this.#host;
    if (nowMs - this.#forgotMs < FORGET_MS) return;
    this.#forgotMs = nowMs;
    this.#asked.forget(nowMs, FORGOTTEN_MAX);
  }
}
