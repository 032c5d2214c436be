// A byte stream that notes what goes over another one: what each receiving call brought, and what each sending call took.
//
// Always: it changes nothing of what the other does, and asks it nothing that nobody asked; encryption lies below it, and leaves what it
// sends as it was.

import type { ByteStream, StreamHandler } from "../stream/byte-stream.js";
import { RecordKind } from "./format.js";
import type { Recorder } from "./recorder.js";

export class RecordingStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #recorder: Recorder;
  readonly #id: number;
  readonly #eagain: number;

  /** `id`: the connection's number in the recording. */
  constructor(stream: ByteStream, recorder: Recorder, id: number, eagain: number) {
    this.#stream = stream;
    this.#recorder = recorder;
    this.#id = id;
    this.#eagain = eagain;
  }

  get isEncrypted(): boolean {
    return this.#stream.isEncrypted === true;
  }

  open(handler: StreamHandler, events: number): number {
    return this.#stream.open(handler, events);
  }

  established(): number {
    const result = this.#stream.established();
    if (result === 0) this.#recorder.established(this.#id);
    return result;
  }

  fill(first: number, count: number): number {
    const received = this.#stream.fill(first, count);
    if (received > 0) this.#recorder.moved(RecordKind.received, this.#id, first, received);
    else if (received !== this.#eagain) this.#recorder.ended(this.#id, received);
    return received;
  }

  drain(first: number, count: number, more: boolean): number {
    const sent = this.#stream.drain(first, count, more);
    if (sent > 0) this.#recorder.moved(RecordKind.sent, this.#id, first, sent);
    return sent;
  }

  drainFile(fileFd: number, offset: number, length: number): number {
    const sent = this.#stream.drainFile(fileFd, offset, length);
    if (sent > 0) this.#recorder.sentUnseen(this.#id, sent);
    return sent;
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
