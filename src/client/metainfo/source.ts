// What a caller names a torrent by, told apart and checked: a torrent file or its bytes, a magnet link or its text.

import { UsageError } from "../../base/errors.js";
import { isMagnet, type Magnet, parseMagnet } from "./magnet.js";
import { parseMetainfo } from "./parse.js";
import type { Metainfo } from "./types.js";

/**
 * The torrent that a caller gave, as what was parsed or as the bytes of its file. Throws UsageError `USAGE_OPTION` for what is neither,
 * MetainfoError for bytes that are no torrent file.
 */
export function metainfoOf(torrentFile: Metainfo | Uint8Array): Metainfo {
  if (torrentFile instanceof Uint8Array) return parseMetainfo(torrentFile);
  if (hasInfoHash(torrentFile) && !isMagnet(torrentFile)) return torrentFile;
  throw new UsageError(
    "USAGE_OPTION",
    "a torrent is what `await readMetainfo(path)` or parseMetainfo(bytes) answers, the bytes of a torrent file, or a magnet link where one is taken",
  );
}

/** As metainfoOf(), or a magnet link: its text, or what was parsed. Throws UsageError `USAGE_MAGNET` for a malformed link. */
export function sourceOf(source: Metainfo | Uint8Array | Magnet | string): Metainfo | Magnet {
  if (typeof source === "string" && /^magnet:/i.test(source)) return parseMagnet(source);
  if (source instanceof Uint8Array || !hasInfoHash(source) || !isMagnet(source))
    return metainfoOf(source as Metainfo | Uint8Array);
  const { trackers, peers, webSeeds } = source;
  if (source.infoHash.length === 20 && [trackers, peers, webSeeds].every(Array.isArray)) return source;
  throw new UsageError("USAGE_MAGNET", "a magnet is what parseMagnet(link) returns, or the text of a link");
}

function hasInfoHash(source: unknown): source is Metainfo | Magnet {
  return typeof source === "object" && (source as Partial<Metainfo> | null)?.infoHash instanceof Uint8Array;
}
