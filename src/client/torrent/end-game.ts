// Blocks that are asked of a second peer and more: in the end game, and of pieces that stall. Those with the fewest requesters come
// first, and among them those of the oldest pieces.
//
// Always: no peer is asked for a block twice, and a block has at most as many requesters as its piece may have.

import { assert } from "../../base/assert.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { PieceFilter } from "./availability.js";
import type { PickingPeer } from "./picker.js";
import { FREE, RECEIVED, REQUESTERS_MAX, type Standing, type StartedPiece } from "./started-piece.js";
import type { StartedPieces } from "./started-pieces.js";

/**
 * Writes up to `count` pairs (piece, block) that others were asked for into `out`, and counts `peer` as one requester more of each.
 * Returns how many. `isEarly`: the end game has not come, and only pieces that stall are asked for again. `standing`: the peer may have
 * the places that are kept for such as it.
 */
export function takeRequested(
  all: StartedPieces,
  isEarly: boolean,
  pieces: PieceSet,
  count: number,
  out: Int32Array,
  peer: PickingPeer,
  allowed: PieceFilter | undefined,
  standing: Standing,
): number {
  let got = 0;
  const requestersMax = isEarly ? 1 : REQUESTERS_MAX - 1 + standing;
  for (let requesters = 1; requesters < requestersMax && got < count; requesters++) {
    for (const started of all.all()) {
      if (got === count) break;
      if (!isRequestedOf(started, pieces, allowed)) continue;
      got = takeBetween(started, requesters, requesters, out, got, count, peer);
    }
  }
  if (got > 0) return got;
  for (const started of all.all()) {
    if (got === count) break;
    if (started.stalledWindows === 0 || !isRequestedOf(started, pieces, allowed)) continue;
    const last = started.requestersMax(standing) - 1;
    got = takeBetween(started, requestersMax, last, out, got, count, peer);
  }
  return got;
}

function isRequestedOf(started: StartedPiece, pieces: PieceSet, allowed: PieceFilter | undefined): boolean {
  const { piece, requested } = started;
  return requested > 0 && pieces.has(piece) && allowed?.has(piece) !== false;
}

/**
 * Takes blocks with `min` … `max` requesters that the peer was not asked for, behind the first `at` pairs and up to `count`; returns
 * how many pairs there are.
 */
function takeBetween(
  started: StartedPiece,
  min: number,
  max: number,
  out: Int32Array,
  at: number,
  count: number,
  peer: PickingPeer,
): number {
  const { piece, states } = started;
  assert(min > FREE && max < RECEIVED, "what is asked for again is requested, and not here");
  assert(2 * count <= out.length, "what is taken has room");
  let got = at;
  for (let block = 0; block < started.blockCount && got < count; block++) {
    const requesters = states[block]!;
    if (requesters < min || requesters > max || peer.hasRequested(piece, block)) continue;
    if (wasPicked(out, got, piece, block)) continue;
    states[block] = requesters + 1;
    out[2 * got] = piece;
    out[2 * got + 1] = block;
    got++;
  }
  return got;
}

function wasPicked(out: Int32Array, count: number, piece: number, block: number): boolean {
  for (let index = 0; index < count; index++) {
    if (out[2 * index] === piece && out[2 * index + 1] === block) return true;
  }
  return false;
}
