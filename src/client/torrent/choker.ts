// Decides which peers are served. Pure logic: the time and the dice are handed in, and nobody is choked from here.
//
//   downloading   reciprocal slots: to those that send us most. The rest, at least one: optimistic, each for 30 s,
//                 drawn among the others, newcomers thrice as likely (BEP 3). A slot that is alone is both in turn: of
//                 90 s, 60 for whoever sends most, 30 for one that has to be tried
//   seeding       round robin: whoever was served longest ago comes first; a turn ends with the quota, but not before
//                 20 s, and after 60 s anyway
//
// Whoever has taken the torrent more often than it needs comes last in either, and has what slots are left, in turn.
//
// Always: no more than `slots` are chosen, all of them interested; a slot stays empty only if nobody may have it; nobody is chosen
// before somebody who has taken the torrent fewer times.

import { assert, entryOf } from "../../base/assert.js";
import { SYSTEM_GROUND } from "../../base/ground.js";

export interface ChokerPeer {
  readonly id: number;
  readonly interested: boolean;
  /** Bytes per second, from the peer to us and from us to the peer. */
  readonly downloadRate: number;
  readonly uploadRate: number;
  readonly isSeedOrUploadOnly: boolean;
  /** Undefined while it is choked. */
  readonly unchokedSinceMs: number | undefined;
  /** It was asked for blocks and sent none for too long. */
  readonly snubbed: boolean;
  /** It had a slot and took nothing: it waits behind all others. */
  readonly lapsed: boolean;
  /** How often it was sent the torrent, and what is granted beyond that: 0 for whoever takes it once. */
  readonly timesTaken: number;
  readonly sentSinceUnchokeBytes: number;
  /** When an earlier connection of its network was served last: whoever comes again has its place in the queue, and no newcomer's. */
  readonly servedBeforeMs: number | undefined;
}

export interface ChokerOptions {
  readonly slots: number;
  /** From 0 to below 1. */
  readonly random?: () => number;
  /** What one turn of the round robin sends, in bytes. */
  readonly quotaBytes?: number;
}

export const OPTIMISTIC_MS = 30_000;
export const TURN_MS_MIN = 20_000;
export const TURN_MS_MAX = 60_000;
export const QUOTA_BYTES_DEFAULT = 16 * 1024 * 1024;
/** Of a single slot: how long it takes to be both, reciprocal first. */
const SOLE_SLOT_MS = 3 * OPTIMISTIC_MS;
const NEWCOMER_WEIGHT = 3;
const NEVER = Number.NEGATIVE_INFINITY;

/** Where a peer stands in the round robin. Lower goes first. */
const Turn = { running: 0, waiting: 1, over: 2 } as const;
type Turn = (typeof Turn)[keyof typeof Turn];

export class Choker {
  readonly #slots: number;
  readonly #random: () => number;
  readonly #quotaBytes: number;
  /** Of the peers of the last round that were interested, or chosen before: when each was last chosen. */
  #servedAtMs = new Map<number, number>();
  /** Peers with an optimistic slot, and since when, oldest first. */
  readonly #optimistic = new Map<number, number>();

  constructor(options: ChokerOptions) {
    this.#slots = options.slots;
    this.#random = options.random ?? SYSTEM_GROUND.random;
    this.#quotaBytes = options.quotaBytes ?? QUOTA_BYTES_DEFAULT;
  }

  /** The ids of the peers to be served from now on. May be called at any time: what is not due is not changed. */
  choose(
    peers: readonly ChokerPeer[],
    now: { readonly nowMs: number; readonly seeding: boolean },
  ): Set<number> {
    const candidates = peers.filter((peer) => peer.interested && !peer.isSeedOrUploadOnly);
    const chosen = now.seeding
      ? this.#chooseInTurn(candidates, this.#slots, now.nowMs)
      : this.#chooseInReturn(candidates, now.nowMs);
    if (now.seeding) this.#optimistic.clear();
    const servedAtMs = new Map<number, number>();
    for (const peer of peers) {
      const servedMs = chosen.has(peer.id) ? now.nowMs : this.#lastServedMs(peer);
      if (peer.interested || servedMs !== NEVER) servedAtMs.set(peer.id, servedMs);
    }
    this.#servedAtMs = servedAtMs;
    return chosen;
  }

  /** Peers that hold an optimistic slot. */
  get optimisticIds(): readonly number[] {
    return [...this.#optimistic.keys()];
  }

  /** There are no more optimistic slots than slots. For tests, after choose(). */
  checkInvariants(): void {
    assert(this.#optimistic.size <= this.#slots, "an optimistic slot is a slot");
    for (const id of this.#optimistic.keys())
      assert(this.#servedAtMs.has(id), "who holds an optimistic slot was there in the last round");
  }

  #lastServedMs({ id, servedBeforeMs }: ChokerPeer): number {
    return this.#servedAtMs.get(id) ?? servedBeforeMs ?? NEVER;
  }

  #chooseInReturn(all: readonly ChokerPeer[], nowMs: number): Set<number> {
    const candidates = all.filter(({ timesTaken }) => timesTaken === 0);
    const giving = candidates.filter((peer) => !peer.snubbed && peer.downloadRate > 0);
    giving.sort((a, b) => b.downloadRate - a.downloadRate || a.id - b.id);
    const chosen = new Set(giving.slice(0, this.#reciprocalSlots(nowMs)).map(({ id }) => id));
    // Nobody is tried that is known to be the best already, unless it is alone.
    const best = chosen.size === 0 && candidates.length > 1 ? giving[0]?.id : undefined;
    const rest = candidates.filter(({ id }) => !chosen.has(id) && (id !== best || this.#optimistic.has(id)));
    for (const id of this.#chooseOptimistic(rest, this.#slots - chosen.size, nowMs)) chosen.add(id);
    const last = all.filter(({ timesTaken }) => timesTaken > 0);
    for (const id of this.#chooseInTurn(last, this.#slots - chosen.size, nowMs)) chosen.add(id);
    return chosen;
  }

  #reciprocalSlots(nowMs: number): number {
    if (this.#slots > 1) return this.#slots - 1;
    return nowMs % SOLE_SLOT_MS < SOLE_SLOT_MS - OPTIMISTIC_MS ? 1 : 0;
  }

  /** Keeps those whose 30 s are not over, and draws the others. */
  #chooseOptimistic(candidates: readonly ChokerPeer[], slots: number, nowMs: number): Iterable<number> {
    const ids = new Set(candidates.map(({ id }) => id));
    const expired: number[] = [];
    for (const [id, sinceMs] of this.#optimistic) {
      const over = nowMs - sinceMs >= OPTIMISTIC_MS;
      if (over && ids.has(id)) expired.push(id);
      if (over || !ids.has(id)) this.#optimistic.delete(id);
    }
    // With fewer slots than before, those stay that had least time to give something in return.
    for (const id of this.#optimistic.keys()) {
      if (this.#optimistic.size <= slots) break;
      this.#optimistic.delete(id);
    }
    const others = candidates.filter(({ id }) => !this.#optimistic.has(id) && !expired.includes(id));
    for (const lapsed of [false, true]) {
      const drawable = others.filter((peer) => peer.lapsed === lapsed);
      while (this.#optimistic.size < slots && drawable.length > 0) {
        const drawn = entryOf(drawable.splice(this.#draw(drawable), 1), 0);
        this.#optimistic.set(drawn.id, nowMs);
      }
    }
    // Nobody else wants the slot: it stays where it was.
    for (const id of expired) if (this.#optimistic.size < slots) this.#optimistic.set(id, nowMs);
    return this.#optimistic.keys();
  }

  /** Index of one of the candidates: by lot, newcomers with three tickets. */
  #draw(candidates: readonly ChokerPeer[]): number {
    const tickets = candidates.map((peer) => (this.#lastServedMs(peer) === NEVER ? NEWCOMER_WEIGHT : 1));
    let ticket = this.#random() * tickets.reduce((sum, each) => sum + each, 0);
    let index = 0;
    while (index < tickets.length - 1 && ticket >= entryOf(tickets, index))
      ticket -= entryOf(tickets, index++);
    return index;
  }

  #chooseInTurn(candidates: readonly ChokerPeer[], slots: number, nowMs: number): Set<number> {
    const queue = candidates.map((peer) => ({
      peer,
      turn: this.#turnOf(peer, nowMs),
      served: this.#lastServedMs(peer),
    }));
    queue.sort((a, b) => {
      if (a.peer.timesTaken !== b.peer.timesTaken) return a.peer.timesTaken - b.peer.timesTaken;
      if (a.turn !== b.turn) return a.turn - b.turn;
      if (a.turn === Turn.waiting && a.peer.lapsed !== b.peer.lapsed) return a.peer.lapsed ? 1 : -1;
      if (a.turn === Turn.waiting && a.served !== b.served) return a.served - b.served;
      if (a.turn !== Turn.waiting && a.peer.uploadRate !== b.peer.uploadRate)
        return b.peer.uploadRate - a.peer.uploadRate;
      return a.peer.id - b.peer.id;
    });
    return new Set(queue.slice(0, slots).map(({ peer }) => peer.id));
  }

  #turnOf(peer: ChokerPeer, nowMs: number): Turn {
    if (peer.unchokedSinceMs === undefined) return Turn.waiting;
    const elapsedMs = nowMs - peer.unchokedSinceMs;
    if (elapsedMs >= TURN_MS_MAX) return Turn.over;
    if (elapsedMs < TURN_MS_MIN) return Turn.running;
    // A peer that takes nothing holds the slot for nothing.
    return peer.sentSinceUnchokeBytes >= this.#quotaBytes || peer.uploadRate === 0 ? Turn.over : Turn.running;
  }
}
