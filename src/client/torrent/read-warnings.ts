// What is told of blocks that peers asked for and that could not be read: a peer asks as often as it likes, and that must not fill the
// program's log.

import type { StorageError } from "../../base/errors.js";

const BETWEEN_MS = 60_000;

export class ReadWarnings {
  readonly #warn: (text: string) => void;
  #lastMs: number | undefined;
  #sinceLast = 0;

  constructor(warn: (text: string) => void) {
    this.#warn = warn;
  }

  failed(error: StorageError, nowMs: number): void {
    this.#sinceLast++;
    if (this.#lastMs !== undefined && nowMs - this.#lastMs < BETWEEN_MS) return;
    const times = this.#sinceLast === 1 ? "" : ` (${this.#sinceLast} blocks since the last warning)`;
    this.#lastMs = nowMs;
    this.#sinceLast = 0;
    this.#warn(`cannot read to send: ${error.message}${times}`);
  }
}
