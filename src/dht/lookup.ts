// One lookup: asks ever nearer nodes to a key until the nearest it can find have answered (Kademlia; BEP 5), several at once. It ends in
// two steps: it converges when the nearest that it knows have all answered or failed or stalled, and is complete when nothing is
// under way any more: answers of those that stalled still count.
//
// Always: a node is asked once; candidates, queries and time are bounded, whatever nodes tell of others. Nobody's word about others is
// believed: a node counts as found when it answered itself. And ids that are nearer to a torrent's hash than chance puts any node, which
// whoever wants to be asked can pick, are few, and displace nobody: the lookup ends with as many others.

import { assert } from "../base/assert.js";
import type { Call, CallListener } from "./calls.js";
import { Contact, endpointKey, type Family, subscriberKey } from "./contact.js";
import type { KrpcReader } from "./krpc-reader.js";
import { type METHOD_FIND_NODE, METHOD_GET_PEERS, NODE_BYTES_V4, NODE_BYTES_V6 } from "./krpc-reader.js";
import { commonBits, compareDistance, ID_BYTES } from "./node-id.js";
import type { VirtualNode } from "./virtual-node.js";

/** Nodes that a lookup ends with, and announces to. */
export const LOOKUP_CONTACTS = 8;
/** Queries under way at once, stalled ones not counted. */
export const LOOKUP_CONCURRENCY = 10;
const CANDIDATES_MAX = 96;
/** Whoever tells of ever nearer nodes is believed no longer: ten times what a lookup takes. */
const LOOKUP_QUERIES_MAX = 512;
const LOOKUP_MS_MAX = 120_000;
/** Endpoints of one subscriber that others told of: a lookup is no means to flood whom they choose, or to be led by one of many ports. */
const SUBSCRIBER_CANDIDATES_MAX = 4;
/** Of a hundred million nodes the nearest to a key shares 27 bits with it by chance, and with one key in forty 32 or more. */
const CHANCE_BITS = 32;
/** Nodes nearer than that which a lookup asks. */
const PICKED_MAX = 8;
/** A lookup that nobody else is left for waits so long for addresses that have got enough and were only named. */
const HELD_MS_MAX = 1000;
/** Of one node's answer: whoever sends more sends them in vain. */
const NODES_PER_ANSWER_MAX = 16;

export type LookupMethod = typeof METHOD_FIND_NODE | typeof METHOD_GET_PEERS;

const UNTRIED = 0;
const ASKED = 1;
const STALLED = 2;
const ANSWERED = 3;
const FAILED = 4;
/** Its address has got enough queries for now: asked later, if nobody else will do. */
const HELD = 5;

export interface Candidate {
  readonly contact: Contact;
  state: number;
  /** From whom it was heard of; undefined: from the table or the cache, so that it has answered before. */
  readonly by: Contact | undefined;
  /** Its token, and the virtual node of ours that it is for. */
  token: Uint8Array | undefined;
  node: VirtualNode | undefined;
}

/** What a lookup stands on: the virtual nodes of one family. */
export interface LookupHost {
  readonly family: Family;
  readonly nowMs: number;
  /** One subscriber has few nodes: not so among addresses of this machine. */
  readonly limitsNetworks: boolean;
  /** Puts nodes near a key into `out` that answered before; how many. */
  near(key: Uint8Array, want: number, out: Contact[]): number;
  /** The virtual node of ours that sends the next query. */
  nextNode(): VirtualNode;
  isOurs(contact: Contact): boolean;
  /** False for addresses that nobody may be sent to: none, multicast, a port that is none. */
  isPossible(contact: Contact): boolean;
}

export interface LookupListener {
  /** An answer, of a candidate that is ANSWERED now; `answer` is there until the call returns. */
  heard(lookup: Lookup, candidate: Candidate, answer: KrpcReader): void;
  converged(lookup: Lookup): void;
  completed(lookup: Lookup): void;
}

export interface LookupSettings {
  readonly concurrency?: number;
  /** BEP 33: seeds are not wanted; filters are. */
  readonly noSeeds?: boolean;
  readonly scrapes?: boolean;
}

export class Lookup implements CallListener {
  readonly target: Uint8Array;
  readonly method: LookupMethod;
  readonly family: Family;
  /** Queries that were sent, answers and failures of them. */
  sent = 0;
  answers = 0;
  failures = 0;
  readonly startedMs: number;
  convergedMs = -1;
  completedMs = -1;
  readonly #host: LookupHost;
  readonly #listener: LookupListener;
  readonly #concurrency: number;
  readonly #noSeeds: boolean;
  readonly #scrapes: boolean;
  /** Nearest first. */
  readonly #candidates: Candidate[] = [];
  readonly #known = new Set<number | string>();
  /** How many endpoints of a subscriber others told of. */
  readonly #subscribers = new Map<number | string, number>();
  readonly #byContact = new Map<Contact, Candidate>();
  #active = 0;
  #stalled = 0;
  #near: Contact[] = [];
  #isPumping = false;
  /** There is somebody to ask, and no room for a query: advance() goes on. */
  #isWaiting = false;
  /** Since when all that are left are HELD; −1: they are not. */
  #heldSinceMs = -1;
  #picked = 0;

  constructor(
    host: LookupHost,
    target: Uint8Array,
    method: LookupMethod,
    listener: LookupListener,
    options: LookupSettings = {},
  ) {
    assert(target.length === ID_BYTES, "a key has 20 bytes");
    this.#host = host;
    this.family = host.family;
    this.target = target;
    this.method = method;
    this.#listener = listener;
    this.#concurrency = options.concurrency ?? LOOKUP_CONCURRENCY;
    this.#noSeeds = options.noSeeds === true;
    this.#scrapes = options.scrapes === true;
    this.startedMs = host.nowMs;
  }

  get isComplete(): boolean {
    return this.completedMs >= 0;
  }

  /** Begins with what the table and the cache know. */
  start(): void {
    this.#addNear();
    this.#pump();
  }

  /** Goes on if there was no room for queries, or their addresses had got enough. */
  advance(): void {
    if (!this.#isWaiting || this.isComplete) return;
    for (const candidate of this.#candidates) if (candidate.state === HELD) candidate.state = UNTRIED;
    this.#pump();
  }

  /** No more queries; what is under way is not waited for. */
  stop(): void {
    if (this.isComplete) return;
    this.completedMs = this.#host.nowMs;
    this.#listener.completed(this);
  }

  /** The nearest that answered, nearest first, and before them those that are too near. */
  found(): Candidate[] {
    const answered = this.#candidates.filter(({ state }) => state === ANSWERED);
    return answered.slice(0, LOOKUP_CONTACTS + answered.filter(({ contact }) => contact.isPicked).length);
  }

  answered(call: Call, answer: KrpcReader): void {
    this.answers++;
    const candidate = this.#end(call, ANSWERED);
    if (this.isComplete || candidate === undefined) return;
    if (answer.tokenAt >= 0)
      candidate.token = answer.bytes.slice(answer.tokenAt, answer.tokenAt + answer.tokenBytes);
    this.#addNodes(answer, call.contact);
    this.#addNear();
    this.#listener.heard(this, candidate, answer);
    this.#pump();
  }

  stalled(call: Call): void {
    const candidate = this.#byContact.get(call.contact);
    if (candidate?.state !== ASKED) return;
    candidate.state = STALLED;
    this.#active--;
    this.#stalled++;
    this.#pump();
  }

  failed(call: Call): void {
    this.failures++;
    this.#end(call, FAILED);
    this.#pump();
  }

  checkInvariants(): void {
    let active = 0;
    let stalled = 0;
    for (const [index, { contact, state }] of this.#candidates.entries()) {
      const next = this.#candidates[index + 1]?.contact.compact;
      assert(
        next === undefined || compareDistance(this.target, 0, contact.compact, 0, next, 0) <= 0,
        "candidates are in order",
      );
      if (state === ASKED) active++;
      if (state === STALLED) stalled++;
    }
    assert(active === this.#active && stalled === this.#stalled, "what is under way is counted");
    assert(this.#candidates.length <= CANDIDATES_MAX, "candidates are bounded");
  }

  /** Sends what may be sent; ends what is at its end. */
  #pump(): void {
    // Whoever ends a query while others are sent comes back here.
    if (this.#isPumping || this.isComplete) return;
    this.#isPumping = true;
    this.#isWaiting = false;
    const isSpent = this.sent >= LOOKUP_QUERIES_MAX || this.#host.nowMs - this.startedMs >= LOOKUP_MS_MAX;
    while (
      !isSpent &&
      this.sent < LOOKUP_QUERIES_MAX &&
      this.#active < this.#concurrency &&
      !this.#isWaiting
    ) {
      const candidate = this.#next(UNTRIED);
      if (candidate === undefined) break;
      this.#ask(candidate);
    }
    this.#isPumping = false;
    if (isSpent) this.#isWaiting = false;
    else if (this.#active === 0) this.#waitForHeld();
    if (this.#active > 0) this.#heldSinceMs = -1;
    if (this.#active > 0 || this.#isWaiting) return;
    if (this.convergedMs < 0) {
      this.convergedMs = this.#host.nowMs;
      this.#listener.converged(this);
    }
    if (this.#stalled === 0) this.stop();
  }

  /** Those that were only named are not waited for long: whoever names one address to everybody would keep all lookups. */
  #waitForHeld(): void {
    if (this.#isWaiting || this.#next(HELD) === undefined) return;
    if (this.#heldSinceMs < 0) this.#heldSinceMs = this.#host.nowMs;
    if (this.#host.limitsNetworks && this.#host.nowMs - this.#heldSinceMs >= HELD_MS_MAX)
      for (const candidate of this.#candidates)
        if (candidate.state === HELD && candidate.by !== undefined) candidate.state = FAILED;
    this.#isWaiting = this.#next(HELD) !== undefined;
  }

  /** The nearest in a state, unless enough that are nearer have answered. */
  #next(state: typeof UNTRIED | typeof HELD): Candidate | undefined {
    let answered = 0;
    for (const candidate of this.#candidates) {
      if (candidate.state === state) return candidate;
      if (candidate.state !== ANSWERED || candidate.contact.isPicked) continue;
      if (++answered === LOOKUP_CONTACTS) return undefined;
    }
    return undefined;
  }

  #ask(candidate: Candidate): void {
    const node = this.#host.nextNode();
    const { contact } = candidate;
    if (node.calls.isFull) {
      this.#isWaiting = true;
      return;
    }
    if (!this.#send(node, contact)) {
      candidate.state = contact.isPicked ? FAILED : HELD;
      return;
    }
    candidate.node = node;
    candidate.state = ASKED;
    this.#active++;
    this.sent++;
  }

  #send(node: VirtualNode, contact: Contact): boolean {
    if (this.method === METHOD_GET_PEERS)
      return node.getPeers(contact, this.target, this, this.#noSeeds, this.#scrapes);
    return node.findNode(contact, this.target, this);
  }

  #end(call: Call, state: number): Candidate | undefined {
    const candidate = this.#byContact.get(call.contact);
    if (candidate === undefined) return undefined;
    if (candidate.state === ASKED) this.#active--;
    else if (candidate.state === STALLED) this.#stalled--;
    candidate.state = state;
    return candidate;
  }

  #addNear(): void {
    const count = this.#host.near(this.target, 2 * LOOKUP_CONTACTS, this.#near);
    for (let index = 0; index < count; index++) this.#add(this.#near[index]!, undefined);
  }

  #addNodes(answer: KrpcReader, by: Contact): void {
    const nodesAt = this.family === 4 ? answer.nodesAt : answer.nodes6At;
    if (nodesAt < 0) return;
    const nodeBytes = this.family === 4 ? NODE_BYTES_V4 : NODE_BYTES_V6;
    const nodesBytes = this.family === 4 ? answer.nodesBytes : answer.nodes6Bytes;
    const count = Math.min(NODES_PER_ANSWER_MAX, nodesBytes / nodeBytes);
    for (let index = 0; index < count; index++) {
      const at = nodesAt + index * nodeBytes;
      if (this.#known.has(endpointKey(answer.bytes, at + ID_BYTES, this.family))) continue;
      if (!this.#isNearEnough(answer.bytes, at)) continue;
      this.#add(new Contact(answer.bytes.slice(at, at + nodeBytes), this.family), by);
    }
  }

  #isNearEnough(id: Uint8Array, at: number): boolean {
    const last = this.#candidates[CANDIDATES_MAX - 1];
    return last === undefined || compareDistance(this.target, 0, id, at, last.contact.compact, 0) < 0;
  }

  #add(contact: Contact, by: Contact | undefined): void {
    const key = endpointKey(contact.compact, ID_BYTES, this.family);
    if (this.#known.has(key) || this.#host.isOurs(contact) || !this.#host.isPossible(contact)) return;
    if (!this.#isNearEnough(contact.compact, 0)) return;
    // Nodes are looked for by their own ids, too; hashes of torrents are nobody's id.
    if (this.method === METHOD_GET_PEERS && commonBits(this.target, 0, contact.compact, 0) >= CHANCE_BITS)
      contact.isPicked = true;
    if (contact.isPicked && this.#picked === PICKED_MAX) return;
    if (by !== undefined && this.#host.limitsNetworks && !this.#countSubscriber(contact)) return;
    if (contact.isPicked) this.#picked++;
    let at = this.#candidates.length;
    while (
      at > 0 &&
      compareDistance(this.target, 0, contact.compact, 0, this.#candidates[at - 1]!.contact.compact, 0) < 0
    )
      at--;
    const candidate: Candidate = {
      contact,
      state: UNTRIED,
      by,
      token: undefined,
      node: undefined,
    };
    this.#known.add(key);
    this.#byContact.set(contact, candidate);
    this.#candidates.splice(at, 0, candidate);
    if (this.#candidates.length > CANDIDATES_MAX) this.#dropLast();
  }

  #countSubscriber(contact: Contact): boolean {
    const key = subscriberKey(contact.compact, ID_BYTES, this.family);
    const count = this.#subscribers.get(key) ?? 0;
    if (count === SUBSCRIBER_CANDIDATES_MAX) return false;
    this.#subscribers.set(key, count + 1);
    return true;
  }

  /**
   * Who failed makes room first; then the farthest that is not under way, but for the nearest that answered: who is only named
   * displaces none of those.
   */
  #dropLast(): void {
    const candidates = this.#candidates;
    let answered = 0;
    for (const { state, contact } of candidates) if (state === ANSWERED && !contact.isPicked) answered++;
    let at = candidates.findLastIndex(({ state }) => state === FAILED);
    if (at < 0)
      at = candidates.findLastIndex(({ state }) =>
        state === ANSWERED ? answered > LOOKUP_CONTACTS : state === UNTRIED || state === HELD,
      );
    const [dropped] = candidates.splice(at, 1);
    if (dropped !== undefined) this.#byContact.delete(dropped.contact);
  }
}
