// Padding files (BEP 47) are not stored, and read as zeros: a piece whose padding is something else is right by its digest, and cannot
// be kept as it is.

import { StorageError } from "../../base/errors.js";
import type { PieceIndex } from "../../base/ids.js";
import type { Layout } from "../storage/layout.js";

/** True if what bytes[at … at + length − 1] have of padding is zeros. They lie `offset` bytes into the torrent. */
export function isPaddingZero(
  layout: Layout,
  offset: number,
  bytes: Uint8Array,
  at: number,
  length: number,
): boolean {
  let isZero = true;
  layout.forEachSpan(offset, length, (fileIndex, _fileOffset, spanOffset, spanLength) => {
    if (layout.files[fileIndex]?.padding !== true) return;
    const start = at + spanOffset;
    for (let index = start; index < start + spanLength; index++) if (bytes[index] !== 0) isZero = false;
  });
  return isZero;
}

export function paddingError(piece: PieceIndex): StorageError {
  return new StorageError(
    "STORAGE_PADDING",
    `piece ${piece} of this torrent has padding that is not zeros (BEP 47): it cannot be kept as it is, and would be served wrong; whoever made the torrent has to make it anew`,
  );
}
