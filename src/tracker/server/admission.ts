// Who may use a tracker, and for which torrents: lists of info hashes that are allowed, or denied, and keys that stand in the
// path of the announce URL.
//
// Always: lists and keys change all together, between two requests, or not at all.

import type { SwarmStore } from "../peer-store/contract.js";
import { InfoHashTable } from "./info-hash-table.js";

/** Info hashes in lower-case hex, and keys; undefined: no such rule. */
export interface AdmissionRules {
  readonly allow?: ReadonlySet<string>;
  readonly deny?: ReadonlySet<string>;
  readonly keys?: ReadonlySet<string>;
}

/** Tables of info hashes in shared memory, as InfoHashTable.share() makes them. */
export interface ListTables {
  readonly allow?: SharedArrayBuffer;
  readonly deny?: SharedArrayBuffer;
}

export class Admission {
  readonly #store: Pick<SwarmStore, "hash">;
  #rules: AdmissionRules = {};
  #allowed: InfoHashTable | undefined;
  #denied: InfoHashTable | undefined;

  constructor(store: Pick<SwarmStore, "hash">, rules: AdmissionRules) {
    this.#store = store;
    this.replace(rules);
  }

  get rules(): AdmissionRules {
    return this.#rules;
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
    const allowed = this.#tableOf(rules.allow);
    const denied = this.#tableOf(rules.deny);
    this.#rules = rules;
    this.#allowed = allowed;
    this.#denied = denied;
  }

  /** `hash` is the store's, of the 5 words from `at`. */
  admits(hash: number, words: Uint32Array, at: number): boolean {
    if (this.#allowed !== undefined && this.#allowed.get(hash, words, at) < 0) return false;
    return this.#denied === undefined || this.#denied.get(hash, words, at) < 0;
  }

  /** `key`: what the path of the request says; "" if it says none. */
  hasKey(key: string): boolean {
    return this.#rules.keys === undefined || this.#rules.keys.has(key);
  }

  #tableOf(hashes: ReadonlySet<string> | undefined): InfoHashTable | undefined {
    if (hashes === undefined) return undefined;
    const table = new InfoHashTable((words, at) => this.#store.hash(words, at));
    const words = new Uint32Array(5);
    const bytes = Buffer.from(words.buffer);
    for (const hash of hashes) {
      bytes.write(hash, "hex");
      table.set(this.#store.hash(words, 0), words, 0, 0);
    }
    return table;
  }
}
