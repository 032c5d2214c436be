// One address family of a DHT: its virtual nodes, the table and the lookup cache that they share, and what keeps the table alive.
// IPv4 and IPv6 are two overlays, of which one begins with nodes that others name to the other (BEP 32).
//
// One file, because it is one state that lookups, virtual nodes and the table's care share.
//
// Always: nobody is in the table or the cache who has not answered us. When nothing at all answers, the link is held to be dead, not
// the nodes: nobody is dropped until something answers again.

import { assert, entryOf } from "../base/assert.js";
import { compactAddress } from "../codec/compact-address.js";
import type { DatagramBatch } from "../native/datagrams.js";
import { AskedNodes } from "./asked-nodes.js";
import { makeBoundCounters } from "./bound-counters.js";
import {
  type Call,
  type CallFailure,
  type CallListener,
  FAILED_CLOSED,
  FAILED_OTHER_ID,
  FAILED_SILENT,
} from "./calls.js";
import {
  addressBytesOf,
  Contact,
  endpointKey,
  type Family,
  isPossibleEndpoint,
  networkWords,
  siteKey,
  subscriberKey,
} from "./contact.js";
import { ExternalAddress } from "./external-address.js";
import { type KrpcReader, METHOD_FIND_NODE, METHOD_GET_PEERS } from "./krpc-reader.js";
import type { KrpcWriter } from "./krpc-writer.js";
import {
  Lookup,
  type LookupHost,
  type LookupListener,
  type LookupMethod,
  type LookupSettings,
} from "./lookup.js";
import { CACHE_CLEANUP_MS, LookupCache } from "./lookup-cache.js";
import { ID_BYTES, isSecureId, sameId, secureId } from "./node-id.js";
import type { RateCells } from "./rate-cells.js";
import type { Responder } from "./responder.js";
import { BUCKET_CONTACTS, RoutingTable } from "./routing-table.js";
import { makeSamplerCounters, Sampler, type SamplerListener } from "./sampler.js";
import type { Sender } from "./sender.js";
import type { NodeHost, VirtualNode } from "./virtual-node.js";

/** Whoever has not answered for so long is asked whether it is there; a bucket in which nobody has is filled anew. */
const QUESTIONABLE_MS = 15 * 60_000;
/** Between two looks at the table. */
const MAINTENANCE_MS = 1000;
/** Nodes that are asked whether they are there, at one look; strangers likewise. */
const PINGS_PER_LOOK = 4;
/** Strangers that asked us something and wait to be asked back. */
export const STRANGERS_MAX = 32;
/** Without any answer for so long, while queries went out, the link is dead. */
const LINK_DEAD_MS = 60_000;
/** Below this the table is no table: our own ids are looked up again, and the far ends of the beginning asked. */
const CONTACTS_FEW = 2 * BUCKET_CONTACTS;
/** Nodes that somebody told us of later: the last of them. They are no reason to forget those that we were made with. */
export const TOLD_ENTRANCES_MAX = 64;
/** How long answers may be given faster than they may be in the long run. */
const ANSWERS_BURST_MS = 5000;
/** When so much of that is used, whoever asks all the time gets less, so that those who ask seldom get theirs. */
const ANSWERS_CROWDED_MS = ANSWERS_BURST_MS / 2;
/** How long a new id waits for a moment without lookups of peers. */
const ANNOUNCES_PASS_MS = 5 * 60_000;
const BOOTSTRAP_MIN_MS = 2000;
const BOOTSTRAP_MAX_MS = 10 * 60_000;
const BOOTSTRAP_EMPTY_MAX_MS = 60_000;

export interface OverlayOptions {
  readonly family: Family;
  readonly limitsNetworks: boolean;
  /** A node that is alone has an id that belongs to its address, once that is known (BEP 42). Several part the key space instead. */
  readonly securesId: boolean;
  readonly usesCache: boolean;
  readonly adaptsTimeouts: boolean;
  readonly readOnly: boolean;
  /** That of the other family, if there is one. */
  readonly sibling: () => Overlay | undefined;
  readonly outgoing: RateCells;
  readonly incoming: RateCells;
  /** Of each virtual node. */
  readonly answersPerSecond: number;
  /** Answers that one address gets while most of those are used. */
  readonly crowded: RateCells;
  readonly received: DatagramBatch;
  readonly clock: () => number;
  readonly randomWord: () => number;
  readonly responder: Responder;
  readonly flushLater: (node: VirtualNode) => void;
  /** Our address in the world is known, or has changed. */
  readonly addressKnown: (host: string) => void;
  /** Nothing answers any more, or something does again. */
  readonly linkChanged: (isBack: boolean) => void;
}

export class Overlay implements LookupHost, NodeHost {
  readonly family: Family;
  readonly table: RoutingTable;
  readonly cache: LookupCache;
  readonly received: DatagramBatch;
  readonly adaptsTimeouts: boolean;
  readonly readOnly: boolean;
  readonly limitsNetworks: boolean;
  readonly outgoing: RateCells;
  readonly incoming: RateCells;
  readonly bounds = makeBoundCounters();
  readonly externalAddress = new ExternalAddress(this.bounds);
  nowMs: number;
  /** Lookups since the start. */
  lookups = 0;
  readonly #options: OverlayOptions;
  /** What near() finds in the cache: it is called for each answer. */
  readonly #cached: Contact[] = [];
  #nodes: readonly VirtualNode[] = [];
  #nextNode = 0;
  /** By which others may still tell us of ourselves. */
  #formerId: Uint8Array | undefined;
  /** Since when an address is known that our id does not belong to. */
  #insecureSinceMs: number | undefined;
  #entrances: readonly Contact[] = [];
  readonly #told = new Map<number | string, Contact>();
  /** Of those, whom nobody asked yet. */
  readonly #untried = new Set<Contact>();
  /** Whom answers over the other family named; and those of them that were asked, and make room for others. */
  readonly #siblingNames = new Map<number | string, Contact>();
  readonly #siblingNamesAsked = new Set<number | string>();
  readonly #strangers = new Map<number | string, Contact>();
  #lastAnswerMs: number;
  /** Somebody did not answer, and nobody has since. */
  #hasFailed = false;
  #isLinkLost = false;
  /** A lookup of an id of ours has found who is nearest. */
  #hasNeighbours = false;
  #toldHost: string | undefined;
  #lastLookMs = Number.NEGATIVE_INFINITY;
  #lastCleanMs: number;
  #bootstrapAtMs = 0;
  #bootstrapWaitMs = BOOTSTRAP_MIN_MS;
  /** Nodes that the table had when it was tried last. */
  #bootstrapCount = 0;
  /** When all answers would be paid for that were given (the generic cell rate algorithm, with one cell). */
  #answersPaidMs = 0;
  #nextBucket = 0;
  #isClosed = false;
  readonly #running = new Set<Lookup>();
  readonly #ownLookup: LookupListener = {
    heard: () => {},
    converged: ({ answers }) => {
      if (answers > 0) this.#hasNeighbours = true;
    },
    completed: () => {},
  };
  readonly sampling = makeSamplerCounters();
  readonly #samplers = new Set<Sampler>();
  readonly #sampled = new AskedNodes();

  constructor(options: OverlayOptions) {
    this.#options = options;
    this.family = options.family;
    this.nowMs = this.#lastAnswerMs = this.#lastCleanMs = options.clock();
    this.received = options.received;
    this.adaptsTimeouts = options.adaptsTimeouts;
    this.readOnly = options.readOnly;
    this.limitsNetworks = options.limitsNetworks;
    this.outgoing = options.outgoing;
    this.incoming = options.incoming;
    this.table = new RoutingTable({
      family: options.family,
      limitsNetworks: options.limitsNetworks,
      bounds: this.bounds,
    });
    this.cache = new LookupCache();
  }

  get nodes(): readonly VirtualNode[] {
    return this.#nodes;
  }

  /** Queries that wait for their answers. */
  get callsUnderWay(): number {
    let count = 0;
    for (const { calls } of this.#nodes) count += calls.count;
    return count;
  }

  /** Its table is no table yet, and whoever is asked is asked for nodes of this family as well. */
  get hasFew(): boolean {
    return !this.#isClosed && this.table.count < CONTACTS_FEW;
  }

  /** It is known who is near: lookups have where to begin. */
  get isReady(): boolean {
    return this.#hasNeighbours && this.table.count > 0;
  }

  /** Somebody to begin with is known, or was told of. */
  get hasEntrances(): boolean {
    return this.#entrances.length > 0 || this.#told.size > 0;
  }

  get wantsBoth(): boolean {
    return this.#options.sibling()?.hasFew ?? false;
  }

  get lookupsUnderWay(): number {
    return this.#running.size;
  }

  get lookupsSearching(): number {
    let count = 0;
    for (const { convergedMs } of this.#running) if (convergedMs < 0) count++;
    return count;
  }

  addNode(node: VirtualNode): void {
    assert(node.family === this.family, "a node is of its overlay's family");
    this.#nodes = [...this.#nodes, node];
    this.table.addLocal(node.id);
  }

  /** Where to begin while the table is empty: their ids need not be known. */
  addEntrances(contacts: readonly Contact[]): void {
    this.#entrances = [...this.#entrances, ...contacts];
    this.#bootstrapAtMs = this.nowMs;
  }

  /** More of them: of a torrent, or of a peer, who may tell of anybody and of any number. */
  addTold(contacts: readonly Contact[]): void {
    for (const contact of contacts) {
      const key = endpointKey(contact.compact, ID_BYTES, this.family);
      if (this.#told.has(key) || !this.isPossible(contact)) continue;
      const [oldest] = this.#told.keys();
      if (oldest !== undefined && this.#told.size === TOLD_ENTRANCES_MAX) {
        this.#forgetTold(oldest);
        this.bounds.entrancesForgotten++;
      }
      this.#told.set(key, contact);
      this.#untried.add(contact);
    }
  }

  #forgetTold(key: number | string): void {
    const contact = this.#told.get(key);
    this.#told.delete(key);
    if (contact !== undefined) this.#untried.delete(contact);
  }

  /**
   * Nodes of this family that an answer over the other one names, while there are few. Whoever makes them up makes us ask them no sooner, and keeps
   * others' names out until they were asked.
   */
  addNamed(answer: KrpcReader): void {
    const [at, bytes] =
      this.family === 4 ? [answer.nodesAt, answer.nodesBytes] : [answer.nodes6At, answer.nodes6Bytes];
    const nodeBytes = ID_BYTES + addressBytesOf(this.family) + 2;
    for (let offset = 0; offset < bytes; offset += nodeBytes) {
      const contact = new Contact(answer.bytes.slice(at + offset, at + offset + nodeBytes), this.family);
      const key = endpointKey(contact.compact, ID_BYTES, this.family);
      if (this.#siblingNames.has(key) || this.isOurs(contact) || !this.isPossible(contact)) continue;
      if (this.#siblingNames.size === TOLD_ENTRANCES_MAX && !this.#forgetSiblingName()) {
        this.bounds.entrancesForgotten += (bytes - offset) / nodeBytes;
        return;
      }
      this.#siblingNames.set(key, contact);
    }
  }

  /** Forgets one that was asked: whoever answered is in the table. False: none was yet. */
  #forgetSiblingName(): boolean {
    for (const key of this.#siblingNamesAsked) {
      this.#siblingNamesAsked.delete(key);
      this.#siblingNames.delete(key);
      this.bounds.entrancesForgotten++;
      return true;
    }
    return false;
  }

  /** Time goes on: queries stall and fail, the table is looked after. */
  advance(): void {
    this.turnBegins();
    const { nowMs } = this;
    for (const node of this.#nodes) node.advance(nowMs);
    for (const lookup of this.#running) lookup.advance();
    for (const sampler of this.#samplers) {
      if (sampler.isStopped) this.#samplers.delete(sampler);
      else sampler.advance();
    }
    if (nowMs - this.#lastLookMs < MAINTENANCE_MS || this.#nodes.length === 0) return;
    this.#lastLookMs = nowMs;
    this.#tellAddress();
    this.#secureId();
    this.#bootstrap();
    this.#askQuestionable();
    this.#askStrangers();
    if (nowMs - this.#lastCleanMs < CACHE_CLEANUP_MS) return;
    this.#lastCleanMs = nowMs;
    this.cache.clean(nowMs);
  }

  /** Begins a lookup; its listener may be called before this returns. */
  lookup(
    target: Uint8Array,
    method: LookupMethod,
    listener: LookupListener,
    options: LookupSettings = {},
  ): Lookup {
    this.lookups++;
    this.turnBegins();
    const { usesCache } = this.#options;
    if (usesCache) this.cache.anchor(target, this.nowMs);
    const lookup = new Lookup(
      this,
      target,
      method,
      {
        heard: (heard, candidate, answer) => listener.heard(heard, candidate, answer),
        converged: (converged) => listener.converged(converged),
        completed: (completed) => {
          this.#running.delete(completed);
          listener.completed(completed);
        },
      },
      options,
    );
    this.#running.add(lookup);
    if (this.#isClosed) lookup.stop();
    else lookup.start();
    return lookup;
  }

  /** Begins to ask nodes for samples, which goes on until it is stopped. */
  sample(listener: SamplerListener): Sampler {
    this.turnBegins();
    const sampler = new Sampler(this, listener, this.sampling, this.#sampled);
    if (this.#isClosed) sampler.stop();
    else this.#samplers.add(sampler);
    return sampler;
  }

  close(): void {
    this.#isClosed = true;
    for (const sampler of this.#samplers) sampler.stop();
    for (const lookup of [...this.#running]) lookup.stop();
    for (const node of this.#nodes) node.close();
  }

  checkInvariants(): void {
    this.table.checkInvariants();
    this.cache.checkInvariants();
    for (const { calls } of this.#nodes) calls.checkInvariants();
    for (const lookup of this.#running) lookup.checkInvariants();
    for (const sampler of this.#samplers) sampler.checkInvariants();
  }

  // ── what lookups stand on ──────────────────────────────────────────────────────────────────────────────────

  near(key: Uint8Array, want: number, out: Contact[]): number {
    const count = this.table.closest(key, 0, want, out);
    if (!this.#options.usesCache) return count;
    const cached = this.#cached;
    const found = this.cache.near(key, want, cached);
    for (let index = 0; index < found; index++) out[count + index] = entryOf(cached, index);
    return count + found;
  }

  /** One after the other: the load is even, and so is what far ends see of each. */
  nextNode(): VirtualNode {
    const node = this.#nodes[this.#nextNode % this.#nodes.length];
    assert(node !== undefined, "an overlay that is used has nodes");
    this.#nextNode++;
    return node;
  }

  isOurs(contact: Contact): boolean {
    const { compact } = contact;
    for (const { id } of this.#nodes) if (sameId(id, 0, compact, 0)) return true;
    return this.#formerId !== undefined && sameId(this.#formerId, 0, compact, 0);
  }

  isPossible(contact: Contact): boolean {
    return isPossibleEndpoint(contact, this.limitsNetworks);
  }

  // ── what virtual nodes stand on ────────────────────────────────────────────────────────────────────────────

  turnBegins(): void {
    this.nowMs = this.#options.clock();
  }

  takeAnswer({ words, wordAt }: Sender): boolean {
    const { nowMs } = this;
    const { crowded } = this.#options;
    const paidMs = Math.max(this.#answersPaidMs, nowMs);
    const owedMs = paidMs - nowMs;
    if (owedMs > ANSWERS_BURST_MS) return false;
    if (owedMs > ANSWERS_CROWDED_MS && !crowded.take(words, wordAt, networkWords(this.family), nowMs))
      return false;
    this.#answersPaidMs = paidMs + 1000 / (this.#options.answersPerSecond * this.#nodes.length);
    return true;
  }

  randomWord(): number {
    return this.#options.randomWord();
  }

  flushLater(node: VirtualNode): void {
    this.#options.flushLater(node);
  }

  respond(node: VirtualNode, query: KrpcReader, sender: Sender, writer: KrpcWriter): boolean {
    if (!query.isReadOnly) this.#seen(query, sender);
    return this.#options.responder.respond(node.id, query, sender, writer);
  }

  nodeAnswered(call: Call, answer: KrpcReader): void {
    this.#linkWorks();
    const sibling = this.#options.sibling();
    if (sibling?.hasFew === true) sibling.addNamed(answer);
    const contact = call.anyId ? this.#named(call.contact, answer, call.contact.roundTripMs) : call.contact;
    const { compact, addressBytes } = contact;
    this.#takeIn(contact);
    if (this.#options.usesCache) this.cache.answered(contact);
    // On one machine all far ends have one address.
    const voter = this.limitsNetworks ? siteKey : endpointKey;
    if (answer.ipAt >= 0 && answer.ipBytes === addressBytes + 2)
      this.externalAddress.vote(
        voter(compact, ID_BYTES, this.family),
        answer.bytes,
        answer.ipAt,
        this.family,
      );
  }

  nodeFailed(call: Call, why: CallFailure, another?: KrpcReader): void {
    // That we go is nobody's failure: whoever is known now is saved for the next time.
    if (why === FAILED_CLOSED) return;
    if (why === FAILED_OTHER_ID) this.bounds.idsChanged++;
    if (why !== FAILED_SILENT) this.#linkWorks();
    else if (this.#isExcused()) return;
    // Whoever named it told of an id that it does not have: it is there all the same, and never changed its own. The cache takes nobody who could
    // pick the id after having seen what is looked for.
    if (another !== undefined && call.contact.answeredMs < 0)
      this.#takeIn(this.#named(call.contact, another, this.nowMs - call.sentMs));
    call.contact.failures++;
    this.table.failed(call.contact);
    if (this.#options.usesCache) this.cache.failed(call.contact);
  }

  #takeIn(contact: Contact): void {
    const { compact, addressBytes } = contact;
    contact.isSecure = isSecureId(compact, 0, compact, ID_BYTES, addressBytes);
    this.table.insert(contact);
  }

  // ── the table's life ───────────────────────────────────────────────────────────────────────────────────────

  /** Somebody answered, if only with an error, or with another id. */
  #linkWorks(): void {
    // The link is back, where it was not only quiet.
    if (this.#hasFailed && this.nowMs - this.#lastAnswerMs > LINK_DEAD_MS)
      this.#bootstrapWaitMs = BOOTSTRAP_MIN_MS;
    this.#hasFailed = false;
    this.#lastAnswerMs = this.nowMs;
    if (this.#isLinkLost) this.#linkChanged(true);
  }

  /** Somebody did not answer, and if nobody at all does, that is not held against them. */
  #isExcused(): boolean {
    this.#hasFailed = true;
    this.bounds.unanswered++;
    if (this.nowMs - this.#lastAnswerMs <= LINK_DEAD_MS) return false;
    this.bounds.excused++;
    if (!this.#isLinkLost) this.#linkChanged(false);
    return true;
  }

  #linkChanged(isBack: boolean): void {
    this.#isLinkLost = !isBack;
    this.#options.linkChanged(isBack);
  }

  #tellAddress(): void {
    const { host } = this.externalAddress;
    if (host === undefined || host === this.#toldHost) return;
    this.#toldHost = host;
    this.#options.addressKnown(host);
  }

  #secureId(): void {
    const [node] = this.#nodes;
    const { host } = this.externalAddress;
    const address = host === undefined ? undefined : compactAddress(host);
    if (!this.#options.securesId || this.#nodes.length !== 1) return;
    if (node === undefined || address === undefined || isSecureId(node.id, 0, address, 0, address.length))
      return;
    // Tokens may be bound to the id that asked for them: announces under way are let pass, for a while.
    this.#insecureSinceMs ??= this.nowMs;
    const isPatient = this.nowMs - this.#insecureSinceMs < ANNOUNCES_PASS_MS;
    for (const { method } of this.#running) if (isPatient && method === METHOD_GET_PEERS) return;
    this.#insecureSinceMs = undefined;
    const id = secureId(node.id, address, this.randomWord() & 0xff);
    this.table.removeLocal(node.id);
    this.table.addLocal(id);
    this.#formerId = node.id;
    node.id = id;
    // Its neighbours are others from now on.
    this.lookup(id, METHOD_FIND_NODE, SILENT);
  }

  /** Whose id was not known, or not its own, has told it. */
  #named(asked: Contact, answer: KrpcReader, roundTripMs: number): Contact {
    const compact = asked.compact.slice();
    compact.set(answer.bytes.subarray(answer.idAt, answer.idAt + ID_BYTES), 0);
    const contact = new Contact(compact, this.family);
    contact.answeredMs = this.nowMs;
    contact.roundTripMs = roundTripMs;
    return contact;
  }

  /** Somebody asks us whom the table does not know: asked back, if there is a place for it. */
  #seen(query: KrpcReader, sender: Sender): void {
    if (this.#strangers.size >= STRANGERS_MAX) {
      this.bounds.strangersLeftOut++;
      return;
    }
    const { table } = this;
    const bucket = entryOf(table.buckets, table.indexOf(query.bytes, query.idAt));
    if (bucket.contacts.length === BUCKET_CONTACTS && bucket.replacements.length > 0) return;
    const compact = new Uint8Array(ID_BYTES + addressBytesOf(this.family) + 2);
    compact.set(query.bytes.subarray(query.idAt, query.idAt + ID_BYTES), 0);
    sender.copyTo(compact, ID_BYTES);
    if (table.find(compact, ID_BYTES) !== undefined) return;
    const contact = new Contact(compact, this.family);
    // One subscriber waits once, unless all are on this machine.
    const key = this.#options.limitsNetworks ? subscriberKey : endpointKey;
    if (this.isPossible(contact)) this.#strangers.set(key(compact, ID_BYTES, this.family), contact);
  }

  #askStrangers(): void {
    let asked = 0;
    const most = this.table.count < CONTACTS_FEW ? STRANGERS_MAX : PINGS_PER_LOOK;
    for (const [key, contact] of this.#strangers) {
      if (asked++ === most) return;
      this.#strangers.delete(key);
      this.nextNode().ping(contact, IGNORE);
    }
  }

  /** Goes round the buckets: one at a look. */
  #askQuestionable(): void {
    const { buckets } = this.table;
    const bucket = entryOf(buckets, this.#nextBucket++ % buckets.length);
    const before = this.nowMs - QUESTIONABLE_MS;
    let asked = 0;
    for (const contact of bucket.contacts) {
      if (contact.answeredMs > before || asked === PINGS_PER_LOOK) continue;
      this.nextNode().ping(contact, IGNORE);
      asked++;
    }
    const isLow = bucket.contacts.length < BUCKET_CONTACTS / 2 && this.table.count >= CONTACTS_FEW;
    if (isLow && this.#nextBucket % 4 === 0) this.lookup(this.#idIn(bucket), METHOD_FIND_NODE, SILENT);
  }

  #bootstrap(): void {
    const isDue = this.nowMs >= this.#bootstrapAtMs;
    if (this.table.count >= CONTACTS_FEW || (!isDue && this.#untried.size === 0)) return;
    if (this.#running.size > 2 * this.#nodes.length) return;
    // Whoever tells of nodes all the time has us ask those, and no others.
    if (isDue) this.#bootstrapAgain();
    else this.#askEntrances(this.#untried);
    this.#untried.clear();
  }

  /** Asks all entrances, and says when that is due again. */
  #bootstrapAgain(): void {
    // While it brings somebody it goes on as fast; a network that has no more nodes is left in peace, and one that has none is asked again soon.
    if (this.table.count > this.#bootstrapCount) this.#bootstrapWaitMs = BOOTSTRAP_MIN_MS;
    this.#bootstrapCount = this.table.count;
    this.#bootstrapAtMs = this.nowMs + this.#bootstrapWaitMs;
    const mostMs = this.table.count > 0 ? BOOTSTRAP_MAX_MS : BOOTSTRAP_EMPTY_MAX_MS;
    this.#bootstrapWaitMs = Math.min(mostMs, 2 * this.#bootstrapWaitMs);
    if (this.table.count > 0) this.#lookUpOurs();
    this.#askEntrances([...this.#entrances, ...this.#told.values(), ...this.#siblingNames.values()]);
    for (const key of this.#siblingNames.keys()) this.#siblingNamesAsked.add(key);
  }

  #lookUpOurs(): void {
    for (const { id } of this.#nodes) this.lookup(id, METHOD_FIND_NODE, this.#ownLookup);
  }

  #askEntrances(contacts: Iterable<Contact>): void {
    let waits = true;
    const listener: CallListener = {
      answered: () => {
        if (waits) this.#lookUpOurs();
        waits = false;
      },
      stalled: () => {},
      failed: () => {},
    };
    for (const contact of contacts) {
      const node = this.nextNode();
      node.findNode(contact, node.id, listener, true);
    }
  }

  #idIn(bucket: { readonly prefix: Uint8Array; readonly depth: number }): Uint8Array {
    const id = bucket.prefix.slice();
    for (let bit = bucket.depth; bit < 8 * ID_BYTES; bit++)
      if ((this.#options.randomWord() & 1) === 1) id[bit >> 3] = entryOf(id, bit >> 3) | (0x80 >> (bit & 7));
    return id;
  }
}

const IGNORE: CallListener = { answered: () => {}, stalled: () => {}, failed: () => {} };
const SILENT: LookupListener = { heard: () => {}, converged: () => {}, completed: () => {} };
