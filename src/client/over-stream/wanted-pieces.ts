// The pieces that a program asks one peer for: fetched in the order in which it asked, block by block.
//
// Always: a piece that was asked for is answered once, with its bytes, or with why it will not come; one whose digest is known is not
// given with another. Memory is taken for a piece when its first block comes.

import { createHash } from "node:crypto";
import { PeerError } from "../../base/errors.js";
import { NO_SLOT, type SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { SwarmBlocks } from "../peer/swarm.js";
import type { Layout } from "../storage/layout.js";

const DIGEST_BYTES = 20;

/** Told once: the bytes of a piece, or why they will not come. */
export type PieceWaiter = (bytes: Uint8Array | undefined, error: Error | undefined) => void;

interface WantedPiece {
  /** Of each block: 1 if it was asked for and not given back, or is here. */
  readonly taken: Uint8Array;
  readonly here: Uint8Array;
  blocksMissing: number;
  bytes: Uint8Array | undefined;
  readonly waiters: Set<PieceWaiter>;
}

export class WantedPieces implements SwarmBlocks {
  readonly landsDirectly = false;
  readonly layout: Layout;
  readonly #digests: Uint8Array;
  readonly #memory: Memory;
  readonly #wanted = new Map<number, WantedPiece>();

  /** `digests`: SHA-1 of the pieces, one after the other. */
  constructor(layout: Layout, digests: Uint8Array, memory: Memory) {
    this.layout = layout;
    this.#digests = digests;
    this.#memory = memory;
  }

  has(piece: number): boolean {
    return this.#wanted.has(piece);
  }

  /** True if the peer has one of them. */
  areAt(peer: PeerConnection): boolean {
    for (const piece of this.#wanted.keys()) if (peer.hasPiece(piece)) return true;
    return false;
  }

  want(piece: number, waiter: PieceWaiter): void {
    const found = this.#wanted.get(piece);
    if (found !== undefined) {
      found.waiters.add(waiter);
      return;
    }
    const blocks = this.layout.blocksInPiece(piece);
    this.#wanted.set(piece, {
      taken: new Uint8Array(blocks),
      here: new Uint8Array(blocks),
      blocksMissing: blocks,
      bytes: undefined,
      waiters: new Set([waiter]),
    });
  }

  /** Nobody waits any more; what was asked for already may still come, and is let go. */
  forget(piece: number, waiter: PieceWaiter): void {
    const wanted = this.#wanted.get(piece);
    if (wanted?.waiters.delete(waiter) === true && wanted.waiters.size === 0) this.#wanted.delete(piece);
  }

  /** None of them will come. */
  fail(error: Error): void {
    const all = [...this.#wanted.values()];
    this.#wanted.clear();
    for (const { waiters } of all) for (const waiter of waiters) waiter(undefined, error);
  }

  // ── SwarmBlocks ──────────────────────────────────────────────────────────────────────────────────────────────

  pick(peer: PeerConnection, count: number, out: Int32Array): number {
    let picked = 0;
    for (const [piece, { taken }] of this.#wanted) {
      if (!peer.hasPiece(piece) || (peer.peerChoking && peer.allowedFast?.has(piece) !== true)) continue;
      for (let block = taken.indexOf(0); block >= 0 && picked < count; block = taken.indexOf(0, block + 1)) {
        // What was given back and is expected all the same: it comes, or is given back for good.
        if (peer.hasRequested(piece, block)) continue;
        taken[block] = 1;
        out[2 * picked] = piece;
        out[2 * picked + 1] = block;
        picked++;
      }
      if (picked === count) break;
    }
    return picked;
  }

  requestDropped(piece: number, block: number): void {
    const wanted = this.#wanted.get(piece);
    if (wanted !== undefined && wanted.here[block] === 0) wanted.taken[block] = 0;
  }

  wantsBlock(_peer: PeerConnection, piece: number, block: number): boolean {
    return this.#wanted.get(piece)?.here[block] === 0;
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
    const wanted = this.#wanted.get(piece);
    if (wanted !== undefined && wanted.here[block] === 0) {
      const begin = block * BLOCK_SIZE;
      wanted.bytes ??= new Uint8Array(this.layout.pieceLengthOf(piece));
      wanted.bytes.set(
        this.#memory.bytes.subarray(address, address + this.layout.blockLength(piece, block)),
        begin,
      );
      wanted.here[block] = 1;
      wanted.taken[block] = 1;
      wanted.blocksMissing--;
      if (peer.requests.underWayIsOrphan) peer.cancelRequest(piece, begin);
    }
    if (slot !== NO_SLOT) this.#memory.pool.release(slot, SlotHolder.receiving);
    if (wanted?.blocksMissing === 0 && wanted.bytes !== undefined)
      this.#complete(peer, piece, wanted, wanted.bytes);
  }

  #complete(peer: PeerConnection, piece: number, { waiters }: WantedPiece, bytes: Uint8Array): void {
    const digest = this.#digests.subarray(piece * DIGEST_BYTES, (piece + 1) * DIGEST_BYTES);
    const isRight = createHash("sha1").update(bytes).digest().compare(digest) === 0;
    this.#wanted.delete(piece);
    const error = isRight
      ? undefined
      : new PeerError(
          "PEER_BAD_PIECE",
          `piece ${piece} came, and does not have the digest that the torrent gives for it`,
        );
    for (const waiter of waiters) waiter(isRight ? bytes : undefined, error);
    // When the receive is over: it goes on behind this block.
    if (error !== undefined) queueMicrotask(() => peer.close(error));
    else peer.updateInterest();
  }
}
