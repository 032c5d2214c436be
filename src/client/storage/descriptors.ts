// The open files of this process's storage, over all torrents: how many there may be, and which of those that nobody uses
// is closed first.
//
// Always: counting is O(1), and so is finding what to close; a file that somebody holds is never closed here; who could
// not open one because all are held is told when one is let go.

import { constants } from "node:os";
import { assert } from "../../base/assert.js";
import type { DescriptorBudget } from "../../base/descriptor-budget.js";
import { StorageError } from "../../base/errors.js";
import { processDescriptors } from "../../native/descriptors.js";

/** Files that are open at one time, over all torrents of this process: opening one anew costs little, and more serve nobody. */
const OPEN_FILES_MAX = 256;

/** A file that is open and used by nobody now; closing it is its table's work. */
export interface IdleFile {
  closeIdle(): void;
}

export class Descriptors {
  readonly #max: number;
  readonly #budget: DescriptorBudget | undefined;
  #count = 0;
  /** A Set remembers the order: the least recently used first. */
  readonly #idle = new Set<IdleFile>();
  #waiters = new Set<() => void>();

  /** `budget`: what connections and files share, if anything. */
  constructor(max: number, budget?: DescriptorBudget) {
    assert(max > 0, "some file may be open");
    this.#max = max;
    this.#budget = budget;
    // A file that nobody reads now is opened again when somebody does; a peer that is refused may not come again.
    budget?.onShortage("file", () => this.closeOne());
  }

  /** A descriptor that stays open for as long as a torrent is counted from before it is opened. */
  hold(): void {
    this.#budget?.hold();
  }

  /** What was held is closed, or could not be opened. */
  letGo(): void {
    this.#budget?.letGo();
    this.#wake();
  }

  /** Files that are open, or about to be. */
  get count(): number {
    return this.#count;
  }

  /** Counts one more file as open, before it is; closes an idle one for it if need be. False: all are held. */
  take(): boolean {
    if (this.#count >= this.#max && !this.closeOne()) return false;
    while (this.#budget?.take("file") === false) if (!this.closeOne()) return false;
    this.#count++;
    return true;
  }

  /** A file was closed. */
  give(): void {
    this.untake();
    this.#wake();
  }

  /** What was counted could not be opened. Those who wait are not told: they would fail as well. */
  untake(): void {
    assert(this.#count > 0, "what is closed was open");
    this.#count--;
    this.#budget?.release("file");
  }

  /** Nobody uses the file now: it may be closed to make room. */
  becameIdle(file: IdleFile): void {
    this.#idle.add(file);
    this.#wake();
  }

  /** Somebody uses the file again, or it is being closed. */
  noLongerIdle(file: IdleFile): void {
    this.#idle.delete(file);
  }

  /** Closes the file that was not used for the longest time; false if all are held. */
  closeOne(): boolean {
    for (const file of this.#idle) {
      this.#idle.delete(file);
      file.closeIdle();
      return true;
    }
    return false;
  }

  /**
   * Calls `waiter` once, when a file was let go or closed; never from inside this call. Where the system has none left for
   * other reasons, nobody tells when that changes: those who wait look again after a while.
   */
  wait(waiter: () => void): void {
    this.#waiters.add(waiter);
  }

  /** Those who wait are told in a turn of their own: the caller is in the middle of something. */
  #wake(): void {
    if (this.#waiters.size === 0) return;
    const waiters = this.#waiters;
    this.#waiters = new Set();
    queueMicrotask(() => {
      for (const waiter of waiters) waiter();
    });
  }
}

let shared: Descriptors | undefined;

/** Shared by all sessions of this thread; made at the first call. */
export function processFiles(): Descriptors {
  shared ??= new Descriptors(OPEN_FILES_MAX, processDescriptors());
  return shared;
}

const EXHAUSTED_CODES: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE"]);
const { EMFILE, ENFILE } = constants.errno;

/** True for what node:fs throws, and for a StorageError, when the process or the machine has no descriptor left. */
export function isExhausted(error: unknown): boolean {
  if (!(error instanceof StorageError)) return EXHAUSTED_CODES.has((error as NodeJS.ErrnoException).code);
  return error.errno !== undefined && [EMFILE, ENFILE].includes(Math.abs(error.errno));
}

/** Opens something for a moment, or something that is held: where no descriptor is left, files that nobody uses are closed for it. */
export function openMakingRoom(open: () => number): number {
  for (;;) {
    try {
      return open();
    } catch (error) {
      if (!isExhausted(error) || !processFiles().closeOne()) throw error;
    }
  }
}
