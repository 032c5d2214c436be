// Peers that lookups find, as an async iterator: each endpoint once, as it comes; the end when all lookups are complete. Who stops
// iterating stops the lookups.
//
// Always: what waits for the reader is bounded; beyond it peers are dropped, as nodes are free to tell any number of them.

import type { SocketAddress } from "../native/binding.js";
import { endpointKey } from "./contact.js";
import type { KrpcReader } from "./krpc-reader.js";
import type { Lookup, LookupListener } from "./lookup.js";
import { readPeers } from "./peers.js";

const PEERS_MAX = 4096;

type Result = IteratorResult<SocketAddress, undefined>;

export class PeerStream implements AsyncIterableIterator<SocketAddress>, LookupListener {
  readonly #lookups = new Set<Lookup>();
  readonly #known = new Set<number | string>();
  readonly #waiting: SocketAddress[] = [];
  /** Calls of next() that wait, in order. */
  readonly #readers: { resolve: (result: Result) => void; reject: (error: unknown) => void }[] = [];
  /** Lookups that are not complete; and one until begun() says that there will be no more of them. */
  #following = 1;
  #isOver = false;
  #error: unknown;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#end(this.#signal?.reason);

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
    if (signal?.aborted === true) this.#end(signal.reason);
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Begins a lookup that tells us; it may be complete at once. */
  follow(begin: (listener: LookupListener) => Lookup): void {
    if (this.#isOver) return;
    this.#following++;
    const lookup = begin(this);
    if (!lookup.isComplete) this.#lookups.add(lookup);
  }

  /** All lookups have begun: when they are complete, so is this. */
  begun(): void {
    if (--this.#following === 0) this.#end(undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    const value = this.#waiting.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#isOver) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
    });
  }

  return(): Promise<Result> {
    this.#waiting.length = 0;
    this.#end(undefined);
    return Promise.resolve({ value: undefined, done: true });
  }

  heard(_lookup: Lookup | undefined, _candidate: unknown, answer: KrpcReader): void {
    readPeers(answer, (family, at) => {
      if (this.#known.size >= PEERS_MAX) return;
      const key = endpointKey(answer.bytes, at, family);
      if (this.#known.has(key)) return;
      this.#known.add(key);
      return (peer) => this.#push(peer);
    });
  }

  converged(): void {}

  completed(lookup: Lookup): void {
    this.#lookups.delete(lookup);
    if (--this.#following === 0) this.#end(undefined);
  }

  #push(peer: SocketAddress): void {
    if (this.#isOver) return;
    const reader = this.#readers.shift();
    if (reader === undefined) this.#waiting.push(peer);
    else reader.resolve({ value: peer, done: false });
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    for (const lookup of [...this.#lookups]) lookup.stop();
    // The first that waits hears of the error, or the next that comes: it is told once.
    const readers = this.#readers.splice(0);
    if (error !== undefined && readers.length === 0) this.#error = error;
    else if (error !== undefined) readers.shift()?.reject(error);
    for (const reader of readers) reader.resolve({ value: undefined, done: true });
  }
}
