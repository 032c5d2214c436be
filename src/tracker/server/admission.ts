// Who may use a tracker, and for which torrents: lists of info hashes that are allowed, or denied, and keys that stand in the
// path of the announce URL.
//
// Always: lists and keys change all together, between two requests, or not at all. An entry more or less takes as long whatever the length of
// its list; a long list is taken in in steps, if nobody is to wait for it.

import { setImmediate as nextTurn } from "node:timers/promises";
import { UsageError } from "../../base/errors.js";
import type { SwarmStore } from "../peer-store/contract.js";
import { InfoHashTable } from "./info-hash-table.js";

/** Info hashes in lower-case hex, and keys; undefined: no such rule. */
export interface AdmissionRules {
  /** Torrents that are tracked; all others are refused. */
  readonly allow?: ReadonlySet<string>;
  /** Torrents that are not, even if they are allowed. */
  readonly deny?: ReadonlySet<string>;
  /** Of which an announce or scrape over HTTP has to show one in its path: /KEY/announce. */
  readonly keys?: ReadonlySet<string>;
}

/** Tables of info hashes in shared memory, as InfoHashTable.share() makes them. */
export interface ListTables {
  readonly allow?: SharedArrayBuffer;
  readonly deny?: SharedArrayBuffer;
}

/** Entries of a list that are taken in in one turn of the loop: some milliseconds. */
const ENTRIES_PER_TURN = 10_000;

export type ListName = keyof AdmissionRules;

const KEY = /^[\w-]{1,64}$/;

export class Admission {
  readonly #hash: (words: Uint32Array, at: number) => number;
  #allowed: InfoHashTable | undefined;
  #denied: InfoHashTable | undefined;
  #keys: Set<string> | undefined;
  readonly #words = new Uint32Array(5);
  readonly #bytes = Buffer.from(this.#words.buffer);

  constructor(store: Pick<SwarmStore, "hash">, rules: AdmissionRules) {
    this.#hash = (words, at) => store.hash(words, at);
    this.replace(rules);
  }

  /** The lists as other threads can read them, from now on and whatever changes here. */
  tables(): ListTables {
    return {
      ...(this.#allowed === undefined ? {} : { allow: this.#allowed.share() }),
      ...(this.#denied === undefined ? {} : { deny: this.#denied.share() }),
    };
  }

  /** From the next request on these rules hold. */
  replace(rules: AdmissionRules): void {
    const steps = this.#take(rules);
    while (steps.next().done !== true);
  }

  /** The same, from some turn of the loop on: what comes meanwhile is answered by the old rules. */
  async replaceInSteps(rules: AdmissionRules): Promise<void> {
    for (const _ of this.#take(rules)) await nextTurn();
  }

  /** `hash` is the store's, of the 5 words from `at`. */
  admits(hash: number, words: Uint32Array, at: number): boolean {
    if (this.#allowed !== undefined && this.#allowed.get(hash, words, at) < 0) return false;
    return this.#denied === undefined || this.#denied.get(hash, words, at) < 0;
  }

  /** `key`: what the path of the request says; "" if it says none. */
  hasKey(key: string): boolean {
    return this.#keys === undefined || this.#keys.has(key);
  }

  /** Up to `count` entries of a list from the `from`-th on, in an order of its own; undefined: there is no such list. */
  entries(name: ListName, from: number, count: number): string[] | undefined {
    if (name === "keys") {
      const keys = this.#keys;
      return keys === undefined ? undefined : [...keys].slice(from, from + count);
    }
    const words = this.#listOf(name)?.copyHashes(from, count);
    if (words === undefined) return undefined;
    const hex = Buffer.from(words.buffer).toString("hex");
    return Array.from({ length: words.length / 5 }, (_, index) => hex.slice(40 * index, 40 * (index + 1)));
  }

  /** Adds an entry, as rules have it, to a list that there is, or takes it out; how many it has then. */
  change(name: ListName, entry: string, listed: boolean): number {
    if (name === "keys") {
      const keys = this.#keys ?? new Set();
      if (listed) keys.add(entry);
      else keys.delete(entry);
      return keys.size;
    }
    const table = this.#listOf(name);
    if (table === undefined) return 0;
    this.#bytes.write(entry, "hex");
    const hash = this.#hash(this.#words, 0);
    if (listed) table.set(hash, this.#words, 0, 0);
    else table.remove(hash, this.#words, 0);
    return table.size;
  }

  #listOf(name: "allow" | "deny"): InfoHashTable | undefined {
    return name === "allow" ? this.#allowed : this.#denied;
  }

  /** Takes rules in, and stops now and then on the way; they hold when it is done. */
  *#take(rules: AdmissionRules): Generator<undefined, void> {
    const allowed = yield* this.#tableOf(rules.allow);
    const denied = yield* this.#tableOf(rules.deny);
    const keys = rules.keys === undefined ? undefined : new Set<string>();
    for (const key of rules.keys ?? []) {
      // It is not repeated: it may be a secret.
      if (typeof key !== "string" || !KEY.test(key))
        throw new UsageError("USAGE_OPTION", 'a key is a text of up to 64 letters, digits, "-" and "_"');
      keys?.add(key);
      if (keys !== undefined && keys.size % ENTRIES_PER_TURN === 0) yield;
    }
    this.#allowed = allowed;
    this.#denied = denied;
    this.#keys = keys;
  }

  *#tableOf(hashes: ReadonlySet<string> | undefined): Generator<undefined, InfoHashTable | undefined> {
    if (hashes === undefined) return undefined;
    const table = new InfoHashTable(this.#hash, undefined, hashes.size + 1);
    // Its own: change() may be called between two steps.
    const words = new Uint32Array(5);
    const bytes = Buffer.from(words.buffer);
    for (const hash of hashes) {
      // Whatever else it is would be read as the torrent before it, or as half of one.
      const isHash = typeof hash === "string" && hash.length === 40 && bytes.write(hash, "hex") === 20;
      if (!isHash)
        throw new UsageError("USAGE_OPTION", "an entry of a list is an info hash of 40 hex digits");
      table.set(this.#hash(words, 0), words, 0, 0);
      if (table.size % ENTRIES_PER_TURN === 0) yield;
    }
    return table;
  }
}
