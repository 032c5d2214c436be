// Verified data for the program: read from storage into the pool, and lent.

import { type StorageError, UsageError } from "../../base/errors.js";
import { NO_SLOT } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { PieceSet } from "../../base/piece-set.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { BlockLease } from "../options.js";
import type { Layout } from "../storage/layout.js";
import type { Storage } from "../storage/storage.js";
import type { EngineRoom } from "./engine-room.js";
import { Lease } from "./lease.js";

/** Throws UsageError `USAGE_OPTION` for what is not inside a piece, more than a block, or not verified. */
export function checkReading(
  layout: Layout,
  got: PieceSet,
  piece: number,
  begin: number,
  length: number,
): void {
  const refuse = (text: string): never => {
    throw new UsageError("USAGE_OPTION", text);
  };
  const proven = layout.checkPiece(piece);
  if (proven === undefined)
    throw new UsageError(
      "USAGE_OPTION",
      `a piece is a whole number from 0 to ${layout.pieceCount - 1}, not ${piece}`,
    );
  const pieceLength = layout.pieceLengthOf(proven);
  if (!Number.isInteger(length) || length < 1 || length > BLOCK_SIZE)
    refuse(`read() takes 1 to ${BLOCK_SIZE} bytes (one block) at a time, not ${length}`);
  if (!Number.isInteger(begin) || begin < 0 || begin + length > pieceLength)
    refuse(`piece ${piece} has ${pieceLength} bytes: ${length} from ${begin} on are not inside it`);
  if (!got.has(piece)) refuse(`piece ${piece} is not verified yet`);
}

/** Rejects StorageError, and UsageError `USAGE_STATE` if no memory is free. */
export async function lendFrom(
  storage: Storage,
  offset: number,
  { pool, memory }: EngineRoom,
  piece: number,
  begin: number,
  length: number,
  onReleased: () => void,
): Promise<BlockLease> {
  const slot = pool.acquire(SlotHolder.user);
  if (slot === NO_SLOT) {
    throw new UsageError(
      "USAGE_STATE",
      `no memory is free: all ${pool.slotCount} blocks of the pool are in use; release leases, or give the session more poolBytes`,
    );
  }
  const lease = new Lease(memory, slot, piece, begin, length, onReleased);
  const target = {
    addresses: Float64Array.of(pool.addressOf(slot)),
    lengths: Float64Array.of(length),
    count: 1,
  };
  await new Promise<void>((resolve, reject) => {
    const owner = {
      storageDone: (_tag: number, error: StorageError | undefined) => (error ? reject(error) : resolve()),
    };
    storage.read(offset, target, owner, 0);
  }).catch((error: unknown) => {
    lease.release();
    throw error;
  });
  return lease;
}
