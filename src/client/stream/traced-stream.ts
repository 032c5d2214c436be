// A byte stream whose calls are slices of a timeline: what each receive and each send brought, and how long the call took.
//
// Always: it changes nothing of what the stream below it does.

import type { Timeline } from "../../base/metrics/timeline.js";
import type { ByteStream, StreamHandler } from "./byte-stream.js";

export class TracedStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #timeline: Timeline;
  readonly #track: number;

  constructor(stream: ByteStream, timeline: Timeline, track: number) {
    this.#stream = stream;
    this.#timeline = timeline;
    this.#track = track;
  }

  get isEncrypted(): boolean {
    return this.#stream.isEncrypted === true;
  }

  open(handler: StreamHandler, events: number): number {
    return this.#stream.open(handler, events);
  }

  established(): number {
    return this.#stream.established();
  }

  fill(first: number, count: number): number {
    const startMs = this.#timeline.nowMs();
    const bytes = this.#stream.fill(first, count);
    this.#timeline.slice(this.#track, "receive", startMs, { bytes, entries: count });
    return bytes;
  }

  drain(first: number, count: number, more: boolean): number {
    const startMs = this.#timeline.nowMs();
    const bytes = this.#stream.drain(first, count, more);
    this.#timeline.slice(this.#track, "send", startMs, { bytes, entries: count });
    return bytes;
  }

  drainFile(fileFd: number, offset: number, length: number): number {
    const startMs = this.#timeline.nowMs();
    const bytes = this.#stream.drainFile(fileFd, offset, length);
    this.#timeline.slice(this.#track, "send", startMs, { bytes, file: true });
    return bytes;
  }

  watch(events: number): void {
    this.#stream.watch(events);
  }

  setLowWater(bytes: number): void {
    this.#stream.setLowWater(bytes);
  }

  unacknowledgedBytes(): number {
    return this.#stream.unacknowledgedBytes();
  }

  close(): void {
    this.#stream.close();
  }
}
