// What one peer asks of us, and what it gets: choking, its requests and cancels, the pieces that it gets in spite of a choke, and
// whether it takes what is sent.
//
// Always: a request is queued, or refused; with the Fast extension (BEP 6) each is answered by its block or a reject. How much of a
// peer's asking is looked at between two ticks is bounded, and a peer that takes nothing, or asks in vain without end, is let go.

import { PeerError, type StorageError } from "../../base/errors.js";
import { BLOCK_SIZE, REQUEST_QUEUE_ANNOUNCED } from "../../base/limits.js";
import { SendProgress } from "../send/send-progress.js";
import { Sender, type SenderHost } from "../send/sender.js";
import type { Layout } from "../storage/layout.js";
import { ALLOWED_FAST_COUNT, allowedFastSet } from "../wire/allowed-fast.js";
import { MessageId } from "../wire/messages.js";
import { ALLOWED_FAST_BYTES_MAX, AllowedFastUploads } from "./allowed-fast-uploads.js";
import { OUTBOX_BYTES_MAX } from "./block-requests.js";
import type { PeerConnection } from "./peer-connection.js";
import type { Clock, PeerOptions, PeerTransport } from "./peer-options.js";
import type { Swarm } from "./swarm.js";
import { Uptake } from "./uptake.js";
import { SHORT_BYTES, STRAY_MAX, STRAY_PER_TICK, VainAnswers } from "./vain-answers.js";

/**
 * Steps that looking for cancelled blocks may take between two ticks, of a few milliseconds together: what a peer cancels is looked
 * for among all that it asked for. Enough for a whole queue, in any order.
 */
const CANCEL_STEPS_PER_TICK = REQUEST_QUEUE_ANNOUNCED * REQUEST_QUEUE_ANNOUNCED;
/** Whoever is sent less from tick to tick, while we choke it, uses next to nothing of our link. */
const NOTICED_BYTES = 1024;
/** A peer to which nothing could be written for so long gives back what is loaded for it. */
const STALLED_MS = 500;

/** Of all that were sent no more than a greeting. */
const NOTHING_TAKEN: Readonly<Uptake> = new Uptake(0);

export class PeerUploads implements SenderHost {
  readonly sender: Sender;
  amChoking = true;
  /** Made when it is sent more than a greeting; as the next ones are, when there is something that they are about. */
  #uptake: Uptake | undefined;
  readonly #peer: PeerConnection;
  readonly #transport: PeerTransport;
  readonly #clock: Clock;
  readonly #sendTimeoutMs: number;
  #progress: SendProgress | undefined;
  /** What we send although we choke, once the peer asked for it: most peers never do, and a set is memory. */
  #allowedFast: AllowedFastUploads | undefined;
  #cancelStepsLeft = CANCEL_STEPS_PER_TICK;
  #vainAnswers: VainAnswers | undefined;
  /** Bytes that it had been sent at the last tick, until its uptake counts them. */
  #sentAtTickBytes = 0;
  /** Requests came since we unchoked the peer last. */
  #hasAsked = false;
  /** It was let go because it asked for more at once than anybody may. */
  hasFlooded = false;

  constructor(peer: PeerConnection, options: PeerOptions) {
    this.#peer = peer;
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#sendTimeoutMs = options.settings.sendTimeoutMs;
    this.sender = new Sender({
      memory: options.memory,
      entries: options.plan.entries,
      counters: peer.counters,
      transport: options.transport,
      host: this,
    });
    this.sender.choked(true);
  }

  /** What the peer takes of us while we do not choke it. */
  get uptake(): Readonly<Uptake> {
    return this.#uptake ?? NOTHING_TAKEN;
  }

  #ownUptake(): Uptake {
    this.#uptake ??= new Uptake(this.#sentAtTickBytes);
    return this.#uptake;
  }

  #ownVainAnswers(): VainAnswers {
    this.#vainAnswers ??= new VainAnswers();
    return this.#vainAnswers;
  }

  // ── choking ──────────────────────────────────────────────────────────────────────────────────────────────────

  choke(): void {
    if (this.amChoking) return;
    this.amChoking = true;
    this.#ownVainAnswers().choked(this.#clock.nowMs, this.#hasAsked);
    const { write, fast } = this.#peer;
    write.empty(MessageId.choke);
    this.sender.choked(true);
    // BEP 6: requests that will not be served are rejected; without it a choke drops them (BEP 3).
    this.sender.dropRequested(
      fast ? (piece, begin, length) => write.request(MessageId.reject, piece, begin, length) : undefined,
    );
  }

  /** `unsentAtFirstBytes`: what may wait for it in the system's buffers before it has shown how it takes. */
  unchoke(unsentAtFirstBytes: number): void {
    if (!this.amChoking) return;
    this.amChoking = false;
    this.#hasAsked = false;
    this.sender.choked(false);
    this.sender.boundUnsent(unsentAtFirstBytes);
    this.#ownUptake().begin(this.#takenBytes(), this.#clock.nowMs);
    this.#peer.write.empty(MessageId.unchoke);
  }

  /** True if the peer takes what we have for it: a slot is well used then. */
  get isTaking(): boolean {
    if (this.amChoking) return false;
    // What waits for a limit of ours is not for the peer to take.
    return this.sender.isHeld || this.uptake.isTaking(this.#takenBytes(), this.sender.isBlockWaiting);
  }

  /** True if blocks wait for the peer, or have not reached it: without one, it leaves its part of our link to others. */
  get isOwed(): boolean {
    return this.sender.blocksWaiting > 0 || this.#transport.unacknowledgedBytes() > 0;
  }

  /** What it takes is looked at: what lies in the system's buffers goes on while we choke the peer, and uses our link. */
  get isSampled(): boolean {
    if (!this.amChoking) return true;
    const { sentBytes } = this.#peer.counters;
    if (this.#uptake === undefined) return sentBytes - this.#sentAtTickBytes >= NOTICED_BYTES;
    return this.#uptake.rate >= 1 || this.#uptake.sinceTickBytes(sentBytes) >= NOTICED_BYTES;
  }

  /** It is sent something, or was: whoever counts what is uploaded need not look at others. */
  get isStirring(): boolean {
    return this.#uptake !== undefined || !this.amChoking || this.sender.isHeld;
  }

  #takenBytes(): number {
    return this.#peer.counters.sentBytes - Math.max(0, this.#transport.unacknowledgedBytes());
  }

  /** As much as the socket takes was written: something, or nothing. */
  flushed(hasWritten: boolean, nowMs: number): void {
    if (this.#progress === undefined && this.sender.blocked) this.#progress = new SendProgress(nowMs);
    else if (hasWritten) this.#progress?.wrote(nowMs);
  }

  /** Time passed. False: the peer took nothing for too long, and was let go. */
  tick(nowMs: number): boolean {
    this.#cancelStepsLeft = CANCEL_STEPS_PER_TICK;
    this.#vainAnswers?.tick();
    const { sentBytes } = this.#peer.counters;
    if (this.isSampled) this.#ownUptake().sample(this.#takenBytes(), sentBytes);
    else if (this.#uptake !== undefined) this.#uptake.skim(sentBytes);
    else this.#sentAtTickBytes = sentBytes;
    if (!this.amChoking) {
      this.sender.pace(this.#peer.uploadRate);
      this.sender.takes(this.uptake.rate);
    }
    if (this.sender.heldForMs >= STALLED_MS) this.sender.giveBack(nowMs);
    if (!this.sender.blocked) {
      this.#progress?.wrote(nowMs);
      return true;
    }
    this.#progress ??= new SendProgress(nowMs);
    const progress = this.#progress;
    progress.blocked(nowMs, this.#transport.unacknowledgedBytes());
    if (progress.untakenMs(nowMs) > this.#sendTimeoutMs) {
      const seconds = Math.round(this.#sendTimeoutMs / 1000);
      this.#peer.close(
        new PeerError("PEER_TIMEOUT", `in ${seconds} s the peer took nothing of what waits for it`),
      );
      return false;
    }
    if (progress.unwrittenMs(nowMs) >= STALLED_MS) this.sender.giveBack(nowMs);
    return true;
  }

  // ── what the peer asks for ───────────────────────────────────────────────────────────────────────────────────

  /** The peer asks for a block. Throws PeerError for one that does not exist. */
  requested(swarm: Swarm, piece: number, begin: number, length: number): void {
    const { layout } = swarm;
    if (layout === undefined) {
      // We announced nothing, and cannot tell whether there is such a block.
      this.#askedInVain(piece, begin, length);
      return;
    }
    if (length > BLOCK_SIZE || !layout.isValidRequest(piece, begin, length)) {
      throw new PeerError("PEER_PIECE_RANGE", "request for what cannot be sent", {
        expected: `1 to ${BLOCK_SIZE} bytes inside a piece`,
        received: `piece ${piece}, begin ${begin}, ${length} bytes`,
      });
    }
    this.#hasAsked = true;
    const isShort = length < SHORT_BYTES && begin + length < layout.pieceLengthOf(piece);
    if (isShort && !this.#mayAnswerInVain(piece)) return;
    const hasRoom = this.sender.blocksRequested < REQUEST_QUEUE_ANNOUNCED;
    if (
      (this.#peer.revealed ?? swarm.have).has(piece) &&
      hasRoom &&
      (!this.amChoking || this.#takesAllowedFast(swarm, layout, piece, begin, length))
    )
      this.sender.queueBlock(piece, begin, length, this.#clock.nowMs);
    else this.#askedInVain(piece, begin, length);
  }

  /** The peer does not want the block any more. That is no more than advice: if it is sent, that answers it as well (BEP 6). */
  cancelled(piece: number, begin: number, length: number): void {
    if (this.#cancelStepsLeft <= 0) return;
    this.#cancelStepsLeft -= this.sender.blocksRequested;
    const dropped = this.sender.cancelBlock(piece, begin);
    if (dropped) this.#ownUptake().cancelled();
    if (dropped && this.#peer.fast) this.#reject(piece, begin, length);
  }

  /** BEP 6: the few pieces that a newcomer gets without being unchoked, so that it has something to trade. */
  offerAllowedFast(swarm: Swarm, layout: Layout): void {
    const { host, write } = this.#peer;
    for (const piece of allowedFastSet(host, swarm.infoHash, layout.pieceCount)) {
      if (swarm.have.has(piece)) write.allowedFast(piece);
    }
  }

  #takesAllowedFast(swarm: Swarm, layout: Layout, piece: number, begin: number, length: number): boolean {
    const { fast, host, pieceCountKnown } = this.#peer;
    if (!fast) return false;
    if (this.#allowedFast === undefined) {
      const bytes = Math.min(ALLOWED_FAST_BYTES_MAX, ALLOWED_FAST_COUNT * layout.pieceLength);
      const isFree = swarm.givesFreely?.(this.#peer, bytes) !== false;
      const pieces = allowedFastSet(host, swarm.infoHash, layout.pieceCount);
      this.#allowedFast = new AllowedFastUploads(pieces, layout, isFree ? ALLOWED_FAST_BYTES_MAX : 0);
      // A block may wait for it in the system's buffers: it has no slot, and uses our link beside those that have.
      this.sender.boundUnsent(0);
    }
    return pieceCountKnown < ALLOWED_FAST_COUNT && this.#allowedFast.take(piece, begin, length);
  }

  #askedInVain(piece: number, begin: number, length: number): void {
    if (this.#mayAnswerInVain(piece)) this.#refuse(piece, begin, length);
  }

  /** The peer asks for what it does not get, or for next to nothing. False: once too often, and it was let go. */
  #mayAnswerInVain(piece: number): boolean {
    if (this.amChoking && this.#allowedFast?.refuse(piece) === true) return true;
    const vainAnswers = this.#ownVainAnswers();
    if (vainAnswers.take(this.#clock.nowMs)) return true;
    this.hasFlooded = vainAnswers.isFlooded;
    this.#peer.close(
      new PeerError(
        "PEER_REQUEST_FLOOD",
        "the peer asks on and on for what it is refused, or for a few bytes",
        {
          expected: `at most ${STRAY_MAX} such requests at once, ${STRAY_PER_TICK} a second, and one for each block that it takes`,
          received: "one more",
        },
      ),
    );
    return false;
  }

  #refuse(piece: number, begin: number, length: number): void {
    if (this.#peer.fast) this.#reject(piece, begin, length);
    else if (this.sender.blocksRequested >= REQUEST_QUEUE_ANNOUNCED) {
      const expected = `at most ${REQUEST_QUEUE_ANNOUNCED}`;
      this.#peer.close(
        new PeerError("PEER_REQUEST_FLOOD", "more requests than we queue", {
          expected,
          received: "one more",
        }),
      );
    }
  }

  /** BEP 6. */
  #reject(piece: number, begin: number, length: number): void {
    if (this.sender.outbox.length <= OUTBOX_BYTES_MAX) {
      this.#peer.write.request(MessageId.reject, piece, begin, length);
      return;
    }
    this.#peer.close(
      new PeerError("PEER_REQUEST_FLOOD", "requests of a peer that does not read our answers"),
    );
  }

  // ── SenderHost ───────────────────────────────────────────────────────────────────────────────────────────────

  blockSent(piece: number, _begin: number, length: number): void {
    this.#ownUptake().blockSent(length);
    this.#ownVainAnswers().blockSent(length);
    if (this.#peer.revealed !== undefined) this.#peer.swarm?.blockSent?.(this.#peer, piece, length);
  }

  blockUnreadable(piece: number, begin: number, length: number, error: StorageError): void {
    this.#refuse(piece, begin, length);
    this.#peer.swarm?.uploadFailed(this.#peer, error);
  }
}
