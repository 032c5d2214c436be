// The seam between a torrent and the assembler of its pieces (torrent/assembler.ts).

import type { StorageError } from "../../base/errors.js";
import type { PieceIndex, Slots } from "../../base/ids.js";

export interface AssemblerHost {
  /**
   * All blocks of the piece are in storage, and (unless verification is off) their digest is the right one. `digests`: one for
   * each block (block-digests.ts), if they were wanted and known.
   */
  pieceVerified(piece: PieceIndex, digests: Float64Array | undefined): void;
  /** The digest is wrong. The assembler has forgotten the piece; all its blocks are wanted again. `digests`: as above. */
  pieceFailed(piece: PieceIndex, digests: Float64Array | undefined): void;
  /** The piece that was to be dropped is forgotten. `digests`: as above, NaN for blocks that had not come or are not known. */
  pieceDropped(piece: PieceIndex, digests: Float64Array | undefined): void;
  /** True if digests of the blocks are worth a read: of a bad piece, or of one that is right. */
  wantsDigests(piece: PieceIndex, bad: boolean): boolean;
  /** True while nobody is suspected of sending bad blocks. */
  readonly isQuiet: boolean;
  /**
   * Needed with the option `lends`; after pieceVerified: the slots that its blocks still lie in, or −1 for one whose bytes are in storage
   * alone. The slots are the host's from now on.
   */
  pieceToLend?(piece: PieceIndex, slots: Slots): void;
  storageFailed(error: StorageError): void;
}
