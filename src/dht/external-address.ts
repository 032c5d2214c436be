// Our own address as others see it (BEP 42: each answer says where its query came from). Anybody may say anything: so each far end has one voice,
// the last that it gave, and an address counts when enough say the same.
//
// Always: voters are bounded; those that were heard of longest ago make room. Who says the same again costs a look, and nothing is allocated.

import { addressText } from "../codec/compact-address.js";
import { type BoundCounters, makeBoundCounters } from "./bound-counters.js";
import { addressKey, type Family } from "./contact.js";

const VOTERS_MAX = 64;
/** One may be wrong, and a second one may be the same in disguise. */
const VOTES_MIN = 3;

interface Claim {
  readonly key: number | string;
  readonly host: string;
  votes: number;
}

export class ExternalAddress {
  /** What each far end said last, by its address, or its /48 of IPv6. */
  readonly #voters = new Map<number | string, Claim>();
  /** By address. */
  readonly #claims = new Map<number | string, Claim>();
  readonly #bounds: BoundCounters;
  #most: Claim | undefined;

  constructor(bounds: BoundCounters = makeBoundCounters()) {
    this.#bounds = bounds;
  }

  /** `voter` says that we are at the address, 4 or 16 bytes by its family, that stands at `at`. */
  vote(voter: number | string, bytes: Uint8Array, at: number, family: Family): void {
    const key = addressKey(bytes, at, family);
    const claim = this.#claims.get(key) ?? { key, host: textOf(bytes, at, family), votes: 0 };
    if (this.#most !== undefined && claim !== this.#most) this.#bounds.addressesDisputed++;
    if (this.#voters.get(voter) === claim) return;
    this.#takeBack(voter);
    if (this.#voters.size === VOTERS_MAX) this.#takeOldestBack();
    this.#voters.set(voter, claim);
    this.#claims.set(key, claim);
    claim.votes++;
    // There are never fewer voters than before: no other one can have become most.
    if (this.#isMost(claim)) this.#most = claim;
    else if (this.#most !== undefined && !this.#isMost(this.#most)) this.#most = undefined;
  }

  /** What more than half of them say; undefined before that. */
  get host(): string | undefined {
    return this.#most?.host;
  }

  #isMost({ votes }: Claim): boolean {
    return votes >= VOTES_MIN && 2 * votes > this.#voters.size;
  }

  #takeOldestBack(): void {
    for (const oldest of this.#voters.keys()) {
      this.#takeBack(oldest);
      return;
    }
  }

  #takeBack(voter: number | string): void {
    const claim = this.#voters.get(voter);
    if (claim === undefined) return;
    this.#voters.delete(voter);
    if (--claim.votes === 0) this.#claims.delete(claim.key);
  }
}

function textOf(bytes: Uint8Array, at: number, family: Family): string {
  return addressText(bytes.subarray(at, at + (family === 4 ? 4 : 16))) ?? "";
}
