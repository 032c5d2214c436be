// One lookup: asks ever nearer nodes to a key until the nearest it can find have answered (Kademlia; BEP 5), several at once. It ends in
// two steps: it converges when the nearest that it knows have all answered or failed or stalled, and is complete when nothing is
// under way any more: answers of those that stalled still count.
//
// Always: a node is asked once; queries and time are bounded, whatever nodes tell of others. Nobody's word about others is believed: a node
// counts as found when it answered itself. Of ids that are nearer to a torrent's hash than chance puts any node the lookup ends with as many
// more (candidates.ts).

import { entryOf } from "../base/assert.js";
import type { Call, CallListener } from "./calls.js";
import {
  ANSWERED,
  ASKED,
  type Candidate,
  type CandidateHost,
  Candidates,
  FAILED,
  HELD,
  LOOKUP_CONTACTS,
  STALLED,
  UNTRIED,
} from "./candidates.js";
import type { Contact, Family } from "./contact.js";
import { type KrpcReader, type METHOD_FIND_NODE, METHOD_GET_PEERS } from "./krpc-reader.js";
import type { VirtualNode } from "./virtual-node.js";

/** Queries under way at once, stalled ones not counted. */
export const LOOKUP_CONCURRENCY = 10;
/** Whoever tells of ever nearer nodes is believed no longer: ten times what a lookup takes. */
const LOOKUP_QUERIES_MAX = 512;
const LOOKUP_MS_MAX = 120_000;
/** A lookup that nobody else is left for waits so long for addresses that have got enough and were only named. */
const HELD_MS_MAX = 1000;
/** What is looked through in one go, and not kept: for all lookups. */
const near: Contact[] = [];

export type LookupMethod = typeof METHOD_FIND_NODE | typeof METHOD_GET_PEERS;

/** What a lookup stands on: the virtual nodes of one family. */
export interface LookupHost extends CandidateHost {
  readonly nowMs: number;
  /** Puts nodes near a key into `out` that answered before; how many. */
  near(key: Uint8Array, want: number, out: Contact[]): number;
  /** The virtual node of ours that sends the next query. */
  nextNode(): VirtualNode;
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
  /** Tokens are wanted: something will be announced. */
  readonly keepsTokens?: boolean;
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
  readonly #keepsTokens: boolean;
  readonly #candidates: Candidates;
  #active = 0;
  #stalled = 0;
  #isPumping = false;
  /** There is somebody to ask, and no room for a query: advance() goes on. */
  #isWaiting = false;
  /** Since when all that are left are HELD; −1: they are not. */
  #heldSinceMs = -1;
  /** It has taken all queries or all the time that it may. */
  #isCut = false;

  constructor(
    host: LookupHost,
    target: Uint8Array,
    method: LookupMethod,
    listener: LookupListener,
    options: LookupSettings = {},
  ) {
    this.#host = host;
    this.family = host.family;
    this.target = target;
    this.method = method;
    this.#listener = listener;
    this.#concurrency = options.concurrency ?? LOOKUP_CONCURRENCY;
    this.#noSeeds = options.noSeeds === true;
    this.#scrapes = options.scrapes === true;
    this.#keepsTokens = options.keepsTokens === true;
    this.#candidates = new Candidates(host, target, method === METHOD_GET_PEERS);
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
    this.#candidates.retryHeld();
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
    return this.#candidates.found();
  }

  answered(call: Call, answer: KrpcReader): void {
    this.answers++;
    const candidate = this.#end(call, ANSWERED);
    if (!this.isComplete && candidate !== undefined) this.#hear(candidate, answer);
  }

  stalled(call: Call): void {
    const candidate = this.#candidates.of(call.contact);
    if (candidate?.state !== ASKED) return;
    candidate.state = STALLED;
    this.#active--;
    this.#stalled++;
    this.#pump();
  }

  failed(call: Call, another?: KrpcReader): void {
    const candidate = this.#end(call, FAILED);
    // What others say of a node's id costs it nothing: it answers for itself.
    const isNamed = another !== undefined && candidate !== undefined && !this.isComplete;
    const itself = isNamed ? this.#candidates.answeredAs(candidate, another) : undefined;
    if (itself === undefined || another === undefined) {
      this.failures++;
      this.#pump();
      return;
    }
    this.answers++;
    this.#hear(itself, another);
  }

  checkInvariants(): void {
    this.#candidates.checkInvariants(this.#active, this.#stalled);
  }

  #hear(candidate: Candidate, answer: KrpcReader): void {
    if (this.#keepsTokens && answer.tokenAt >= 0)
      candidate.token = answer.bytes.slice(answer.tokenAt, answer.tokenAt + answer.tokenBytes);
    this.#candidates.dropFarther();
    this.#candidates.addNodes(answer, candidate.contact);
    this.#addNear();
    this.#listener.heard(this, candidate, answer);
    this.#pump();
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
      const candidate = this.#candidates.next(UNTRIED);
      if (candidate === undefined) break;
      this.#ask(candidate);
    }
    this.#isPumping = false;
    if (isSpent) this.#endEarly();
    else if (this.#active === 0) this.#waitForHeld();
    if (this.#active > 0) this.#heldSinceMs = -1;
    if (this.#active > 0 || this.#isWaiting) return;
    if (this.convergedMs < 0) {
      this.convergedMs = this.#host.nowMs;
      this.#listener.converged(this);
    }
    if (this.#stalled === 0) this.stop();
  }

  /** Whoever is asked already may still answer. */
  #endEarly(): void {
    this.#isWaiting = false;
    if (this.#isCut) return;
    this.#isCut = true;
    this.#host.bounds.lookupsCut++;
  }

  /** Those that were only named are not waited for long: whoever names one address to everybody would keep all lookups. */
  #waitForHeld(): void {
    if (this.#isWaiting || this.#candidates.next(HELD) === undefined) return;
    if (this.#heldSinceMs < 0) this.#heldSinceMs = this.#host.nowMs;
    if (this.#host.limitsNetworks && this.#host.nowMs - this.#heldSinceMs >= HELD_MS_MAX)
      this.#candidates.giveUpHeld();
    this.#isWaiting = this.#candidates.next(HELD) !== undefined;
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
    this.#candidates.asked(candidate);
    this.#active++;
    this.sent++;
  }

  #send(node: VirtualNode, contact: Contact): boolean {
    if (this.method === METHOD_GET_PEERS)
      return node.getPeers(contact, this.target, this, this.#noSeeds, this.#scrapes);
    return node.findNode(contact, this.target, this);
  }

  #end(call: Call, state: number): Candidate | undefined {
    const candidate = this.#candidates.of(call.contact);
    if (candidate === undefined) return undefined;
    if (candidate.state === ASKED) this.#active--;
    else if (candidate.state === STALLED) this.#stalled--;
    candidate.state = state;
    return candidate;
  }

  #addNear(): void {
    const count = this.#host.near(this.target, 2 * LOOKUP_CONTACTS, near);
    for (let index = 0; index < count; index++) this.#candidates.add(entryOf(near, index), undefined);
  }
}
