// Numbers that were checked once and carry the proof in their type. A plain number becomes one of these only in
// a function that validated it (storage/layout.ts for pieces and blocks, memory/block-pool.ts for slots).

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** Index of a piece: 0 … pieceCount − 1 of one torrent. */
export type PieceIndex = Branded<"PieceIndex">;
/** In the place of a piece: there is none. */
export const NO_PIECE = -1;
/** Index of a block inside its piece: 0 … blocksInPiece − 1; the block begins at index × BLOCK_SIZE. */
export type BlockIndex = Branded<"BlockIndex">;
/** Index of a slot in the block pool. */
export type SlotIndex = Branded<"SlotIndex">;
/** A typed array of such numbers: what was proven when it was put in is proven when it is taken out. Made by `new Int32Array(n) as Indices<…>`. */
export type Indices<Index extends number> = {
  [at: number]: Index;
  [Symbol.iterator](): ArrayIterator<Index>;
} & Int32Array;
/** In the place of a slot: there is none. */
export const NO_SLOT = -1;
/** For each block its slot, or NO_SLOT. */
export type Slots = Indices<SlotIndex | typeof NO_SLOT>;
/**
 * A place that native code can read or write: an offset into the slab, or, at and above MAPPING_ADDRESS_STRIDE,
 * an offset into a memory mapping. One number space for both, so that a plan need not say which it means.
 */
export type Address = Branded<"Address">;
