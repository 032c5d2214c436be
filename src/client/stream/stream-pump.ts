// Between a byte stream and its PeerConnection: the policy of moving bytes, whatever the stream is. It receives while there is
// something to receive, sends when the turn ends, pauses when the pool has no slot, and closes.
//
// Always: one wake-up receives a bounded amount, so that one peer of a high rate starves nobody. After close() the stream is not used.

import { constants } from "node:os";
import { assert } from "../../base/assert.js";
import { describeErrno, PeerError } from "../../base/errors.js";
import { BLOCK_SIZE, KIB, MIB, RECEIVE_BUFFER_BYTES } from "../../base/limits.js";
import type { Throttle, ThrottleUser } from "../../base/rate-limit.js";
import { READABLE, WRITABLE } from "../../native/binding.js";
import type { TurnHook } from "../../native/reactor.js";
import type { SlotWaiter } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { PeerTransport } from "../peer/peer-options.js";
import type { ByteStream, StreamHandler } from "./byte-stream.js";

/**
 * What one peer may bring before it is another's turn, in bytes, of which a receiving call counts as a few KiB at least. In bytes,
 * because "scatter" takes two calls for each block: bounded by calls, it would pay for a turn of the loop every other block.
 */
const BYTES_PER_WAKE_MAX = 4 * RECEIVE_BUFFER_BYTES;
/** What all peers together may bring in a turn: more would fill the pool with one long stretch of each piece after the other. */
const BYTES_PER_TURN = 4 * MIB;
const BYTES_PER_CALL_MIN = 4 * KIB;
/**
 * A message costs about as much time as so many bytes of blocks. Whoever sends a flood of them, of five bytes each, has a turn of the
 * loop that is long for everybody: it is not heard in the next ones, until the others had as much.
 */
const BYTES_PER_MESSAGE = 256;
/** In a turn, so many messages are nobody's burden: a whole batch of requests, however many peers there are. */
const UNCHARGED_BYTES_MIN = 256 * BYTES_PER_MESSAGE;
/**
 * A peer of a high rate's bytes are worth a wake-up from half a receive on: a sixth of the CPU is saved. So long as this many blocks
 * are outstanding, so much is sure to come, unless the peer falls silent: then wakeForAny() undoes it.
 */
const LOW_WATER_BYTES = RECEIVE_BUFFER_BYTES / 2;
const LOW_WATER_BLOCKS = (4 * LOW_WATER_BYTES) / BLOCK_SIZE;

/** −EFAULT: the memory that was named is a mapping of a file that has become shorter, or a file that was sent from. No fault of the peer's. */
const MEMORY_FAULT = -constants.errno.EFAULT;

/** What the pump needs of the loop; the reactor is one. */
export interface Turns {
  /** Streams that are ready in this turn. */
  readonly readyCount: number;
  /** Runs `hook` once at the end of this turn. */
  atTurnEnd(hook: TurnHook): void;
}

export class StreamPump implements PeerTransport, StreamHandler, TurnHook, SlotWaiter, ThrottleUser {
  readonly #turns: Turns;
  readonly #memory: Memory;
  readonly #stream: ByteStream;
  /** −EAGAIN of this system: the stream cannot go on now. */
  readonly #eagain: number;
  #peer: PeerConnection | undefined;
  #connecting: boolean;
  #events: number;
  /** Bytes from which on the stream counts as readable. */
  #lowWaterBytes = 1;
  #flushScheduled = false;
  #waitingForSlots = false;
  /** What the messages of earlier turns cost beyond a turn's share: it is worked off before more is heard. */
  #owedBytes = 0;
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
    const share = Math.min(BYTES_PER_WAKE_MAX, Math.trunc(BYTES_PER_TURN / this.#turns.readyCount));
    const uncharged = Math.max(share, UNCHARGED_BYTES_MIN);
    if (this.#owedBytes >= uncharged) {
      this.#owedBytes -= uncharged;
      return;
    }
    const before = peer.receiver.messages;
    this.#receiveUpTo(peer, share);
    const cost = this.#owedBytes + BYTES_PER_MESSAGE * (peer.receiver.messages - before);
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

  /** Receives about so many bytes, or as many messages as cost as much. */
  #receiveUpTo(peer: PeerConnection, bytes: number): void {
    const stream = this.#stream;
    const { receiver, counters } = peer;
    for (let left = bytes; left > 0 && !this.#closed; ) {
      if (peer.isClogged) {
        this.#clogged = true;
        this.#watch(this.#events & ~READABLE);
        return;
      }
      // Of those from whom no block can come only messages are read: those are not held up.
      const throttle = this.#throttle !== undefined && receiver.mayBringBlocks ? this.#throttle : undefined;
      const allowed = throttle === undefined ? 0 : throttle.ask(false);
      if (throttle !== undefined && allowed === 0) {
        this.#watch(this.#events & ~READABLE);
        return;
      }
      let entries = receiver.plan();
      if (entries === 0) {
        this.#waitForSlots();
        return;
      }
      let planned = receiver.plannedBytes;
      if (throttle !== undefined && allowed < planned) {
        entries = receiver.cutPlan(allowed);
        planned = allowed;
      }
      const messagesBefore = receiver.messages;
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
        return;
      }
      if (received <= 0) {
        if (received === this.#eagain) {
          counters.receiveWouldBlocks++;
          peer.drained();
        } else this.#ended(peer, received);
        return;
      }
      left -= received > BYTES_PER_CALL_MIN ? received : BYTES_PER_CALL_MIN;
      left -= BYTES_PER_MESSAGE * (receiver.messages - messagesBefore);
      // Less came than was asked for: the socket is empty, and the loop will tell when it is not.
      if (received < planned) {
        peer.drained();
        break;
      }
    }
    const muchToCome =
      this.#throttle === undefined && peer.pipeline.isHighRate && peer.expected.count >= LOW_WATER_BLOCKS;
    if (!this.#closed) this.#setLowWater(muchToCome ? LOW_WATER_BYTES : 1);
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

  #waitForSlots(): void {
    if (this.#waitingForSlots) return;
    this.#waitingForSlots = true;
    this.#watch(this.#events & ~READABLE);
    this.#memory.pool.waitForSlots(this);
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
    if (result === MEMORY_FAULT) peer.memoryFaulted(false);
    else if (result < 0) this.#fail("send", result);
    if (this.#clogged && !peer.isClogged) {
      this.#clogged = false;
      this.#watch(this.#events | READABLE);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#waitingForSlots) this.#memory.pool.stopWaiting(this);
    this.#stream.close();
  }

  #watch(events: number): void {
    if (events === this.#events || this.#closed) return;
    this.#events = events;
    this.#stream.watch(events);
  }
}
