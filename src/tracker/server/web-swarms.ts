// Signalling between WebTorrent peers: whoever shares a torrent over WebRTC tells offers and answers through the tracker. Messages in,
// messages out; no sockets and no clocks: time is told.
//
// Always: an offer goes to members of the swarm that it names, an answer to the member it names, and nothing goes to anybody else. What
// is relayed is made anew of the fields that belong there. A swarm has a member; whoever is gone is in none.

import { assert } from "../../base/assert.js";
import type { SwarmStore } from "../peer-store/contract.js";
import type { Admission } from "./admission.js";

/** The other end of a connection; `send` may drop what it has no room for. */
export interface WebPeer {
  /** Equal for connections of one customer: only from there a peer id may move to another connection. */
  readonly network: string;
  send(message: string): void;
}

export interface WebCounters {
  announces: number;
  scrapes: number;
  offers: number;
  answers: number;
  /** Messages that are none of the protocol, and those of torrents that lists refuse. */
  malformed: number;
  refusedTorrents: number;
  /** Joins beyond a bound; peer ids that belong to somebody else; answers to whoever is not there. */
  full: number;
  takenPeerIds: number;
  lostAnswers: number;
}

export interface WebSwarmLimits {
  readonly torrentsMax: number;
  readonly peersPerTorrentMax: number;
  readonly torrentsPerPeerMax: number;
}

export const WEB_SWARM_LIMITS: WebSwarmLimits = {
  torrentsMax: 65_536,
  peersPerTorrentMax: 4096,
  torrentsPerPeerMax: 256,
};
export const OFFERS_MAX = 10;
export const SDP_LENGTH_MAX = 16_384;
const OFFER_ID_LENGTH_MAX = 64;
const SCRAPES_MAX = 64;
/** As clients of WebTorrent expect it: their connection stays, and an announce is cheap. */
const INTERVAL_SECONDS = 120;

interface Member {
  readonly peer: WebPeer;
  readonly peerId: string;
  seeder: boolean;
  /** Where it is in the list of its swarm. */
  at: number;
}

interface Swarm {
  /** By peer id. */
  readonly members: Map<string, Member>;
  /** The same, for choosing at random. */
  readonly list: Member[];
  seeders: number;
  downloads: number;
}

type Fields = Readonly<Record<string, unknown>>;

export class WebSwarms {
  readonly counters: WebCounters = {
    announces: 0,
    scrapes: 0,
    offers: 0,
    answers: 0,
    malformed: 0,
    refusedTorrents: 0,
    full: 0,
    takenPeerIds: 0,
    lostAnswers: 0,
  };
  readonly #swarms = new Map<string, Swarm>();
  /** Where each peer is, and as whom. */
  readonly #joined = new Map<WebPeer, Map<string, string>>();
  readonly #store: Pick<SwarmStore, "hash">;
  readonly #admission: Admission;
  readonly #limits: WebSwarmLimits;
  readonly #random: () => number;
  readonly #words = new Uint32Array(5);

  constructor(
    store: Pick<SwarmStore, "hash">,
    admission: Admission,
    limits: WebSwarmLimits = WEB_SWARM_LIMITS,
    random: () => number = Math.random,
  ) {
    this.#store = store;
    this.#admission = admission;
    this.#limits = limits;
    this.#random = random;
  }

  get torrents(): number {
    return this.#swarms.size;
  }

  /** Whether the peer is in any swarm. */
  isMember(peer: WebPeer): boolean {
    return this.#joined.has(peer);
  }

  /** Takes a message of a peer. False: it was none of the protocol, and has changed nothing. */
  receive(peer: WebPeer, text: string): boolean {
    const fields = parse(text);
    if (fields?.["action"] === "scrape") return this.#scrape(peer, fields);
    const hash = fields?.["info_hash"];
    const peerId = fields?.["peer_id"];
    if (fields?.["action"] !== "announce" || !isTwentyBytes(hash) || !isTwentyBytes(peerId))
      return this.#malformed(
        peer,
        "expected an announce or a scrape, with info_hash and peer_id of 20 bytes",
      );
    if (!this.#admits(hash)) {
      this.counters.refusedTorrents++;
      fail(peer, "this tracker does not track this torrent", hash);
      return true;
    }
    return "answer" in fields
      ? this.#answer(peer, hash, peerId, fields)
      : this.#announce(peer, hash, peerId, fields);
  }

  /** The peer's connection is gone: it leaves so many swarms at the most. How many; when it is in none any more, isMember() is false. */
  remove(peer: WebPeer, most = Number.POSITIVE_INFINITY): number {
    let left = 0;
    for (const [hash, peerId] of this.#joined.get(peer) ?? []) {
      if (left === most) break;
      this.#leave(peer, hash, peerId);
      left++;
    }
    return left;
  }

  #announce(peer: WebPeer, hash: string, peerId: string, fields: Fields): boolean {
    const offers = offersOf(fields["offers"]);
    if (offers === undefined) return this.#malformed(peer, "expected offers of type, sdp and offer_id", hash);
    if (fields["event"] === "stopped") {
      if (this.#joined.get(peer)?.get(hash) === peerId) this.#leave(peer, hash, peerId);
      this.counters.announces++;
      this.#tell(peer, hash);
      return true;
    }
    if (!this.#join(peer, hash, peerId)) return true;
    const swarm = this.#swarms.get(hash);
    const member = swarm?.members.get(peerId);
    assert(swarm !== undefined && member !== undefined, "who joined is in the swarm");
    const completed = fields["event"] === "completed";
    // Who says that something is left has not completed, whatever else it says.
    const { left } = fields;
    const seeder = left === 0 || (completed && typeof left !== "number");
    if (completed && seeder && !member.seeder) swarm.downloads++;
    swarm.seeders += Number(seeder) - Number(member.seeder);
    member.seeder = seeder;
    this.counters.announces++;
    this.#tell(peer, hash);
    this.#relayOffers(swarm, hash, peerId, offers);
    return true;
  }

  /** Who announced is told how many are in the swarm, also when it leaves. */
  #tell(peer: WebPeer, hash: string): void {
    const swarm = this.#swarms.get(hash);
    const complete = swarm?.seeders ?? 0;
    const incomplete = (swarm?.members.size ?? 0) - complete;
    peer.send(
      JSON.stringify({
        action: "announce",
        info_hash: hash,
        interval: INTERVAL_SECONDS,
        complete,
        incomplete,
      }),
    );
  }

  /** Each offer to another member, from a random one on. */
  #relayOffers(swarm: Swarm, hash: string, peerId: string, offers: readonly Offer[]): void {
    const { list } = swarm;
    let at = Math.floor(this.#random() * list.length);
    for (let passed = 0, next = 0; passed < list.length && next < offers.length; passed++) {
      const member = list[at];
      const told = offers[next];
      // Whoever cannot be sent to may leave the swarm at once.
      if (member === undefined || told === undefined) return;
      at = at + 1 === list.length ? 0 : at + 1;
      if (member.peerId === peerId) continue;
      next++;
      const { offer, offer_id } = told;
      const message = { action: "announce", info_hash: hash, peer_id: peerId, offer, offer_id };
      member.peer.send(JSON.stringify(message));
      this.counters.offers++;
    }
  }

  #answer(peer: WebPeer, hash: string, peerId: string, fields: Fields): boolean {
    const answer = descriptionOf(fields["answer"], "answer");
    const { to_peer_id: to, offer_id } = fields as { to_peer_id?: unknown; offer_id?: unknown };
    if (answer === undefined || !isTwentyBytes(to) || !isOfferId(offer_id))
      return this.#malformed(peer, "expected an answer of type and sdp, to_peer_id and offer_id", hash);
    const member = this.#swarms.get(hash)?.members.get(to);
    // Who answers is in the swarm itself, under the name it gives.
    if (member === undefined || this.#joined.get(peer)?.get(hash) !== peerId) {
      this.counters.lostAnswers++;
      return true;
    }
    member.peer.send(
      JSON.stringify({ action: "announce", info_hash: hash, peer_id: peerId, answer, offer_id }),
    );
    this.counters.answers++;
    return true;
  }

  #scrape(peer: WebPeer, fields: Fields): boolean {
    const asked = Array.isArray(fields["info_hash"]) ? fields["info_hash"] : [fields["info_hash"]];
    if (asked.length === 0 || asked.length > SCRAPES_MAX || !asked.every(isTwentyBytes))
      return this.#malformed(peer, `expected 1 to ${SCRAPES_MAX} info hashes of 20 bytes`);
    const files: Record<string, object> = {};
    for (const hash of asked) {
      const swarm = this.#admits(hash) ? this.#swarms.get(hash) : undefined;
      const complete = swarm?.seeders ?? 0;
      const incomplete = (swarm?.members.size ?? 0) - complete;
      files[hash] = { complete, incomplete, downloaded: swarm?.downloads ?? 0 };
    }
    this.counters.scrapes++;
    peer.send(JSON.stringify({ action: "scrape", files, flags: { min_request_interval: INTERVAL_SECONDS } }));
    return true;
  }

  /** False: there is no room, or the peer id is somebody else's. */
  #join(peer: WebPeer, hash: string, peerId: string): boolean {
    let swarm = this.#swarms.get(hash);
    const member = swarm?.members.get(peerId);
    if (member?.peer === peer) return true;
    if (member !== undefined && member.peer.network !== peer.network) {
      this.counters.takenPeerIds++;
      fail(peer, "this peer id is somebody else's", hash);
      return false;
    }
    // Whoever comes back after its connection was lost, or under another name, is not there twice.
    if (member !== undefined) this.#leave(member.peer, hash, peerId);
    const old = this.#joined.get(peer)?.get(hash);
    if (old !== undefined) this.#leave(peer, hash, old);
    swarm = this.#swarms.get(hash);
    const joined = this.#joined.get(peer);
    const { torrentsMax, peersPerTorrentMax, torrentsPerPeerMax } = this.#limits;
    const isFull =
      swarm === undefined ? this.#swarms.size >= torrentsMax : swarm.members.size >= peersPerTorrentMax;
    if (isFull || (joined?.size ?? 0) >= torrentsPerPeerMax) {
      this.counters.full++;
      fail(peer, "this tracker has no room for another peer there", hash);
      return false;
    }
    if (swarm === undefined) {
      swarm = { members: new Map(), list: [], seeders: 0, downloads: 0 };
      this.#swarms.set(hash, swarm);
    }
    const joining: Member = { peer, peerId, seeder: false, at: swarm.list.length };
    swarm.members.set(peerId, joining);
    swarm.list.push(joining);
    if (joined === undefined) this.#joined.set(peer, new Map([[hash, peerId]]));
    else joined.set(hash, peerId);
    return true;
  }

  #leave(peer: WebPeer, hash: string, peerId: string): void {
    const swarm = this.#swarms.get(hash);
    const member = swarm?.members.get(peerId);
    const joined = this.#joined.get(peer);
    assert(swarm !== undefined && member !== undefined && joined !== undefined, "who leaves is in the swarm");
    if (member.seeder) swarm.seeders--;
    swarm.members.delete(peerId);
    const last = swarm.list.pop();
    if (last !== undefined && last !== member) {
      swarm.list[member.at] = last;
      last.at = member.at;
    }
    if (swarm.members.size === 0) this.#swarms.delete(hash);
    joined.delete(hash);
    if (joined.size === 0) this.#joined.delete(peer);
  }

  #admits(hash: string): boolean {
    Buffer.from(this.#words.buffer).write(hash, "latin1");
    return this.#admission.admits(this.#store.hash(this.#words, 0), this.#words, 0);
  }

  #malformed(peer: WebPeer, reason: string, hash?: string): false {
    this.counters.malformed++;
    fail(peer, reason, hash);
    return false;
  }
}

interface Offer {
  readonly offer: object;
  readonly offer_id: string;
}

function parse(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

function fail(peer: WebPeer, reason: string, hash?: string): void {
  peer.send(JSON.stringify({ action: "announce", info_hash: hash, "failure reason": reason }));
}

/** Text of which each character is a byte. */
function isTwentyBytes(value: unknown): value is string {
  if (typeof value !== "string" || value.length !== 20) return false;
  for (let at = 0; at < 20; at++) if (value.charCodeAt(at) > 255) return false;
  return true;
}

function isOfferId(value: unknown): value is string {
  return typeof value === "string" && value.length <= OFFER_ID_LENGTH_MAX;
}

/** Undefined: one of them is no offer, or there are too many. */
function offersOf(value: unknown): Offer[] | undefined {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > OFFERS_MAX) return undefined;
  const offers: Offer[] = [];
  for (const each of value as unknown[]) {
    if (typeof each !== "object" || each === null) return undefined;
    const { offer, offer_id } = each as { offer?: unknown; offer_id?: unknown };
    const description = descriptionOf(offer, "offer");
    if (description === undefined || !isOfferId(offer_id)) return undefined;
    offers.push({ offer: description, offer_id });
  }
  return offers;
}

function descriptionOf(value: unknown, type: "offer" | "answer"): object | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { type: said, sdp } = value as { type?: unknown; sdp?: unknown };
  return said === type && typeof sdp === "string" && sdp.length <= SDP_LENGTH_MAX ? { type, sdp } : undefined;
}
