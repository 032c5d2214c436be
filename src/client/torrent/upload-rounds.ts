// When the choker is asked, and carrying out what it answers. The policy itself is choker.ts.

import type { PeerConnection } from "../peer/peer-connection.js";
import { Choker, type ChokerPeer } from "./choker.js";

/** Between two whole rounds (BEP 3). */
const ROUND_MS = 10_000;

export class UploadRounds {
  readonly #choker: Choker;
  readonly #slots: number;
  #nextRoundMs = 0;
  #unchoked = new Set<PeerConnection>();

  constructor(slots: number) {
    this.#slots = slots;
    this.#choker = new Choker({ slots });
  }

  /**
   * Runs a round if one is due. `soon`: interest changed, and a peer that can be served at once need not wait for
   * the next round while slots are free.
   */
  run(peers: ReadonlySet<PeerConnection>, seeding: boolean, nowMs: number, soon: boolean): void {
    const due = nowMs >= this.#nextRoundMs;
    if (!due && !(soon && this.#unchoked.size < this.#slots)) return;
    if (due) this.#nextRoundMs = nowMs + ROUND_MS;
    const candidates: (ChokerPeer & { readonly peer: PeerConnection })[] = [];
    for (const peer of peers) if (peer.state === "open") candidates.push(describe(peer));
    const chosen = this.#choker.choose(candidates, { nowMs, seeding });
    this.#unchoked = new Set();
    for (const candidate of candidates) {
      if (!chosen.has(candidate.id)) candidate.peer.choke();
      else this.#unchoked.add(candidate.peer);
    }
    for (const peer of this.#unchoked) peer.unchoke();
  }

  peerGone(peer: PeerConnection): void {
    this.#unchoked.delete(peer);
  }
}

function describe(peer: PeerConnection): ChokerPeer & { readonly peer: PeerConnection } {
  return {
    peer,
    id: peer.id,
    interested: peer.peerInterested,
    downloadRate: peer.downloadMeter.rate,
    uploadRate: peer.uploadMeter.rate,
    isSeedOrUploadOnly: peer.isUploadOnly || peer.pieces.isFull,
    unchokedSinceMs: peer.amChoking ? undefined : peer.unchokedSinceMs,
    snubbed: peer.pipeline.snubbed,
    sentSinceUnchokeBytes: peer.sentSinceUnchokeBytes,
  };
}
