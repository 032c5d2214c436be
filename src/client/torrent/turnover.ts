// Whose connection makes room when there is none: one that is of no use to either side.
//
//   neither side is interested, and nothing came or went for IDLE_MS     goes first, the longest silent one first
//   interested or not, nothing came or went for STALE_MS                 goes if there is none of the other kind
//   we are interested, and nothing came or went for BARREN_MS            goes if there is none of these, and we know somebody to try instead:
//                                                                        one in BARREN_EACH_MS, so that whoever chokes us for a while is not lost
//                                                                        with all others who do
//
// While metadata is missing nobody is interested in anything: who has been here for UNHELPFUL_MS and brings none of it goes first.
//
// Always: all peers are looked at once in SWEEP_MS at the most, however many knock at the door.

import { PeerError } from "../../base/errors.js";
import type { PeerConnection } from "../peer/peer-connection.js";

export const IDLE_MS = 30_000;
export const STALE_MS = 600_000;
export const UNHELPFUL_MS = 10_000;
/** Two rounds of optimistic unchoking of most programs. */
export const BARREN_MS = 60_000;
export const BARREN_EACH_MS = 10_000;
export const SWEEP_MS = 1000;
/** Found in one sweep at the most: those who come meanwhile wait for the next one. */
const FOUND_MAX = 64;

/** True of a peer that does nothing for what is missing, where that is not blocks. */
export type Unhelpful = (peer: PeerConnection) => boolean;

export class Turnover {
  readonly #isUnhelpful: Unhelpful;
  #found: PeerConnection[] = [];
  #sweptAtMs = Number.NEGATIVE_INFINITY;
  #barrenAtMs = Number.NEGATIVE_INFINITY;

  constructor(isUnhelpful: Unhelpful = () => false) {
    this.#isUnhelpful = isUnhelpful;
  }

  /** Ends one connection of no use among `peers`. False if there is none. */
  makeRoom(peers: Iterable<PeerConnection>, nowMs: number): boolean {
    if (this.#found.length === 0 && nowMs - this.#sweptAtMs >= SWEEP_MS) {
      this.#sweptAtMs = nowMs;
      this.#found = this.#sweep(peers, nowMs);
    }
    for (let peer = this.#found.pop(); peer !== undefined; peer = this.#found.pop()) {
      if (this.#uselessness(peer, nowMs) === 0) continue;
      end(peer);
      return true;
    }
    return false;
  }

  /** The same for somebody whom we would try: one that has what we miss, and brings nothing of it, goes as well. */
  makeRoomToTry(peers: Iterable<PeerConnection>, nowMs: number): boolean {
    if (this.makeRoom(peers, nowMs)) return true;
    if (nowMs - this.#barrenAtMs < BARREN_EACH_MS) return false;
    let longest: PeerConnection | undefined;
    for (const peer of peers)
      if (isBarren(peer, nowMs) && (longest === undefined || peer.lastMovedMs < longest.lastMovedMs))
        longest = peer;
    if (longest === undefined) return false;
    this.#barrenAtMs = nowMs;
    end(longest);
    return true;
  }

  /** makeRoom() among so few that all of them are looked at each time. */
  makeRoomAmongFew(peers: Iterable<PeerConnection>, nowMs: number): boolean {
    const first = this.#sweep(peers, nowMs).pop();
    if (first !== undefined) end(first);
    return first !== undefined;
  }

  /** Those that may go, the one that is to go first at the end. */
  #sweep(peers: Iterable<PeerConnection>, nowMs: number): PeerConnection[] {
    const found: PeerConnection[] = [];
    for (const peer of peers) if (this.#uselessness(peer, nowMs) > 0) found.push(peer);
    found.sort(
      (a, b) =>
        this.#uselessness(a, nowMs) - this.#uselessness(b, nowMs) ||
        b.lastReceivedMs - a.lastReceivedMs ||
        a.id - b.id,
    );
    return found.slice(-FOUND_MAX);
  }

  /** 0: it stays. */
  #uselessness(peer: PeerConnection, nowMs: number): number {
    if (peer.state !== "open") return 0;
    const unusedMs = nowMs - peer.lastMovedMs;
    if (unusedMs >= UNHELPFUL_MS && this.#isUnhelpful(peer)) return 3;
    if (!peer.amInterested && !peer.peerInterested && unusedMs >= IDLE_MS) return 2;
    return unusedMs >= STALE_MS ? 1 : 0;
  }
}

function isBarren(peer: PeerConnection, nowMs: number): boolean {
  return peer.state === "open" && peer.amInterested && nowMs - peer.lastMovedMs >= BARREN_MS;
}

function end(peer: PeerConnection): void {
  peer.close(new PeerError("PEER_USELESS", "of no use to either side, it makes room for others"));
}
