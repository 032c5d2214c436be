// Turns the byte stream of one peer into messages and blocks. A mode lays out the memory of the next receive
// (plan), the caller fills it, and commit() takes apart what arrived, wherever it lies. It knows no socket and no
// timer, so a test can feed it any bytes, cut anywhere.
//
//   handshake ─▶ header ─┬▶ (whole small message) ─▶ header
//                        ├▶ message ─▶ header             a longer message, gathered across receives, or skipped
//                        └▶ payload ─▶ header             a block; its 13-byte header is known
//
// One file, because it is one parser: its phases share their cursor and are called per block.
//
// Always: a block's header is checked by the host before its payload is bound to memory, and memory is bound only
// when there is a byte to put into it. A payload byte is copied at most once: not at all if it arrived at its place.
// Bytes from the peer lead to PeerError at worst, never to an assertion. A message is gathered only if its id is known and it
// is not longer than one of its kind may be: what we do not know is skipped, and costs no memory.

import { assert } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { NO_SLOT, type PieceIndex, type SlotIndex } from "../../base/ids.js";
import {
  BLOCK_SIZE,
  BLOCKS_AT_ONCE,
  HANDSHAKE_BYTES,
  MAPPING_ADDRESS_STRIDE,
  MESSAGE_BYTES_MAX,
  MESSAGE_HEADER_BYTES,
  PIECE_HEADER_BYTES,
} from "../../base/limits.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import { checkBodyLength, readUint32 } from "../wire/decode.js";
import { EXTENDED_BODY_BYTES_MIN, MESSAGE_BODIES, MessageId } from "../wire/messages.js";
import type { ExpectedBlocks } from "./expected-blocks.js";
import { LongMessage } from "./long-message.js";
import type { ReceiveMode } from "./receive-mode.js";
import type { ReceivePlan } from "./receive-plan.js";

/** What a receiver tells, and asks, its connection. Any method may throw PeerError to end the connection. */
export interface ReceiverHost {
  /** The first `length` bytes of a handshake that is not complete yet: a chance to refuse early. */
  handshakeStarted(bytes: Uint8Array, length: number): void;
  handshakeReceived(bytes: Uint8Array): void;
  keepAliveReceived(): void;
  /**
   * bytes[at] is the id; `length` counts it. The bytes are valid during the call only. Never a piece message, and none of
   * an unknown id.
   */
  messageReceived(bytes: Uint8Array, at: number, length: number): void;
  /**
   * Bytes that a message of this id may have, the id included; 0: it is skipped. Asked only where the id does not say it: for bitfield,
   * and for extended, whose next byte is `extendedId` (BEP 10).
   */
  messageBytesMax(id: number, extendedId: number): number;
  /** A message that nobody knows began to come; none of its bytes is kept. */
  messageSkipped(id: number, length: number): void;
  /** Memory for messages is short, and the one under way has been coming for longer than any other: an end of the connection. */
  messageEvicted(): void;
  /** The header of a block came. True: its payload is wanted. False: it is skipped. The host strikes it off `expected`. */
  blockStarted(piece: number, begin: number, length: number): boolean;
  /** False: landingAddress() is −1 for all blocks, and not worth a call. */
  readonly landsDirectly: boolean;
  /** Where the payload may land directly (a mapped file), or −1: in a slot of the pool. */
  landingAddress(piece: PieceIndex, begin: number, length: number): number;
  /** The block lies at `address`; the host now owns `slot` (NO_SLOT if it landed directly). */
  blockReceived(
    piece: PieceIndex,
    begin: number,
    length: number,
    address: number,
    slot: SlotIndex | typeof NO_SLOT,
  ): void;
  /** No memory was left for a block that was wanted; its payload is skipped. */
  blockDropped(piece: PieceIndex, begin: number, length: number): void;
}

export const Phase = { handshake: 0, header: 1, message: 2, payload: 3 } as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** Address of a payload that has no place yet. */
export const UNBOUND = -1;
const LENGTH_PREFIX_BYTES = 4;
/** Length prefix, id, and the id that says which extension a message belongs to. */
const EXTENDED_HEADER_BYTES = MESSAGE_HEADER_BYTES + EXTENDED_BODY_BYTES_MIN;
/** Headers and small messages that were cut are gathered in this many bytes; longer messages on the heap. */
const HEAD_BYTES = HANDSHAKE_BYTES;
/** Shared by all that gather nothing: a typed array takes 200 bytes even without elements. */
const NO_BYTES = new Uint8Array(0);

assert(PIECE_HEADER_BYTES <= HEAD_BYTES, "the head holds a block's header");
assert(EXTENDED_HEADER_BYTES <= PIECE_HEADER_BYTES, "what tells of a message is read before its body is");

export class Receiver {
  readonly memory: Memory;
  readonly expected: ExpectedBlocks;
  readonly counters: TransferCounters;
  readonly #plan: ReceivePlan;
  readonly #host: ReceiverHost;
  #mode: ReceiveMode;
  #modeNext: ReceiveMode | undefined;
  #stopped = false;

  phase: Phase;
  /** Bytes of a cut header, small message or handshake, there while any may come: filled, and needed before the next decision. */
  #head = NO_BYTES;
  headFilled = 0;
  headNeeded: number;
  /** Messages that were told of, but for blocks: each costs time, however short it is, and however it was cut. */
  messages = 0;
  /** Blocks that the next receive is worth planning for: as many as are likely to have come. */
  blocksAtOnce = BLOCKS_AT_ONCE;

  /** A longer message under way. */
  #long: LongMessage | undefined;

  /** The block under way. */
  blockPiece = 0 as PieceIndex;
  blockBegin = 0;
  blockLength = 0;
  blockFilled = 0;
  blockAddress = UNBOUND;
  blockWanted = false;
  #blockSlot: SlotIndex | typeof NO_SLOT = NO_SLOT;
  #hits = 0;

  /** `handshake`: true where the stream begins with the peer's handshake. */
  constructor(options: {
    memory: Memory;
    plan: ReceivePlan;
    expected: ExpectedBlocks;
    counters: TransferCounters;
    host: ReceiverHost;
    mode: ReceiveMode;
    handshake: boolean;
  }) {
    this.memory = options.memory;
    this.#plan = options.plan;
    this.expected = options.expected;
    this.counters = options.counters;
    this.#host = options.host;
    this.#mode = options.mode;
    this.phase = options.handshake ? Phase.handshake : Phase.header;
    this.headNeeded = options.handshake ? HANDSHAKE_BYTES : LENGTH_PREFIX_BYTES;
  }

  get mode(): ReceiveMode {
    return this.#mode;
  }

  /** Changes the mode at the next message boundary. */
  setMode(mode: ReceiveMode): void {
    this.#modeNext = mode;
  }

  /** True between two messages. */
  get atBoundary(): boolean {
    return this.phase === Phase.header && this.headFilled === 0;
  }

  /** Bytes missing from the message or block under way, as far as is known; 0 at a boundary. */
  get bytesToBoundary(): number {
    switch (this.phase) {
      case Phase.payload:
        return this.blockLength - this.blockFilled;
      case Phase.message:
        return this.#long?.missing ?? 0;
      default:
        return this.headFilled === 0 ? 0 : this.headNeeded - this.headFilled;
    }
  }

  /** Bytes missing from the wanted block under way; 0 if there is none. */
  get payloadLeft(): number {
    return this.phase === Phase.payload && this.blockWanted ? this.blockLength - this.blockFilled : 0;
  }

  /** True if what is planned for next may hold the payload of a block. */
  get expectsPayload(): boolean {
    return this.expected.count > 0 || (this.phase === Phase.payload && this.blockWanted);
  }

  /** True if the payload under way needs no slot any more: it has its place, or is skipped. */
  get payloadBound(): boolean {
    return this.phase === Phase.payload && (this.blockAddress !== UNBOUND || !this.blockWanted);
  }

  /** True once five bytes of a header are there and say that it is not a block's. */
  get inSmallMessage(): boolean {
    return this.headFilled >= MESSAGE_HEADER_BYTES && this.#head[LENGTH_PREFIX_BYTES] !== MessageId.piece;
  }

  /** Payload length of the block whose header is under way, known after five of its bytes; 0 before. */
  get payloadLengthKnown(): number {
    if (this.phase !== Phase.header || this.headFilled < MESSAGE_HEADER_BYTES || this.inSmallMessage)
      return 0;
    const length = readUint32(this.#head, 0) + LENGTH_PREFIX_BYTES - PIECE_HEADER_BYTES;
    assert(length > 0 && length <= BLOCK_SIZE, "a block of another length was refused with its fifth byte");
    return length;
  }

  /** Lays out the next receive. Entries in the plan; 0: a slot is needed and none is free. */
  plan(): number {
    assert(!this.#stopped, "a stopped receiver plans nothing");
    if (this.#modeNext !== undefined && this.atBoundary) {
      this.#mode = this.#modeNext;
      this.#modeNext = undefined;
    }
    assert(this.#plan.count === 0, "a plan is committed before the next is made");
    this.#mode.plan(this, this.#plan);
    return this.#plan.count;
  }

  /** Bytes that the plan just made takes. */
  get plannedBytes(): number {
    return this.#plan.bytes;
  }

  /** Cuts the plan just made to so many bytes; returns its entries. */
  cutPlan(bytes: number): number {
    assert(!this.#stopped && this.#plan.count > 0, "a plan is cut between its making and its commit");
    return this.#plan.cut(bytes);
  }

  /** True if a block may come, or is coming, wanted or not. */
  get mayBringBlocks(): boolean {
    return this.expected.count > 0 || this.phase === Phase.payload;
  }

  /** A block is coming, wanted or not. */
  get isInBlock(): boolean {
    return this.phase === Phase.payload;
  }

  /** True while a change of mode waits for the end of the message under way. */
  get modeChangePending(): boolean {
    return this.#modeNext !== undefined;
  }

  /** False: no block may land directly. */
  get landsDirectly(): boolean {
    return this.#host.landsDirectly;
  }

  /** Where the payload of the `index`-th expected block may land directly, or −1. */
  landingAddressOfExpected(index: number): number {
    const expected = this.expected;
    return this.#host.landingAddress(
      expected.pieceAt(index),
      expected.beginAt(index),
      expected.lengthAt(index),
    );
  }

  landingAddressOfCurrent(): number {
    return this.#host.landingAddress(this.blockPiece, this.blockBegin, this.blockLength);
  }

  /**
   * Takes apart the `received` bytes that the plan was filled with; 0 gives the plan's slots back. Throws PeerError
   * (from here or the host); the receiver must be stopped then.
   */
  commit(received: number): void {
    const plan = this.#plan;
    assert(!this.#stopped && received >= 0, "what is planned for is received once, before the end");
    this.counters.receivedBytes += received;
    this.#hits = 0;
    plan.rewind(received);
    try {
      while (plan.left > 0 && !this.#stopped) {
        switch (this.phase) {
          case Phase.payload:
            this.#consumePayload();
            break;
          case Phase.header:
            this.#consumeHeader();
            break;
          case Phase.message:
            this.#consumeMessage();
            break;
          case Phase.handshake:
            this.#consumeHandshake();
            break;
        }
      }
      assert(
        plan.left === 0 || this.#stopped,
        "all that came is taken apart, and no more, unless the end has come",
      );
      this.#countPredictions(received);
    } finally {
      plan.clear(this.memory.pool);
    }
  }

  /** The block under way is not wanted any more: what is still to come of it is skipped. False if it is another. */
  skipBlock(piece: number, begin: number): boolean {
    if (this.phase !== Phase.payload || !this.blockWanted) return false;
    if (this.blockPiece !== piece || this.blockBegin !== begin) return false;
    assert(
      this.blockFilled < this.blockLength && (this.blockFilled === 0 || this.payloadBound),
      "a block under way is not complete, and what came of it has its place",
    );
    this.#unbind();
    this.blockWanted = false;
    return true;
  }

  /**
   * The block under way is to lie in a slot from now on, because another peer's may land at its place. False: no slot is free, and
   * nothing changed.
   */
  leaveLandingPlace(): boolean {
    const { blockAddress, memory } = this;
    assert(
      this.phase === Phase.payload && this.blockWanted && this.blockFilled < this.blockLength,
      "a block under way that is wanted is moved",
    );
    if (blockAddress < MAPPING_ADDRESS_STRIDE) return true;
    assert(this.#blockSlot === NO_SLOT, "a block that lies in a file has no slot");
    const slot = memory.pool.acquire(SlotHolder.receiving);
    if (slot === NO_SLOT) return false;
    this.#blockSlot = slot;
    this.blockAddress = memory.pool.addressOf(slot);
    memory.copy(blockAddress, this.blockAddress, this.blockFilled);
    this.counters.bytesCopied += this.blockFilled;
    return true;
  }

  /** Nothing came for a while: gives the memory for headers back. False: one is under way, or blocks may come. */
  release(): boolean {
    if (!this.atBoundary || this.mayBringBlocks) return false;
    this.#head = NO_BYTES;
    return true;
  }

  /** Ends it: memory goes home. True if a wanted block was under way (blockPiece, blockBegin, blockLength). */
  stop(): boolean {
    if (this.#stopped) return false;
    this.#stopped = true;
    this.#long?.drop();
    const cut = this.phase === Phase.payload && this.blockWanted;
    assert(cut || this.#blockSlot === NO_SLOT, "only a wanted block under way has a slot");
    this.#unbind();
    return cut;
  }

  /** The cursor and the memory of the message under way belong together. For tests, between two receives. */
  checkInvariants(): void {
    assert(this.headFilled >= 0 && this.headFilled <= HEAD_BYTES, "what was gathered fits the head");
    assert(
      this.headNeeded >= LENGTH_PREFIX_BYTES && this.headNeeded <= HEAD_BYTES,
      "what is needed fits the head",
    );
    assert(this.headFilled < this.headNeeded || this.#stopped, "a head that is complete is consumed");
    const isHead = this.phase === Phase.header || this.phase === Phase.handshake;
    assert(isHead || this.headFilled === 0, "a head is gathered between messages only");
    assert(this.headFilled <= this.#head.length, "what was gathered lies in the head");
    assert(
      (this.#long === undefined) === (this.phase !== Phase.message),
      "only a message under way is gathered",
    );
    assert(this.#long === undefined || this.#long.missing > 0, "a message that is complete is consumed");
    const isPayload = this.phase === Phase.payload && !this.#stopped;
    if (isPayload) {
      assert(this.blockFilled < this.blockLength, "a block that is complete is consumed");
      assert(this.blockLength > 0 && this.blockLength <= BLOCK_SIZE, "a block that is let in fits a slot");
      assert(this.blockFilled === 0 || this.payloadBound, "bytes of a block have a place, or are skipped");
    }
    if (!isPayload || !this.blockWanted)
      assert(
        this.#blockSlot === NO_SLOT && this.blockAddress === UNBOUND,
        "a block not wanted has no memory",
      );
    if (this.#blockSlot === NO_SLOT) return;
    const { pool } = this.memory;
    assert(this.blockAddress === pool.addressOf(this.#blockSlot), "a block lies at the start of its slot");
    assert(
      pool.holderOf(this.#blockSlot) === SlotHolder.receiving,
      "a slot that is received into is the receiver's",
    );
  }

  /** Slots of the pool that the block under way has. */
  get slotsHeld(): number {
    return this.#blockSlot === NO_SLOT ? 0 : 1;
  }

  #countPredictions(received: number): void {
    const touched = this.#plan.predictionsTouched(received);
    if (touched === 0) return;
    const misses = touched - this.#hits;
    assert(misses >= 0, "a guess that held was reached");
    this.counters.predictionHits += this.#hits;
    this.counters.predictionMisses += misses;
    this.#mode.committed(this.#hits, misses);
  }

  #consumeHandshake(): void {
    assert(
      this.headNeeded === HANDSHAKE_BYTES && this.headFilled < HANDSHAKE_BYTES,
      "a handshake is gathered as a whole",
    );
    this.#gatherHead();
    if (this.headFilled < HANDSHAKE_BYTES) {
      this.#host.handshakeStarted(this.#head, this.headFilled);
      return;
    }
    this.#resetHead();
    this.phase = Phase.header;
    this.#host.handshakeReceived(this.#head);
  }

  #consumeHeader(): void {
    const plan = this.#plan;
    const available = plan.available();
    assert(
      available > 0 && this.headFilled < this.headNeeded,
      "a header is read while some of it is missing",
    );
    const address = plan.address();
    if (this.headFilled > 0 || available < PIECE_HEADER_BYTES || address >= MAPPING_ADDRESS_STRIDE) {
      this.#gatherHead();
      if (this.headFilled === this.headNeeded) this.#headGathered();
      return;
    }
    const { bytes, view } = this.memory;
    const length = view.getUint32(address);
    if (length === 0) {
      plan.advance(LENGTH_PREFIX_BYTES);
      this.messages++;
      this.#host.keepAliveReceived();
    } else if (bytes[address + LENGTH_PREFIX_BYTES] === MessageId.piece) {
      if (length <= 9 || length > 9 + BLOCK_SIZE) refusePieceLength(length);
      plan.advance(PIECE_HEADER_BYTES);
      this.#startBlock(view.getUint32(address + 5), view.getUint32(address + 9), length - 9);
    } else if (LENGTH_PREFIX_BYTES + length <= available) {
      plan.advance(LENGTH_PREFIX_BYTES + length);
      this.messages++;
      const id = bytes[address + LENGTH_PREFIX_BYTES]!;
      if (this.#isKnown(id, length, bytes[address + MESSAGE_HEADER_BYTES]!))
        this.#host.messageReceived(bytes, address + LENGTH_PREFIX_BYTES, length);
      else this.#host.messageSkipped(id, length);
    } else {
      this.#gatherHead();
      this.#headGathered();
    }
  }

  /** Moves bytes from the cursor into the head until it has what it needs, or the bytes at hand end. */
  #gatherHead(): void {
    const plan = this.#plan;
    assert(this.headNeeded <= HEAD_BYTES && plan.left > 0, "what is gathered fits the head");
    if (this.#head.length === 0) this.#head = new Uint8Array(HEAD_BYTES);
    const head = this.#head;
    while (this.headFilled < this.headNeeded && plan.left > 0) {
      const available = plan.available();
      let from = plan.address();
      const missing = this.headNeeded - this.headFilled;
      const count = missing < available ? missing : available;
      const memory = this.memory;
      if (memory.isMapped(from)) {
        // A wrong guess put a header into a mapped file: the sink is memory that nobody reads.
        memory.copy(from, memory.sinkAddress, count);
        from = memory.sinkAddress;
      }
      for (let index = 0; index < count; index++) head[this.headFilled + index] = memory.bytes[from + index]!;
      this.headFilled += count;
      plan.advance(count);
    }
    assert(this.headFilled <= this.headNeeded, "no more is gathered than is needed");
  }

  #resetHead(): void {
    assert(this.headFilled === this.headNeeded, "a head is let go when it is whole");
    this.headFilled = 0;
    this.headNeeded = LENGTH_PREFIX_BYTES;
  }

  /** The head has the bytes it needed: decides what more it needs, or that the message is complete. */
  #headGathered(): void {
    const head = this.#head;
    assert(this.headFilled >= LENGTH_PREFIX_BYTES, "a head begins with a length");
    assert(
      this.phase === Phase.header && this.headFilled === this.headNeeded,
      "a head is judged when it is whole",
    );
    const length = readUint32(head, 0);
    if (this.headFilled === LENGTH_PREFIX_BYTES) {
      if (length === 0) {
        this.#resetHead();
        this.messages++;
        this.#host.keepAliveReceived();
        return;
      }
      checkMessageLength(length);
      this.headNeeded = MESSAGE_HEADER_BYTES;
      return;
    }
    if (head[LENGTH_PREFIX_BYTES] === MessageId.piece) {
      if (this.headFilled === PIECE_HEADER_BYTES) {
        this.#resetHead();
        this.#startBlock(readUint32(head, 5), readUint32(head, 9), length - 9);
        return;
      }
      if (length <= 9 || length > 9 + BLOCK_SIZE) refusePieceLength(length);
      this.headNeeded = PIECE_HEADER_BYTES;
      return;
    }
    const id = head[LENGTH_PREFIX_BYTES]!;
    if (this.headFilled === MESSAGE_HEADER_BYTES && id === MessageId.extended && length > 1) {
      this.headNeeded = EXTENDED_HEADER_BYTES;
      return;
    }
    if (this.headFilled <= EXTENDED_HEADER_BYTES && !this.#isKnown(id, length, head[MESSAGE_HEADER_BYTES]!)) {
      this.#skipMessage(length, id);
      return;
    }
    if (this.headFilled === LENGTH_PREFIX_BYTES + length) {
      this.#resetHead();
      this.messages++;
      this.#host.messageReceived(head, LENGTH_PREFIX_BYTES, length);
    } else if (LENGTH_PREFIX_BYTES + length <= HEAD_BYTES) {
      this.headNeeded = LENGTH_PREFIX_BYTES + length;
    } else {
      this.#startMessage(length).keep(head, LENGTH_PREFIX_BYTES);
    }
  }

  /** False: nobody knows the id, and the message is skipped. Throws PeerError if one of this id cannot be so long. */
  #isKnown(id: number, length: number, extendedId: number): boolean {
    assert(length > 0 && id !== MessageId.piece, "a message that is judged has an id, and is no block");
    checkMessageLength(length);
    if (!checkBodyLength(id, length - 1)) return false;
    if (!MESSAGE_BODIES[id]!.isVariable) return true;
    const bytesMax = this.#host.messageBytesMax(id, extendedId);
    if (bytesMax > 0) checkMessageLength(length, bytesMax);
    return bytesMax > 0;
  }

  #skipMessage(length: number, id: number): void {
    const gathered = this.headFilled - LENGTH_PREFIX_BYTES;
    assert(gathered > 0 && gathered <= length, "what is gathered belongs to the message");
    if (length > gathered) this.#startMessage(length);
    else this.#resetHead();
    this.messages++;
    this.#host.messageSkipped(id, length);
  }

  /** Goes over to a message of which the head holds the first bytes. */
  #startMessage(length: number): LongMessage {
    assert(this.phase === Phase.header && this.#long === undefined, "messages come one after the other");
    this.#long = new LongMessage(this.memory, this.#host, length, this.headFilled - LENGTH_PREFIX_BYTES);
    this.phase = Phase.message;
    this.#resetHead();
    return this.#long;
  }

  #consumeMessage(): void {
    const long = this.#long;
    assert(long !== undefined && this.headFilled === 0, "a message under way is gathered by itself");
    assert(long.missing > 0, "a message under way is not complete");
    long.take(this.#plan);
    if (long.missing > 0) return;
    this.#long = undefined;
    this.phase = Phase.header;
    const message = long.drop();
    // One that was skipped was counted when it began.
    if (message === undefined) return;
    this.messages++;
    this.#host.messageReceived(message, 0, long.length);
  }

  #startBlock(piece: number, begin: number, length: number): void {
    assert(this.phase === Phase.header && this.headFilled === 0, "a block begins when its header is read");
    assert(this.#blockSlot === NO_SLOT, "the block before has given its slot away");
    const wanted = this.#host.blockStarted(piece, begin, length);
    this.phase = Phase.payload;
    // The host knows the block as one that we asked for, or has thrown.
    this.blockPiece = piece as PieceIndex;
    this.blockBegin = begin;
    this.blockLength = length;
    this.blockFilled = 0;
    this.blockAddress = UNBOUND;
    this.blockWanted = wanted;
  }

  #consumePayload(): void {
    const plan = this.#plan;
    const available = plan.available();
    if (this.blockAddress === UNBOUND && this.blockWanted) this.#bind();
    const missing = this.blockLength - this.blockFilled;
    const count = missing < available ? missing : available;
    assert(count > 0, "a payload is taken while some of it is missing and some is there");
    assert(this.blockWanted === (this.blockAddress !== UNBOUND), "a block has a place while it is wanted");
    if (this.blockWanted) {
      const from = plan.address();
      const to = this.blockAddress + this.blockFilled;
      if (from !== to) {
        this.memory.copy(from, to, count);
        this.counters.bytesCopied += count;
      }
      this.counters.payloadBytes += count;
    } else {
      this.counters.wastedBytes += count;
    }
    plan.advance(count);
    this.blockFilled += count;
    if (this.blockFilled === this.blockLength) this.#finishBlock();
  }

  /** Gives the block its place, now that its first byte is at the cursor. */
  #bind(): void {
    const plan = this.#plan;
    assert(
      this.blockFilled === 0 && this.#blockSlot === NO_SLOT,
      "a block gets its place with its first byte",
    );
    const pool = this.memory.pool;
    const landing = this.#host.landsDirectly ? this.landingAddressOfCurrent() : -1;
    if (landing >= 0 && !plan.isUnread(landing)) {
      if (plan.address() === landing && plan.atPrediction(this.blockLength)) this.#hits++;
      this.blockAddress = landing;
      return;
    }
    const predicted = plan.atPrediction(this.blockLength);
    let slot = plan.takeSlotHere(this.blockLength);
    if (slot === NO_SLOT) {
      slot = pool.acquire(SlotHolder.receiving);
      if (slot === NO_SLOT) {
        this.blockWanted = false;
        this.#host.blockDropped(this.blockPiece, this.blockBegin, this.blockLength);
        return;
      }
    } else if (predicted) {
      this.#hits++;
    }
    assert(pool.holderOf(slot) === SlotHolder.receiving, "a block gets a slot that the receiver holds");
    this.#blockSlot = slot;
    this.blockAddress = pool.addressOf(slot);
  }

  #unbind(): void {
    if (this.#blockSlot !== NO_SLOT) this.memory.pool.release(this.#blockSlot, SlotHolder.receiving);
    this.#blockSlot = NO_SLOT;
    this.blockAddress = UNBOUND;
  }

  #finishBlock(): void {
    this.phase = Phase.header;
    if (!this.blockWanted) return;
    const address = this.blockAddress;
    const slot = this.#blockSlot;
    assert(address !== UNBOUND && this.blockFilled === this.blockLength, "a block that is whole has a place");
    assert(slot !== NO_SLOT || address >= MAPPING_ADDRESS_STRIDE, "a block lies in a slot, or in its file");
    this.#blockSlot = NO_SLOT;
    this.blockAddress = UNBOUND;
    this.counters.blocksReceived++;
    this.#host.blockReceived(this.blockPiece, this.blockBegin, this.blockLength, address, slot);
  }
}

function checkMessageLength(length: number, max: number = MESSAGE_BYTES_MAX): void {
  if (length <= max) return;
  throw new PeerError("PEER_MESSAGE_TOO_LONG", "message too long", {
    expected: `at most ${max} bytes`,
    received: `a length prefix of ${length}`,
  });
}

function refusePieceLength(length: number): never {
  checkMessageLength(length);
  throw new PeerError("PEER_MESSAGE_MALFORMED", "piece message of a length that we never ask for", {
    expected: `a length prefix of 10 to ${9 + BLOCK_SIZE}`,
    received: `${length}`,
  });
}
