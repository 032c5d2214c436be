// When what was verified is made durable, and resume data may claim it: every few seconds, or after so much.
//
// Always: a piece is noted before anybody hears of it, if only in memory while the process has no descriptor left; a note that cannot
// be written for another reason ends the torrent, since nothing may be noted behind it.

import type { Clock } from "../peer/peer-options.js";
import type { ResumeLog } from "../storage/resume.js";

/** Durable checkpoints of resume data, at the latest after so long or so much. */
const CHECKPOINT_MS = 5000;
const CHECKPOINT_BYTES = 256 * 1024 * 1024;

export class Checkpoints {
  readonly #resume: ResumeLog;
  readonly #clock: Clock;
  readonly #broke: (error: unknown) => void;
  #sinceBytes = 0;
  #lastMs: number;

  /** `broke` is told what is wrong, when nobody waits for it. */
  constructor(resume: ResumeLog, clock: Clock, broke: (error: unknown) => void) {
    this.#resume = resume;
    this.#clock = clock;
    this.#broke = broke;
    this.#lastMs = clock.nowMs;
  }

  /** Notes a verified piece for the next start. False: there is no room for it, and the torrent has failed. */
  claim(piece: number, bytes: number): boolean {
    try {
      this.#resume.append(piece);
    } catch (error) {
      this.#broke(error);
      return false;
    }
    this.#sinceBytes += bytes;
    return true;
  }

  /** The piece that was noted last is told of. */
  claimed(): void {
    if (this.#sinceBytes >= CHECKPOINT_BYTES) this.#begin();
  }

  tick(nowMs: number): void {
    if (nowMs - this.#lastMs >= CHECKPOINT_MS) this.#begin();
  }

  #begin(): void {
    this.#lastMs = this.#clock.nowMs;
    if (this.#sinceBytes === 0) return;
    this.#sinceBytes = 0;
    this.#resume.checkpoint().catch(this.#broke);
  }
}
