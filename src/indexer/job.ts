// One hash that is worked on: looked up in the DHT, its peers asked for its info dictionary, until that is here, or nobody is left.
//
//   begin ──▶ lookups of both families ──converged──▶ slot is free ──complete──▶ no more peers ──▶ fetch ends ──▶ ended
//
// Always: it ends once. Answers that are late still count while a fetch goes on or another answer is waited for.

import type { Candidate } from "../dht/candidates.js";
import { contactsOf } from "../dht/check-options.js";
import { type Contact, endpointKey } from "../dht/contact.js";
import type { SampledNode } from "../dht/index.js";
import type { KrpcReader } from "../dht/krpc-reader.js";
import { METHOD_GET_PEERS } from "../dht/krpc-reader.js";
import type { Lookup, LookupListener } from "../dht/lookup.js";
import type { Overlay } from "../dht/overlay.js";
import { readPeers } from "../dht/peers.js";
import type { SocketAddress } from "../native/binding.js";
import type { MetadataSwarm } from "./fetch/metadata-swarm.js";

/** More than any fetch tries. */
const PEERS_MAX = 1024;

export interface JobHost {
  /** The torrent's fetch, which ends the job by fetchEnded(). */
  fetch(infoHash: Uint8Array): MetadataSwarm;
  /** All lookups of the job have converged: others may begin. */
  converged(job: Job): void;
  /** It is over. `answers` of nodes came in all. */
  ended(job: Job, info: Uint8Array | undefined): void;
}

export class Job implements LookupListener {
  readonly infoHash: Uint8Array;
  readonly attempts: number;
  peers = 0;
  queries = 0;
  answers = 0;
  /** Only one node was asked: if its peers have nothing, others may. */
  isShort = false;
  readonly #host: JobHost;
  readonly #lookups = new Set<Lookup>();
  /** Peers that were told of. */
  readonly #known = new Set<number | string>();
  #searching = 0;
  #unconverged = 0;
  #fetch: MetadataSwarm | undefined;
  #isOver = false;

  constructor(host: JobHost, infoHash: Uint8Array, attempts: number) {
    this.#host = host;
    this.infoHash = infoHash;
    this.attempts = attempts;
  }

  /** `sampler`: a node that said it knows of the torrent. It is asked first, and if it names peers, nobody else is. */
  begin(overlays: Iterable<Overlay>, sampler?: SampledNode): void {
    const all = [...overlays];
    if (sampler === undefined || !this.#askFirst(all, sampler)) this.#lookUp(all);
  }

  /** The fetch is over, with what it brought. */
  fetchEnded(info: Uint8Array | undefined): void {
    this.#fetch = undefined;
    if (info !== undefined || this.#searching === 0) this.end(info);
  }

  /** Ends at once. */
  end(info: Uint8Array | undefined): void {
    if (this.#isOver) return;
    this.#converge();
    this.#isOver = true;
    for (const lookup of [...this.#lookups]) lookup.stop();
    this.#fetch?.end(undefined);
    this.#host.ended(this, info);
  }

  #lookUp(all: readonly Overlay[]): void {
    if (this.#isOver) return;
    // A lookup may be over before the call returns: none of them is the last before all have begun.
    this.#searching = all.length;
    this.#unconverged = all.length;
    for (const overlay of all) {
      const lookup = overlay.lookup(this.infoHash, METHOD_GET_PEERS, this);
      if (!lookup.isComplete) this.#lookups.add(lookup);
    }
  }

  /** False: it cannot be asked now. */
  #askFirst(all: readonly Overlay[], sampler: SampledNode): boolean {
    const [contact] = contactsOf([sampler]);
    const overlay = all.find(({ family }) => family === contact?.family);
    if (contact === undefined || overlay?.isPossible(contact) !== true) return false;
    contact.compact.set(sampler.id, 0);
    overlay.turnBegins();
    const lookUp = (): void => this.#lookUp(all);
    const isSent = overlay.nextNode().getPeers(
      contact,
      this.infoHash,
      {
        answered: (_call, answer) => {
          this.answers++;
          this.#addPeers(contact, answer);
          if (this.#fetch === undefined) lookUp();
          else this.#askedEnough();
        },
        stalled: () => {},
        failed: lookUp,
      },
      false,
    );
    if (!isSent) return false;
    this.queries++;
    this.#searching = 1;
    this.#unconverged = 1;
    return true;
  }

  /** The sampler named peers. */
  #askedEnough(): void {
    if (this.#isOver) return;
    this.isShort = true;
    this.#searching = 0;
    this.#converge();
    this.#fetch?.noMore();
  }

  // ── LookupListener ───────────────────────────────────────────────────────────────────────────────────────────

  heard(_lookup: Lookup, { contact }: Candidate, answer: KrpcReader): void {
    this.#addPeers(contact, answer);
  }

  converged(): void {
    if (--this.#unconverged === 0 && !this.#isOver) this.#host.converged(this);
  }

  completed(lookup: Lookup): void {
    this.#lookups.delete(lookup);
    this.queries += lookup.sent;
    this.answers += lookup.answers;
    // Stopped before it converged: by us, or because the DHT is closed.
    if (lookup.convergedMs < 0) this.converged();
    if (--this.#searching > 0 || this.#isOver) return;
    if (this.#fetch === undefined) this.end(undefined);
    else this.#fetch.noMore();
  }

  #addPeers(by: Contact, answer: KrpcReader): void {
    if (this.#isOver || answer.valuesCount === 0) return;
    const told: SocketAddress[] = [];
    readPeers(answer, by, (family, at) => {
      const key = endpointKey(answer.bytes, at, family);
      // All nodes near a hash tell of the same peers.
      if (this.#known.has(key) || this.#known.size >= PEERS_MAX) return;
      return (peer) => {
        this.#known.add(key);
        told.push(peer);
      };
    });
    for (const peer of told) {
      if (this.#isOver) return;
      this.peers++;
      this.#fetch ??= this.#host.fetch(this.infoHash);
      this.#fetch.add(peer);
    }
  }

  /** Whatever has not converged counts as if it had. */
  #converge(): void {
    if (this.#unconverged <= 0) return;
    this.#unconverged = 0;
    this.#host.converged(this);
  }
}
