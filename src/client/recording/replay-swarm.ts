// The torrent that a replayed connection belongs to. It decides nothing: what was asked for, and what we had, is what the recording says.
//
// Always: a block that comes is noted with its digest, and its memory goes home at once.

import { createHash, type Hash } from "node:crypto";
import { SYSTEM_GROUND } from "../../base/ground.js";
import { NO_SLOT, type SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE, PIECE_COUNT_MAX, PIECE_LENGTH_MAX } from "../../base/limits.js";
import { PieceSet } from "../../base/piece-set.js";
import { RateControl, RateLimits } from "../../base/rate-limit.js";
import { ExtensionTable } from "../extensions/extension.js";
import { MetadataExchange } from "../extensions/metadata-exchange.js";
import { PeerExchange } from "../extensions/peer-exchange.js";
import { DontHave, UploadOnly } from "../extensions/small-extensions.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Clock } from "../peer/peer-options.js";
import type { Swarm, SwarmBlocks } from "../peer/swarm.js";
import type { BlockBatch } from "../send/block-batch.js";
import type { BlockSource } from "../send/block-source.js";
import type { UploadPlace } from "../send/sender.js";
import { Layout } from "../storage/layout.js";
import { NullStorage } from "../storage/null-storage.js";
import { recordingError } from "./format.js";

/** A block that came, as a replay tells it. */
export interface ReplayedBlock {
  /** Index of its piece. */
  readonly piece: number;
  /** Byte offset in the piece. */
  readonly begin: number;
  /** Bytes. */
  readonly length: number;
  /** SHA-1, in hexadecimal digits. */
  readonly digest: string;
}

/** Who is told of blocks. */
export type BlockListener = (peer: PeerConnection, block: ReplayedBlock) => void;

export class ReplaySwarm implements Swarm {
  readonly infoHash: Uint8Array;
  readonly info = undefined;
  readonly isUploadOnly = false;
  readonly dhtPort = 0;
  readonly announcementsWaiting = 0;
  /** Without limits, which ask the ground for nothing. */
  readonly rateControl = new RateControl(SYSTEM_GROUND);
  readonly rateLimits = new RateLimits();
  readonly extensions: ExtensionTable<PeerConnection>;
  readonly uploadPlace: UploadPlace;
  readonly peers = new Set<PeerConnection>();
  have = new PieceSet(0);
  #blocks: ReplayBlocks | undefined;
  readonly #memory: Memory;
  readonly #told: BlockListener;

  constructor(infoHash: Uint8Array, memory: Memory, clock: Clock, told: BlockListener) {
    this.infoHash = infoHash;
    this.#memory = memory;
    this.#told = told;
    const host = {
      get nowMs() {
        return clock.nowMs;
      },
      // What was asked stands in the recording.
      after: () => ({ ref() {}, unref() {}, refresh() {}, close() {} }),
      info: undefined,
      metadataArrived: () => false,
      lied: () => {},
      progressed: () => {},
      bring: () => {},
    };
    // As a torrent offers them: what the peer sends stands under these ids.
    this.extensions = new ExtensionTable<PeerConnection>([
      new MetadataExchange(host),
      new PeerExchange<PeerConnection>(host, true),
      new DontHave(),
      new UploadOnly(),
    ]);
    this.uploadPlace = {
      storage: new NullStorage(memory.bytes),
      source: new NothingToSend(memory),
      offsetOf: () => 0,
    };
  }

  /** What the torrent holds is known. Throws UsageError `USAGE_RECORDING`. */
  setLayout(pieceLength: unknown, totalLength: unknown): void {
    const isSound =
      Number.isInteger(pieceLength) &&
      Number(pieceLength) > 0 &&
      Number(pieceLength) <= PIECE_LENGTH_MAX &&
      Number.isSafeInteger(totalLength) &&
      Number(totalLength) > 0 &&
      Number(totalLength) / Number(pieceLength) <= PIECE_COUNT_MAX;
    if (!isSound) throw recordingError("a torrent of that shape cannot be", 0);
    if (this.#blocks !== undefined) return;
    const length = Number(totalLength);
    const files = [{ path: ["data"], length, offset: 0, padding: false }];
    const layout = new Layout({ pieceLength: Number(pieceLength), totalLength: length, files });
    this.#blocks = new ReplayBlocks(layout, this.#memory, this.#told);
    this.have = new PieceSet(layout.pieceCount);
    for (const peer of [...this.peers]) peer.layoutKnown();
  }

  // ── what we did, as the recording says ───────────────────────────────────────────────────────────────────────

  requested(peer: PeerConnection, piece: number, begin: number, length: number, nowMs: number): void {
    const isValid = this.layout?.isValidRequest(piece, begin, length) === true;
    // Peers may ask for more than a block at one time; we never do.
    if (!isValid || begin % BLOCK_SIZE !== 0 || length > BLOCK_SIZE)
      throw recordingError(`we asked for ${length} bytes of piece ${piece} from byte ${begin} on`, 0);
    peer.requests.expected.push(piece, begin, length, nowMs);
  }

  has(piece: number): void {
    if (piece < this.have.pieceCount) this.have.add(piece);
  }

  hasBits(bits: Uint8Array): void {
    const said = new PieceSet(this.have.pieceCount);
    if (!said.assign(bits)) throw recordingError("we sent a bitfield of another torrent", 0);
    for (let piece = said.next(0); piece >= 0; piece = said.next(piece + 1)) this.have.add(piece);
  }

  // ── Swarm ────────────────────────────────────────────────────────────────────────────────────────────────────

  get layout(): Layout | undefined {
    return this.#blocks?.layout;
  }

  get blocks(): SwarmBlocks | undefined {
    return this.#blocks;
  }

  metadataArrived(): boolean {
    return false;
  }

  admit(): void {}

  peerOpened(peer: PeerConnection): void {
    this.peers.add(peer);
  }

  peerClosed(peer: PeerConnection): void {
    this.peers.delete(peer);
  }

  dhtNodeTold(): void {}
  peerListens(): void {}
  peerAnnounced(): void {}
  peerWithdrew(peer: PeerConnection, piece: number): void {
    peer.pieces.delete(piece);
  }

  isInteresting(): boolean {
    return true;
  }

  isMissing(): boolean {
    return true;
  }

  peerInterestChanged(): void {}
  uploadFailed(): void {}
  storageFaulted(): void {}
  uploadFaulted(): void {}
}

/** What comes: all of it is wanted, as far as it was asked for. */
class ReplayBlocks implements SwarmBlocks {
  readonly layout: Layout;
  readonly landsDirectly = false;
  readonly #memory: Memory;
  readonly #told: BlockListener;

  constructor(layout: Layout, memory: Memory, told: BlockListener) {
    this.layout = layout;
    this.#memory = memory;
    this.#told = told;
  }

  /** What was asked for is in the recording. */
  pick(): number {
    return 0;
  }

  requestDropped(): void {}

  wantsBlock(): boolean {
    return true;
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
    const length = this.layout.blockLength(piece, block);
    const digest = sha1()
      .update(this.#memory.bytes.subarray(address, address + length))
      .digest("hex");
    if (slot !== NO_SLOT) this.#memory.pool.release(slot, SlotHolder.receiving);
    this.#told(peer, { piece, begin: block * BLOCK_SIZE, length, digest });
  }
}

/** Answers what peers ask for with memory that nobody wants: it goes nowhere. */
class NothingToSend implements BlockSource {
  readonly name = "copy";
  readonly batchBlocksMax = 1;
  readonly #address: number;

  constructor(memory: Memory) {
    this.#address = memory.sinkAddress;
  }

  load(batch: BlockBatch): boolean {
    batch.addresses.fill(this.#address, 0, batch.count);
    batch.ready = true;
    return true;
  }

  sent(): void {}
}

export function sha1(): Hash {
  return createHash("sha1");
}
