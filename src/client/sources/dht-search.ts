// One torrent's peers from the DHT: who accepts connections announces, who does not only looks. Once when the torrent starts, again after
// a while, and sooner where peers are few.
//
// Always: one search of a torrent is under way at a time, and none after stop(). Of a private torrent nobody is asked and nobody told
// (BEP 27): a magnet's is searched for until its metadata says so, and then no more.

import type { HashTable, PeerAddress } from "../options.js";
import type { PeerSource, SearchingTorrent } from "../torrent/peer-source.js";

export interface DhtSearchHost {
  nowMs(): number;
  /** At which others far away reach us over each kind of address; undefined where they do not. */
  ports(): { readonly v4: number | undefined; readonly v6: number | undefined };
}

/** Nodes keep an announce for half an hour or longer. */
const INTERVAL_MS = 15 * 60_000;
/** With so few peers, and blocks to get, it is asked again after so long. */
const PEERS_FEW = 5;
const HUNGRY_MS = 60_000;
/**
 * The table is empty yet, or nobody answered: it is asked again after so long, and each time after twice as long. A node that has just begun
 * knows somebody within a second.
 */
const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 5000;

export class DhtSearch {
  readonly #dht: HashTable;
  readonly #torrent: SearchingTorrent;
  readonly #host: DhtSearchHost;
  readonly #source: PeerSource = { origin: "dht" };
  readonly #stopped = new AbortController();
  #isUnderWay = false;
  #searchedMs = Number.NEGATIVE_INFINITY;
  #dueMs = Number.NEGATIVE_INFINITY;
  #retryMs = RETRY_FIRST_MS;

  constructor(dht: HashTable, torrent: SearchingTorrent, host: DhtSearchHost) {
    this.#dht = dht;
    this.#torrent = torrent;
    this.#host = host;
  }

  tick(): void {
    if (this.#torrent.isPrivate === true) this.stop();
    if (this.#isUnderWay || this.#stopped.signal.aborted) return;
    const now = this.#host.nowMs();
    const isHungry = this.#torrent.wantsBlocks && this.#torrent.peerCount < PEERS_FEW;
    if (now < this.#dueMs && !(isHungry && now - this.#searchedMs >= HUNGRY_MS)) return;
    void this.#search(now);
  }

  /** The program wants peers: the next tick asks, unless it was done a minute ago. */
  needsPeers(): void {
    this.#dueMs = Math.min(this.#dueMs, this.#searchedMs + HUNGRY_MS);
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #search(now: number): Promise<void> {
    this.#isUnderWay = true;
    this.#searchedMs = now;
    let reached = 0;
    try {
      reached = await this.#ask();
    } catch {
      // It was stopped, or the program closed its node: there is nobody to tell.
    }
    this.#isUnderWay = false;
    const waitMs = reached > 0 ? INTERVAL_MS : this.#retryMs;
    this.#dueMs = this.#host.nowMs() + waitMs;
    this.#retryMs = reached > 0 ? RETRY_FIRST_MS : Math.min(RETRY_MS_MAX, 2 * this.#retryMs);
  }

  /** Resolves to how many nodes or peers there were. */
  async #ask(): Promise<number> {
    const { infoHash, wantsBlocks } = this.#torrent;
    const { signal } = this.#stopped;
    const bring = (peer: PeerAddress): void => {
      if (!signal.aborted) this.#torrent.bring(this.#source, [peer]);
    };
    const ports = this.#host.ports();
    const port = ports.v4 ?? ports.v6;
    if (port !== undefined)
      return await this.#dht.announce(infoHash, { port, ports, seed: !wantsBlocks, signal }, bring);
    let count = 0;
    for await (const peer of this.#dht.lookup(infoHash, { signal })) {
      bring(peer);
      count++;
    }
    return count;
  }
}
