// A byte stream around another one that does as that one does: what looks on overrides the calls that it looks at.
//
// Always: it changes nothing, and asks the other nothing that nobody asked.

import type { ByteStream, StreamHandler } from "./byte-stream.js";

export abstract class StreamAround implements ByteStream {
  readonly #inner: ByteStream;

  constructor(inner: ByteStream) {
    this.#inner = inner;
  }

  get isEncrypted(): boolean {
    return this.#inner.isEncrypted === true;
  }

  open(handler: StreamHandler, events: number): number {
    return this.#inner.open(handler, events);
  }

  established(): number {
    return this.#inner.established();
  }

  fill(first: number, count: number): number {
    return this.#inner.fill(first, count);
  }

  drain(first: number, count: number, more: boolean): number {
    return this.#inner.drain(first, count, more);
  }

  drainFile(fileFd: number, offset: number, length: number): number {
    return this.#inner.drainFile(fileFd, offset, length);
  }

  watch(events: number): void {
    this.#inner.watch(events);
  }

  setLowWater(bytes: number): void {
    this.#inner.setLowWater(bytes);
  }

  unacknowledgedBytes(): number {
    return this.#inner.unacknowledgedBytes();
  }

  boundUnsent(bytes: number): void {
    this.#inner.boundUnsent(bytes);
  }

  close(discards?: boolean): void {
    this.#inner.close(discards);
  }
}
