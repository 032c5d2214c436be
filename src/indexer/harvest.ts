// Hashes that others name: they ask our nodes for them, announce them, or tell samples of what they keep. They wait here, counted, until they are
// written to the store together.
//
// Always: what waits is bounded. While there is room every mention counts, and what is counted is exact; when more than half of the room is
// taken, hashes that were written of late are left out, and what has no room at all is counted as dropped. No packet is sent for it.

import type { Ground } from "../base/ground.js";
import type { HashListener } from "../dht/index.js";
import type { KrpcReader } from "../dht/krpc-reader.js";
import { RotatingBloomFilter } from "./filter/rotating-bloom-filter.js";
import type { Sighting } from "./store/store.js";

const HASH_BYTES = 20;
const FILTER_BYTES = 2 ** 20;

export class Harvest implements HashListener {
  /** Mentions, and those that there was no room for. */
  seen = 0;
  dropped = 0;
  readonly #waitingMax: number;
  readonly #filter: RotatingBloomFilter;
  #waiting = new Map<string, number>();

  constructor(ground: Ground, waitingMax: number) {
    const key = new Uint8Array(16);
    ground.fillRandom(key, 0);
    this.#waitingMax = waitingMax;
    this.#filter = new RotatingBloomFilter(FILTER_BYTES, new Uint32Array(key.buffer));
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** More than half of the room is taken: nobody should ask for more. */
  get isCrowded(): boolean {
    return 2 * this.#waiting.size >= this.#waitingMax;
  }

  hashSeen(query: KrpcReader): void {
    this.add(query.bytes, query.targetAt);
  }

  /** The 20 bytes from `at` on. */
  add(bytes: Uint8Array, at = 0): void {
    this.seen++;
    const key = Buffer.from(bytes.buffer, bytes.byteOffset + at, HASH_BYTES).toString("latin1");
    const hits = this.#waiting.get(key);
    if (hits === undefined && !this.#hasRoomFor(bytes, at)) {
      this.dropped++;
      return;
    }
    this.#waiting.set(key, (hits ?? 0) + 1);
  }

  /** Some of what waits, which waits no more. */
  take(count: number): Sighting[] {
    const taken: Sighting[] = [];
    for (const [key, hits] of this.#waiting) {
      if (taken.length === count) break;
      // Not of Node's pool: what goes to another thread takes along all of the memory that it lies in.
      const infoHash = Uint8Array.from(Buffer.from(key, "latin1"));
      this.#filter.seen(infoHash, 0);
      this.#waiting.delete(key);
      taken.push({ infoHash, hits });
    }
    return taken;
  }

  /** What could not be written waits again. */
  putBack(sightings: readonly Sighting[]): void {
    for (const { infoHash, hits } of sightings) {
      const key = Buffer.from(infoHash).toString("latin1");
      this.#waiting.set(key, (this.#waiting.get(key) ?? 0) + hits);
    }
  }

  #hasRoomFor(bytes: Uint8Array, at: number): boolean {
    if (!this.isCrowded) return true;
    return this.#waiting.size < this.#waitingMax && !this.#filter.seen(bytes, at);
  }
}
