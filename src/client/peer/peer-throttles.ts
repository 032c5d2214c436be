// What limits one connection: the limits of its own, of its torrent and of its session, in both directions. Made when the first of them
// is set: a connection that nothing limits has none.
//
// Received bytes count, and wait, while blocks may come of the peer; what others say is no payload, and is read at once. What is sent counts
// altogether, and blocks wait.
//
// Always: what is set applies, and nothing else; time that the peer waited for a limit of ours is told from its own.

import { type RateLimitChange, RateLimits, Throttle } from "../../base/rate-limit.js";
import type { PeerConnection } from "./peer-connection.js";
import type { PeerTransport } from "./peer-options.js";
import type { Swarm } from "./swarm.js";

type Direction = "download" | "upload";

export class PeerThrottles {
  readonly #peer: PeerConnection;
  readonly #swarm: Swarm;
  readonly #transport: PeerTransport;
  readonly #own = new RateLimits();
  readonly #receiving: Throttle;
  readonly #sending: Throttle;
  #heldAtTickMs = 0;
  /** Of the last second, most. */
  isHeldBack = false;

  constructor(peer: PeerConnection, swarm: Swarm, transport: PeerTransport) {
    this.#peer = peer;
    this.#swarm = swarm;
    this.#transport = transport;
    this.#receiving = new Throttle(swarm.rateControl.download, transport);
    this.#sending = new Throttle(swarm.rateControl.upload, peer.sender);
  }

  /** True if the torrent or the session has a limit. */
  static areNeeded({ rateControl, rateLimits }: Swarm): boolean {
    return [rateControl.limits, rateLimits].some(({ download, upload }) => download.isSet || upload.isSet);
  }

  setOwn(change: RateLimitChange): void {
    this.#swarm.rateControl.change(this.#own, change);
    this.update();
  }

  /** Looks which limits there are. */
  update(): void {
    const { sender, requests } = this.#peer;
    const isReceivingLimited = this.#apply(this.#receiving, "download");
    this.#transport.setThrottle(isReceivingLimited ? this.#receiving : undefined);
    requests.setLimited(isReceivingLimited);
    sender.setThrottle(this.#apply(this.#sending, "upload") ? this.#sending : undefined);
  }

  /** Bytes per second that may be sent at most; 0: any number. */
  get uploadLimit(): number {
    return this.#sending.limits.reduce(
      (least, { bytesPerSecond }) => (least === 0 ? bytesPerSecond : Math.min(least, bytesPerSecond)),
      0,
    );
  }

  /** Time passed. */
  tick(elapsedMs: number): void {
    const heldMs = this.receivingHeldMs;
    this.isHeldBack = 2 * (heldMs - this.#heldAtTickMs) >= elapsedMs && heldMs > this.#heldAtTickMs;
    this.#heldAtTickMs = heldMs;
  }

  get receivingHeldMs(): number {
    return this.#receiving.waitedMs;
  }

  close(): void {
    this.#receiving.close();
    this.#sending.close();
  }

  #apply(throttle: Throttle, direction: Direction): boolean {
    const { rateControl, rateLimits } = this.#swarm;
    const limits = [this.#own, rateLimits, rateControl.limits]
      .map((each) => each[direction])
      .filter(({ isSet }) => isSet);
    throttle.setLimits(limits);
    return limits.length > 0;
  }
}
