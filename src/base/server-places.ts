// The places of a server that strangers may reach: whoever asks for something has one, and of those that ask for nothing the one that has waited
// longest makes room for whoever comes.
//
// Always: no more than so many are here; none that is being answered has to make room, however many of its requests came in one piece.

import { assert } from "./assert.js";

/** A connection, as far as its place goes. */
export interface Placed {
  readonly destroyed: boolean;
  destroy(): unknown;
}

export class ServerPlaces<Connection extends Placed> {
  readonly #max: number;
  /** Those that are here, and how many of their requests have no answer yet. */
  readonly #here = new Map<Connection, number>();
  /** Those that ask for nothing; the one that has waited longest first. */
  readonly #idle = new Set<Connection>();

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#here.size;
  }

  /** True if there is none left but that of one that asks for nothing. */
  get isFull(): boolean {
    return this.#here.size >= this.#max;
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#here.keys();
  }

  /** Somebody came. False if there is no place for it. */
  came(connection: Connection): boolean {
    if (this.isFull) {
      const [longest] = this.#idle;
      if (longest === undefined) return false;
      this.left(longest);
      longest.destroy();
    }
    this.#here.set(connection, 0);
    this.#idle.add(connection);
    return true;
  }

  asked(connection: Connection): void {
    const asked = this.#here.get(connection);
    if (asked === undefined) return;
    this.#here.set(connection, asked + 1);
    this.#idle.delete(connection);
  }

  answered(connection: Connection): void {
    const asked = this.#here.get(connection);
    if (asked === undefined) return;
    assert(asked > 0, "what is answered was asked");
    this.#here.set(connection, asked - 1);
    if (asked === 1 && !connection.destroyed) this.#idle.add(connection);
  }

  left(connection: Connection): void {
    this.#here.delete(connection);
    this.#idle.delete(connection);
  }
}
