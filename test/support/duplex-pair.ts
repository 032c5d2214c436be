// Two streams of Node's that are each other's other end, in memory: what one writes the other reads, with back-pressure, and without
// a socket or the addon.

import { Duplex } from "node:stream";

class Half extends Duplex {
  #other: Half | undefined;
  /** Told when the other side has room again. */
  #goOn: ((error?: Error | null) => void) | undefined;

  join(other: Half): void {
    this.#other = other;
  }

  override _read(): void {
    this.#other?.went();
  }

  /** The other side reads again. */
  went(error?: Error): void {
    const goOn = this.#goOn;
    this.#goOn = undefined;
    goOn?.(error);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const other = this.#other;
    if (other === undefined || other.destroyed) done(broken());
    else if (other.push(Buffer.from(chunk))) done();
    else this.#goOn = done;
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#other?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const other = this.#other;
    other?.went(broken());
    if (error !== null || !this.writableFinished) other?.destroy(broken());
    done(error);
  }
}

function broken(): Error {
  return Object.assign(new Error("the other side is gone"), { code: "EPIPE" });
}

export function duplexPair(): [Duplex, Duplex] {
  const [one, other] = [new Half(), new Half()];
  one.join(other);
  other.join(one);
  return [one, other];
}
