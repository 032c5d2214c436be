// The seam between a torrent and the assembler of its pieces (torrent/assembler.ts).

import type { StorageError } from "../../base/errors.js";
import type { PieceIndex } from "../../base/ids.js";

export interface AssemblerHost {
  /** All blocks of the piece are in storage, and (unless verification is off) their digest is the right one. */
  pieceVerified(piece: PieceIndex): void;
  /** The digest is wrong. The assembler has forgotten the piece; all its blocks are wanted again. */
  pieceFailed(piece: PieceIndex): void;
  /**
   * Needed with the option `lends`; after pieceVerified: the slots that its blocks still lie in, or −1 for one whose bytes are in storage
   * alone. The slots are the host's from now on.
   */
  pieceToLend?(piece: PieceIndex, slots: Int32Array): void;
  storageFailed(error: StorageError): void;
}
