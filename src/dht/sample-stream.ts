// What nodes tell of their torrents, as an async iterator: one answer after the other, as they come. Who stops iterating stops the sampling.
//
// Always: answers that wait for the reader are bounded; while there are as many, nobody is asked.

import type { Contact } from "./contact.js";
import type { KrpcReader } from "./krpc-reader.js";
import { ID_BYTES } from "./node-id.js";
import type { SampledNode, Samples } from "./options.js";
import { ResultStream } from "./result-stream.js";
import type { Sampler, SamplerListener } from "./sampler.js";

const ANSWERS_MAX = 64;

export class SampleStream extends ResultStream<Samples> implements SamplerListener {
  readonly #samplers: Sampler[] = [];
  readonly #sweeps: number;

  constructor(signal: AbortSignal | undefined, sweeps: number) {
    super(signal);
    this.#sweeps = sweeps;
  }

  get isFull(): boolean {
    return this.waitingCount >= ANSWERS_MAX;
  }

  follow(sampler: Sampler): void {
    this.#samplers.push(sampler);
  }

  /** The DHT is closed. */
  close(): void {
    this.end(undefined);
  }

  sampled(contact: Contact, infoHashes: readonly Uint8Array[], answer: KrpcReader): void {
    if (this.isOver || infoHashes.length === 0) return;
    const node: SampledNode = {
      id: contact.compact.slice(0, ID_BYTES),
      host: contact.host,
      port: contact.port,
    };
    this.push({ node, infoHashes, torrents: Math.max(0, answer.num) });
  }

  swept(sampler: Sampler): void {
    if (sampler.sweeps >= this.#sweeps) sampler.stop();
    if (this.#samplers.every(({ isStopped }) => isStopped)) this.end(undefined);
  }

  protected override stopSources(): void {
    for (const sampler of this.#samplers) sampler.stop();
  }
}
