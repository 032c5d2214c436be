// Who sent which block of the pieces under way, and what follows when a piece fails its check.
//
//   failed, all blocks of one peer        ──▶ that peer is banned
//   failed, blocks of several peers       ──▶ each loses trust, what each sent is remembered (failed-attempts), and the next to bring
//                                             the piece has it alone (exclusive-pieces), the most trusted first
//   then right                            ──▶ whoever sent a block that differs is banned
//   trust used up: on parole              ──▶ gets whole pieces to itself: one good piece ends the parole, a bad one bans
//
// Trust is earned by pieces that are right, so that one who brought many is not suspected for one that failed; it decides who gets
// pieces alone, and never who is banned. Both bans are proofs: an honest peer is not banned, whatever others send.
//
// Always: every block of a piece under way that was received is attributed to a peer, whether or not that peer is still
// connected. Records that nothing refers to are forgotten when there are RECORDS_MAX of them, the oldest first.

import { assert, present } from "../../base/assert.js";
import { MIB } from "../../base/limits.js";
import { networkOf } from "../../base/network-address.js";
import type { PieceSet } from "../../base/piece-set.js";
import { ExclusivePieces, type ExclusiveView, LAPSES_MAX } from "./exclusive-pieces.js";
import { FailedAttempts } from "./failed-attempts.js";

/** One peer as we remember it beyond its connection. */
export interface PeerRecord {
  readonly key: string;
  readonly host: string;
  readonly port: number;
  onParole: boolean;
  banned: boolean;
  piecesFailed: number;
  /** Connections of it that are here. Kept by the roster. */
  connections: number;
  /** Gained by each piece that is right, lost by each that is not. */
  trust: number;
  /** It had a part in a piece that was right: a newcomer has not, whose trust is that of nobody. */
  isProven: boolean;
  /** Pieces that it had to itself and let go, since it last brought one. */
  lapses: number;
  /** Pieces that it has to itself now. Kept by ExclusivePieces. */
  owned: number;
  /** Its place among all records. */
  readonly index: number;
}

const NOBODY = -1;
/** Half of them stay when there are so many, but for those that something refers to. */
export const RECORDS_MAX = 4096;
const TRUST_MAX = 8;
const TRUST_LOST = 2;
/** After a piece failed, whoever has shown nothing is kept apart for so long. */
export const WARY_MS = 60_000;
/** Longer ones take a slow peer that is honest too long, alone. */
const APART_PIECE_LENGTH_MAX = 4 * MIB;

export interface AttributionOptions {
  /** Unless it is told later, by contentMade(). */
  readonly pieceLength?: number;
  readonly requestTimeoutMs: number;
}

export class Attribution {
  readonly #records: (PeerRecord | undefined)[] = [];
  readonly #freeIndices: number[] = [];
  readonly #indexByKey = new Map<string, number>();
  /** Per piece under way, the record index of each block's sender. */
  readonly #senders = new Map<number, Int32Array>();
  readonly #exclusive: ExclusivePieces;
  #attempts = new FailedAttempts();
  #onParoleCount = 0;
  /** A piece failed of late; and when. */
  #isWary = false;
  #failedMs = 0;
  #keepsApart = false;
  /** How often somebody had a part in a right piece for the first time. */
  provenTotal = 0;
  #pruneAt = RECORDS_MAX;

  constructor(options: AttributionOptions) {
    const pieceLength = options.pieceLength ?? 0;
    this.#exclusive = new ExclusivePieces(pieceLength, options.requestTimeoutMs);
    this.#keepsApart = pieceLength <= APART_PIECE_LENGTH_MAX;
  }

  /** Peers of an address may bring pieces again. */
  forgive(host: string): void {
    const network = networkOf(host);
    for (const [key, index] of this.#indexByKey)
      if (key.startsWith(`${network}|`)) this.#recordAt(index).banned = false;
  }

  /**
   * A content was made: the metadata is there, or the files are looked at again. What was known of pieces goes with the content before it,
   * if there was one: digests of its blocks have another key, so that who sent them would seem to have lied, and pieces that are found
   * to be right would be somebody's alone for ever.
   */
  contentMade(pieceLength: number): void {
    this.#attempts = new FailedAttempts();
    this.#senders.clear();
    this.#exclusive.clear();
    this.#exclusive.setPieceLength(pieceLength);
    this.#keepsApart = pieceLength <= APART_PIECE_LENGTH_MAX;
  }

  record(key: string, host: string, port: number): PeerRecord {
    const known = this.#indexByKey.get(key);
    if (known !== undefined) return this.#recordAt(known);
    if (this.#indexByKey.size >= this.#pruneAt) this.#prune();
    const index = this.#freeIndices.pop() ?? this.#records.length;
    const record: PeerRecord = {
      key,
      host,
      port,
      onParole: false,
      banned: false,
      piecesFailed: 0,
      connections: 0,
      trust: 0,
      isProven: false,
      lapses: 0,
      owned: 0,
      index,
    };
    this.#indexByKey.set(key, index);
    this.#records[index] = record;
    return record;
  }

  /** Counts again what it keeps of peers. For tests. */
  checkInvariants(): void {
    const records = this.#records.filter((record) => record !== undefined);
    assert(records.length === this.#indexByKey.size, "each record has its key");
    assert(
      records.length + this.#freeIndices.length === this.#records.length,
      "an index is a record's, or free",
    );
    for (const record of records)
      assert(this.#indexByKey.get(record.key) === record.index, "a record is found by its key");
    const onParole = records.filter((record) => record.onParole).length;
    assert(onParole === this.#onParoleCount, "peers on parole are counted");
    for (const senders of this.#senders.values())
      for (const index of senders)
        assert(index === NOBODY || this.#records[index] !== undefined, "who sent a block is known");
    this.#exclusive.checkInvariants(records);
  }

  find(key: string): PeerRecord | undefined {
    const index = this.#indexByKey.get(key);
    return index === undefined ? undefined : this.#records[index];
  }

  /** True while no piece failed of late, nobody is on parole and no piece belongs to anyone: then anybody may bring anything. */
  get isQuiet(): boolean {
    return !this.#isWary && this.#exclusive.count === 0 && this.#onParoleCount === 0;
  }

  /** True if `record` is to have whole pieces to itself: it is on parole, or has shown nothing while somebody lies. */
  isApart(record: PeerRecord): boolean {
    return record.onParole || (this.#isWary && this.#keepsApart && !record.isProven);
  }

  /** True if something is remembered of the piece that its right blocks will settle. */
  remembers(piece: number): boolean {
    return this.#attempts.has(piece);
  }

  /** True if blocks of the piece that was received came of several peers. */
  isShared(piece: number): boolean {
    const senders = this.#senders.get(piece);
    return senders !== undefined && this.#distinct(senders).length > 1;
  }

  // ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────

  blockReceived(
    record: PeerRecord,
    piece: number,
    block: number,
    blocksInPiece: number,
    nowMs: number,
  ): void {
    let senders = this.#senders.get(piece);
    if (senders === undefined) {
      senders = new Int32Array(blocksInPiece).fill(NOBODY);
      this.#senders.set(piece, senders);
    }
    senders[block] = record.index;
    if (this.#exclusive.count > 0) this.#exclusive.blockReceived(piece, nowMs);
  }

  /** True if a block of the piece may be taken of `record`: an exclusive one has blocks of its owner only. */
  mayBring(record: PeerRecord, piece: number): boolean {
    return this.#exclusive.mayBring(record, piece);
  }

  /**
   * True if `record` may be asked for blocks of the piece. Apart: of pieces that it has to itself, or that nobody began (then
   * `isStarted` is false), of which those who have shown nothing have `unprovenMax` at the most.
   */
  mayRequest(
    record: PeerRecord,
    piece: number,
    isStarted: boolean,
    unprovenMax = Number.POSITIVE_INFINITY,
  ): boolean {
    if (this.#exclusive.has(piece)) return this.#exclusive.mayHave(record, piece);
    if (!this.isApart(record)) return true;
    if (isStarted || record.lapses >= LAPSES_MAX) return false;
    return record.isProven || (record.owned === 0 && this.#exclusive.unprovenOwned < unprovenMax);
  }

  /** True if the piece is, or is to be, one peer's alone. */
  isSomebodys(piece: number): boolean {
    return this.#exclusive.has(piece);
  }

  /** The same, when there is nothing else to ask of `record`: it may share pieces that are nobody's alone. */
  mayShare(record: PeerRecord, piece: number): boolean {
    return this.#exclusive.mayBring(record, piece);
  }

  /** `record` was asked for a block of the piece, as mayRequest() allowed. */
  requested(record: PeerRecord, piece: number, nowMs: number): void {
    if (this.#exclusive.has(piece) || this.isApart(record)) this.#exclusive.own(record, piece, nowMs);
  }

  /**
   * For a peer that has `pieces` and waits for nothing: up to `most` of those that somebody has who has shown nothing, and was silent for
   * `patienceMs`, start over. Returns how many.
   */
  reclaim(
    record: PeerRecord,
    pieces: PieceSet,
    most: number,
    nowMs: number,
    view: ExclusiveView,
    patienceMs: number,
  ): number {
    return this.#exclusive.reclaim(record, pieces, most, nowMs, view, patienceMs);
  }

  /**
   * For a peer that has `pieces`, is fast and waits for nothing: one that somebody has who takes many times as long, and was silent for a
   * second, starts over. Both have shown something, and nothing is held against the slow one.
   */
  outpace(record: PeerRecord, pieces: PieceSet, nowMs: number, view: ExclusiveView): boolean {
    return this.#exclusive.outpace(record, pieces, nowMs, view);
  }

  /** The peer is gone. Pieces that it had to itself, and sent nothing of, are anybody's. */
  peerGone(record: PeerRecord): void {
    if (this.#exclusive.count > 0) this.#exclusive.peerGone(record, (piece) => this.#senders.has(piece));
  }

  /** Looks after pieces whose owners let them go, `most` of them. About once a second, and when a piece failed. */
  review(nowMs: number, view: ExclusiveView, most?: number): void {
    if (this.#isWary && nowMs - this.#failedMs > WARY_MS) this.#isWary = false;
    this.#attempts.expire(nowMs);
    this.#exclusive.review(nowMs, view, most);
  }

  // ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The piece is right. `digests`: of its blocks, where known. Returns who is banned, because it sent others of a block before.
   * One on parole that sent all of the piece is trusted again: a part of it would prove nothing.
   */
  pieceVerified(piece: number, digests?: Float64Array): PeerRecord[] {
    const senders = this.#distinct(this.#take(piece));
    for (const record of senders) {
      record.trust = Math.min(TRUST_MAX, record.trust + 1);
      if (!record.isProven) this.#shown(record);
    }
    const [only] = senders;
    if (only !== undefined && senders.length === 1) {
      only.trust = Math.max(0, only.trust);
      only.lapses = 0;
      this.#setParole(only, false);
    }
    this.#exclusive.delete(piece);
    const banned: PeerRecord[] = [];
    for (const index of this.#attempts.settle(piece, digests)) {
      const record = this.#recordAt(index);
      if (!record.banned) banned.push(record);
      this.#ban(record);
    }
    return banned;
  }

  /**
   * The piece is wrong. `digests`: of its blocks, where known. Returns all who sent blocks of it, and those of them that are banned
   * for it, each once.
   */
  pieceFailed(
    piece: number,
    digests: Float64Array | undefined,
    nowMs: number,
  ): { senders: PeerRecord[]; banned: PeerRecord[] } {
    const blocks = this.#take(piece);
    const senders = this.#distinct(blocks);
    for (const record of senders) record.piecesFailed++;
    this.#isWary = true;
    this.#failedMs = nowMs;
    if (senders.length === 1 && !blocks.includes(NOBODY)) {
      const [record] = senders as [PeerRecord];
      // Of an exclusive piece: it is anybody's again, as nobody who could hide among others is left.
      this.#exclusive.delete(piece);
      if (record.banned) return { senders, banned: [] };
      this.#ban(record);
      return { senders, banned: [record] };
    }
    // Blocks of a peer that was found out may still be in pieces under way: they explain those, and cost nobody else its trust.
    if (!senders.some(({ banned }) => banned)) {
      // Whoever has shown something is not suspected while there is somebody who has not.
      const isExplained = senders.some(({ isProven }) => !isProven);
      for (const record of senders) {
        if (isExplained && record.isProven) continue;
        record.trust = Math.max(-TRUST_MAX, record.trust - TRUST_LOST);
        if (record.trust < 0) this.#setParole(record, true);
      }
    }
    if (digests !== undefined) this.#attempts.remember(piece, blocks, digests, nowMs);
    this.#exclusive.failed(piece, nowMs);
    return { senders, banned: [] };
  }

  /** The piece starts over, without having been judged. `digests`: of the blocks that were there, NaN where not known. */
  pieceStartedOver(piece: number, digests: Float64Array | undefined, nowMs: number): void {
    const blocks = this.#take(piece);
    if (digests !== undefined && blocks.length > 0) this.#attempts.remember(piece, blocks, digests, nowMs);
  }

  /**
   * Forgets the oldest half of the records, but those of peers that are here, that sent blocks of pieces under way or of attempts that
   * are remembered, or that a piece was given to.
   */
  #prune(): void {
    const used = new Set<number>();
    for (const senders of this.#senders.values()) for (const index of senders) used.add(index);
    this.#attempts.addSenders(used);
    for (const { index } of this.#exclusive.records()) used.add(index);
    let surplus = this.#indexByKey.size - RECORDS_MAX / 2;
    for (const [key, index] of this.#indexByKey) {
      if (surplus <= 0) break;
      const record = this.#recordAt(index);
      if (record.connections > 0 || used.has(index)) continue;
      this.#setParole(record, false);
      this.#indexByKey.delete(key);
      this.#records[index] = undefined;
      this.#freeIndices.push(index);
      surplus--;
    }
    // However many are in use, looking at all of them is paid for by as many new ones.
    this.#pruneAt = Math.max(RECORDS_MAX, 2 * this.#indexByKey.size);
  }

  /** It is no stranger any more: what it let go as one, in whose queue others came first perhaps, says nothing of it. */
  #shown(record: PeerRecord): void {
    record.isProven = true;
    record.lapses = 0;
    this.provenTotal++;
  }

  #ban(record: PeerRecord): void {
    record.banned = true;
    this.#setParole(record, false);
  }

  #setParole(record: PeerRecord, onParole: boolean): void {
    if (record.onParole === onParole) return;
    record.onParole = onParole;
    this.#onParoleCount += onParole ? 1 : -1;
  }

  #take(piece: number): Int32Array {
    const senders = this.#senders.get(piece);
    this.#senders.delete(piece);
    return senders ?? new Int32Array(0);
  }

  #recordAt(index: number): PeerRecord {
    return present(this.#records[index], "an index of a record is that of one that is kept");
  }

  #distinct(senders: Int32Array): PeerRecord[] {
    const records: PeerRecord[] = [];
    let last = NOBODY;
    for (const index of senders) {
      // Blocks of one peer lie beside each other: most of them are told by the one before.
      if (index === last || index === NOBODY) continue;
      last = index;
      const record = this.#recordAt(index);
      if (!records.includes(record)) records.push(record);
    }
    return records;
  }
}
