// Between a byte stream and its PeerConnection: the policy of moving bytes, whatever the stream is. It receives while there is
// something to receive, sends when the turn ends, pauses when the pool has no slot, and closes.
//
// Always: one wake-up receives a bounded amount, so that one peer of a high rate starves nobody. After close() the stream is not used.

import { constants } from "node:os";
import { assert } from "../../base/assert.js";
import { describeErrno, PeerError } from "../../base/errors.js";
import { BLOCK_SIZE, KIB } from "../../base/limits.js";
import type { Throttle, ThrottleUser } from "../../base/rate-limit.js";
import { READABLE, WRITABLE } from "../../native/binding.js";
import type { TurnHook } from "../../native/reactor.js";
import { BYTES_PER_MESSAGE, type TurnLoad } from "../../native/turn-load.js";
import type { SlotWaiter } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { SlotShare } from "../memory/slot-share.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { PeerTransport } from "../peer/peer-options.js";
import type { ByteStream, StreamHandler } from "./byte-stream.js";
import { blocksAtOnce, lowWaterFor } from "./low-water.js";

/**
 * What a receiving call counts at least. Shares are in bytes, because "scatter" takes two calls for each block: bounded by calls, it would
 * pay for a turn of the loop every other block.
 */
const BYTES_PER_CALL_MIN = 4 * KIB;
/**
 * Read at a time of one that does not bring blocks. A flood of them, of five bytes each, is known only once they are handled: a
 * whole buffer of those, from many peers at once, would be a turn of seconds.
 */
const TALK_BYTES_PER_CALL = 4 * KIB;

/** −EFAULT: the memory that was named is a mapping of a file that has become shorter, or a file that was sent from. No fault of the peer's. */
const MEMORY_FAULT = -constants.errno.EFAULT;

/** What the pump needs of the loop; the reactor is one. */
export interface Turns {
  /** How full this turn is, and so what each may bring in it. */
  readonly load: TurnLoad;
  /** Runs `hook` once at the end of this turn. */
  atTurnEnd(hook: TurnHook): void;
}

export class StreamPump implements PeerTransport, StreamHandler, TurnHook, SlotWaiter, ThrottleUser {
  readonly #turns: Turns;
  readonly #memory: Memory;
  #stream: ByteStream;
  /** −EAGAIN of this system: the stream cannot go on now. */
  readonly #eagain: number;
  #peer: PeerConnection | undefined;
  #connecting: boolean;
  #events: number;
  /** Bytes from which on the stream counts as readable. */
  #lowWaterBytes = 1;
  #flushScheduled = false;
  #waitingForSlots = false;
  /** That of the torrent, in which it waits. */
  #waitsIn: SlotShare | undefined;
  /** What the messages of earlier turns cost beyond a turn's share: it is worked off before more is heard. */
  #owedBytes = 0;
  /** Its last receive brought no blocks, or less than its messages cost: it is read a little at a time. */
  #isTalkative = true;
  /** The round of those that bring no blocks in which it was last heard among them. */
  #heardIn = 0;
  /** Blocks were awaited of it, under a limit, and its last receive brought messages alone. */
  #onlyTalks = false;
  /** It used up its share when it was last heard, and may have more. */
  #hasMore = false;
  /** Nothing is received until the peer has taken what waits for it. */
  #clogged = false;
  #closed = false;
  /** What limits how much is received; undefined: nothing does. */
  #throttle: Throttle | undefined;

  /** `connecting`: the stream is not established yet. */
  constructor(options: {
    turns: Turns;
    memory: Memory;
    stream: ByteStream;
    connecting: boolean;
    eagain: number;
  }) {
    this.#turns = options.turns;
    this.#memory = options.memory;
    this.#stream = options.stream;
    this.#connecting = options.connecting;
    this.#eagain = options.eagain;
    this.#events = options.connecting ? WRITABLE : READABLE;
  }

  /** Begins to serve the connection. */
  start(peer: PeerConnection): void {
    this.#peer = peer;
    const result = this.#stream.open(this, this.#events);
    if (result < 0) this.#fail("watch the socket", result);
  }

  get isEncrypted(): boolean {
    return this.#stream.isEncrypted === true;
  }

  get connecting(): boolean {
    return this.#connecting;
  }

  standsAside(stream: ByteStream, below: ByteStream): boolean {
    // Whoever looks on stands between the two, and goes on looking.
    if (stream !== this.#stream || below.tell === undefined || this.#closed) return false;
    this.#stream = below;
    below.tell(this);
    return true;
  }

  socketReady(events: number): void {
    const peer = this.#peer;
    assert(peer !== undefined, "what is watched was started");
    if (this.#connecting) {
      const error = this.#stream.established();
      if (error < 0) {
        const reason = `cannot connect to ${peer.host}:${peer.port}: ${describeErrno(error)}`;
        peer.close(new PeerError("PEER_CONNECT_FAILED", reason));
        return;
      }
      this.#connecting = false;
      this.#watch(READABLE);
      peer.connected();
      return;
    }
    if ((events & WRITABLE) !== 0 && (this.#events & WRITABLE) !== 0) this.turnEnded();
    if ((events & READABLE) !== 0 && (this.#events & READABLE) !== 0) this.#receive(peer);
  }

  #receive(peer: PeerConnection): void {
    const { load } = this.#turns;
    const uncharged = load.unchargedBytes;
    if (this.#owedBytes >= uncharged) {
      this.#owedBytes -= uncharged;
      return;
    }
    // The loop tells of it again: those that were heard owe for it then.
    if (this.#isTalkative) {
      if (load.isTalkedOut || !load.mayTalk(this.#heardIn)) return;
      this.#heardIn = load.round;
    }
    const { messages } = peer.receiver;
    const share = this.#isTalkative ? Math.min(load.bytesShare, uncharged) : load.bytesShare;
    const bytes = this.#receiveUpTo(peer, load.isFull ? 1 : share);
    const heard = peer.receiver.messages - messages;
    load.heard(bytes, heard, !this.#isTalkative, this.#hasMore);
    const cost = this.#owedBytes + BYTES_PER_MESSAGE * heard;
    this.#owedBytes = Math.max(0, cost - uncharged);
  }

  /** Received bytes are limited from now on, or not any more. */
  setThrottle(throttle: Throttle | undefined): void {
    this.#throttle = throttle;
    if (throttle !== undefined && !this.#connecting && !this.#closed) this.#setLowWater(1);
  }

  /** A limit held it back, and does not now. */
  mayPass(): void {
    if (!this.#connecting && !this.#waitingForSlots && !this.#clogged) this.#watch(this.#events | READABLE);
  }

  /** Receives about so many bytes, or as many messages as cost as much. Returns the bytes. */
  #receiveUpTo(peer: PeerConnection, most: number): number {
    const bytes = this.#fillUpTo(peer, most);
    // However it ended: a mark for what was outstanding before would keep what is left from us.
    if (!this.#closed) this.#markLowWater(peer);
    return bytes;
  }

  #fillUpTo(peer: PeerConnection, most: number): number {
    const stream = this.#stream;
    const { receiver, counters } = peer;
    this.#hasMore = false;
    let bytes = 0;
    let left = most;
    while (left > 0 && !this.#closed) {
      if (peer.isClogged) {
        this.#clogged = true;
        this.#watch(this.#events & ~READABLE);
        return bytes;
      }
      // Of those from whom no block can come only messages are read: those are not held up. Nor is who may bring blocks and only talks, or it
      // would use up with talk what is for blocks: it is read a little at a time, and pays for a block when one came.
      const { mayBringBlocks } = receiver;
      if (mayBringBlocks && peer.blocks?.slotShare?.isUsedUp === true) {
        this.#waitForSlots(peer.blocks.slotShare);
        return bytes;
      }
      const limit = mayBringBlocks ? this.#throttle : undefined;
      const throttle = this.#onlyTalks ? undefined : limit;
      const allowed = throttle === undefined ? 0 : throttle.ask(false);
      if (throttle !== undefined && allowed === 0) {
        this.#watch(this.#events & ~READABLE);
        return bytes;
      }
      receiver.blocksAtOnce = blocksAtOnce(this.#lowWaterBytes, left);
      let entries = receiver.plan();
      if (entries === 0) {
        this.#waitForSlots();
        return bytes;
      }
      let planned = receiver.plannedBytes;
      const talk = this.#isTalkative ? TALK_BYTES_PER_CALL : planned;
      const cut = throttle !== undefined && allowed < talk ? allowed : talk;
      if (cut < planned) {
        entries = receiver.cutPlan(cut);
        planned = cut;
      }
      const messagesBefore = receiver.messages;
      const blocksBefore = counters.blocksReceived;
      const received = stream.fill(0, entries);
      counters.receiveCalls++;
      if (throttle !== undefined) {
        if (received > 0) throttle.passed(received);
        if (received < planned) throttle.giveBack();
      }
      try {
        receiver.commit(received > 0 ? received : 0);
        if (received > 0) peer.received();
      } catch (error) {
        // Anything but a peer's fault is our bug, and must not be taken for one.
        if (!(error instanceof PeerError)) throw error;
        peer.close(error);
        return bytes;
      }
      if (received <= 0) {
        if (received === this.#eagain) {
          counters.receiveWouldBlocks++;
          peer.drained();
        } else this.#ended(peer, received);
        return bytes;
      }
      bytes += received;
      left -= received > BYTES_PER_CALL_MIN ? received : BYTES_PER_CALL_MIN;
      const heard = receiver.messages - messagesBefore;
      const cost = BYTES_PER_MESSAGE * heard;
      left -= cost;
      const isBlocks = receiver.isInBlock || counters.blocksReceived !== blocksBefore;
      // A part of a header tells nothing: "scatter" receives it by itself, before the rest and the block.
      if (isBlocks || heard > 0) this.#isTalkative = !isBlocks || cost > received;
      if (limit !== undefined && (isBlocks || heard > 0)) {
        if (isBlocks && this.#onlyTalks) limit.passed(received);
        this.#onlyTalks = !isBlocks;
      }
      // Less came than was asked for: the socket is empty, and the loop will tell when it is not.
      if (received < planned) {
        peer.drained();
        break;
      }
    }
    this.#hasMore = left <= 0;
    return bytes;
  }

  /** For what is outstanding now. */
  #markLowWater(peer: PeerConnection): void {
    const { pipeline } = peer;
    if (this.#throttle !== undefined || pipeline?.isHighRate !== true) {
      this.#setLowWater(1);
      return;
    }
    const outstanding = peer.expected.count * BLOCK_SIZE;
    const { readyLately } = this.#turns.load;
    this.#setLowWater(lowWaterFor(this.#lowWaterBytes, outstanding, readyLately, pipeline.isNear));
  }

  #setLowWater(bytes: number): void {
    if (bytes === this.#lowWaterBytes) return;
    this.#lowWaterBytes = bytes;
    this.#stream.setLowWater(bytes);
  }

  wakeForAny(): void {
    if (!this.#closed) this.#setLowWater(1);
  }

  unacknowledgedBytes(): number {
    return this.#stream.unacknowledgedBytes();
  }

  #ended(peer: PeerConnection, result: number): void {
    if (result === MEMORY_FAULT) peer.memoryFaulted(true);
    else if (result < 0) this.#fail("receive", result);
    else peer.close(new PeerError("PEER_CLOSED", `${peer.host}:${peer.port} closed the connection`));
  }

  #fail(doing: string, errno: number): void {
    const peer = this.#peer;
    assert(peer !== undefined, "what fails was started");
    peer.close(new PeerError("PEER_SOCKET", `${doing}, ${peer.host}:${peer.port}: ${describeErrno(errno)}`));
  }

  /** Of the pool; or room in the share that the torrent has of it. */
  #waitForSlots(share: SlotShare | undefined = undefined): void {
    if (this.#waitingForSlots) return;
    this.#waitingForSlots = true;
    this.#watch(this.#events & ~READABLE);
    this.#waitsIn = share;
    if (share === undefined) this.#memory.pool.waitForSlots(this);
    else share.wait(this);
  }

  slotsAvailable(): void {
    this.#waitingForSlots = false;
    if (!this.#closed) this.#watch(this.#events | READABLE);
  }

  // ── SendTransport ────────────────────────────────────────────────────────────────────────────────────────────

  writev(count: number, more: boolean): number {
    return this.#stream.drain(0, count, more);
  }

  sendfile(fileFd: number, offset: number, length: number): number {
    return this.#stream.drainFile(fileFd, offset, length);
  }

  wantWritable(wanted: boolean): void {
    this.#watch(wanted ? this.#events | WRITABLE : this.#events & ~WRITABLE);
  }

  boundUnsent(bytes: number): void {
    if (!this.#closed) this.#stream.boundUnsent(bytes);
  }

  scheduleFlush(): void {
    if (this.#flushScheduled || this.#closed) return;
    this.#flushScheduled = true;
    this.#turns.atTurnEnd(this);
  }

  turnEnded(): void {
    this.#flushScheduled = false;
    if (this.#closed || this.#connecting) return;
    const peer = this.#peer;
    assert(peer !== undefined, "what is flushed was started");
    const result = peer.flush(this.#eagain);
    // Something was said: it may have taken back what the mark is for.
    if (this.#lowWaterBytes > 1 && !this.#closed && isTooHigh(this.#lowWaterBytes, peer.expected.count))
      this.#markLowWater(peer);
    if (result === MEMORY_FAULT) peer.memoryFaulted(false);
    else if (result < 0) this.#fail("send", result);
    if (this.#clogged && !peer.isClogged) {
      this.#clogged = false;
      this.#watch(this.#events | READABLE);
    }
  }

  close(discards = false): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#waitingForSlots) (this.#waitsIn ?? this.#memory.pool).stopWaiting(this);
    this.#stream.close(discards);
  }

  #watch(events: number): void {
    if (events === this.#events || this.#closed) return;
    this.#events = events;
    this.#stream.watch(events);
  }
}

/** The last block may be short, so that a mark for just what is outstanding would be too high as well. */
function isTooHigh(lowWaterBytes: number, blocks: number): boolean {
  return 2 * lowWaterBytes > blocks * BLOCK_SIZE;
}
