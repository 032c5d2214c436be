// Super seeding (BEP 16): who has everything shows each peer a few pieces only, another one when one of those is seen elsewhere, so that
// the first copy leaves about once, and peers give each other the rest.
//
//   shown ──all of it was sent, or the peer says that it has it──▶ taken ──somebody has it whom it was not shown to──▶ spread: the peer is shown another one
//     │                                                            └──not in SPREAD_MS, twice as long each time in a row──▶ lapsed: it is shown another one all the same
//     └──not taken in TAKE_MS: shown to others, too, as if nobody had it
//
// Most clients tell nobody of a piece that it has already: of those that were shown, what they have got is known by what was sent.
//
// What is shown cannot be taken back: it stays the peer's to ask for. A piece that nobody else misses has nowhere to go, and counts as
// spread when it is taken: a peer that is alone, or among others that want nothing, gets one after the other.
//
// It is over, and the torrent seeds like any other, once each piece is with somebody whom it was not shown to, or anybody has everything:
// then a copy is out, and holding back costs others time and saves nothing. Whoever lies about its pieces gets no more than that. It is
// over as well where nothing spreads: a peer let LAPSES_MAX pieces lapse in a row, and nobody spread one meanwhile. Those that would have to
// take it may be there to take nothing.
//
// Always: a peer has PIECES_AT_ONCE at the most that are shown and neither spread nor lapsed, or as many as make BYTES_AT_ONCE; to find a
// piece to show no more than twice LOOKS_MAX are looked at.

import { assert } from "../../base/assert.js";
import { KIB } from "../../base/limits.js";
import { PieceSet } from "../../base/piece-set.js";

/** With one alone a peer would have nothing to ask for while the other finds its way to somebody else. */
const PIECES_AT_ONCE = 2;
/** Small pieces are shown several at a time: the way of each takes longer than sending it. */
const BYTES_AT_ONCE = 256 * KIB;
/** For slow peers, of whom many are served at once. */
export const TAKE_MS = 60_000;
/** Time for another peer to be unchoked, and to bring all of a piece. */
export const SPREAD_MS = 30_000;
/** Of those that do not spread what they get, the wait grows up to so many doublings: 8 minutes. */
const DOUBLINGS_MAX = 4;
const LOOKS_MAX = 512;
/** Half a minute, one, and two. */
const LAPSES_MAX = 3;

/** Who is shown pieces; a connection is one. */
export interface ShownPeer {
  /** What it has. */
  readonly pieces: PieceSet;
  /** It wants no blocks. */
  readonly isUploadOnly: boolean;
  /** It wants some of ours. */
  readonly peerInterested: boolean;
  /** Tells it of one piece more. */
  reveal(piece: number): void;
}

interface Loan {
  readonly piece: number;
  /** When it was shown; once it is taken, when that was. */
  sinceMs: number;
  isTaken: boolean;
  /** Shown to others as well, for it was not taken in time. */
  isOverdue: boolean;
}

interface Borrower {
  readonly peer: ShownPeer;
  readonly shown: PieceSet;
  /** What it announced, and what it was sent. */
  readonly has: PieceSet;
  readonly loans: Map<number, Loan>;
  /** Of pieces that were shown, bytes that were not sent. */
  readonly unsent: Map<number, number>;
  /** Times in a row that it did not spread what it had; and how much had spread when that began. */
  lapses: number;
  spreadBefore: number;
}

export interface SuperSeedOptions {
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly pieceLengthOf: (piece: number) => number;
  /** From 0 to below 1. */
  readonly random: () => number;
}

export class SuperSeed {
  readonly #options: SuperSeedOptions;
  readonly #atOnce: number;
  readonly #borrowers = new Map<ShownPeer, Borrower>();
  /** By piece, who has it on loan. */
  readonly #lentTo = new Map<number, Set<Borrower>>();
  /** Pieces that nobody has, and that are not on loan, but for those that are overdue. */
  readonly #fresh: PieceSet;
  /** Pieces that nobody has whom they were not shown to. */
  readonly #inside: PieceSet;
  /** How many have each piece. */
  readonly #holders: Uint32Array;
  /** Loans that spread, in all. */
  #spread = 0;
  #isOver = false;

  constructor(options: SuperSeedOptions) {
    const { pieceCount, pieceLength } = options;
    this.#options = options;
    this.#atOnce = Math.max(PIECES_AT_ONCE, Math.floor(BYTES_AT_ONCE / pieceLength));
    this.#fresh = new PieceSet(pieceCount);
    this.#fresh.fill();
    this.#inside = new PieceSet(pieceCount);
    this.#inside.fill();
    this.#holders = new Uint32Array(pieceCount);
  }

  /** True once there is nothing to hold back any more. It stays so. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The peer announced its pieces, or one more; −1: all that it has. Its first one makes it a borrower. */
  peerAnnounced(peer: ShownPeer, piece: number, nowMs: number): void {
    if (this.#isOver) return;
    const { pieces } = peer;
    const borrower = this.#borrowerOf(peer);
    const settled = new Set<Borrower>([borrower]);
    if (piece >= 0) this.#appeared(borrower, piece, nowMs, settled);
    else
      for (let each = pieces.next(0); each >= 0; each = pieces.next(each + 1))
        this.#appeared(borrower, each, nowMs, settled);
    this.#goOn(borrower, settled, nowMs);
  }

  /** So many bytes of a piece were sent to the peer. */
  blockSent(peer: ShownPeer, piece: number, length: number, nowMs: number): void {
    const borrower = this.#borrowers.get(peer);
    const unsent = borrower?.unsent.get(piece);
    if (borrower === undefined || unsent === undefined || this.#isOver) return;
    if (unsent > length) {
      borrower.unsent.set(piece, unsent - length);
      return;
    }
    const settled = new Set<Borrower>();
    this.#appeared(borrower, piece, nowMs, settled);
    this.#goOn(borrower, settled, nowMs);
  }

  peerGone(peer: ShownPeer): void {
    const borrower = this.#borrowers.get(peer);
    if (borrower === undefined || this.#isOver) return;
    this.#borrowers.delete(peer);
    const { has, loans } = borrower;
    const lent = [...loans.keys()];
    for (const piece of lent) this.#settle(borrower, piece);
    for (let piece = has.next(0); piece >= 0; piece = has.next(piece + 1)) {
      this.#setHolders(piece, -1);
      this.#mayBeLost(piece);
    }
    for (const piece of lent) this.#mayBeLost(piece);
  }

  /** Time passed; about once a second. `here`: all that are open and know the pieces. */
  tick(here: Iterable<ShownPeer>, nowMs: number): void {
    // Who has nothing, and does not speak BEP 6, says nothing of it.
    for (const peer of here) if (!this.#isOver) this.#borrowerOf(peer);
    for (const borrower of this.#borrowers.values()) {
      if (borrower.peer.isUploadOnly) this.#hasEnough(borrower, nowMs);
      if (this.#isOver) return;
      let hasLapsed = false;
      for (const loan of borrower.loans.values())
        if (this.#isLate(borrower, loan, nowMs)) {
          this.#settle(borrower, loan.piece);
          hasLapsed = true;
        }
      if (hasLapsed) this.#lapsed(borrower);
      if (this.#isOver) return;
      this.#show(borrower, nowMs);
    }
  }

  /** For tests, between two turns. */
  checkInvariants(): void {
    if (this.#isOver) return;
    const holders = new Uint32Array(this.#options.pieceCount);
    for (const { loans, shown, has } of this.#borrowers.values()) {
      for (let piece = has.next(0); piece >= 0; piece = has.next(piece + 1))
        holders[piece] = 1 + (holders[piece] ?? 0);
      assert(loans.size <= this.#atOnce, "what is on loan is bounded");
      for (const { piece, isOverdue } of loans.values())
        assert(shown.has(piece) && (isOverdue || !this.#fresh.has(piece)), "what is on loan was shown");
    }
    assert(Buffer.compare(bytesOf(holders), bytesOf(this.#holders)) === 0, "who has a piece is counted");
    for (const [piece, borrowers] of this.#lentTo) {
      assert(borrowers.size > 0, "who has a piece on loan is known by it");
      for (const { peer, loans } of borrowers)
        assert(this.#borrowers.has(peer) && loans.has(piece), "a loan is noted on both sides");
    }
  }

  #borrowerOf(peer: ShownPeer): Borrower {
    let borrower = this.#borrowers.get(peer);
    if (borrower === undefined) {
      const { pieceCount } = this.#options;
      borrower = {
        ...{ peer, shown: new PieceSet(pieceCount), has: new PieceSet(pieceCount) },
        ...{ loans: new Map(), unsent: new Map(), lapses: 0, spreadBefore: 0 },
      };
      this.#borrowers.set(peer, borrower);
    }
    return borrower;
  }

  /** Who wants nothing has what it was shown, from whomever, or never will. */
  #hasEnough(borrower: Borrower, nowMs: number): void {
    const settled = new Set<Borrower>();
    for (const piece of [...borrower.unsent.keys()]) this.#appeared(borrower, piece, nowMs, settled);
    this.#goOn(borrower, settled, nowMs);
  }

  /** Looks whether it is over; else who got on is shown more. */
  #goOn(borrower: Borrower, settled: ReadonlySet<Borrower>, nowMs: number): void {
    if (borrower.has.isFull || this.#inside.count === 0) this.#isOver = true;
    for (const each of settled) this.#show(each, nowMs);
  }

  #setHolders(piece: number, change: number): void {
    this.#holders[piece] = (this.#holders[piece] ?? 0) + change;
  }

  /** A peer has a piece. Adds those that spread it to `settled`. */
  #appeared(own: Borrower, piece: number, nowMs: number, settled: Set<Borrower>): void {
    own.unsent.delete(piece);
    if (!own.has.add(piece)) return;
    this.#setHolders(piece, 1);
    this.#fresh.delete(piece);
    if (own.shown.has(piece)) {
      const loan = own.loans.get(piece);
      if (loan === undefined) return;
      loan.isTaken = true;
      loan.sinceMs = nowMs;
      if (this.#isMissed(piece)) return;
    } else this.#inside.delete(piece);
    for (const borrower of [...(this.#lentTo.get(piece) ?? [])]) {
      this.#settle(borrower, piece);
      this.#spread++;
      borrower.lapses = 0;
      settled.add(borrower);
    }
  }

  /** What it had did not spread. */
  #lapsed(borrower: Borrower): void {
    if (borrower.lapses === 0) borrower.spreadBefore = this.#spread;
    borrower.lapses++;
    this.#isOver = borrower.lapses >= LAPSES_MAX && borrower.spreadBefore === this.#spread;
  }

  #settle(borrower: Borrower, piece: number): void {
    borrower.loans.delete(piece);
    const borrowers = this.#lentTo.get(piece);
    borrowers?.delete(borrower);
    if (borrowers?.size === 0) this.#lentTo.delete(piece);
  }

  /** True if somebody would have it and has not. */
  #isMissed(piece: number): boolean {
    for (const { peer, has } of this.#borrowers.values())
      if (!peer.isUploadOnly && peer.peerInterested && !has.has(piece)) return true;
    return false;
  }

  /** True if it was taken and did not spread in time. What is not taken in time is shown to others. */
  #isLate({ lapses }: Borrower, loan: Loan, nowMs: number): boolean {
    const elapsedMs = nowMs - loan.sinceMs;
    if (loan.isTaken) return elapsedMs >= SPREAD_MS * 2 ** Math.min(DOUBLINGS_MAX, lapses);
    if (loan.isOverdue || elapsedMs < TAKE_MS) return false;
    loan.isOverdue = true;
    if (this.#holders[loan.piece] === 0) this.#fresh.add(loan.piece);
    return false;
  }

  /** The only one who had the piece, or was to have it, may have left. */
  #mayBeLost(piece: number): void {
    if (this.#holders[piece] !== 0) return;
    this.#inside.add(piece);
    for (const { loans } of this.#lentTo.get(piece) ?? []) if (loans.get(piece)?.isOverdue === false) return;
    this.#fresh.add(piece);
  }

  #show(borrower: Borrower, nowMs: number): void {
    const { peer, shown, loans } = borrower;
    if (peer.isUploadOnly) return;
    while (!this.#isOver && loans.size < this.#atOnce) {
      const piece = this.#choose(borrower);
      if (piece < 0) return;
      shown.add(piece);
      borrower.unsent.set(piece, this.#options.pieceLengthOf(piece));
      this.#fresh.delete(piece);
      loans.set(piece, { piece, sinceMs: nowMs, isTaken: false, isOverdue: false });
      const others = this.#lentTo.get(piece);
      if (others === undefined) this.#lentTo.set(piece, new Set([borrower]));
      else others.add(borrower);
      peer.reveal(piece);
    }
  }

  /** One that nobody has, or else the rarest of some: what the peer neither has nor was shown. −1 if there is none. */
  #choose({ has, shown }: Borrower): number {
    const { pieceCount, random } = this.#options;
    const start = Math.floor(pieceCount * random());
    const isNew = (piece: number): boolean => !has.has(piece) && !shown.has(piece);
    let looks = LOOKS_MAX;
    for (const from of [start, 0])
      for (let piece = this.#fresh.next(from); piece >= 0 && looks > 0; piece = this.#fresh.next(piece + 1)) {
        looks--;
        if (isNew(piece)) return piece;
      }
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let step = 0; step < Math.min(pieceCount, LOOKS_MAX); step++) {
      const piece = (start + step) % pieceCount;
      if (!isNew(piece)) continue;
      // Shown to others counts as well: they will have it.
      const rarity = (this.#holders[piece] ?? 0) + (this.#lentTo.get(piece)?.size ?? 0);
      if (rarity < least) [best, least] = [piece, rarity];
    }
    return best;
  }
}

function bytesOf(counts: Uint32Array): Uint8Array {
  return new Uint8Array(counts.buffer, counts.byteOffset, counts.byteLength);
}
