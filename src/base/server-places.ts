// The places of a server that strangers may reach: whoever asks for something has one, and of those that ask for nothing the one that has waited
// longest makes room for whoever comes.
//
// Always: no more than so many are here; none that is being answered has to make room.

/** A connection, as far as its place goes. */
export interface Placed {
  readonly destroyed: boolean;
  destroy(): unknown;
}

export class ServerPlaces<Connection extends Placed> {
  readonly #max: number;
  readonly #here = new Set<Connection>();
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
    return this.#here.values();
  }

  /** Somebody came. False if there is no place for it. */
  came(connection: Connection): boolean {
    if (this.isFull) {
      const [longest] = this.#idle;
      if (longest === undefined) return false;
      this.left(longest);
      longest.destroy();
    }
    this.#here.add(connection);
    this.#idle.add(connection);
    return true;
  }

  asked(connection: Connection): void {
    this.#idle.delete(connection);
  }

  answered(connection: Connection): void {
    if (!connection.destroyed && this.#here.has(connection)) this.#idle.add(connection);
  }

  left(connection: Connection): void {
    this.#here.delete(connection);
    this.#idle.delete(connection);
  }
}
