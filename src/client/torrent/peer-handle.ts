// A connection in the hands of the program that embeds us: what it may see and change of it, and nothing else.
//
// Always: one handle for each connection, which outlives it; after the end its methods do nothing.

import { checkOptions } from "../../base/option-check.js";
import type { RateLimitChange } from "../../base/rate-limit.js";
import type { UserCalls } from "../../base/user-calls.js";
import { checkReceiveMode } from "../check-options.js";
import { ExtensionWire } from "../extensions/extension-wire.js";
import { RATE_LIMIT_OPTIONS } from "../option-table.js";
import type { Connection, ConnectionStats, PeerAddress, PeerInfo, ReceiveModeName } from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { ReceiveModeChoice } from "../receive/make-mode.js";
import { describePeer, statsOfPeer } from "./peer-info.js";

/** The torrent, as far as its handles go. */
export interface HandleOwner {
  readonly nowMs: number;
  receiveModeChoice(mode: ReceiveModeName): ReceiveModeChoice;
  disconnect(peer: PeerConnection): void;
}

export class PeerHandle extends ExtensionWire implements Connection {
  readonly #peer: PeerConnection;
  readonly #owner: HandleOwner;

  constructor(peer: PeerConnection, owner: HandleOwner, userCalls: UserCalls) {
    super(peer, userCalls);
    this.#peer = peer;
    this.#owner = owner;
  }

  get address(): PeerAddress {
    return { host: this.#peer.host, port: this.#peer.port };
  }

  get incoming(): boolean {
    return this.#peer.incoming;
  }

  get isOpen(): boolean {
    return this.#peer.state === "open";
  }

  info(): PeerInfo {
    return describePeer(this.#peer);
  }

  stats(): ConnectionStats {
    return statsOfPeer(this.#peer, this.#owner.nowMs);
  }

  setReceiveMode(mode: ReceiveModeName): void {
    checkReceiveMode(mode);
    if (this.isOpen) this.#peer.setReceiveMode(this.#owner.receiveModeChoice(mode));
  }

  setRateLimits(limits: RateLimitChange): void {
    checkOptions(RATE_LIMIT_OPTIONS, limits, "setRateLimits()");
    if (this.isOpen) this.#peer.setRateLimits(limits);
  }

  disconnect(): void {
    if (this.isOpen) this.#owner.disconnect(this.#peer);
  }
}
