// The seam between a torrent and the assembler of its pieces (torrent/assembler.ts).

import type { StorageError } from "../../base/errors.js";
import type { PieceIndex } from "../../base/ids.js";

export interface AssemblerHost {
  /** All blocks of the piece are in storage, and (unless verification is off) their digest is the right one. */
  pieceVerified(piece: PieceIndex): void;
  /** The digest is wrong. The assembler has forgotten the piece; all its blocks are wanted again. */
  pieceFailed(piece: PieceIndex): void;
  storageFailed(error: StorageError): void;
}
