// What the picker knows of a piece that was started and is not verified: the states of its blocks, and whether it gets on.
//
// Always: free + requested + received = blockCount. Records are used again.

import type { PickingPeer } from "./picker.js";

/** States of a block: FREE, the number of its requesters, or RECEIVED. */
export const FREE = 0;
export const RECEIVED = 255;
/** What a peer has shown. Of each block in the end game one place more is kept for those that have shown more. */
export const Standing = { unknown: 0, proven: 1, fast: 2 } as const;
export type Standing = (typeof Standing)[keyof typeof Standing];
/** Peers that one block may be asked of in the end game, but for those that are fast; and where its piece stalls for long. */
export const REQUESTERS_MAX = 3;
const REQUESTERS_MAX_STALLED = 250;
/** So many times as many if they have brought blocks before. */
const PROVEN_FACTOR = 4;
/** Windows until so many may be asked: their number doubles with each. */
const WINDOWS_MAX = 7;
/** A piece that gets fewer blocks than this in a window has stalled. */
export const STALLED_BLOCKS = 4;

export class StartedPiece {
  piece = -1;
  blockCount = 0;
  readonly states: Uint8Array;
  free = 0;
  requested = 0;
  received = 0;
  /** No block below this one is free. */
  firstFree = 0;
  /** The peer that was last asked for a block of it, while any is requested. */
  owner: PickingPeer | undefined;
  /** When it was last picked from: among the pieces of a peer of a high rate, the longest ago is next. */
  turn = 0;
  /** Its index among the pieces with free blocks, or −1. */
  openAt = -1;
  /** It got almost nothing in the last window, although blocks were requested; and windows that were so. */
  stalled = false;
  stalledWindows = 0;
  /** Blocks that were here when the window began; −1: none was requested then. */
  #receivedBefore = -1;

  constructor(blocksMax: number) {
    this.states = new Uint8Array(blocksMax);
  }

  begin(piece: number, blockCount: number): void {
    this.piece = piece;
    this.blockCount = blockCount;
    this.states.fill(FREE, 0, blockCount);
    this.free = blockCount;
    this.requested = 0;
    this.received = 0;
    this.firstFree = 0;
    this.stalled = false;
    this.stalledWindows = 0;
    this.#receivedBefore = -1;
  }

  /**
   * Peers that a block may be asked of in the end game once its piece has stalled. Some of the places are for those that have
   * brought blocks: hundreds that bring nothing cannot fill them all.
   */
  requestersMax(standing: Standing): number {
    const most = REQUESTERS_MAX << Math.min(this.stalledWindows, WINDOWS_MAX);
    return standing !== Standing.unknown
      ? Math.min(REQUESTERS_MAX_STALLED, PROVEN_FACTOR * most)
      : Math.min(REQUESTERS_MAX_STALLED / 2, most);
  }

  /** A window ends and another begins: sees whether the piece got on in it. */
  windowEnded(): void {
    const before = this.#receivedBefore;
    this.stalled = this.requested > 0 && before >= 0 && this.received - before < STALLED_BLOCKS;
    if (this.stalled) this.stalledWindows++;
    this.#receivedBefore = this.requested > 0 ? this.received : -1;
  }

  /** Nothing of it is requested any more. */
  idle(): void {
    this.owner = undefined;
    this.stalled = false;
    this.#receivedBefore = -1;
  }
}
