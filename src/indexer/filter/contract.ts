// What a filter of info hashes promises: it says which of those that come in again and again need not be handled again so soon.

/** Info hashes come as 20 bytes at an offset, where a packet has them. No call allocates, but that which grows a filter. */
export interface HashFilter {
  /** Memory of its tables, in bytes, to the byte. */
  readonly bytes: number;
  /** Takes note of a hash. True if it is remembered from before: whoever fills a queue leaves it out. */
  seen(bytes: Uint8Array, at: number): boolean;
}

/** One whose size can change while it is used: how many hashes it remembers at the most. */
export interface ResizableFilter extends HashFilter {
  readonly size: number;
  /** Hashes that are remembered now: `size` at the most. */
  readonly count: number;
  /** A smaller size forgets what was not heard of for longest. */
  resize(size: number): void;
}
