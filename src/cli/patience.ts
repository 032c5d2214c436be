// How long a download is waited for. It keeps trying: peers that are gone may come back. It says so once each time that nobody is left,
// and gives up only when nothing has arrived for as long as was asked for.

import type { PeerAddress, Torrent } from "../index.js";
import { EXIT_FAILED, ExitError, note } from "./output.js";

/** After all peers were given up, those that were named are tried anew so much later. */
const RETRY_MS = 10_000;

export class Patience {
  /** Rejects when it is at its end. */
  readonly lost: Promise<never>;
  readonly #torrents: readonly Torrent[];
  readonly #peers: readonly PeerAddress[];
  readonly #timeoutMs: number;
  #giveUp!: (error: ExitError) => void;
  #movedBytes = 0;
  #movedMs = performance.now();
  #retryMs = Number.POSITIVE_INFINITY;
  readonly #alone = new Set<Torrent>();
  #lastError = "";

  constructor(
    torrents: readonly Torrent[],
    peers: readonly PeerAddress[],
    timeoutSeconds: number | undefined,
  ) {
    this.#torrents = torrents;
    this.#peers = peers;
    this.#timeoutMs = timeoutSeconds === undefined ? Number.POSITIVE_INFINITY : 1000 * timeoutSeconds;
    this.lost = new Promise<never>((_resolve, reject) => {
      this.#giveUp = reject;
    });
    // It may end between two looks, when nobody waits for it any more.
    this.lost.catch(() => {});
    for (const torrent of torrents) {
      torrent.on("metadata", () => this.#moved());
      torrent.on("checking", () => this.#moved());
      torrent.on("peerDisconnected", (_address, error) => {
        if (error !== undefined) this.#lastError = error.message;
      });
      torrent.on("outOfPeers", () => this.#outOfPeers(torrent));
    }
  }

  /** Is called several times a second. */
  look(movedBytes: number): void {
    const now = performance.now();
    if (movedBytes !== this.#movedBytes) {
      this.#movedBytes = movedBytes;
      this.#moved();
    }
    if (now >= this.#retryMs) {
      this.#retryMs = Number.POSITIVE_INFINITY;
      for (const torrent of this.#torrents) for (const peer of this.#peers) torrent.addPeer(peer);
    }
    if (now - this.#movedMs < this.#timeoutMs) return;
    const why = this.#lastError === "" ? "" : `; last: ${this.#lastError}`;
    this.#giveUp(
      new ExitError(EXIT_FAILED, `nothing arrived for ${this.#timeoutMs / 1000} s (${this.#got()})${why}`),
    );
  }

  #moved(): void {
    this.#movedMs = performance.now();
    this.#alone.clear();
  }

  #got(): string {
    let [verified, all] = [0, 0];
    for (const torrent of this.#torrents) {
      const { piecesVerified, pieceCount } = torrent.progress();
      verified += piecesVerified;
      all += pieceCount;
    }
    return all === 0 ? "not even metadata" : `${verified} of ${all} pieces`;
  }

  #outOfPeers(torrent: Torrent): void {
    if (torrent.state === "seeding" || this.#alone.has(torrent)) return;
    if (this.#peers.length > 0) this.#retryMs = performance.now() + RETRY_MS;
    else if (torrent.trackers.length === 0) return;
    this.#alone.add(torrent);
    const whose = this.#torrents.length === 1 ? "" : ` for ${torrent.name}`;
    const why = this.#lastError === "" ? "" : ` (${this.#lastError})`;
    note(`scatterwire: no peer is left${whose}${why}: trying again until one is there`);
  }
}
