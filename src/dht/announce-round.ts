// Announcing a torrent in one overlay (BEP 5): a lookup, and then announce_peer to the nearest nodes that gave us a token.
//
// Always: each node is told by the virtual node of ours that it gave the token to; the round ends when all have answered or failed.

import { throwAsUncaught } from "../base/user-calls.js";
import type { SocketAddress } from "../native/binding.js";
import type { CallListener } from "./calls.js";
import { type Candidate, LOOKUP_CONTACTS } from "./candidates.js";
import { type KrpcReader, METHOD_GET_PEERS } from "./krpc-reader.js";
import type { Lookup, LookupListener } from "./lookup.js";
import type { AnnounceOptions } from "./options.js";
import type { Overlay } from "./overlay.js";
import { readPeers } from "./peers.js";

export class AnnounceRound implements LookupListener {
  readonly #overlay: Overlay;
  readonly #infoHash: Uint8Array;
  readonly #port: number | undefined;
  readonly #options: AnnounceOptions;
  readonly #peers: ((peer: SocketAddress) => void) | undefined;
  #taken = 0;
  #left = 0;
  #hasAnnounced = false;
  #resolve!: (taken: number) => void;
  #reject!: (error: unknown) => void;
  #lookup: Lookup | undefined;
  readonly #onAbort = () => {
    this.#reject(this.#options.signal?.reason);
    this.#lookup?.stop();
  };

  /** `port`: where peers reach us over this overlay's kind of address; 0: where its queries come from; undefined: nobody is told. */
  constructor(
    overlay: Overlay,
    infoHash: Uint8Array,
    port: number | undefined,
    options: AnnounceOptions,
    peers: ((peer: SocketAddress) => void) | undefined,
  ) {
    this.#overlay = overlay;
    this.#infoHash = infoHash;
    this.#port = port;
    this.#options = options;
    this.#peers = peers;
  }

  readonly #wants = () => this.#tell;
  /** What the program throws is its own: the round goes on. */
  readonly #tell = (peer: SocketAddress): void => {
    try {
      this.#peers?.(peer);
    } catch (error) {
      throwAsUncaught(error);
    }
  };

  /** Resolves to how many nodes took it. */
  async run(): Promise<number> {
    const { signal, noSeeds } = this.#options;
    signal?.throwIfAborted();
    try {
      return await new Promise((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
        signal?.addEventListener("abort", this.#onAbort, { once: true });
        this.#lookup = this.#overlay.lookup(this.#infoHash, METHOD_GET_PEERS, this, {
          noSeeds: noSeeds === true,
          keepsTokens: true,
        });
      });
    } finally {
      signal?.removeEventListener("abort", this.#onAbort);
    }
  }

  heard(_lookup: Lookup, { contact }: Candidate, answer: KrpcReader): void {
    if (this.#peers !== undefined) readPeers(answer, contact, this.#wants);
  }

  converged(lookup: Lookup): void {
    // With fewer than there should be, those that are only late are waited for.
    if (lookup.found().length >= LOOKUP_CONTACTS) this.#announce(lookup);
  }

  completed(lookup: Lookup): void {
    this.#announce(lookup);
  }

  /** Once: when enough are known. */
  #announce(lookup: Lookup): void {
    if (this.#hasAnnounced) return;
    this.#hasAnnounced = true;
    const listener: CallListener = {
      answered: () => {
        this.#taken++;
        this.#ended();
      },
      stalled: () => {},
      failed: () => this.#ended(),
    };
    const { seed = false, signal } = this.#options;
    if (signal?.aborted === true) return;
    this.#left = 1;
    const port = this.#port ?? 0;
    // Closed before it was at its end: nobody is told anything any more.
    const found = lookup.convergedMs < 0 || this.#port === undefined ? [] : lookup.found();
    for (const { contact, token, node } of found) {
      if (token === undefined || node === undefined) continue;
      const impliedPort = port === 0;
      const told = impliedPort ? node.socket.address.port : port;
      if (node.announcePeer(contact, this.#infoHash, told, impliedPort, seed, token, listener)) this.#left++;
    }
    this.#ended();
  }

  #ended(): void {
    if (--this.#left === 0) this.#resolve(this.#taken);
  }
}
