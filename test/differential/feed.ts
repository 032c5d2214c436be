// Feeds a stream to a receiver as a socket would: readv fills the plan's memory in order with what has arrived, and no
// more. Everything that must hold at each step is checked here; the tests say what is fed, and in which pieces.
//
// One file, because each step of the feed checks what all the other steps have counted.

import assert from "node:assert/strict";
import { PeerError } from "../../src/base/errors.js";
import { NO_SLOT, type PieceIndex, type SlotIndex } from "../../src/base/ids.js";
import {
  BLOCK_SIZE,
  MAPPING_ADDRESS_STRIDE,
  MESSAGE_BYTES_MAX,
  MIB,
  PLAN_ENTRIES_MAX,
} from "../../src/base/limits.js";
import { makeCounters, type TransferCounters } from "../../src/base/metrics/counters.js";
import { SlotHolder } from "../../src/client/memory/block-pool.js";
import { Memory } from "../../src/client/memory/memory.js";
import { ExpectedBlocks } from "../../src/client/receive/expected-blocks.js";
import type { ReceiveMode } from "../../src/client/receive/receive-mode.js";
import { ReceivePlan } from "../../src/client/receive/receive-plan.js";
import { Receiver, type ReceiverHost } from "../../src/client/receive/receiver.js";
import { dispatchMessage, type MessageHandler } from "../../src/client/wire/decode.js";
import { entryOf, required } from "../support/required.js";
import {
  BLOCK_COUNT,
  type Block,
  blockIndex,
  blockKey,
  describeMessage,
  Requests,
  type Seen,
  type Stream,
} from "./streams.js";

const POISON = 0xdb;

/** Memory as a session has it, with ordinary arrays in the place of slab and mapped file. */
export class World {
  readonly slab = new Uint8Array(2 * MIB);
  readonly mapping = new Uint8Array(BLOCK_COUNT * BLOCK_SIZE);
  readonly memory: Memory;
  readonly plan = new ReceivePlan(new Float64Array(2 * PLAN_ENTRIES_MAX));
  readonly #withheld: SlotIndex[] = [];

  constructor() {
    this.memory = new Memory(this.slab, {
      copy: (from, to, length) => {
        // As memmove: right also where both overlap.
        if (from >= MAPPING_ADDRESS_STRIDE && to >= MAPPING_ADDRESS_STRIDE) {
          const at = from - MAPPING_ADDRESS_STRIDE;
          this.mapping.copyWithin(to - MAPPING_ADDRESS_STRIDE, at, at + length);
        } else {
          this.at(to, length).set(this.at(from, length));
        }
      },
    });
  }

  at(address: number, length: number): Uint8Array {
    const mapped = address >= MAPPING_ADDRESS_STRIDE;
    const bytes = mapped ? this.mapping : this.slab;
    const start = mapped ? address - MAPPING_ADDRESS_STRIDE : address;
    assert.ok(start >= 0 && start + length <= bytes.length, "memory lies inside slab or mapping");
    return bytes.subarray(start, start + length);
  }

  /** Leaves `free` slots free. */
  withhold(free: number): void {
    const { pool } = this.memory;
    while (pool.freeCount > free) this.#withheld.push(pool.acquire(SlotHolder.user) as SlotIndex);
    while (pool.freeCount < free && this.#withheld.length > 0)
      pool.release(required(this.#withheld.pop(), "a slot that is withheld"), SlotHolder.user);
  }

  /** What readv does with the next bytes of a stream. Poisons what it was given and does not fill. */
  readv(bytes: Uint8Array): void {
    const { entries, count } = this.plan;
    let at = 0;
    for (let entry = 0; entry < count && at < bytes.length; entry++) {
      const length = entryOf(entries, 2 * entry + 1);
      const take = Math.min(length, bytes.length - at);
      const target = this.at(entryOf(entries, 2 * entry), length);
      target.set(bytes.subarray(at, at + take));
      target.fill(POISON, take, Math.min(length, take + BLOCK_SIZE));
      at += take;
    }
    assert.equal(at, bytes.length, "no more is received than was planned for");
  }
}

export interface FeedOptions {
  readonly mode: ReceiveMode;
  /** Called before each plan: the mode to change to. */
  readonly nextMode?: (() => ReceiveMode | undefined) | undefined;
  /** Ends of the stretches in which the stream arrives, ascending; the end of the stream may be left out. */
  readonly cuts: Iterable<number>;
  /** Blocks that may be received to their place in a mapped file. */
  readonly lands?: ((index: number) => boolean) | undefined;
  /** When the host gives slots back: as null storage does, or some commits later as a disk does. */
  readonly release: "at once" | "late";
  /** Slots that are free at the start. */
  readonly freeSlots?: number | undefined;
  /** The stream may stop in the middle of a message. */
  readonly mayEndAnywhere?: boolean;
  /** The host stops the receiver when it has seen so many things. */
  readonly stopAfter?: number;
  /** Called after each commit. */
  readonly committed?: ((player: Player) => void) | undefined;
}

export interface Fed {
  readonly seen: readonly Seen[];
  readonly errorCode: string | undefined;
  readonly counters: TransferCounters;
  /** System calls it would have taken. */
  readonly calls: number;
  readonly dropped: number;
}

interface Held {
  readonly slot: SlotIndex;
  readonly block: Block;
}

/** Plays the part of the connection: knows what was asked for, and writes down what it is told. */
export class Player implements ReceiverHost, MessageHandler {
  readonly receiver: Receiver;
  readonly expected = new ExpectedBlocks();
  readonly counters = makeCounters();
  readonly seen: Seen[] = [];
  readonly cancelled = new Set<string>();
  dropped = 0;
  calls = 0;
  #stopped = false;
  readonly #world: World;
  readonly #stream: Stream;
  readonly #options: FeedOptions;
  readonly #requests: Requests;
  readonly #held: Held[] = [];
  /** Blocks that came through a slot although they have a place in the mapped file; written there after the commit. */
  readonly #toWrite: { block: Block; address: number }[] = [];
  readonly #landed: Block[] = [];

  constructor(world: World, stream: Stream, options: FeedOptions) {
    this.#world = world;
    this.#stream = stream;
    this.#options = options;
    this.#requests = new Requests(stream.blocks, stream.window);
    this.receiver = new Receiver({
      memory: world.memory,
      plan: world.plan,
      expected: this.expected,
      counters: this.counters,
      host: this,
      mode: options.mode,
      handshake: stream.handshake,
    });
    this.#syncRequests();
  }

  run(): Fed {
    const { pool } = this.#world.memory;
    const options = this.#options;
    this.#world.withhold(options.freeSlots ?? pool.slotCount);
    const freeAtStart = pool.freeCount;
    let errorCode: string | undefined;
    try {
      this.#feed();
      if (!options.mayEndAnywhere)
        assert.ok(this.receiver.atBoundary, "the stream ends between two messages");
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      errorCode = error.code;
    }
    this.receiver.stop();
    while (this.#held.length > 0) this.#release(this.#held.shift());
    this.#checkEnd(errorCode);
    assert.equal(pool.freeCount, freeAtStart, "all slots are home");
    assert.equal(pool.heldByHolder()["receiving"], undefined);
    return { seen: this.seen, errorCode, counters: this.counters, calls: this.calls, dropped: this.dropped };
  }

  #feed(): void {
    const { bytes } = this.#stream;
    let at = 0;
    for (const cut of this.#options.cuts) at = this.#arrive(at, Math.min(cut, bytes.length));
    this.#arrive(at, bytes.length);
  }

  /** The bytes from `from` to `to` are in the socket's buffer: receives until none are left. */
  #arrive(from: number, to: number): number {
    const { memory } = this.#world;
    const { receiver } = this;
    let at = from;
    while (at < to && !this.#stopped) {
      const next = this.#options.nextMode?.();
      if (next !== undefined) receiver.setMode(next);
      if (receiver.plan() === 0) {
        assert.equal(memory.pool.freeCount, 0, "a plan is empty only if no slot is free");
        assert.ok(this.#held.length > 0, "whoever waits for slots waits for somebody");
        while (this.#held.length > 0) this.#release(this.#held.shift());
        continue;
      }
      const count = Math.min(receiver.plannedBytes, to - at);
      this.#world.readv(this.#stream.bytes.subarray(at, at + count));
      this.#commit(count);
      at += count;
    }
    return at;
  }

  #commit(count: number): void {
    const { plan } = this.#world;
    const before = { ...this.counters };
    const touched = plan.predictionsTouched(count);
    const hits = this.#hitsToCome(count);
    this.calls++;
    this.receiver.commit(count);
    plan.checkInvariants();
    this.receiver.checkInvariants();
    const { counters } = this;
    assert.equal(counters.receivedBytes - before.receivedBytes, count);
    const copied = counters.bytesCopied - before.bytesCopied;
    const payload = counters.payloadBytes - before.payloadBytes;
    assert.ok(copied <= payload, `${copied} bytes copied of ${payload}: none is moved twice`);
    const held = counters.predictionHits - before.predictionHits;
    const failed = counters.predictionMisses - before.predictionMisses;
    if (!this.#stopped) {
      assert.equal(held, hits, "a hit is a block where it was predicted");
      assert.equal(held + failed, touched, "a guess either held or failed");
    }
    for (const { block, address } of this.#toWrite.splice(0)) {
      this.#world.at(this.#landingOf(block), block.length).set(this.#world.at(address, block.length));
      this.#landed.push(block);
    }
    if (this.#held.length > 6) for (let index = 0; index < 3; index++) this.#release(this.#held.shift());
    this.#options.committed?.(this);
  }

  /** Predicted places of the plan that exactly the payload of a wanted block comes to begin in, with `count` bytes. */
  #hitsToCome(count: number): number {
    const { plan } = this.#world;
    let hits = 0;
    let start = 0;
    for (let entry = 0; entry < plan.count && start < count; entry++) {
      const address = entryOf(plan.entries, 2 * entry);
      const length = entryOf(plan.entries, 2 * entry + 1);
      const isPredicted = plan.predictionsTouched(start + 1) > plan.predictionsTouched(start);
      const block = this.#stream.payloadStarts.get(this.counters.receivedBytes + start);
      start += length;
      if (
        !isPredicted ||
        block?.length !== length ||
        this.#stream.unwanted.has(blockKey(block.piece, block.begin))
      )
        continue;
      const landing = this.landingAddress(block.piece, block.begin, block.length);
      // A block stays in a slot while what its place in the file holds is still to be read.
      const isFree = landing >= 0 && !isLaterEntry(plan, entry, landing);
      if (isFree ? address === landing : address < MAPPING_ADDRESS_STRIDE) hits++;
    }
    return hits;
  }

  #checkEnd(errorCode: string | undefined): void {
    const { counters } = this;
    for (const block of this.#landed) this.#checkContent(block, this.#landingOf(block), "what landed stays");
    if (errorCode !== undefined || this.#options.stopAfter !== undefined) return;
    assert.equal(counters.receivedBytes, this.#stream.bytes.length);
    const messages = this.seen.filter((each) => each === "keep-alive" || each.startsWith("message ")).length;
    assert.equal(this.receiver.messages, messages, "each message is counted once, whatever it was cut into");
    assert.equal(counters.blocksReceived, this.seen.filter((each) => each.startsWith("block")).length);
  }

  /** The slot goes home, its bytes unchanged since they were handed over, and is overwritten at once. */
  #release(held: Held | undefined): void {
    assert.ok(held !== undefined);
    const { slot, block } = held;
    const { pool } = this.#world.memory;
    this.#checkContent(block, pool.addressOf(slot), "a held slot is left alone");
    this.#world.at(pool.addressOf(slot), BLOCK_SIZE).fill(POISON);
    pool.release(slot, SlotHolder.storage);
  }

  #checkContent(block: Block, address: number, what: string): void {
    const there = this.#world.at(address, block.length);
    if (Buffer.compare(there, block.content) === 0) return;
    const at = block.content.findIndex((byte, index) => byte !== there[index]);
    assert.fail(
      `${what}: block ${blockKey(block.piece, block.begin)} differs at byte ${at} of ${block.length}`,
    );
  }

  /** Blocks stand side by side in the mapped file, as they do in a torrent's. */
  #landingOf(block: Block): number {
    return MAPPING_ADDRESS_STRIDE + block.offset;
  }

  #see(what: Seen): void {
    this.seen.push(what);
    if (this.seen.length !== this.#options.stopAfter) return;
    this.#stopped = true;
    this.receiver.stop();
  }

  #syncRequests(): void {
    const { outstanding } = this.#requests;
    while (this.expected.count < outstanding.length) {
      const block = entryOf(outstanding, this.expected.count);
      this.expected.push(block.piece as PieceIndex, block.begin, block.length, 0);
    }
  }

  // ── ReceiverHost ─────────────────────────────────────────────────────────────────────────────────────────────

  handshakeStarted(_bytes: Uint8Array, length: number): void {
    assert.ok(length > 0 && length < 68);
  }

  handshakeReceived(bytes: Uint8Array): void {
    this.#see(`handshake ${Buffer.from(bytes).toString("hex")}`);
  }

  keepAliveReceived(): void {
    this.#see("keep-alive");
  }

  messageReceived(bytes: Uint8Array, at: number, length: number): void {
    const description = describeMessage(bytes, at, length);
    dispatchMessage(bytes, at, length, this);
    this.#see(description);
  }

  messageBytesMax(): number {
    return MESSAGE_BYTES_MAX;
  }

  messageSkipped(id: number, length: number): void {
    this.#see(`message ${id} of ${length} skipped`);
  }

  messageEvicted(): void {
    assert.fail("one receiver has memory for its messages");
  }

  blockStarted(piece: number, begin: number, length: number): boolean {
    const index = this.expected.find(piece, begin);
    if (index < 0 || this.expected.lengthAt(index) !== length)
      throw new PeerError("PEER_UNREQUESTED_BLOCK", "not ours");
    const block = entryOf(this.#stream.blocks, blockIndex(piece, begin));
    this.expected.removeAt(index);
    this.#requests.take(block);
    this.#syncRequests();
    this.#see(`start ${blockKey(piece, begin)} of ${length}`);
    return !this.#stream.unwanted.has(blockKey(piece, begin));
  }

  get landsDirectly(): boolean {
    return this.#options.lands !== undefined;
  }

  landingAddress(piece: number, begin: number, length: number): number {
    const index = blockIndex(piece, begin);
    const lands = this.#options.lands?.(index) ?? false;
    const block = this.#stream.blocks[index];
    return lands && block?.length === length ? this.#landingOf(block) : -1;
  }

  blockReceived(
    piece: number,
    begin: number,
    length: number,
    address: number,
    slot: SlotIndex | typeof NO_SLOT,
  ): void {
    const { pool } = this.#world.memory;
    const block = entryOf(this.#stream.blocks, blockIndex(piece, begin));
    this.#see(`block ${blockKey(piece, begin)} of ${length}`);
    this.#checkContent(block, address, "a block is published as it was sent");
    const lands = this.#options.lands?.(blockIndex(piece, begin)) ?? false;
    if (slot === NO_SLOT) {
      assert.equal(address, this.#landingOf(block), "a block without a slot is at its place in the file");
      this.#landed.push(block);
      return;
    }
    assert.equal(address, pool.addressOf(slot));
    assert.equal(pool.holderOf(slot), SlotHolder.receiving);
    pool.pass(slot, SlotHolder.receiving, SlotHolder.storage);
    this.#held.push({ slot, block });
    // Not before the commit is over: bytes that are still to be taken apart may lie there.
    if (lands) this.#toWrite.push({ block, address });
    else if (this.#options.release === "at once") this.#release(this.#held.pop());
  }

  blockDropped(piece: number, begin: number, length: number): void {
    assert.equal(this.#world.memory.pool.freeCount, 0, "a block is dropped only if no slot is free");
    this.#see(`dropped ${blockKey(piece, begin)} of ${length}`);
    this.dropped++;
  }

  // ── MessageHandler ───────────────────────────────────────────────────────────────────────────────────────────

  onChoke(): void {
    this.#requests.choke();
    this.expected.clear();
  }

  onUnchoke(): void {
    this.#requests.unchoke();
    this.#syncRequests();
  }

  onReject(piece: number, begin: number): void {
    this.expected.removeAt(this.expected.find(piece, begin));
    this.#requests.take(entryOf(this.#stream.blocks, blockIndex(piece, begin)));
    this.#syncRequests();
  }

  onInterested(): void {}
  onNotInterested(): void {}
  onHave(): void {}
  onBitfield(): void {}
  onRequest(): void {}
  onCancel(): void {}
  onPort(): void {}
  onSuggest(): void {}
  onHaveAll(): void {}
  onHaveNone(): void {}
  onAllowedFast(): void {}
  onExtended(): void {}
  onUnknown(): void {}
}

function isLaterEntry(plan: ReceivePlan, entry: number, address: number): boolean {
  for (let at = entry + 1; at < plan.count; at++) if (plan.entries[2 * at] === address) return true;
  return false;
}

/** Plays `stream` in `world` and returns what came of it. */
export function feed(world: World, stream: Stream, options: FeedOptions): Fed {
  return new Player(world, stream, options).run();
}
