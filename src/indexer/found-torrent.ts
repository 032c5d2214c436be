// What an index keeps of an info dictionary. It comes from strangers, and may say anything: what is kept is bounded, and safe to show.

import { MetainfoError } from "../base/errors.js";
import { parseMagnet } from "../client/metainfo/magnet.js";
import { parseInfo } from "../client/metainfo/parse.js";
import type { FoundTorrent } from "./store/store.js";

/** Files whose paths are kept; how many there are is kept whatever their number. */
const FILES_MAX = 5000;
const FILES_LENGTH_MAX = 512 * 1024;
/** Steers a terminal, turns the direction of a line round, or is half of a character. */
const CONTROL = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202a-\u202e\u2066-\u2069]+/gu;

/** Undefined: it is no torrent that can be used, though its digest is right. */
export function foundTorrentOf(infoHash: Uint8Array, info: Uint8Array): FoundTorrent | undefined {
  let metainfo: ReturnType<typeof parseInfo>;
  try {
    metainfo = parseInfo(info, parseMagnet(`magnet:?xt=urn:btih:${Buffer.from(infoHash).toString("hex")}`));
  } catch (error) {
    if (error instanceof MetainfoError) return undefined;
    throw error;
  }
  const stored = metainfo.files.filter(({ padding }) => !padding);
  const files: { path: string; bytes: number }[] = [];
  let length = 0;
  for (const file of stored) {
    const path = plain(metainfo.isSingleFile ? file.path.join("/") : file.path.slice(1).join("/"));
    length += path.length;
    if (files.length === FILES_MAX || length > FILES_LENGTH_MAX) break;
    files.push({ path, bytes: file.length });
  }
  return {
    infoHash: infoHash.slice(),
    name: plain(metainfo.name),
    bytes: stored.reduce((sum, file) => sum + file.length, 0),
    pieceBytes: metainfo.pieceLength,
    isPrivate: metainfo.private,
    fileCount: stored.length,
    files,
  };
}

function plain(text: string): string {
  return text.replace(CONTROL, "\ufffd");
}
