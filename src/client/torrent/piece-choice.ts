// Which piece a peer is asked for next: steps 0 to 5 of the picker, whose header draws them.
//
// Always: a choice looks at the pieces that have free blocks, and at few of the others, however many there are.

import { assert } from "../../base/assert.js";
import { CHUNK_BLOCKS, MIB } from "../../base/limits.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { Availability, PieceFilter } from "./availability.js";
import type { PickerLayout, PickerOptions, PickingPeer } from "./picker.js";
import type { StrategyQueue } from "./piece-strategy.js";
import type { StartedPiece } from "./started-piece.js";
import type { StartedPieces } from "./started-pieces.js";
import type { Wanted } from "./wanted.js";

/** Verified pieces from which on the rarest is chosen: before, having anything to give counts more. */
export const RANDOM_PIECES = 4;

/** Pieces longer than this are shared between peers from the start. */
const SOLO_PIECE_LENGTH_MAX = 4 * MIB;
/** Active pieces of this many bytes together are not shared: half of a pool of the default size. */
const SOLO_BYTES = 16 * MIB;
const ACTIVE_BYTES = 256 * MIB;
const ACTIVE_PIECES_MIN = 64;

export class PieceChoice {
  readonly #layout: PickerLayout;
  readonly #wanted: Wanted;
  readonly #availability: Availability;
  readonly #started: StartedPieces;
  readonly #sequential: boolean;
  /** The program's own order. */
  #strategy: StrategyQueue | undefined;
  readonly #activeMax: number;
  readonly #soloMax: number;

  constructor(
    layout: PickerLayout,
    options: PickerOptions,
    wanted: Wanted,
    availability: Availability,
    started: StartedPieces,
  ) {
    const { pieceLength } = layout;
    this.#layout = layout;
    this.#wanted = wanted;
    this.#availability = availability;
    this.#started = started;
    this.#sequential = options.sequential === true;
    this.#activeMax =
      options.activePiecesMax ?? Math.max(ACTIVE_PIECES_MIN, Math.ceil(ACTIVE_BYTES / pieceLength));
    assert(this.#activeMax >= 1, "at least one piece may be active");
    this.#soloMax =
      pieceLength > SOLO_PIECE_LENGTH_MAX
        ? 0
        : Math.min(this.#activeMax, Math.floor(SOLO_BYTES / pieceLength));
  }

  /** From now on the program says which pieces are begun, where it names any. */
  setStrategy(make: (availability: Availability) => StrategyQueue): StrategyQueue {
    this.#strategy = make(this.#availability);
    return this.#strategy;
  }

  /** Starts a piece that is startable. */
  start(piece: number): StartedPiece {
    this.#availability.take(piece);
    return this.#started.start(piece, this.#layout.blocksInPiece(piece));
  }

  /** A started piece with a free block that the peer may be asked for; starts one if that is better. */
  choose(pieces: PieceSet, peer: PickingPeer, allowed: PieceFilter | undefined): StartedPiece | undefined {
    const urgent = this.#urgentPiece(pieces, allowed);
    if (urgent !== undefined) return urgent;
    let best: StartedPiece | undefined;
    let bestRank = 3;
    for (let index = 0; index < this.#started.open.length; index++) {
      const started = this.#started.open[index]!;
      const rank = started.owner === peer ? 0 : started.requested === 0 ? 1 : 2;
      if (rank > bestRank) continue;
      if (rank === bestRank && best !== undefined && !this.#isBefore(started, best)) continue;
      if (!pieces.has(started.piece)) continue;
      if (allowed !== undefined && !allowed.has(started.piece)) continue;
      best = started;
      bestRank = rank;
    }
    if (bestRank < 2) return best;
    if (best !== undefined && this.#started.activeCount >= this.#soloMax) return best;
    return this.#startAnother(pieces, allowed) ?? best;
  }

  /** For a peer that works on several pieces: another one while it has too few, else the one it was asked for longest ago. */
  chooseInTurn(
    pieces: PieceSet,
    peer: PickingPeer,
    allowed: PieceFilter | undefined,
    piecesAtOnce: number,
  ): StartedPiece | undefined {
    const urgent = this.#urgentPiece(pieces, allowed);
    if (urgent !== undefined) return urgent;
    let next: StartedPiece | undefined;
    let idle: StartedPiece | undefined;
    let own = 0;
    for (let index = 0; index < this.#started.open.length; index++) {
      const started = this.#started.open[index]!;
      const isOwn = started.owner === peer;
      if (!isOwn && started.requested > 0) continue;
      if (!pieces.has(started.piece) || (allowed !== undefined && !allowed.has(started.piece))) continue;
      if (!isOwn) {
        if (idle === undefined || this.#isBefore(started, idle)) idle = started;
        continue;
      }
      own++;
      if (next === undefined || started.turn < next.turn) next = started;
    }
    if (own >= piecesAtOnce) return next;
    return idle ?? this.#startAnother(pieces, allowed) ?? next ?? this.choose(pieces, peer, allowed);
  }

  /** The first piece that somebody waits for and of which the peer may be asked for something, whoever works on it. */
  #urgentPiece(pieces: PieceSet, allowed: PieceFilter | undefined): StartedPiece | undefined {
    const { urgent } = this.#wanted;
    for (let index = 0; index < urgent.length; index++) {
      const piece = urgent[index]!;
      if (!this.#wanted.missing.has(piece) || !pieces.has(piece) || allowed?.has(piece) === false) continue;
      const started = this.#started.get(piece);
      if (started === undefined) return this.start(piece);
      if (started.free > 0) return started;
    }
    return undefined;
  }

  /** Starts a piece that the peer has, unless too many are active. */
  #startAnother(pieces: PieceSet, allowed: PieceFilter | undefined): StartedPiece | undefined {
    if (this.#started.activeCount >= this.#activeMax) return undefined;
    const named = this.#strategy === undefined ? -1 : this.#strategy.choose(pieces, allowed);
    const piece = named >= 0 ? named : this.#newPiece(pieces, allowed, this.#wanted.levels);
    return piece < 0 ? undefined : this.start(piece);
  }

  /** A piece to start, of the highest priority that the peer has; −1 if it has none. */
  #newPiece(
    pieces: PieceSet,
    allowed: PieceFilter | undefined,
    levels: readonly PieceSet[] | undefined,
  ): number {
    if (levels === undefined) return this.#newPieceAmong(pieces, allowed, undefined);
    for (const level of levels) {
      if (level.count === 0) continue;
      const piece = this.#newPieceAmong(pieces, allowed, level);
      if (piece >= 0) return piece;
    }
    return -1;
  }

  #newPieceAmong(pieces: PieceSet, allowed: PieceFilter | undefined, among: PieceSet | undefined): number {
    const availability = this.#availability;
    if (this.#sequential) return availability.first(pieces, allowed, among);
    return availability.choose(pieces, allowed, this.#wanted.have.count < RANDOM_PIECES, among);
  }

  /**
   * Blocks to take of a piece whose turn it is. While a peer gets its first pieces, the first share of each is longer than
   * that of the one before, so that they end apart; later ones begin when another ends.
   */
  shareOf(started: StartedPiece, peer: PickingPeer, piecesAtOnce: number): number {
    if (started.requested + started.received > 0) return CHUNK_BLOCKS;
    let own = 0;
    for (let index = 0; index < this.#started.open.length; index++)
      if (this.#started.open[index]!.owner === peer) own++;
    return own === piecesAtOnce - 1 ? CHUNK_BLOCKS : CHUNK_BLOCKS * (1 + own);
  }

  /** Of two started pieces, the one with fewer blocks left to ask for, or else the rarer. */
  #isBefore(a: StartedPiece, b: StartedPiece): boolean {
    if (a.free !== b.free) return a.free < b.free;
    return this.#availability.of(a.piece) < this.#availability.of(b.piece);
  }
}
