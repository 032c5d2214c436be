// Addresses of peers that a torrent knows, and when to connect to them (again).
//
// Always: an address is tried again only after a pause that doubles with each failure in a row, and given up
// after ATTEMPTS_MAX of them; a banned one is never tried.

import type { ReceiveModeName } from "../options.js";

export interface KnownPeer {
  readonly host: string;
  readonly port: number;
  state: "idle" | "connecting" | "connected" | "given-up";
  failures: number;
  retryAtMs: number;
  /** How to receive from it, if not as the torrent does. */
  receiveMode: ReceiveModeName | undefined;
}

const ATTEMPTS_MAX = 5;
const PAUSE_MS_FIRST = 1000;
const PAUSE_MS_MAX = 60_000;

export class PeerList {
  readonly #peers = new Map<string, KnownPeer>();

  /** Adds an address, or gives a known one that was given up another chance. */
  add(host: string, port: number): KnownPeer {
    const key = `${host}|${port}`;
    let peer = this.#peers.get(key);
    if (peer === undefined) {
      peer = { host, port, state: "idle", failures: 0, retryAtMs: 0, receiveMode: undefined };
      this.#peers.set(key, peer);
    } else if (peer.state === "given-up") {
      peer.state = "idle";
      peer.failures = 0;
      peer.retryAtMs = 0;
    }
    return peer;
  }

  find(host: string, port: number): KnownPeer | undefined {
    return this.#peers.get(`${host}|${port}`);
  }

  /** Calls `each` with the peers that are due. */
  forEachDue(nowMs: number, each: (peer: KnownPeer) => void): void {
    for (const peer of this.#peers.values()) {
      if (peer.state === "idle" && peer.retryAtMs <= nowMs) each(peer);
    }
  }

  /** A connection ended. `useful`: it carried blocks, so the failures before it do not count. */
  ended(peer: KnownPeer, useful: boolean, nowMs: number): void {
    peer.failures = useful ? 0 : peer.failures + 1;
    peer.state = peer.failures >= ATTEMPTS_MAX ? "given-up" : "idle";
    peer.retryAtMs = nowMs + Math.min(PAUSE_MS_MAX, PAUSE_MS_FIRST * 2 ** Math.max(0, peer.failures - 1));
  }

  /** All receive as the torrent does. */
  forgetReceiveModes(): void {
    for (const peer of this.#peers.values()) peer.receiveMode = undefined;
  }

  giveUp(peer: KnownPeer): void {
    peer.state = "given-up";
  }

  /** True if no address is connected, being connected, or still to be tried. */
  get isExhausted(): boolean {
    for (const peer of this.#peers.values()) if (peer.state !== "given-up") return false;
    return true;
  }
}
