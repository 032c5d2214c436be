// A TCP socket as a byte stream: each method is one call of the engine.
//
// Always: after close() the descriptor is not used, because the system may have given its number to another.

import type { Reactor } from "../../native/reactor.js";
import type { ByteStream, StreamHandler } from "./byte-stream.js";

export class TcpStream implements ByteStream {
  readonly #reactor: Reactor;
  readonly #fd: number;

  /** `fd`: a connected socket, or one whose connection is under way. The stream owns it. */
  constructor(reactor: Reactor, fd: number) {
    this.#reactor = reactor;
    this.#fd = fd;
  }

  open(handler: StreamHandler, events: number): number {
    return this.#reactor.register(this.#fd, handler, events);
  }

  tell(handler: StreamHandler): void {
    this.#reactor.handOver(this.#fd, handler);
  }

  established(): number {
    return this.#reactor.engine.socketError(this.#fd);
  }

  fill(first: number, count: number): number {
    return this.#reactor.engine.readv(this.#fd, first, count);
  }

  drain(first: number, count: number, more: boolean): number {
    return this.#reactor.engine.writev(this.#fd, first, count, more);
  }

  drainFile(fileFd: number, offset: number, length: number): number {
    return this.#reactor.engine.sendfile(this.#fd, fileFd, offset, length);
  }

  watch(events: number): void {
    this.#reactor.watch(this.#fd, events);
  }

  setLowWater(bytes: number): void {
    this.#reactor.engine.setReceiveLowWater(this.#fd, bytes);
  }

  unacknowledgedBytes(): number {
    return this.#reactor.engine.unacknowledgedBytes(this.#fd);
  }

  boundUnsent(bytes: number): void {
    this.#reactor.engine.setUnsentBytesMax(this.#fd, bytes);
  }

  close(discards = false): void {
    if (discards) this.#reactor.engine.discardUnsentAtClose(this.#fd);
    this.#reactor.closeSocket(this.#fd);
  }
}
