// A connection with a test at both of its ends: bytes are handed in as a socket would bring them, what goes out is taken
// apart into messages, and the swarm is one that keeps books. No addon, no socket, no clock that runs.
//
// Always: every request that was picked is open until it is answered or dropped, once; blocks that are published have
// the torrent's bytes. The books fail the test at the moment something else happens.
//
// One file, because the two ends and the books are used together, by every test of a connection.

import assert from "node:assert/strict";
import { PeerError } from "../../../../src/base/errors.js";
import { type Ground, SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { NO_SLOT, type SlotIndex } from "../../../../src/base/ids.js";
import { BLOCK_SIZE, HANDSHAKE_BYTES, MIB, PLAN_ENTRIES_MAX } from "../../../../src/base/limits.js";
import type { TraceSink } from "../../../../src/base/metrics/trace.js";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { RateControl, RateLimits } from "../../../../src/base/rate-limit.js";
import { ExtensionTable } from "../../../../src/client/extensions/extension.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import type { Clock, PeerOptions, PeerSettings } from "../../../../src/client/peer/peer-options.js";
import type { PeerState } from "../../../../src/client/peer/peer-state.js";
import type { Swarm, SwarmBlocks, SwarmDirectory } from "../../../../src/client/peer/swarm.js";
import { ReceivePlan } from "../../../../src/client/receive/receive-plan.js";
import { CopySource } from "../../../../src/client/send/copy-source.js";
import type { UploadPlace } from "../../../../src/client/send/sender.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { bytesOf } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { EAGAIN, FakeStorage, FakeTransport } from "../send/fakes.js";

const BLOCKS_PER_PIECE = 3;
export const PIECE_LENGTH = BLOCKS_PER_PIECE * BLOCK_SIZE;
/** Nine whole pieces, and one of a block and a short block. */
export const TOTAL_LENGTH = 9 * PIECE_LENGTH + BLOCK_SIZE + 3000;
export const LAYOUT = new Layout({
  pieceLength: PIECE_LENGTH,
  totalLength: TOTAL_LENGTH,
  files: [{ path: ["data.bin"], length: TOTAL_LENGTH, offset: 0, padding: false }],
});
export const DATA = bytesOf(11, TOTAL_LENGTH);
export const INFO_HASH = Uint8Array.from(bytesOf(1, 20));
export const OUR_ID = Uint8Array.from(bytesOf(2, 20));
export const PEER_ID = Uint8Array.from(bytesOf(3, 20));

export const SETTINGS: PeerSettings = {
  receiveMode: { name: "adaptive", depth: 16, contiguousWhenIdle: false },
  maxRequests: 512,
  handshakeTimeoutMs: 10_000,
  requestTimeoutMs: 20_000,
  idleTimeoutMs: 120_000,
  sendTimeoutMs: 30_000,
  clientName: "wired 1.0",
};

function keyOf(piece: number, block: number): string {
  return `${piece}/${block}`;
}

/** A torrent that asks for everything a peer has, in order, and keeps books of what it asked for. */
export class BookSwarm implements Swarm {
  get blocks(): SwarmBlocks | undefined {
    return this.layout === undefined ? undefined : (this as SwarmBlocks & BookSwarm);
  }

  readonly landsDirectly = false;
  readonly infoHash = INFO_HASH;
  readonly rateControl: RateControl;
  readonly rateLimits = new RateLimits();
  readonly info = undefined;
  /** Undefined: the metadata is not there yet. */
  layout: Layout | undefined = LAYOUT;
  readonly have = new PieceSet(LAYOUT.pieceCount);
  readonly uploadPlace: UploadPlace;
  announcementsWaiting = 0;
  extensions = new ExtensionTable<PeerConnection>([]);
  readonly storage: FakeStorage;
  readonly #memory: Memory;
  /** Requests that are neither answered nor dropped. */
  readonly open = new Set<string>();
  readonly received = new Set<string>();
  readonly dropped: string[] = [];
  readonly announced: number[] = [];
  readonly withdrawn: number[] = [];
  readonly events: string[] = [];
  readonly uploadErrors: string[] = [];
  /** How often it was asked to compare all that a peer has with all that is missing. */
  interestLooks = 0;
  /** Thrown by admit(). */
  refusal: PeerError | undefined;
  /** Pieces that are asked for; default all that the peer has. */
  wanted: (piece: number) => boolean = () => true;
  closedWith: PeerError | undefined;

  constructor(memory: Memory, ground: Ground = SYSTEM_GROUND) {
    this.#memory = memory;
    this.rateControl = new RateControl(ground);
    this.storage = new FakeStorage(DATA, memory);
    this.uploadPlace = {
      storage: this.storage,
      source: new CopySource(memory.pool),
      offsetOf: (piece, begin) => piece * PIECE_LENGTH + begin,
    };
  }

  givesFreely: (peer: PeerConnection, bytes: number) => boolean = () => true;
  dhtPort = 0;
  readonly dhtNodes: string[] = [];

  dhtNodeTold(host: string, port: number): void {
    this.dhtNodes.push(`${host} ${port}`);
  }

  get isUploadOnly(): boolean {
    return this.have.isFull;
  }

  metadataArrived(): boolean {
    return false;
  }

  admit(): void {
    if (this.refusal !== undefined) throw this.refusal;
    this.events.push("admit");
  }

  peerOpened(): void {
    this.events.push("opened");
  }

  peerListens(peer: PeerConnection): void {
    this.events.push(`listens ${peer.listenPort}`);
  }

  peerClosed(_peer: PeerConnection, error: PeerError | undefined): void {
    assert.equal(this.open.size, 0, "a connection gives all its requests back before it is over");
    this.events.push("closed");
    this.closedWith = error;
  }

  peerAnnounced(_peer: PeerConnection, piece: number): void {
    this.announced.push(piece);
  }

  peerWithdrew(peer: PeerConnection, piece: number): void {
    this.withdrawn.push(piece);
    peer.pieces.delete(piece);
  }

  isInteresting(peer: PeerConnection): boolean {
    this.interestLooks++;
    for (let piece = 0; piece < LAYOUT.pieceCount; piece++) {
      if (peer.pieces.has(piece) && !this.have.has(piece) && this.wanted(piece)) return true;
    }
    return false;
  }

  isMissing(piece: number): boolean {
    return !this.have.has(piece) && this.wanted(piece);
  }

  peerInterestChanged(peer: PeerConnection): void {
    this.events.push(peer.peerInterested ? "interested" : "notInterested");
  }

  pick(peer: PeerConnection, count: number, out: Int32Array): number {
    let picked = 0;
    const allowed = peer.peerChoking ? peer.allowedFast : undefined;
    for (let piece = 0; piece < LAYOUT.pieceCount; piece++) {
      if (!peer.pieces.has(piece) || this.have.has(piece) || !this.wanted(piece)) continue;
      if (allowed?.has(piece) === false) continue;
      for (let block = 0; block * BLOCK_SIZE < LAYOUT.pieceLengthOf(piece); block++) {
        const key = keyOf(piece, block);
        if (picked === count) return picked;
        if (this.open.has(key) || this.received.has(key) || peer.hasRequested(piece, block)) continue;
        this.open.add(key);
        out[2 * picked] = piece;
        out[2 * picked + 1] = block;
        picked++;
      }
    }
    return picked;
  }

  requestDropped(piece: number, block: number): void {
    const key = keyOf(piece, block);
    assert.ok(this.open.delete(key), `request ${key} is given back once`);
    this.dropped.push(key);
  }

  wantsBlock(_peer: PeerConnection, piece: number, block: number): boolean {
    return !this.received.has(keyOf(piece, block));
  }

  landingAddress(): number {
    return -1;
  }

  blockReceived(
    peer: PeerConnection,
    piece: number,
    block: number,
    address: number,
    slot: SlotIndex | typeof NO_SLOT,
  ): void {
    const key = keyOf(piece, block);
    const begin = block * BLOCK_SIZE;
    const length = Math.min(BLOCK_SIZE, LAYOUT.pieceLengthOf(piece) - begin);
    const at = piece * PIECE_LENGTH + begin;
    const bytes = this.#memory.bytes.subarray(address, address + length);
    assert.ok(Buffer.compare(bytes, DATA.subarray(at, at + length)) === 0, `block ${key} has its bytes`);
    assert.notEqual(slot, NO_SLOT);
    this.#memory.pool.release(slot as SlotIndex, SlotHolder.receiving);
    const wasOpen = this.open.delete(key);
    assert.ok(wasOpen || peer.requests.underWayIsOrphan, `block ${key} was asked for`);
    assert.ok(!this.received.has(key), `block ${key} comes once`);
    this.received.add(key);
    // As a torrent does: whoever was asked for the block needs not send it.
    if (peer.requests.underWayIsOrphan) peer.cancelRequest(piece, begin);
  }

  storageFaulted(): void {}

  uploadFaulted(): void {}

  uploadFailed(_peer: PeerConnection, error: Error): void {
    this.uploadErrors.push(error.message);
  }
}

/** A message that went out: its name's id, and what it carries. Keep-alives have id −1. */
export interface Sent {
  readonly id: number;
  readonly body: Buffer;
}

export interface WiredOptions {
  readonly incoming?: boolean;
  readonly host?: string;
  /** What the peer's handshake offers. Default: both. */
  readonly fast?: boolean;
  readonly extended?: boolean;
  readonly settings?: Partial<PeerSettings>;
  readonly trace?: TraceSink;
  readonly slabBytes?: number;
  /** Torrents that an incoming handshake finds: default the swarm. */
  readonly findsSwarm?: boolean;
  readonly prepare?: (swarm: BookSwarm) => void;
}

export class WiredPeer {
  readonly slab: Uint8Array;
  readonly memory: Memory;
  readonly plan = new ReceivePlan(new Float64Array(2 * PLAN_ENTRIES_MAX));
  readonly clock: Clock = { nowMs: 1000 };
  readonly swarm: BookSwarm;
  readonly transport: FakeTransport;
  readonly peer: PeerConnection;
  readonly states: PeerState[] = [];
  readonly #options: WiredOptions;
  closedWith: PeerError | undefined;
  closes = 0;
  opens = 0;
  #handshakeRead = false;
  #unread = Buffer.alloc(0);

  constructor(options: WiredOptions = {}) {
    this.#options = options;
    this.slab = new Uint8Array(options.slabBytes ?? 2 * MIB);
    this.memory = new Memory(this.slab);
    this.swarm = new BookSwarm(this.memory);
    options.prepare?.(this.swarm);
    this.transport = new FakeTransport(this.slab, this.plan.entries, DATA);
    const incoming = options.incoming ?? false;
    const directory: SwarmDirectory = {
      findSwarm: (infoHash) =>
        options.findsSwarm !== false && Buffer.compare(infoHash, INFO_HASH) === 0 ? this.swarm : undefined,
      peerId: OUR_ID,
      listenPortFor: () => 6881,
    };
    const peerOptions: PeerOptions = {
      host: options.host ?? "127.0.0.9",
      port: 4000,
      incoming,
      transport: this.transport,
      memory: this.memory,
      plan: this.plan,
      clock: this.clock,
      directory,
      settings: { ...SETTINGS, ...options.settings },
      trace: (peer, event, details) => {
        if (event === "state") this.states.push(details["state"] as PeerState);
        options.trace?.(peer, event, details);
      },
      keeper: {
        peerOpened: () => void this.opens++,
        peerClosed: (_peer, error) => {
          this.closes++;
          this.closedWith = error;
        },
      },
      ...(incoming ? {} : { swarm: this.swarm }),
    };
    this.peer = new PeerConnection(peerOptions);
    this.states.push(this.peer.state);
  }

  /** The peer's handshake, as the options say. */
  handshake(is: { infoHash?: Uint8Array; peerId?: Uint8Array } = {}): Buffer {
    const bytes = Buffer.alloc(HANDSHAKE_BYTES);
    encodeHandshake(bytes, 0, { infoHash: is.infoHash ?? INFO_HASH, peerId: is.peerId ?? PEER_ID });
    if (this.#options.fast === false) bytes[27] = entryOf(bytes, 27) & ~0x04;
    if (this.#options.extended === false) bytes[25] = entryOf(bytes, 25) & ~0x10;
    return bytes;
  }

  /** Goes through both handshakes and forgets what was said so far. */
  open(): this {
    if (!this.peer.incoming) this.peer.connected();
    this.feed(this.handshake());
    assert.equal(this.peer.state, "open", this.closedWith?.message);
    this.sent();
    return this;
  }

  /**
   * Brings bytes as a socket does: no more per receive than was planned for, and no more than `step`. Returns what was
   * not taken: for want of slots, or because the connection ended.
   */
  feed(bytes: Uint8Array, step = Number.MAX_SAFE_INTEGER): number {
    const { receiver, counters } = this.peer;
    let at = 0;
    while (at < bytes.length && this.peer.state !== "closed") {
      const entries = receiver.plan();
      if (entries === 0) break;
      const received = Math.min(step, bytes.length - at, receiver.plannedBytes);
      this.#readv(bytes.subarray(at, at + received));
      at += received;
      counters.receiveCalls++;
      try {
        receiver.commit(received);
        this.peer.received();
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        this.peer.close(error);
      }
    }
    return bytes.length - at;
  }

  #readv(bytes: Uint8Array): void {
    const { entries, count } = this.plan;
    let at = 0;
    for (let entry = 0; entry < count && at < bytes.length; entry++) {
      const take = Math.min(entryOf(entries, 2 * entry + 1), bytes.length - at);
      this.slab.set(bytes.subarray(at, at + take), entryOf(entries, 2 * entry));
      at += take;
    }
  }

  /** Flushes, and takes apart what went out. Bytes that are no whole message yet are kept for the next call. */
  sent(): Sent[] {
    assert.ok(this.peer.flush(EAGAIN) <= 0);
    this.#unread = Buffer.concat([this.#unread, this.transport.taken()]);
    if (!this.#handshakeRead && this.#unread.length >= HANDSHAKE_BYTES) {
      this.#handshakeRead = true;
      const ours = Buffer.alloc(HANDSHAKE_BYTES);
      encodeHandshake(ours, 0, { infoHash: INFO_HASH, peerId: OUR_ID });
      assert.deepEqual(this.#unread.subarray(0, HANDSHAKE_BYTES), ours, "our handshake comes first");
      this.#unread = this.#unread.subarray(HANDSHAKE_BYTES);
    }
    const messages: Sent[] = [];
    while (this.#handshakeRead && this.#unread.length >= 4) {
      const length = this.#unread.readUInt32BE(0);
      if (this.#unread.length < 4 + length) break;
      const id = length === 0 ? -1 : entryOf(this.#unread, 4);
      messages.push({ id, body: this.#unread.subarray(5, 4 + length) });
      this.#unread = this.#unread.subarray(4 + length);
    }
    return messages;
  }

  /** The (piece, begin, length) of the messages of one id that go out now. */
  sentBlocks(id: number): [number, number, number][] {
    return blocksOf(this.sent(), id);
  }

  /** Time passes, in the steps that a session's timer makes. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 1000) {
      const step = Math.min(1000, left);
      this.clock.nowMs += step;
      this.peer.tick(step);
    }
  }

  /** What must hold when a connection is over, however it ended. */
  checkOver(code?: string): void {
    assert.equal(this.peer.state, "closed");
    assert.equal(this.closedWith?.code, code, this.closedWith?.message);
    assert.equal(this.closes, 1, "its end is told once");
    assert.equal(this.transport.closes, 1, "its transport is closed once");
    assert.equal(this.swarm.open.size, 0, "no request is left");
    while (this.swarm.storage.readsPending > 0) this.swarm.storage.finishRead();
    assert.deepEqual(this.memory.pool.heldByHolder(), {}, "all slots are home");
    assert.equal(this.memory.pool.waiterCount, 0, "nobody waits for slots");
  }
}

export function blocksOf(messages: readonly Sent[], id: number): [number, number, number][] {
  return messages
    .filter((message) => message.id === id)
    .map(({ body }) => [body.readUInt32BE(0), body.readUInt32BE(4), body.readUInt32BE(8)]);
}

/** A message: length prefix, id, and numbers of four bytes each, or bytes. */
export function message(id: number, ...body: (number | Uint8Array)[]): Buffer {
  const parts = body.map((part) => {
    if (typeof part !== "number") return Buffer.from(part);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(part);
    return bytes;
  });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + parts.reduce((sum, part) => sum + part.length, 0));
  head[4] = id;
  return Buffer.concat([head, ...parts]);
}

/** A piece message with the torrent's bytes. */
export function pieceMessage(piece: number, begin: number, length: number): Buffer {
  const at = piece * PIECE_LENGTH + begin;
  return message(MessageId.piece, piece, begin, DATA.subarray(at, at + length));
}
