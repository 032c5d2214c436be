// A byte stream that notes what goes over another one: what each receiving call brought, and what each sending call took.
//
// Always: it changes nothing of what the other does, and asks it nothing that nobody asked; encryption lies below it, and leaves what it
// sends as it was.

import type { ByteStream } from "../stream/byte-stream.js";
import { StreamAround } from "../stream/stream-around.js";
import { RecordKind } from "./format.js";
import type { Recorder } from "./recorder.js";

export class RecordingStream extends StreamAround {
  readonly #recorder: Recorder;
  readonly #id: number;
  readonly #eagain: number;

  /** `id`: the connection's number in the recording. */
  constructor(stream: ByteStream, recorder: Recorder, id: number, eagain: number) {
    super(stream);
    this.#recorder = recorder;
    this.#id = id;
    this.#eagain = eagain;
  }

  override established(): number {
    const result = super.established();
    if (result === 0) this.#recorder.established(this.#id);
    return result;
  }

  override fill(first: number, count: number): number {
    const received = super.fill(first, count);
    if (received > 0) this.#recorder.moved(RecordKind.received, this.#id, first, received);
    else if (received !== this.#eagain) this.#recorder.ended(this.#id, received);
    return received;
  }

  override drain(first: number, count: number, more: boolean): number {
    const sent = super.drain(first, count, more);
    if (sent > 0) this.#recorder.moved(RecordKind.sent, this.#id, first, sent);
    return sent;
  }

  override drainFile(fileFd: number, offset: number, length: number): number {
    const sent = super.drainFile(fileFd, offset, length);
    if (sent > 0) this.#recorder.sentUnseen(this.#id, sent);
    return sent;
  }
}
