// A byte stream whose calls are slices of a timeline: what each receive and each send brought, and how long the call took.
//
// Always: it changes nothing of what the stream below it does.

import type { Timeline } from "../../base/metrics/timeline.js";
import type { ByteStream } from "./byte-stream.js";
import { StreamAround } from "./stream-around.js";

export class TracedStream extends StreamAround {
  readonly #timeline: Timeline;
  readonly #track: number;

  constructor(stream: ByteStream, timeline: Timeline, track: number) {
    super(stream);
    this.#timeline = timeline;
    this.#track = track;
  }

  override fill(first: number, count: number): number {
    const startMs = this.#timeline.nowMs();
    const bytes = super.fill(first, count);
    this.#timeline.slice(this.#track, "receive", startMs, { bytes, entries: count });
    return bytes;
  }

  override drain(first: number, count: number, more: boolean): number {
    const startMs = this.#timeline.nowMs();
    const bytes = super.drain(first, count, more);
    this.#timeline.slice(this.#track, "send", startMs, { bytes, entries: count });
    return bytes;
  }

  override drainFile(fileFd: number, offset: number, length: number): number {
    const startMs = this.#timeline.nowMs();
    const bytes = super.drainFile(fileFd, offset, length);
    this.#timeline.slice(this.#track, "send", startMs, { bytes, file: true });
    return bytes;
  }
}
