// The nodes that one lookup knows of, nearest to its key first: whom it has asked, and whom it may ask next.
//
// Always: they are in order, each endpoint is asked once, and they are bounded, whatever nodes tell of others. An endpoint may be named with several ids:
// whoever names honest nodes with ids that are not theirs keeps nobody from naming them with their own, and who is asked counts with the id that it has. Once enough have answered, whoever is
// farther is not taken in, and those who wait there are forgotten: lookups that wait for late answers are many. Ids that are nearer to a
// torrent's hash than chance puts any node, which whoever wants to be asked can pick, are few, and displace nobody.

import { assert, entryOf } from "../base/assert.js";
import type { BoundCounters } from "./bound-counters.js";
import { Contact, endpointKey, type Family, mayNameContact, siteKey } from "./contact.js";
import { type KrpcReader, NODE_BYTES_V4, NODE_BYTES_V6 } from "./krpc-reader.js";
import { commonBits, compareDistance, ID_BYTES, sameId } from "./node-id.js";
import type { VirtualNode } from "./virtual-node.js";

/** Nodes that a lookup ends with, and announces to. */
export const LOOKUP_CONTACTS = 8;
const CANDIDATES_MAX = 96;
/** Endpoints of one site that others told of: a lookup is no means to flood whom they choose, or to be led by one of many ports or networks. */
const SITE_CANDIDATES_MAX = 4;
/** Of a hundred million nodes the nearest to a key shares 27 bits with it by chance, and with one key in forty 32 or more. */
const CHANCE_BITS = 32;
/** Nodes nearer than that which a lookup asks. */
const PICKED_MAX = 8;
/** Of one node's answer: whoever sends more sends them in vain. */
export const NODES_PER_ANSWER_MAX = 16;

export const UNTRIED = 0;
export const ASKED = 1;
export const STALLED = 2;
export const ANSWERED = 3;
export const FAILED = 4;
/** Its address has got enough queries for now: asked later, if nobody else will do. */
export const HELD = 5;

export interface Candidate {
  readonly contact: Contact;
  state: number;
  /** From whom it was heard of; undefined: from the table or the cache, so that it has answered before. */
  readonly by: Contact | undefined;
  /** Its token, and the virtual node of ours that it is for. */
  token: Uint8Array | undefined;
  node: VirtualNode | undefined;
}

/** What decides who may be one. */
export interface CandidateHost {
  readonly family: Family;
  /** One site has few nodes: not so among addresses of this machine. */
  readonly limitsNetworks: boolean;
  readonly bounds: BoundCounters;
  isOurs(contact: Contact): boolean;
  /** False for addresses that nobody may be sent to: none, multicast, a port that is none. */
  isPossible(contact: Contact): boolean;
}

export class Candidates {
  readonly #host: CandidateHost;
  readonly #target: Uint8Array;
  readonly #isOfTorrent: boolean;
  readonly #list: Candidate[] = [];
  /** The last of those that the lookup would end with now, once there are enough: whoever is farther will not be asked. */
  #farthest: Contact | undefined;
  /** By endpoint: the last that was named there, or the one that was asked. */
  readonly #known = new Map<number | string, Candidate>();
  /** Some endpoint was named with two ids. */
  #hasNamesakes = false;
  /** How many endpoints of a site others told of. */
  #sites: Map<number, number> | undefined;
  #picked = 0;

  /** `isOfTorrent`: nodes are looked for by their own ids, too; hashes of torrents are nobody's id. */
  constructor(host: CandidateHost, target: Uint8Array, isOfTorrent: boolean) {
    assert(target.length === ID_BYTES, "a key has 20 bytes");
    this.#host = host;
    this.#target = target;
    this.#isOfTorrent = isOfTorrent;
  }

  /** The nearest that answered, nearest first, and before them those that are too near. */
  found(): Candidate[] {
    const answered = this.#list.filter(({ state }) => state === ANSWERED);
    return answered.slice(0, LOOKUP_CONTACTS + answered.filter(({ contact }) => contact.isPicked).length);
  }

  /** The nearest in a state, unless enough that are nearer have answered. */
  next(state: typeof UNTRIED | typeof HELD): Candidate | undefined {
    let answered = 0;
    for (const candidate of this.#list) {
      if (candidate.state === state) return candidate;
      if (candidate.state !== ANSWERED || candidate.contact.isPicked) continue;
      if (++answered === LOOKUP_CONTACTS) return undefined;
    }
    return undefined;
  }

  of(contact: Contact): Candidate | undefined {
    for (const candidate of this.#list) if (candidate.contact === contact) return candidate;
    return undefined;
  }

  /** Those that are HELD may be asked again. */
  retryHeld(): void {
    for (const candidate of this.#list) if (candidate.state === HELD) candidate.state = UNTRIED;
  }

  /** Those that are HELD, and were only named, are not waited for any longer. */
  giveUpHeld(): void {
    for (const candidate of this.#list) {
      if (candidate.state !== HELD || candidate.by === undefined) continue;
      candidate.state = FAILED;
      this.#host.bounds.heldGivenUp++;
    }
  }

  /** Somebody has answered: behind those that are enough only those that are under way are of interest. */
  dropFarther(): void {
    const list = this.#list;
    let answered = 0;
    let kept = 0;
    for (const candidate of list) {
      const { state, contact } = candidate;
      if (answered === LOOKUP_CONTACTS && state !== ASKED && state !== STALLED) continue;
      list[kept++] = candidate;
      if (state === ANSWERED && !contact.isPicked && ++answered === LOOKUP_CONTACTS) this.#farthest = contact;
    }
    list.length = kept;
  }

  /** Nodes that an answer names. */
  addNodes(answer: KrpcReader, by: Contact): void {
    const { family, bounds } = this.#host;
    const nodesAt = family === 4 ? answer.nodesAt : answer.nodes6At;
    if (nodesAt < 0) return;
    const nodeBytes = family === 4 ? NODE_BYTES_V4 : NODE_BYTES_V6;
    const named = (family === 4 ? answer.nodesBytes : answer.nodes6Bytes) / nodeBytes;
    const count = Math.min(NODES_PER_ANSWER_MAX, named);
    bounds.namesTooMany += named - count;
    for (let index = 0; index < count; index++) {
      const at = nodesAt + index * nodeBytes;
      if (!this.#isNearEnough(answer.bytes, at)) continue;
      if (this.#isSettled(endpointKey(answer.bytes, at + ID_BYTES, family), answer.bytes, at)) continue;
      this.add(new Contact(answer.bytes.slice(at, at + nodeBytes), family), by);
    }
  }

  /** `by`: who named it; undefined: it has answered before. */
  add(contact: Contact, by: Contact | undefined): void {
    // Those that are known already are offered again with each answer: most are one of these two.
    if (!this.#isNearEnough(contact.compact, 0) || this.of(contact) !== undefined) return;
    const host = this.#host;
    const key = endpointKey(contact.compact, ID_BYTES, host.family);
    if (this.#isSettled(key, contact.compact, 0) || host.isOurs(contact) || !host.isPossible(contact)) return;
    if (by !== undefined && !mayNameContact(by, contact)) return;
    if (this.#isOneTooNear(contact)) return;
    if (by !== undefined && host.limitsNetworks && !this.#countSite(contact)) {
      host.bounds.networkFull++;
      return;
    }
    if (this.#known.has(key)) this.#hasNamesakes = true;
    this.#known.set(key, this.#insert(contact, by, UNTRIED));
  }

  /** It is asked now, and its endpoint not again, whatever other ids it was named with. */
  asked(candidate: Candidate): void {
    candidate.state = ASKED;
    if (!this.#hasNamesakes) return;
    const { compact, family } = candidate.contact;
    const key = endpointKey(compact, ID_BYTES, family);
    this.#known.set(key, candidate);
    for (const other of this.#list)
      if (isUnasked(other) && endpointKey(other.contact.compact, ID_BYTES, family) === key)
        other.state = FAILED;
  }

  /**
   * Somebody that was named has answered with another id than it was named with: the candidate that it is, which has answered. Undefined: nobody
   * named it, so that it has changed its id; or it is too far away as who it is.
   */
  answeredAs(named: Candidate, { bytes, idAt }: KrpcReader): Candidate | undefined {
    if (named.by === undefined || !this.#isNearEnough(bytes, idAt)) return undefined;
    const compact = named.contact.compact.slice();
    compact.set(bytes.subarray(idAt, idAt + ID_BYTES));
    const contact = new Contact(compact, this.#host.family);
    if (this.#host.isOurs(contact) || this.#isOneTooNear(contact)) return undefined;
    const itself = this.#insert(contact, named.by, ANSWERED);
    itself.node = named.node;
    return itself;
  }

  /** Nothing that is named there any more is of interest: it was asked, or has this id already. */
  #isSettled(key: number | string, bytes: Uint8Array, idAt: number): boolean {
    const known = this.#known.get(key);
    return known !== undefined && (!isUnasked(known) || sameId(known.contact.compact, 0, bytes, idAt));
  }

  /** Says of a contact whether it is nearer than chance puts any, and if there are enough of those. */
  #isOneTooNear(contact: Contact): boolean {
    if (this.#isOfTorrent && commonBits(this.#target, 0, contact.compact, 0) >= CHANCE_BITS)
      contact.isPicked = true;
    if (!contact.isPicked || this.#picked < PICKED_MAX) return false;
    this.#host.bounds.namesTooNear++;
    return true;
  }

  #insert(contact: Contact, by: Contact | undefined, state: number): Candidate {
    if (contact.isPicked) this.#picked++;
    const list = this.#list;
    let at = list.length;
    while (
      at > 0 &&
      compareDistance(this.#target, 0, contact.compact, 0, entryOf(list, at - 1).contact.compact, 0) < 0
    )
      at--;
    const candidate: Candidate = { contact, state, by, token: undefined, node: undefined };
    list.splice(at, 0, candidate);
    if (list.length > CANDIDATES_MAX) this.#dropLast();
    return candidate;
  }

  /** Compares what is under way with what the lookup has counted. */
  checkInvariants(active: number, stalled: number): void {
    const list = this.#list;
    let [activeHere, stalledHere] = [0, 0];
    for (const [index, { contact, state }] of list.entries()) {
      const next = list[index + 1]?.contact.compact;
      assert(
        next === undefined || compareDistance(this.#target, 0, contact.compact, 0, next, 0) <= 0,
        "candidates are in order",
      );
      if (state === ASKED) activeHere++;
      if (state === STALLED) stalledHere++;
    }
    assert(active === activeHere && stalled === stalledHere, "what is under way is counted");
    assert(list.length <= CANDIDATES_MAX, "candidates are bounded");
    const behind = list.findIndex(({ contact }) => contact === this.#farthest) + 1;
    assert(
      behind === 0 || list.slice(behind).every(({ state }) => state !== UNTRIED && state !== HELD),
      "nobody waits who will not be asked",
    );
  }

  #isNearEnough(id: Uint8Array, at: number): boolean {
    const last = this.#farthest ?? this.#list[CANDIDATES_MAX - 1]?.contact;
    return last === undefined || compareDistance(this.#target, 0, id, at, last.compact, 0) < 0;
  }

  #countSite(contact: Contact): boolean {
    const key = siteKey(contact.compact, ID_BYTES, this.#host.family);
    this.#sites ??= new Map();
    const count = this.#sites.get(key) ?? 0;
    if (count === SITE_CANDIDATES_MAX) return false;
    this.#sites.set(key, count + 1);
    return true;
  }

  /**
   * Who failed makes room first; then the farthest that is not under way, but for the nearest that answered: who is only named
   * displaces none of those.
   */
  #dropLast(): void {
    const list = this.#list;
    let answered = 0;
    for (const { state, contact } of list) if (state === ANSWERED && !contact.isPicked) answered++;
    let at = list.findLastIndex(({ state }) => state === FAILED);
    if (at < 0)
      at = list.findLastIndex(({ state }) =>
        state === ANSWERED ? answered > LOOKUP_CONTACTS : state === UNTRIED || state === HELD,
      );
    list.splice(at, 1);
  }
}

function isUnasked({ state }: Candidate): boolean {
  return state === UNTRIED || state === HELD;
}
