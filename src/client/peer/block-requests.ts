// The blocks that we asked one peer for, from the request to the header of the block or to giving up.
//
//   picked ─▶ expected ──its header comes──▶ under way ─▶ received
//                │                              │
//                └─ choke, reject, timeout, ────┴─▶ given back to the picker;
//                   another peer was faster         an orphan, if it may come after all
//
// Everything has a deadline: silence, the block under way (from its header on, not from its last byte), and requests that wait behind
// others for longer than the peer can bring them. A late block is given back and still taken when it comes; it is cut off
// only where memory is short, because it holds a slot.
//
// One file, because each of these ways out leaves the same two lists and the same counts.
//
// Always: every request that was made of the swarm's picker is answered by blockReceived or given back by requestDropped,
// once. An orphan was given back already; it is remembered only so that the block is known when it comes.

import { assert } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import type { PieceIndex } from "../../base/ids.js";
import {
  BLOCK_SIZE,
  KIB,
  REQUEST_MESSAGE_BYTES,
  REQUEST_QUEUE_ANNOUNCED,
  REQUESTS_INITIAL,
  REQUESTS_MAX,
} from "../../base/limits.js";
import { ExpectedBlocks } from "../receive/expected-blocks.js";
import { Phase } from "../receive/receiver.js";
import { blockAt } from "../storage/layout.js";
import { encodeRequest } from "../wire/encode.js";
import { MessageId } from "../wire/messages.js";
import type { PeerConnection } from "./peer-connection.js";
import type { Clock } from "./peer-options.js";
import { Refusals } from "./refusals.js";
import { RequestPipeline } from "./request-pipeline.js";
import type { RequestShare } from "./request-share.js";
import { pickedBlock, pickedPiece, type Swarm, type SwarmBlocks } from "./swarm.js";

const PICKS_PER_FILL_MAX = 512;
/** Where memory is short, a block under way has this part of the time that it has otherwise: 2 s of 20, or 8 KiB/s. */
const HURRY = 10;
/**
 * A peer that has brought nothing yet has this part of the time at first, and twice as much with each time that it lets it pass: what
 * hundreds of them were asked for is not out of reach of others for long, and a slow one is not given up.
 */
const NEWCOMER_HURRY = 5;
/**
 * What may wait for a peer that does not read. Requests pause there, and whoever asks on without reading the answers
 * is let go: without a bound, choke and unchoke in turn would fill the memory with our own requests.
 */
export const OUTBOX_BYTES_MAX = 256 * KIB;
assert(
  2 * REQUESTS_MAX * REQUEST_MESSAGE_BYTES <= OUTBOX_BYTES_MAX,
  "all requests, and their cancels, may wait for a peer that is only slow",
);
/**
 * Steps that looking for what a peer refused, and was not asked for, may take between two ticks, of a millisecond or two together.
 * Enough for all that it was asked for, if it is refused once more.
 */
const MISSED_STEPS_PER_TICK = (REQUEST_QUEUE_ANNOUNCED * REQUEST_QUEUE_ANNOUNCED) >> 1;
/** Of what makes way for urgent pieces, so many requests stay: they are under way, and a cancel would come too late. */
const REQUESTS_KEPT = 2;
/** What was given up, and did not come within so many times the longest silence, is forgotten where more is to be given up. */
const ORPHAN_TIMES = 2;
/** What the peer comes to within so long stays with it: cancelling it would cross it on its way. */
const PARTING_MS = 500;
/** Requests that are looked at for somebody who could bring them at once, between two ticks: a fraction of a millisecond of work. */
const PARTING_STEPS_PER_TICK = 16_384;
/** Requests that one fill writes, shared by all connections: it is used within one call only. */
const picked = new Int32Array(2 * PICKS_PER_FILL_MAX);

export interface RequestSettings {
  readonly maxRequests: number;
  readonly requestTimeoutMs: number;
  /** What near peers share; without it the connection has a share to itself. */
  readonly requestShare?: RequestShare;
}

export class BlockRequests {
  #pipeline: RequestPipeline | undefined;
  /** The peer's `reqq`, until there is a pipeline that knows it; 0: it told none. */
  #peerLimit = 0;
  /** Asked for and expected, in order. */
  readonly expected = new ExpectedBlocks();
  /** Asked for once and given up (choked, timed out, cancelled), but perhaps under way. */
  #orphans: ExpectedBlocks | undefined;
  /** True if the block under way was given back to the picker before it came. */
  #underWayIsOrphan = false;

  readonly #peer: PeerConnection;
  readonly #clock: Clock;
  /** For so long it may be silent: less until it has brought a block. */
  #timeoutMs: number;
  readonly #settings: RequestSettings;
  #lastBlockMs: number;
  /** When the header of the block under way came. */
  #headerMs = 0;
  /** For how long the peer had been held back by a limit of ours then; and when blocks were counted last. */
  #heldAtBlockMs = 0;
  #heldAtCountMs = 0;
  /** The block under way came too late, and its end has not come. */
  #stuck = false;
  /** Where the time over which blocks are counted began, and blocks that came since. */
  #countedSinceMs: number;
  #blocksCounted = 0;
  #missedStepsLeft = MISSED_STEPS_PER_TICK;
  #partingStepsLeft = PARTING_STEPS_PER_TICK;
  /** Made when the peer refuses for the first time: most never do. */
  #refusals: Refusals | undefined;

  constructor(peer: PeerConnection, clock: Clock, settings: RequestSettings) {
    this.#peer = peer;
    this.#clock = clock;
    this.#timeoutMs = settings.requestTimeoutMs / NEWCOMER_HURRY;
    this.#settings = settings;
    this.#lastBlockMs = clock.nowMs;
    this.#countedSinceMs = clock.nowMs;
  }

  /** How many requests to keep outstanding. Made with the first of them: of most peers of a seed, nothing is ever asked. */
  get pipeline(): RequestPipeline | undefined {
    return this.#pipeline;
  }

  /** Requests to keep outstanding, or to begin with. */
  get target(): number {
    if (this.#pipeline !== undefined) return this.#pipeline.target;
    const peerLimit = this.#peerLimit === 0 ? REQUESTS_INITIAL : this.#peerLimit;
    return Math.min(REQUESTS_INITIAL, this.#settings.maxRequests, peerLimit);
  }

  /** The peer's `reqq` (BEP 10). */
  setPeerLimit(requests: number): void {
    this.#peerLimit = Math.max(1, requests);
    this.#pipeline?.setPeerLimit(this.#peerLimit);
  }

  /** A limit of ours holds it back, or does not any more. */
  setLimited(isLimited: boolean): void {
    if (isLimited) this.#ownPipeline();
    this.#pipeline?.setLimited(isLimited);
  }

  #ownPipeline(): RequestPipeline {
    if (this.#pipeline !== undefined) return this.#pipeline;
    const { maxRequests, requestShare } = this.#settings;
    const pipeline = new RequestPipeline(maxRequests, this.#clock.nowMs, requestShare);
    if (this.#peerLimit > 0) pipeline.setPeerLimit(this.#peerLimit);
    // All that it had said was read.
    pipeline.drained(this.#clock.nowMs);
    this.#pipeline = pipeline;
    return pipeline;
  }

  get #timeoutMsMax(): number {
    return this.#settings.requestTimeoutMs;
  }

  /** True if the block under way was given back before it came: another peer may be asked for it too. */
  get underWayIsOrphan(): boolean {
    return this.#underWayIsOrphan;
  }

  /** True while something is to come of the peer: what it was asked for, or the rest of a block. */
  get isAwaited(): boolean {
    return this.expected.count > 0 || this.#peer.receiver.phase === Phase.payload;
  }

  /** How long the peer takes for so many bytes, as fast as it was of late; 0: not known. */
  msFor(bytes: number): number {
    return this.#pipeline?.msFor(bytes, this.#clock.nowMs, this.isAwaited) ?? 0;
  }

  /** Requests blocks until the pipeline is full. */
  fill(blocks: SwarmBlocks): void {
    const { expected } = this;
    const pipeline = this.#ownPipeline();
    const { write, sender } = this.#peer;
    const { nowMs } = this.#clock;
    const { outbox } = sender;
    if (outbox.length > OUTBOX_BYTES_MAX) return;
    const outstanding = expected.count;
    if (!pipeline.wantsMore(outstanding) || this.#refusals?.isPausing(nowMs) === true) return;
    const underWayMs = this.#underWayMs(nowMs);
    if (underWayMs > 0 && (this.#stuck || underWayMs > this.#timeoutMsMax / HURRY)) return;
    const missing = Math.min(pipeline.target - outstanding, PICKS_PER_FILL_MAX);
    const count = blocks.pick(this.#peer, missing, picked);
    if (count === 0) return;
    if (outstanding === 0) {
      if (underWayMs === 0) pipeline.resumed(this.#lastBlockMs, nowMs);
      this.#lastBlockMs = nowMs;
    }
    const { layout } = blocks;
    let at = outbox.reserve(count * REQUEST_MESSAGE_BYTES);
    const { bytes } = outbox;
    for (let index = 0; index < count; index++) {
      const piece = pickedPiece(picked, index);
      const block = pickedBlock(picked, index);
      const begin = block * BLOCK_SIZE;
      const length = layout.blockLength(piece, block);
      expected.push(piece, begin, length, nowMs);
      at += encodeRequest(bytes, at, MessageId.request, piece, begin, length);
    }
    write.wrote(count * REQUEST_MESSAGE_BYTES);
  }

  /** True if the block was asked of this peer, or is coming from it. */
  has(piece: number, begin: number): boolean {
    return this.expected.find(piece, begin) >= 0 || this.isUnderWay(piece, begin);
  }

  isUnderWay(piece: number, begin: number): boolean {
    const { receiver } = this.#peer;
    return receiver.payloadLeft > 0 && receiver.blockPiece === piece && receiver.blockBegin === begin;
  }

  /** Another peer brought the block: cancels it here. The swarm has forgotten the request already. */
  cancel(piece: number, begin: number): void {
    const index = this.expected.find(piece, begin);
    if (index < 0) {
      this.#peer.receiver.skipBlock(piece, begin);
      return;
    }
    const length = this.expected.lengthAt(index);
    const asked = this.expected.pieceAt(index);
    this.expected.removeAt(index);
    if (this.expected.count === 0) this.#pipeline?.waitedInVain(this.#clock.nowMs);
    this.#orphan(asked, begin, length);
    this.#peer.write.request(MessageId.cancel, piece, begin, length);
  }

  /** The piece starts over: cancels all that was asked of it here. The swarm has forgotten those requests already. */
  cancelPiece(piece: number): void {
    const { expected } = this;
    for (let index = expected.count - 1; index >= 0; index--)
      if (expected.pieceAt(index) === piece) this.cancel(piece, expected.beginAt(index));
    const { receiver } = this.#peer;
    if (receiver.blockPiece === piece) receiver.skipBlock(piece, receiver.blockBegin);
  }

  /**
   * Somebody else could bring the piece at once: cancels and gives back all that was asked of it here, unless the peer comes to it within
   * PARTING_MS. False if nothing changed.
   */
  partWith(piece: number): boolean {
    const { expected } = this;
    // A look at the whole queue, most often in vain.
    if (this.#partingStepsLeft <= 0 || this.msFor(expected.bytes) < PARTING_MS) return false;
    let first = 0;
    while (first < expected.count && expected.pieceAt(first) !== piece) first++;
    this.#partingStepsLeft -= 1 + first;
    if (first === expected.count || this.msFor(first * BLOCK_SIZE) < PARTING_MS) return false;
    for (let index = expected.count - 1; index >= first; index--) {
      const asked = expected.pieceAt(index);
      if (asked !== piece) continue;
      const begin = expected.beginAt(index);
      this.#writeCancel(index);
      this.#orphan(asked, begin, expected.lengthAt(index));
      expected.removeAt(index);
      this.#giveBack(asked, begin);
    }
    return true;
  }

  /**
   * Gives back all that was asked of it here, and may come all the same, where it has been silent for so long since, or one block has been
   * under way for so long: that one is let come as well. Returns how many.
   */
  letGo(silentMs: number): number {
    const { expected } = this;
    if (expected.count === 0) return 0;
    const { nowMs } = this.#clock;
    const underWayMs = this.#underWayMs(nowMs);
    if (underWayMs > 0) return underWayMs > silentMs && !this.#stuck ? this.#blockLate() : 0;
    const silentSinceMs = Math.max(this.#lastBlockMs, expected.sentAtMs(0));
    if (nowMs - silentSinceMs - this.#heldMs <= silentMs) return 0;
    const count = expected.count;
    for (let index = 0; index < count; index++) this.#writeCancel(index);
    this.drop(true);
    return count;
  }

  /** The peer does not have the piece any more: what was asked of it there is given back, and may come all the same. */
  withdrawn(piece: number): void {
    const { expected } = this;
    for (let index = expected.count - 1; index >= 0; index--) {
      const asked = expected.pieceAt(index);
      if (asked !== piece) continue;
      const begin = expected.beginAt(index);
      this.#orphan(asked, begin, expected.lengthAt(index));
      expected.removeAt(index);
      this.#giveBack(asked, begin);
    }
  }

  /** The header of a block came. True if its payload is wanted. Throws PeerError if nobody asked for it. */
  blockStarted(blocks: SwarmBlocks | undefined, piece: number, begin: number, length: number): boolean {
    let list = this.expected;
    let index = list.find(piece, begin);
    if (index < 0 && this.#orphans !== undefined) {
      list = this.#orphans;
      index = list.find(piece, begin);
    }
    if (blocks === undefined || index < 0 || list.lengthAt(index) !== length) {
      throw new PeerError("PEER_UNREQUESTED_BLOCK", "a block that we did not ask for", {
        expected: index < 0 ? "a requested block" : `${list.lengthAt(index)} bytes`,
        received: `piece ${piece}, begin ${begin}, ${length} bytes`,
      });
    }
    const isOrphan = list !== this.expected;
    const { nowMs } = this.#clock;
    const asked = list.pieceAt(index);
    const block = blockAt(begin);
    if (!isOrphan) this.#pipeline?.blockReceived(length, list.sentAtMs(index), nowMs);
    list.removeAt(index);
    this.#lastBlockMs = nowMs;
    this.#headerMs = nowMs;
    this.#heldAtBlockMs = this.#peer.heldBackMs;
    this.#stuck = false;
    this.#blocksCounted++;
    this.#refusals?.served(piece);
    const wanted = blocks.wantsBlock(this.#peer, asked, block);
    if (!isOrphan && !wanted) blocks.requestDropped(asked, block);
    this.#underWayIsOrphan = isOrphan;
    return wanted;
  }

  /** The block under way will not be complete. */
  giveBackUnderWay(piece: PieceIndex, begin: number): void {
    if (!this.#underWayIsOrphan) this.#giveBack(piece, begin);
  }

  /** BEP 6: the peer will not bring the block. `isHeldAgainstIt`: not for having choked us. False: nobody waits for it. */
  rejected(piece: number, begin: number, isHeldAgainstIt: boolean): boolean {
    // What is refused and not looked for counts as unanswered, which has an end as well.
    if (this.#missedStepsLeft <= 0) return false;
    // Each request is answered once, and in order: what was given up before it was asked for again is answered first.
    const orphan = this.#orphans?.find(piece, begin) ?? -1;
    if (orphan >= 0) {
      this.#orphans?.removeAt(orphan);
      return false;
    }
    const index = this.expected.find(piece, begin);
    if (index < 0) {
      this.#missedStepsLeft -= 1 + (this.#orphans?.count ?? 0) + this.expected.count;
      return false;
    }
    const asked = this.expected.pieceAt(index);
    this.expected.removeAt(index);
    this.#giveBack(asked, begin);
    if (isHeldAgainstIt) this.#refused(piece);
    return true;
  }

  /** Gives all requests back to the picker. `mayCome`: they are remembered, in case the blocks come after all. */
  drop(mayCome: boolean): void {
    const { expected } = this;
    if (expected.count > 0) this.#pipeline?.waitedInVain(this.#clock.nowMs);
    for (let index = 0; index < expected.count; index++) {
      const piece = expected.pieceAt(index);
      const begin = expected.beginAt(index);
      if (mayCome) this.#orphan(piece, begin, expected.lengthAt(index));
      this.#giveBack(piece, begin);
    }
    expected.clear();
  }

  /** Time passed: gives back what the peer lets us wait for too long. Returns how many requests that were, 0 for most calls. */
  checkTimeout(): number {
    const { nowMs } = this.#clock;
    this.#missedStepsLeft = MISSED_STEPS_PER_TICK;
    this.#partingStepsLeft = PARTING_STEPS_PER_TICK;
    if (this.#peer.counters.blocksReceived > 0) this.#timeoutMs = this.#timeoutMsMax;
    if (this.#blockIsLate(nowMs)) return this.#blockLate();
    const { expected } = this;
    if (expected.count === 0) return 0;
    // A peer is silent when neither the oldest request nor any other brought a block for so long.
    const silentSinceMs = Math.max(this.#lastBlockMs, expected.sentAtMs(0));
    const timeoutMs = this.#underWayMs(nowMs) > 0 ? this.#timeoutMsMax : this.#timeoutMs;
    if (nowMs - silentSinceMs - this.#heldMs <= timeoutMs) return this.#dropSurplus(nowMs);
    return this.#snub();
  }

  /** Pieces that the peer refused for long are asked of it again in time. */
  forgetRefusals(swarm: Swarm): void {
    const refusals = this.#refusals;
    if (refusals === undefined) return;
    const { nowMs } = this.#clock;
    for (let piece = refusals.due(nowMs); piece >= 0; piece = refusals.due(nowMs)) {
      if (this.#peer.pieces.add(piece)) swarm.peerAnnounced(this.#peer, piece);
    }
  }

  /**
   * Milliseconds since the header of the block under way, wanted or not, but for those in which we held it back; 0 without one. Nothing
   * else can come before its end.
   */
  #underWayMs(nowMs: number): number {
    return this.#peer.receiver.phase === Phase.payload ? nowMs - this.#headerMs - this.#heldMs : 0;
  }

  /** For how long a limit of ours has held the peer back since its last block began to come. */
  get #heldMs(): number {
    return this.#peer.heldBackMs - this.#heldAtBlockMs;
  }

  #blockIsLate(nowMs: number): boolean {
    const { isShort } = this.#peer.receiver.memory;
    // Given back already: it is let come, unless the slot that it holds is missed.
    if (this.#stuck && !(isShort && this.#peer.receiver.payloadLeft > 0)) return false;
    return this.#underWayMs(nowMs) > (isShort ? this.#timeoutMsMax / HURRY : this.#timeoutMsMax);
  }

  /** What is behind a late block cannot come either: all of it is anybody's. */
  #blockLate(): number {
    const { receiver } = this.#peer;
    this.#stuck = true;
    if (receiver.payloadLeft === 0) return this.#snub();
    const { blockPiece, blockBegin } = receiver;
    const keep = !receiver.memory.isShort && receiver.leaveLandingPlace();
    if (!keep) receiver.skipBlock(blockPiece, blockBegin);
    this.giveBackUnderWay(blockPiece, blockBegin);
    this.#underWayIsOrphan = true;
    return 1 + this.#snub();
  }

  #snub(): number {
    const { expected } = this;
    const late = expected.count;
    this.#pipeline?.snub();
    this.#timeoutMs = Math.min(this.#timeoutMsMax, 2 * this.#timeoutMs);
    for (let index = 0; index < late; index++) this.#writeCancel(index);
    this.drop(true);
    return late;
  }

  #writeCancel(index: number): void {
    const { expected } = this;
    const piece = expected.pieceAt(index);
    this.#peer.write.request(MessageId.cancel, piece, expected.beginAt(index), expected.lengthAt(index));
  }

  /**
   * A peer that brings little keeps what it can bring in twice the timeout: whatever waited for a whole one beyond that goes to
   * others, and no more is asked of it.
   */
  #dropSurplus(nowMs: number): number {
    const { heldBackMs } = this.#peer;
    if (nowMs - this.#countedSinceMs - (heldBackMs - this.#heldAtCountMs) <= this.#timeoutMsMax) return 0;
    this.#heldAtCountMs = heldBackMs;
    const keep = Math.max(1, 2 * this.#blocksCounted);
    const countedSinceMs = this.#countedSinceMs;
    this.#countedSinceMs = nowMs;
    this.#blocksCounted = 0;
    if (this.expected.count <= keep) return 0;
    const dropped = this.#cancelFrom(keep, countedSinceMs);
    if (dropped > 0) this.#pipeline?.refused(keep);
    return dropped;
  }

  /**
   * Gives back what was asked for of other pieces, but for what is about to come, and for more than can be remembered: whatever comes all
   * the same is accepted.
   */
  makeWay(urgent: ReadonlySet<number>): void {
    const { expected } = this;
    let room = this.#roomForOrphans();
    for (let index = expected.count - 1; index >= REQUESTS_KEPT && room > 0; index--) {
      const piece = expected.pieceAt(index);
      if (urgent.has(piece)) continue;
      this.#writeCancel(index);
      const begin = expected.beginAt(index);
      this.#orphan(piece, begin, expected.lengthAt(index));
      expected.removeAt(index);
      this.#giveBack(piece, begin);
      room--;
    }
  }

  /** Cancels and gives back the requests from the `first` on that were sent at `sentMs` or before. */
  #cancelFrom(first: number, sentMs: number): number {
    const { expected } = this;
    let dropped = 0;
    for (let index = expected.count - 1; index >= first; index--) {
      if (expected.sentAtMs(index) > sentMs) continue;
      this.#writeCancel(index);
      const piece = expected.pieceAt(index);
      const begin = expected.beginAt(index);
      this.#orphan(piece, begin, expected.lengthAt(index));
      expected.removeAt(index);
      this.#giveBack(piece, begin);
      dropped++;
    }
    return dropped;
  }

  /** The peer rejects although it does not choke us: its queue is full, or it does not serve that piece. */
  #refused(piece: number): void {
    this.#pipeline?.refused(this.expected.count);
    this.#refusals ??= new Refusals();
    const peer = this.#peer;
    const isWithdrawn = this.#refusals.refused(piece, this.#clock.nowMs);
    if (isWithdrawn && peer.pieces.has(piece)) peer.swarm?.peerWithdrew(peer, piece);
  }

  /** How many more may be given up, and none that the peer may bring is forgotten for them. */
  #roomForOrphans(): number {
    const orphans = this.#orphans;
    if (orphans === undefined) return REQUEST_QUEUE_ANNOUNCED;
    // Without the fast extension a cancel has no answer, and what did not come after it for so long does not come.
    const staleMs = this.#clock.nowMs - ORPHAN_TIMES * this.#timeoutMsMax;
    while (orphans.count > 0 && orphans.sentAtMs(0) < staleMs) orphans.removeAt(0);
    return REQUEST_QUEUE_ANNOUNCED - orphans.count;
  }

  #orphan(piece: PieceIndex, begin: number, length: number): void {
    this.#orphans ??= new ExpectedBlocks();
    if (this.#orphans.count >= REQUEST_QUEUE_ANNOUNCED) this.#orphans.removeAt(0);
    this.#orphans.push(piece, begin, length, this.#clock.nowMs);
  }

  #giveBack(piece: PieceIndex, begin: number): void {
    this.#peer.blocks?.requestDropped(piece, blockAt(begin));
  }
}
