// Locks in memory that threads share, one for each part of what they guard. Whoever finds one taken looks again for a little while, then
// sleeps until it is given back, and gives up after a bound; from then on it does not sleep for that one again until it was free.
//
//   lock   │ 0: free, else 1 + the thread that has it │ threads that sleep │ … to the end of a cache line │
//
// Always: a lock has one holder, by name, so that somebody else can give back what a thread that died had. Nobody waits for ever:
// the thread that a lock waits for may be the one that would notice the death.

import { assert } from "../../base/assert.js";

/** A cache line and its neighbour, which processors fetch together: locks of two parts do not slow each other. */
const LOCK_WORDS = 32;
const SLEEPERS = 1;
/** Looks at a lock before a thread sleeps: some microseconds, longer than most hold one. */
const LOOKS = 2000;
/** How long one sleep is at the most, and all of them for one lock. */
const SLEEP_MS = 5;
const SLEEPS_MAX = 20;

export function lockBytes(locks: number): number {
  return 4 * LOCK_WORDS * locks;
}

export class SharedLocks {
  /** Times that a lock was taken by somebody else, that this thread slept for one, and that it gave up. */
  contended = 0;
  sleeps = 0;
  abandoned = 0;
  readonly #words: Int32Array;
  readonly #holder: number;
  /** Locks that were given up, and how many they are. */
  readonly #givenUp: Uint8Array;
  #givenUpCount = 0;

  /** `thread`: a number from 0, one for each thread. `memory`: lockBytes() of zeros at first. */
  constructor(memory: SharedArrayBuffer, thread: number) {
    this.#words = new Int32Array(memory);
    this.#holder = 1 + thread;
    this.#givenUp = new Uint8Array(this.#words.length / LOCK_WORDS);
  }

  /** False: it is somebody else's, for longer than anybody should have it. */
  take(lock: number): boolean {
    if (Atomics.compareExchange(this.#words, LOCK_WORDS * lock, 0, this.#holder) !== 0 && !this.#wait(lock))
      return false;
    if (this.#givenUpCount > 0 && this.#givenUp[lock] === 1) {
      this.#givenUp[lock] = 0;
      this.#givenUpCount--;
    }
    return true;
  }

  give(lock: number): void {
    const words = this.#words;
    const at = LOCK_WORDS * lock;
    assert(words[at] === this.#holder, "who gives a lock back has it");
    Atomics.store(words, at, 0);
    if (Atomics.load(words, at + SLEEPERS) > 0) Atomics.notify(words, at, 1);
  }

  /** Takes what a thread that is no more had: whether it had this lock, which is the caller's then. */
  inherit(lock: number, thread: number): boolean {
    assert(1 + thread !== this.#holder, "a thread that takes what another one had is not that one");
    return Atomics.compareExchange(this.#words, LOCK_WORDS * lock, 1 + thread, this.#holder) === 1 + thread;
  }

  #wait(lock: number): boolean {
    const words = this.#words;
    const at = LOCK_WORDS * lock;
    assert(words[at] !== this.#holder, "a thread that has a lock does not take it again");
    this.contended++;
    for (let look = 0; look < LOOKS; look++)
      if (words[at] === 0 && Atomics.compareExchange(words, at, 0, this.#holder) === 0) return true;
    const sleepsMax = this.#givenUp[lock] === 1 ? 0 : SLEEPS_MAX;
    for (let sleep = 0; sleep < sleepsMax; sleep++) {
      this.sleeps++;
      Atomics.add(words, at + SLEEPERS, 1);
      const held = Atomics.load(words, at);
      // Who died asleep is still counted: it costs a call for nobody now and then, and no more.
      if (held !== 0) Atomics.wait(words, at, held, SLEEP_MS);
      Atomics.sub(words, at + SLEEPERS, 1);
      if (Atomics.compareExchange(words, at, 0, this.#holder) === 0) return true;
    }
    this.abandoned++;
    if (this.#givenUp[lock] === 0) {
      this.#givenUp[lock] = 1;
      this.#givenUpCount++;
    }
    return false;
  }
}
