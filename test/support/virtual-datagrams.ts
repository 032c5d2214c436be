// Datagrams over virtual time: a network in memory, timers and dice that follow its clock, for clients of trackers and the like.
//
// Always: time passes in run() only, in steps that are short beside what anybody waits for; promises are settled between two of them.

import type { Ground, Timer } from "../../src/base/ground.js";
import { DatagramNetwork, type DatagramNetworkOptions } from "../../src/native/datagram-network.js";
import { makeRandom } from "./property.js";

const STEP_MS = 20;

interface Due {
  atMs: number;
  readonly everyMs: number | undefined;
  readonly callback: () => void;
}

export class VirtualDatagrams {
  readonly network: DatagramNetwork;
  readonly ground: Ground;
  readonly #timers = new Set<Due>();

  constructor(seed: number, options: DatagramNetworkOptions = {}) {
    const random = makeRandom(seed);
    this.network = new DatagramNetwork({ random, latencyMs: 1, ...options });
    this.ground = {
      nowMs: () => this.network.nowMs,
      after: (ms, callback) => this.#timer(ms, undefined, callback),
      every: (ms, callback) => this.#timer(ms, ms, callback),
      random,
      fillRandom: (bytes, from) => {
        for (let at = from; at < bytes.length; at++) bytes[at] = Math.floor(256 * random());
      },
    };
  }

  /** Timers that have not run. */
  get timers(): number {
    return this.#timers.size;
  }

  async run(ms: number): Promise<void> {
    const end = this.network.nowMs + ms;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#runDue();
      if (this.network.nowMs >= end) return;
      this.network.run(Math.min(end, this.network.nowMs + STEP_MS));
    }
  }

  /** Lets time pass until `promise` has settled. */
  async until<Result>(promise: Promise<Result>, msMax = 600_000): Promise<Result> {
    let settled = false;
    const note = (): void => {
      settled = true;
    };
    promise.then(note, note);
    const end = this.network.nowMs + msMax;
    while (!settled && this.network.nowMs < end) await this.run(STEP_MS);
    if (!settled) throw new Error(`nothing happened in ${msMax} ms of virtual time`);
    return promise;
  }

  #runDue(): void {
    const now = this.network.nowMs;
    for (const due of [...this.#timers].sort((a, b) => a.atMs - b.atMs)) {
      if (due.atMs > now || !this.#timers.has(due)) continue;
      if (due.everyMs === undefined) this.#timers.delete(due);
      else due.atMs = now + due.everyMs;
      due.callback();
    }
  }

  #timer(ms: number, everyMs: number | undefined, callback: () => void): Timer {
    const due: Due = { atMs: this.network.nowMs + ms, everyMs, callback };
    this.#timers.add(due);
    return {
      ref: () => {},
      unref: () => {},
      refresh: () => {
        due.atMs = this.network.nowMs + ms;
        this.#timers.add(due);
      },
      close: () => this.#timers.delete(due),
    };
  }
}
