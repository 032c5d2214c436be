// When the choker is asked, and carrying out what it answers. The policy itself is choker.ts.
//
// Always: what peers say makes no more work than there is time for: a round before its time is run for a peer that is choked,
// became interested and finds a slot free, at the end of the turn for all of them, and while few peers were looked at since the
// last tick. The others wait for the next tick.

import { SYSTEM_GROUND } from "../../base/ground.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import { Choker, type ChokerPeer } from "./choker.js";

/** Between two whole rounds (BEP 3). */
const ROUND_MS = 10_000;
/** Peers that early rounds look at between two ticks: a few milliseconds of work. */
const EARLY_LOOKS_PER_TICK = 16_384;

export class UploadRounds {
  readonly #choker: Choker;
  readonly #slots: number;
  #nextRoundMs = 0;
  #earlyLooksLeft = EARLY_LOOKS_PER_TICK;
  /** Somebody waits for a round, and there was no time for an early one. */
  #isAsked = false;
  #unchoked = new Set<PeerConnection>();

  /** `random`: from 0 to below 1. */
  constructor(slots: number, random: () => number = SYSTEM_GROUND.random) {
    this.#slots = slots;
    this.#choker = new Choker({ slots, random });
  }

  /** True if a peer whose interest changed need not wait for the next round: call run() when the turn ends. */
  isSoon(peer: PeerConnection): boolean {
    return peer.peerInterested && peer.amChoking && this.#unchoked.size < this.#slots;
  }

  /**
   * Runs a round if one is due. `soon`: somebody can be served at once, because slots are free. False at every tick, so that
   * who waits is served.
   */
  run(peers: ReadonlySet<PeerConnection>, seeding: boolean, nowMs: number, soon: boolean): void {
    const due = nowMs >= this.#nextRoundMs;
    if (!soon) this.#earlyLooksLeft = EARLY_LOOKS_PER_TICK;
    if (!due) {
      if (!(soon || this.#isAsked) || this.#unchoked.size >= this.#slots) return;
      this.#isAsked = this.#earlyLooksLeft <= 0;
      if (this.#isAsked) return;
      this.#earlyLooksLeft -= peers.size;
    } else {
      this.#nextRoundMs = nowMs + ROUND_MS;
      this.#isAsked = false;
    }
    if (peers.size === 0) return;
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
