// Pickers and peers as the picker's tests have them: a peer remembers what it was asked for, as a connection does.

import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { Picker, type PickerOptions, type PickingPeer } from "../../../../src/client/torrent/picker.js";
import { RANDOM_PIECES } from "../../../../src/client/torrent/piece-choice.js";
import { makeRandom } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";

export function layoutOf(
  pieceCount: number,
  pieceLength = 4 * BLOCK_SIZE,
  lastPieceLength = pieceLength,
): Layout {
  const totalLength = (pieceCount - 1) * pieceLength + lastPieceLength;
  const files = [{ path: ["file"], length: totalLength, offset: 0, padding: false }];
  return new Layout({ pieceLength, totalLength, files });
}

export function piecesOf(pieceCount: number, pieces: Iterable<number>): PieceSet {
  const set = new PieceSet(pieceCount);
  for (const piece of pieces) set.add(piece);
  return set;
}

export function allPieces(pieceCount: number): PieceSet {
  const set = new PieceSet(pieceCount);
  set.fill();
  return set;
}

/** A peer that remembers what it was asked for, as a connection does. */
export class Asked implements PickingPeer {
  readonly pieces: PieceSet;
  readonly requests: [piece: number, block: number][] = [];

  constructor(pieces: PieceSet) {
    this.pieces = pieces;
  }

  hasRequested(piece: number, block: number): boolean {
    return this.requests.some((request) => request[0] === piece && request[1] === block);
  }

  /** Set where it comes to nothing soon. */
  partsFor: Picker | undefined;

  partWith(piece: number): boolean {
    return this.partsFor !== undefined && partsWith(this, piece, this.partsFor);
  }

  ask(
    picker: Picker,
    count: number,
    allowed?: { has(piece: number): boolean },
    piecesAtOnce = 1,
  ): [number, number][] {
    const out = new Int32Array(2 * count).fill(-1);
    const fresh = picker.pick(this.pieces, count, out, this, allowed, piecesAtOnce);
    const got = fresh > 0 ? fresh : picker.pickAgain(this.pieces, count, out, this, allowed);
    const picked: [number, number][] = [];
    for (let index = 0; index < got; index++)
      picked.push([entryOf(out, 2 * index), entryOf(out, 2 * index + 1)]);
    this.requests.push(...picked);
    return picked;
  }

  /** Answers the oldest request. */
  answer(picker: Picker): [number, number] {
    const [piece, block] = required(this.requests.shift(), "an entry of requests");
    picker.blockReceived(piece, block);
    return [piece, block];
  }
}

/** Gives back what `peer` was asked for of the piece. False if that is nothing. */
export function partsWith(peer: { requests: [number, number][] }, piece: number, picker: Picker): boolean {
  const given = peer.requests.filter(([asked]) => asked === piece);
  const kept = peer.requests.filter(([asked]) => asked !== piece);
  peer.requests.splice(0, peer.requests.length, ...kept);
  for (const [, block] of given) picker.requestDropped(piece, block);
  return given.length > 0;
}

export function pickerOf(layout: Layout, options: PickerOptions = {}): Picker {
  return new Picker(layout, { random: makeRandom(1), ...options });
}

/** Past the first pieces, which are drawn by lot. */
export function pickerPastTheFirst(
  pieceCount: number,
  pieceLength = 4 * BLOCK_SIZE,
  options: PickerOptions = {},
): Picker {
  const picker = pickerOf(layoutOf(pieceCount, pieceLength), options);
  for (let piece = pieceCount - RANDOM_PIECES; piece < pieceCount; piece++) picker.markHave(piece);
  return picker;
}
