// Tells the peers which pieces we have got. One system call tells a peer of one piece or of a hundred: where there are many peers, pieces
// are told together.
//
// Always: telling takes a small part of the time, however many peers there are: for each of them a quarter of a millisecond passes
// between two times, a second at the most. Few peers hear of a piece at once.

import type { Ground, Timer } from "../../base/ground.js";

export interface PieceHearer {
  announcePieces(pieces: readonly number[]): void;
}

const PAUSE_MS_PER_PEER = 0.25;
export const ANNOUNCEMENTS_PAUSE_MS_MAX = 1000;

export class Announcements {
  readonly #peers: ReadonlySet<PieceHearer>;
  readonly #ground: Ground;
  #waiting: number[] = [];
  #toldMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #closed = false;

  /** `peers`: those that are here, at any time. */
  constructor(peers: ReadonlySet<PieceHearer>, ground: Ground) {
    this.#peers = peers;
    this.#ground = ground;
  }

  /** Pieces that were got and not told of. */
  get waiting(): number {
    return this.#waiting.length;
  }

  add(piece: number): void {
    if (this.#closed) return;
    this.#waiting.push(piece);
    if (this.#timer !== undefined) return;
    const pauseMs = Math.min(ANNOUNCEMENTS_PAUSE_MS_MAX, Math.floor(PAUSE_MS_PER_PEER * this.#peers.size));
    const leftMs = pauseMs - (this.#ground.nowMs() - this.#toldMs);
    if (pauseMs === 0 || leftMs <= 0) this.flush();
    else {
      this.#timer = this.#ground.after(leftMs, () => this.flush());
      this.#timer.unref();
    }
  }

  /** Tells what waits. */
  flush(): void {
    this.#timer?.close();
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    const pieces = this.#waiting;
    this.#waiting = [];
    this.#toldMs = this.#ground.nowMs();
    for (const peer of this.#peers) peer.announcePieces(pieces);
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#timer?.close();
  }
}
