// When the choker is asked, and carrying out what it answers. Who is served is choker.ts; here is for how long a slot may be held
// for nothing.
//
//   choked ──invited──▶ holder ──took nothing for INVITATION_MS──▶ guest ──asks and takes──▶ holder
//      ▲                   └───────── its turn is over ─────┐        │
//      └────────────────────────────────────────────────────┴────────┘ not interested, or too many guests
//
// A slot is held by whoever takes what it asks for. Whoever is unchoked and does not (asks for nothing, reads nothing, or a block now and
// then, or slowly beside what our link has given of late) is a guest: it may go on, but its slot is another's, and when it was choked it
// waits behind those that did not lapse. Where guests are many, more are invited than there are slots, more with each round in which nobody
// came, while those that blocks wait for are not twice as many as there are slots: who takes a thousand at once and then asks for nothing
// leaves our link to others. Half of those that are invited then have waited longest, the others came last: whoever comes new to a crowd
// of hundreds would wait for all of them, so that it is invited at once, or with the next that finds room, and shows soon whether it takes. Where more accept than there is
// room for, whoever takes least of them is choked, by the next tick. Those that had a slot before are invited so in small numbers, in turn:
// who takes is known by then.
//
// What is slow is judged by the part of our link that each would have if all that hold slots took alike. While the link is full, guests
// take a quarter of it together at the most, by what each takes and what waits for it in the system's buffers: so where the link itself is
// slow, and all seem to be, they are not for long. Where guests are many, that is looked at with each tick: in a few seconds hundreds who take
// a block now and then fill buffers with more than our link gives in half a minute, and whoever comes then shares it with all of them. And
// few are invited out of turn (invitations.ts) while those without a slot have as much of it, choked ones too, as long as they are owed what
// lies in the system's buffers: whoever came then would get as little as each of those, and seem as slow. What was ever taken at most may be
// far from all that our link gives: it is full only where bytes wait in the system's buffers as well, tick after tick, for those that
// go on taking. Whoever cancels more than it takes is choked, and waits behind those that did not.
//
// Whoever takes all that it is sent has an equal share of our link, since nothing tells it from one that behaves, until it asks for more than
// anybody may. It is let go for that, and another one comes in its place: so whoever comes from where somebody flooded us with requests waits
// behind all others for a while, and while the link is full it is a guest, and is tried one at a time. For one that behaves and is behind the
// same address that is a part of a quarter of our link.
//
// Whoever was sent the whole torrent and a quarter of it comes behind all that were not, and who was sent twice as much behind those
// again, and so on. What earlier connections of its network were sent counts for it, but for loopback; what those that are here
// together with it are sent does not, so that several behind one address may each have it once.
//
// It is somewhat long because what is known of our link, who is judged by it and who is invited for it are steps of one round.
//
// Always: whoever is not interested is choked by the next round; guests are bounded. What peers say makes no more work than there is time
// for: a round before its time is run for a peer that is choked, became interested and finds a slot free, at the end of the turn for
// all of them, and while few peers were looked at since the last tick. The others wait for the next tick.

import { assert } from "../../base/assert.js";
import { SYSTEM_GROUND } from "../../base/ground.js";
import { KIB } from "../../base/limits.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import { TAKING_BYTES } from "../peer/uptake.js";
import { Choker, type ChokerPeer } from "./choker.js";
import { Invitations } from "./invitations.js";
import { NETWORKS_MAX, PastUploads } from "./past-uploads.js";

/** Between two whole rounds (BEP 3). */
const ROUND_MS = 10_000;
/** So long a peer may hold a slot and take nothing: time for its first requests to come from far away. */
const INVITATION_MS = 1000;
/** Peers that early rounds look at between two ticks: a few milliseconds of work. */
const EARLY_LOOKS_PER_TICK = 16_384;
/** Unchoked and without a slot. */
export const GUESTS_MAX = 256;
/** Invited beyond the slots in one round, at the most. */
const OVERBOOKED_MAX = 128;
const OVERBOOKED_GROWTH = 16;
/** Who shares our link for so long has shown how fast it takes. */
const SHOWN_MS = 500;
/** Of those that came new and found no room so many need not wait for the next tick, once there is some. */
const TURNED_AWAY_MAX = 64;
/** Those that accept late stay for their turn, up to so many times the slots. */
const HOLDERS_FACTOR = 2;
/** Whoever takes less than this part of its share of our link leaves its slot to others, once its rate has had time to show. */
const SLOW_PART = 8;
/** Of our link, what guests may take together once so much of it is taken. */
const GUESTS_SHARE = 0.25;
const FULL_SHARE = 0.75;
/** And so much of what it gives in a second waits in the system's buffers, tick after tick: a link that nobody waits for gives more. */
const QUEUED_SHARE = 0.02;
const QUEUED_TICKS = 3;
const SLOW_MS = 2000;
/** Nobody is slow who takes as much. */
const SLOW_RATE_MAX = TAKING_BYTES / 2;
/** What is expected of our link for each slot, until more was seen; and how long until half of what was seen is forgotten. */
const LINK_RATE_PER_SLOT = 64 * KIB;
const LINK_HALF_LIFE_MS = 10 * 60_000;
/** What a new second says of what all take. */
const RATE_SMOOTHING = 0.5;
/** Of what our link gives, what may wait in the system's buffers for one that has shown nothing. */
const UNSENT_S = 1 / 32;
/** What is sent to one peer before it comes last, by the length of the torrent: blocks of pieces that failed are sent again. */
const GRANTED_SHARE = 1.25;

const Standing = { waiting: 0, invited: 1, taker: 2, guest: 3 } as const;
type Standing = (typeof Standing)[keyof typeof Standing];

interface Candidate extends ChokerPeer {
  readonly standing: Standing;
  readonly peer: PeerConnection;
}

export class UploadRounds {
  readonly #choker: Choker;
  readonly #slots: number;
  #nextRoundMs = 0;
  #earlyLooksLeft = EARLY_LOOKS_PER_TICK;
  /** Somebody waits for a round, and there was no time for an early one. */
  #isAsked = false;
  /** A slot is held by nobody who takes anything; and somebody waits who has not lapsed. */
  #isOpen = true;
  #isAwaited = false;
  #overbooked = 0;
  readonly #invitations = new Invitations();
  /** Those that came new and found no room, the last one last. */
  readonly #turnedAway = new Set<PeerConnection>();
  /** Who took something in the last round, and who was invited since. */
  readonly #sharers = new Set<PeerConnection>();
  /** Bytes per second that all together took at most of late, and take now; when that was looked at; and below what rate a peer is slow. */
  #linkRate: number;
  #rate = 0;
  #measuredMs = 0;
  /** Peers that were not choked at the last tick. */
  #unchoked = 0;
  #lookedAtMs = 0;
  #slowRate = 0;
  /** Those that the choker chose last; and of what is taken now, and of what was sent and is still to be taken, the part of all others. */
  #chosen: ReadonlySet<number> = new Set();
  #othersRate = 0;
  #othersBacklogBytes = 0;
  /** Ticks in a row at which so much waited that our link may be full. */
  #queuedTicks = 0;
  /** Those that had a slot and took nothing; until they do. */
  readonly #lapsed = new Set<PeerConnection>();
  readonly #past = new PastUploads();

  /** `random`: from 0 to below 1. */
  constructor(slots: number, random: () => number = SYSTEM_GROUND.random) {
    this.#slots = slots;
    this.#linkRate = LINK_RATE_PER_SLOT * slots;
    this.#choker = new Choker({ slots, random });
  }

  /** True if a peer whose interest changed need not wait for the next round: call run() when the turn ends. */
  isSoon(peer: PeerConnection): boolean {
    return peer.peerInterested && peer.amChoking && this.#isOpen;
  }

  /**
   * Runs a round if one is due. `soon`: somebody can be served at once, because slots are free. False at every tick, so that
   * whoever waits is served. `stirring`: those of the peers whose uploads are, at a tick.
   */
  run(
    peers: ReadonlySet<PeerConnection>,
    seeding: boolean,
    nowMs: number,
    soon: boolean,
    stirring: Iterable<PeerConnection> = peers,
  ): void {
    const isDue = nowMs >= this.#nextRoundMs;
    if (!soon) {
      this.#earlyLooksLeft = EARLY_LOOKS_PER_TICK;
      this.#measure(stirring, nowMs);
    }
    if (isDue) {
      this.#nextRoundMs = nowMs + ROUND_MS;
      this.#isAsked = false;
    } else {
      if (!soon && this.#unchoked > HOLDERS_FACTOR * this.#slots)
        this.#chokeGuests(this.#guests(peers, nowMs));
      const isWanted = this.#isOpen ? soon || this.#isAsked || this.#isAwaited : !soon && this.#isAwaited;
      if (!isWanted) return;
      this.#isAsked = this.#earlyLooksLeft <= 0;
      if (this.#isAsked) return;
      this.#earlyLooksLeft -= peers.size;
    }
    if (peers.size > 0) this.#round(peers, seeding, nowMs, isDue, soon);
  }

  /** Invites a peer at once that never was, where most of those that are invited take nothing. False: it waits for a round. */
  welcome(peer: PeerConnection, nowMs: number): boolean {
    if (this.#overbooked === 0 || !peer.peerInterested || !peer.amChoking || peer.uploads.uptake.hasBegun)
      return false;
    if (peer.state !== "open" || !peer.knowsPieces || isSeedOrUploadOnly(peer)) return false;
    if (this.#timesTaken(peer) > 0 || this.#past.servedMs(peer.host) !== undefined) return false;
    if (this.#past.hasLapsed(peer.host, nowMs)) return false;
    this.#isAwaited = true;
    if (this.#welcome(1, nowMs) === 0) {
      this.#turnAway(peer);
      return false;
    }
    this.#invite(peer);
    this.#inviteTurnedAway(nowMs);
    return true;
  }

  #turnAway(peer: PeerConnection): void {
    this.#turnedAway.add(peer);
    if (this.#turnedAway.size <= TURNED_AWAY_MAX) return;
    for (const first of this.#turnedAway) {
      this.#turnedAway.delete(first);
      return;
    }
  }

  /** Somebody who came new had room: whoever was the last to find none need not wait for the tick. */
  #inviteTurnedAway(nowMs: number): void {
    const last = [...this.#turnedAway].at(-1);
    if (last === undefined) return;
    const { state, peerInterested, amChoking, uploads } = last;
    const isNew = state === "open" && amChoking && !uploads.uptake.hasBegun;
    const waits = isNew && peerInterested && !isSeedOrUploadOnly(last);
    if (waits && this.#welcome(1, nowMs) === 0) return;
    this.#turnedAway.delete(last);
    if (waits) this.#invite(last);
  }

  /** How many of `most` that come new may be invited now. Those are taken for invited. */
  #welcome(most: number, nowMs: number): number {
    const invitations = this.#invitations;
    invitations.pass(this.#overbooked, this.#linkRate, nowMs);
    const welcome = invitations.welcome(most);
    if (welcome === 0) return 0;
    const places = HOLDERS_FACTOR * this.#slots - this.#sharing();
    if (places > 0 && !this.#isCrowded) return welcome;
    const placesToTry = places + HOLDERS_FACTOR * this.#slots;
    if (placesToTry > 0) return invitations.try(Math.min(welcome, placesToTry));
    const displaced = this.#slowestShown(nowMs);
    if (displaced === undefined || invitations.try(1) === 0) return 0;
    displaced.choke();
    return 1;
  }

  /**
   * Of those that share our link and hold no slot, and had time to show how they take, the one that took least in it: where there is no
   * place to try anybody, it makes room for whoever comes new, or those that came in the moment before would have all of the next second.
   */
  #slowestShown(nowMs: number): PeerConnection | undefined {
    let slowest: PeerConnection | undefined;
    let leastRate = Number.POSITIVE_INFINITY;
    for (const peer of this.#sharers) {
      const { isTaking, isOwed, uptake } = peer.uploads;
      const elapsedMs = nowMs - uptake.unchokedSinceMs;
      if (elapsedMs < SHOWN_MS || this.#chosen.has(peer.id) || !isTaking || !isOwed) continue;
      const rate = uptake.sentSinceUnchokeBytes / elapsedMs;
      if (rate >= leastRate) continue;
      leastRate = rate;
      slowest = peer;
    }
    return slowest;
  }

  #invite(peer: PeerConnection): void {
    this.#sharers.add(peer);
    peer.unchoke(UNSENT_S * this.#linkRate);
  }

  /** Those that take, and that blocks wait for: they share our link. As many as leave no place to anybody are not counted further. */
  #sharing(): number {
    const most = 2 * HOLDERS_FACTOR * this.#slots;
    let sharing = 0;
    for (const { uploads } of this.#sharers)
      if (uploads.isTaking && uploads.isOwed && ++sharing >= most) break;
    return sharing;
  }

  /** Payload that earlier connections of the network of `host` were sent. */
  sentBefore(host: string): number {
    return this.#past.sentBytes(host);
  }

  /** For tests, between two turns. */
  checkInvariants(): void {
    this.#choker.checkInvariants();
    this.#invitations.checkInvariants(OVERBOOKED_MAX);
    assert(this.#overbooked <= OVERBOOKED_MAX, "those invited beyond the slots are bounded");
    assert(this.#past.size <= NETWORKS_MAX, "networks that are remembered are bounded");
    assert(this.#turnedAway.size <= TURNED_AWAY_MAX, "those that were turned away are bounded");
    for (const peer of [...this.#lapsed, ...this.#sharers, ...this.#turnedAway])
      assert(peer.state !== "closed", "who is gone is forgotten");
  }

  peerGone(peer: PeerConnection): void {
    this.#remember(peer);
    this.#lapsed.delete(peer);
    this.#sharers.delete(peer);
    this.#turnedAway.delete(peer);
    if (!peer.amChoking) this.#isOpen = true;
  }

  #round(
    peers: ReadonlySet<PeerConnection>,
    seeding: boolean,
    nowMs: number,
    isDue: boolean,
    soon: boolean,
  ): void {
    const all: Candidate[] = [];
    let [takers, invited, lapses] = [0, 0, 0];
    this.#sharers.clear();
    this.#look(peers, nowMs);
    for (const peer of peers) {
      if (peer.state !== "open" || !peer.knowsPieces) continue;
      const standing = this.#standingOf(peer, nowMs);
      if (standing === Standing.taker) {
        takers++;
        this.#sharers.add(peer);
      } else if (standing === Standing.invited) invited++;
      if (standing === Standing.taker) this.#lapsed.delete(peer);
      else if (standing === Standing.waiting) this.#recognize(peer, nowMs);
      else if (standing === Standing.guest && !this.#lapsed.has(peer)) {
        // Each that reads slowly takes what its system keeps for it, so that not many of those are tried at one time.
        if (!peer.uploads.isTaking) lapses++;
        this.#lapsed.add(peer);
      }
      // Who was never served and wants nothing is nobody's business, and in a large swarm most are that.
      if (standing !== Standing.waiting || peer.peerInterested || peer.uploads.uptake.hasBegun)
        all.push(this.#describe(peer, standing));
    }
    // While our link is full, whoever comes from where somebody flooded us has no slot of those that are free: few of those are tried.
    const suspects = new Set(this.#isFull ? all.filter((each) => this.#isSuspect(each, nowMs)) : []);
    const candidates =
      suspects.size === 0
        ? all
        : all.map((each) => (suspects.has(each) ? { ...each, interested: false } : each));
    const chosen = this.#choker.choose(candidates, { nowMs, seeding });
    this.#chosen = chosen;
    const waiting = all.filter(
      (each) => each.standing === Standing.waiting && each.interested && !each.isSeedOrUploadOnly,
    );
    waiting.sort((a, b) => a.timesTaken - b.timesTaken);
    if (isDue) this.#chokeOthers(all, chosen, nowMs);
    else takers -= chokeGreedy(all, chosen);
    if (!soon) this.#chokeSlowest(all, chosen, nowMs);
    this.#chokeGuests(all.filter(({ standing }) => standing === Standing.guest).map(({ peer }) => peer));
    // Between two rounds nobody else is choked who holds a slot: only what is free is given away.
    let free = isDue ? this.#slots : this.#slots - takers - invited;
    for (const { id, peer } of waiting) if (chosen.has(id) && free-- > 0) this.#invite(peer);
    // Whoever was chosen and found nothing free waits like all others.
    const fresh = waiting.filter(({ lapsed, peer }) => !lapsed && peer.amChoking);
    this.#overbook(lapses, fresh.length);
    this.#inviteOthers(fresh, takers, nowMs, soon);
    if (!soon && suspects.size > 0) this.#tryOne([...suspects], nowMs);
    this.#isOpen = takers < this.#slots;
    this.#isAwaited = fresh.length > 0;
  }

  /** Beyond the slots, of those that wait. */
  #inviteOthers(fresh: readonly Candidate[], takers: number, nowMs: number, soon: boolean): void {
    const untried = fresh.filter(({ peer }) => !peer.uploads.uptake.hasBegun);
    // Of those that are invited beyond the slots most take nothing: they are asked also while slots are taken, or whoever behaves would
    // wait until the turns of those that hold them are over.
    const areFew = takers < HOLDERS_FACTOR * this.#slots;
    if (areFew && !this.#isCrowded) this.#inviteSome(untried, this.#overbooked);
    else if (!soon) this.#inviteSome(untried, this.#welcome(untried.length, nowMs));
    if (soon || this.#overbooked === 0 || this.#isCrowded) return;
    if (areFew || this.#sharing() < HOLDERS_FACTOR * this.#slots) this.#inviteAgain(fresh, this.#slots);
  }

  /** It waits, and comes from where somebody flooded us: whoever brings us something is none. */
  #isSuspect({ peer, standing, interested, downloadRate }: Candidate, nowMs: number): boolean {
    const waits = standing === Standing.waiting && interested && downloadRate === 0;
    return waits && this.#past.hasFlooded(peer.host, nowMs);
  }

  /** The one that was served longest ago, as far as our link pays for trials: it is a guest then, and guests share a quarter. */
  #tryOne(suspects: readonly Candidate[], nowMs: number): void {
    const since = ({ peer }: Candidate): number => peer.uploads.uptake.unchokedSinceMs;
    const first = suspects.reduce((least, each) => (since(each) < since(least) ? each : least));
    this.#invitations.pass(Math.max(1, this.#overbooked), this.#linkRate, nowMs);
    if (this.#invitations.try(1) === 1) this.#invite(first.peer);
  }

  /** `most` of those that wait: half of them have waited longest, the others came last. */
  #inviteSome(waiting: readonly Candidate[], most: number): void {
    const first = Math.min(waiting.length, most - (most >> 1));
    const last = Math.max(first, waiting.length - (most >> 1));
    for (const { peer } of waiting.slice(0, first)) this.#invite(peer);
    for (const { peer } of waiting.slice(last)) this.#invite(peer);
  }

  /** `most` of those that took something before, served longest ago first: others may come new without end. */
  #inviteAgain(waiting: readonly Candidate[], most: number): void {
    const known = waiting.filter(({ peer }) => peer.uploads.uptake.hasBegun && peer.amChoking);
    const since = ({ peer }: Candidate): number => peer.uploads.uptake.unchokedSinceMs;
    known.sort((a, b) => since(a) - since(b));
    for (const { peer } of known.slice(0, most)) this.#invite(peer);
  }

  /** Our link is full, and of it those that hold no slot have what guests may have, or more; or are owed all that it gives in a second. */
  get #isCrowded(): boolean {
    if (!this.#isFull) return false;
    return this.#othersRate > GUESTS_SHARE * this.#linkRate || this.#othersBacklogBytes > this.#linkRate;
  }

  /**
   * A tick: what all together took since the last one. Not the sum of their rates, each of which is known at once where it begins, and
   * forgotten slowly where it ends: while some begin and others end, that is more than our link ever gave, which would not be full
   * again for as long as that is remembered.
   */
  #measure(stirring: Iterable<PeerConnection>, nowMs: number): void {
    const elapsedMs = nowMs - this.#measuredMs;
    if (elapsedMs <= 0) return;
    this.#measuredMs = nowMs;
    let [bytes, bytesOfOthers, queued] = [0, 0, 0];
    this.#unchoked = 0;
    this.#othersBacklogBytes = 0;
    for (const { id, uploads } of stirring) {
      const { inTickBytes, backlogBytes, queuedBytes } = uploads.uptake;
      bytes += inTickBytes;
      queued += uploads.sender.isHeld ? this.#linkRate : queuedBytes;
      if (!uploads.amChoking) this.#unchoked++;
      if (this.#chosen.has(id)) continue;
      bytesOfOthers += inTickBytes;
      this.#othersBacklogBytes += backlogBytes;
    }
    this.#rate += RATE_SMOOTHING * ((1000 * bytes) / elapsedMs - this.#rate);
    this.#othersRate += RATE_SMOOTHING * ((1000 * bytesOfOthers) / elapsedMs - this.#othersRate);
    this.#queuedTicks = queued > QUEUED_SHARE * this.#linkRate ? this.#queuedTicks + 1 : 0;
  }

  /** What our link gives, and how little of that is slow. */
  #look(peers: ReadonlySet<PeerConnection>, nowMs: number): void {
    let [limit, sharers] = [Number.POSITIVE_INFINITY, 0];
    for (const peer of peers) {
      if (peer.state !== "open" || peer.uploads.uptake.rate < 0) continue;
      if (peer.uploads.uptake.rate >= 1) sharers++;
      if (!peer.amChoking && peer.uploadLimit > 0) limit = Math.min(limit, peer.uploadLimit);
    }
    const kept = this.#linkRate * 0.5 ** ((nowMs - this.#lookedAtMs) / LINK_HALF_LIFE_MS);
    this.#lookedAtMs = nowMs;
    this.#linkRate = Math.min(limit, Math.max(this.#rate, kept));
    // Where our link is not full, whoever is slow is so by itself. Where it is, those that are choked have a part of it as long as they are
    // owed what lies in the system's buffers.
    const share = this.#linkRate / (this.#isFull ? Math.max(this.#slots, sharers) : this.#slots);
    this.#slowRate = Math.min(SLOW_RATE_MAX, share / SLOW_PART);
  }

  /** Whoever comes again from where a slot was held for nothing is where it was. */
  #recognize(peer: PeerConnection, nowMs: number): void {
    if (!peer.uploads.uptake.hasBegun && this.#past.hasLapsed(peer.host, nowMs)) this.#lapsed.add(peer);
  }

  #timesTaken(peer: PeerConnection): number {
    const length = peer.swarm?.layout?.totalLength ?? 0;
    if (length === 0) return 0;
    return Math.floor(
      (this.sentBefore(peer.host) + peer.counters.sentPayloadBytes) / (GRANTED_SHARE * length),
    );
  }

  #remember(peer: PeerConnection): void {
    const { unchokedSinceMs, hasBegun, sentSinceUnchokeBytes } = peer.uploads.uptake;
    const lastMs = peer.amChoking ? unchokedSinceMs : this.#lookedAtMs;
    const lapsed = hasBegun && (this.#lapsed.has(peer) || (!peer.amChoking && sentSinceUnchokeBytes === 0));
    const sentBytes = peer.counters.sentPayloadBytes;
    const servedMs = hasBegun ? lastMs : undefined;
    const flooded = peer.uploads.hasFlooded;
    this.#past.left(peer.host, { sentBytes, servedMs, lapsed, flooded }, this.#lookedAtMs);
  }

  #standingOf(peer: PeerConnection, nowMs: number): Standing {
    if (peer.amChoking) return Standing.waiting;
    const { isTaking, uptake } = peer.uploads;
    if (uptake.isFickle) return Standing.guest;
    if (isTaking && !this.#isSlow(peer) && !this.#isImmodest(peer, nowMs)) return Standing.taker;
    const patienceMs = isTaking ? SLOW_MS : INVITATION_MS;
    const isInvited = peer.peerInterested && nowMs - uptake.unchokedSinceMs < patienceMs;
    return isInvited ? Standing.invited : Standing.guest;
  }

  /** Our link is full, and it comes from where somebody wanted more of it than anybody may have. */
  #isImmodest({ host }: PeerConnection, nowMs: number): boolean {
    return this.#isFull && this.#past.hasFlooded(host, nowMs);
  }

  get #isFull(): boolean {
    return this.#rate > FULL_SHARE * this.#linkRate && this.#queuedTicks >= QUEUED_TICKS;
  }

  /** As far as is known, and not because a limit of ours holds back what it waits for. */
  #isSlow({ uploads }: PeerConnection): boolean {
    const { rate } = uploads.uptake;
    return rate >= 0 && rate < this.#slowRate && !uploads.sender.isHeld;
  }

  /** Those whose turn is over. Who accepted late, because many were invited, stays if there is room. */
  #chokeOthers(all: readonly Candidate[], chosen: ReadonlySet<number>, nowMs: number): void {
    for (const { peer, id, standing, interested, timesTaken, unchokedSinceMs } of all) {
      if (standing !== Standing.taker || chosen.has(id)) continue;
      const isLate = interested && timesTaken === 0 && nowMs - (unchokedSinceMs ?? nowMs) < ROUND_MS;
      if (!isLate) peer.choke();
    }
  }

  /** Many were invited, and more accept than there is room for: whoever takes least of them goes, once that has had time to show. */
  #chokeSlowest(all: readonly Candidate[], chosen: ReadonlySet<number>, nowMs: number): void {
    const takers = all.filter(({ standing, peer }) => standing === Standing.taker && !peer.amChoking);
    const surplus = takers.length - HOLDERS_FACTOR * this.#slots;
    if (surplus <= 0) return;
    const known = takers.filter(
      ({ id, unchokedSinceMs }) => !chosen.has(id) && nowMs - (unchokedSinceMs ?? nowMs) >= INVITATION_MS,
    );
    known.sort((a, b) => a.peer.uploads.uptake.rate - b.peer.uploads.uptake.rate);
    for (const { peer } of known.slice(0, surplus)) peer.choke();
  }

  /** Those without a slot that are not choked, as far as the last round knew. */
  #guests(peers: ReadonlySet<PeerConnection>, nowMs: number): PeerConnection[] {
    return [...peers].filter(
      (peer) => peer.state === "open" && peer.knowsPieces && this.#standingOf(peer, nowMs) === Standing.guest,
    );
  }

  /** Those that want nothing any more, or cancel it; and where guests are too many, or take too much of our link, those unchoked first. */
  #chokeGuests(guests: readonly PeerConnection[]): void {
    for (const peer of guests) {
      const { isFickle } = peer.uploads.uptake;
      if (isFickle) this.#lapsed.add(peer);
      if (isFickle || !peer.peerInterested) peer.choke();
    }
    const rest = guests.filter(({ amChoking }) => !amChoking);
    let rate = 0;
    for (const { uploads } of rest) rate += uploads.uptake.claim;
    const rateMax = this.#isFull ? GUESTS_SHARE * this.#linkRate : Number.POSITIVE_INFINITY;
    if (rest.length <= GUESTS_MAX && rate <= rateMax) return;
    rest.sort((a, b) => a.uploads.uptake.unchokedSinceMs - b.uploads.uptake.unchokedSinceMs);
    for (const [index, peer] of rest.entries()) {
      if (rest.length - index <= GUESTS_MAX && rate <= rateMax) return;
      rate -= peer.uploads.uptake.claim;
      peer.choke();
    }
  }

  #describe(peer: PeerConnection, standing: Standing): Candidate {
    return {
      peer,
      standing,
      id: peer.id,
      // Whoever is a guest is known to the choker, and asks it for nothing.
      interested: peer.peerInterested && standing !== Standing.guest,
      downloadRate: peer.downloadRate,
      uploadRate: peer.uploadRate,
      isSeedOrUploadOnly: isSeedOrUploadOnly(peer),
      unchokedSinceMs: peer.amChoking ? undefined : peer.uploads.uptake.unchokedSinceMs,
      snubbed: peer.pipeline?.snubbed === true,
      lapsed: this.#lapsed.has(peer),
      timesTaken: this.#timesTaken(peer),
      sentSinceUnchokeBytes: peer.uploads.uptake.sentSinceUnchokeBytes,
      servedBeforeMs: this.#past.servedMs(peer.host),
    };
  }

  /**
   * Nobody comes of those that were invited: more are, the next time. Where nobody waits for a moment, those that come are still like those
   * before: one that behaves and comes then would wait for the next tick behind the few that are welcome.
   */
  #overbook(lapses: number, waiting: number): void {
    if (waiting === 0)
      this.#overbooked = Math.max(Math.min(this.#overbooked, this.#slots), this.#overbooked >> 1);
    else if (lapses > 0)
      this.#overbooked = Math.min(
        OVERBOOKED_MAX,
        Math.max(this.#slots, OVERBOOKED_GROWTH * this.#overbooked),
      );
  }
}

/** Whoever was sent the torrent already makes room at once for those that were sent less. Answers how many did. */
function chokeGreedy(all: readonly Candidate[], chosen: ReadonlySet<number>): number {
  let choked = 0;
  for (const { peer, id, standing, timesTaken } of all) {
    if (timesTaken === 0 || standing !== Standing.taker || chosen.has(id)) continue;
    peer.choke();
    choked++;
  }
  return choked;
}

function isSeedOrUploadOnly(peer: PeerConnection): boolean {
  return peer.isUploadOnly || peer.pieces.isFull;
}
