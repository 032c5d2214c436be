// How many of something are open at one time, by whose network each is of.
//
// Always: what was counted in is counted out under the same names, and nothing is kept of a network that has none.

import { present } from "./assert.js";
import { chargedTo } from "./network-address.js";

export class NetworkCounts {
  readonly #counts = new Map<string, number>();

  /** True if one more at `host` would be more than `most` of its network, or than its site may have. */
  isFull(host: string, most: number): boolean {
    return chargedTo(host).some(({ name, times }) => (this.#counts.get(name) ?? 0) >= times * most);
  }

  add(host: string): void {
    for (const { name } of chargedTo(host)) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  remove(host: string): void {
    for (const { name } of chargedTo(host)) {
      const left = present(this.#counts.get(name), "what is counted out was counted in") - 1;
      if (left > 0) this.#counts.set(name, left);
      else this.#counts.delete(name);
    }
  }
}
