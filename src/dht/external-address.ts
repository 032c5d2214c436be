// Our own address as others see it (BEP 42: each answer says where its query came from). Anybody may say anything: so each far end has one voice,
// the last that it gave, and an address counts when enough say the same.
//
// Always: voters are bounded; those that were heard of longest ago make room.

import { addressText } from "../codec/compact-address.js";

const VOTERS_MAX = 64;
/** One may be wrong, and a second one may be the same in disguise. */
const VOTES_MIN = 3;

export class ExternalAddress {
  /** What each far end said last, by its address or /64. */
  readonly #voters = new Map<number | string, string>();
  readonly #votes = new Map<string, number>();

  /** `voter` says that we are at `address`, 4 or 16 bytes. */
  vote(voter: number | string, address: Uint8Array): void {
    const text = addressText(address);
    if (text === undefined || this.#voters.get(voter) === text) return;
    this.#takeBack(voter);
    const [oldest] = this.#voters.keys();
    if (oldest !== undefined && this.#voters.size === VOTERS_MAX) this.#takeBack(oldest);
    this.#voters.set(voter, text);
    this.#votes.set(text, (this.#votes.get(text) ?? 0) + 1);
  }

  /** What more than half of them say; undefined before that. */
  get host(): string | undefined {
    for (const [text, votes] of this.#votes)
      if (votes >= VOTES_MIN && 2 * votes > this.#voters.size) return text;
    return undefined;
  }

  #takeBack(voter: number | string): void {
    const text = this.#voters.get(voter);
    if (text === undefined) return;
    this.#voters.delete(voter);
    const votes = (this.#votes.get(text) ?? 0) - 1;
    if (votes > 0) this.#votes.set(text, votes);
    else this.#votes.delete(text);
  }
}
