// What nodes tell of their torrents, as an async iterator: one answer after the other, as they come. Who stops iterating stops the sampling.
//
// Always: answers that wait for the reader are bounded; while there are as many, nobody is asked.

import type { Contact } from "./contact.js";
import type { KrpcReader } from "./krpc-reader.js";
import { ID_BYTES } from "./node-id.js";
import type { SampledNode, Samples } from "./options.js";
import type { Sampler, SamplerListener } from "./sampler.js";

const ANSWERS_MAX = 64;

type Result = IteratorResult<Samples, undefined>;

export class SampleStream implements AsyncIterableIterator<Samples>, SamplerListener {
  readonly #samplers: Sampler[] = [];
  readonly #waiting: Samples[] = [];
  readonly #readers: { resolve: (result: Result) => void; reject: (error: unknown) => void }[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #sweeps: number;
  #isOver = false;
  #error: unknown;
  readonly #onAbort = () => this.#end(this.#signal?.reason);

  constructor(signal: AbortSignal | undefined, sweeps: number) {
    this.#signal = signal;
    this.#sweeps = sweeps;
    if (signal?.aborted === true) this.#end(signal.reason);
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isFull(): boolean {
    return this.#waiting.length >= ANSWERS_MAX;
  }

  follow(sampler: Sampler): void {
    this.#samplers.push(sampler);
  }

  /** The DHT is closed. */
  close(): void {
    this.#end(undefined);
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

  sampled(contact: Contact, infoHashes: readonly Uint8Array[], answer: KrpcReader): void {
    if (this.#isOver || infoHashes.length === 0) return;
    const node: SampledNode = {
      id: contact.compact.slice(0, ID_BYTES),
      host: contact.host,
      port: contact.port,
    };
    const value = { node, infoHashes, torrents: Math.max(0, answer.num) };
    const reader = this.#readers.shift();
    if (reader === undefined) this.#waiting.push(value);
    else reader.resolve({ value, done: false });
  }

  swept(sampler: Sampler): void {
    if (sampler.sweeps >= this.#sweeps) sampler.stop();
    if (this.#samplers.every(({ isStopped }) => isStopped)) this.#end(undefined);
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    for (const sampler of this.#samplers) sampler.stop();
    // The first that waits hears of the error, or the next that comes: it is told once.
    const readers = this.#readers.splice(0);
    if (error !== undefined && readers.length === 0) this.#error = error;
    else if (error !== undefined) readers.shift()?.reject(error);
    for (const reader of readers) reader.resolve({ value: undefined, done: true });
  }
}
