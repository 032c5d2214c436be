// The bytes of a torrent file of what is known about a torrent: for one whose metadata came from peers, so that it need not come again.
//
// Always: the info dictionary stands there byte by byte as it came, so that its digest stays what it was.

import bencode from "bencode";
import type { Metainfo } from "./types.js";

/** A torrent file with the info dictionary of `metainfo`, its trackers and its web seeds (BEP 3, 12, 19). */
export function torrentFileOf(metainfo: Metainfo): Uint8Array {
  const { announce, webSeeds, info } = metainfo;
  const [first] = announce.flat();
  const parts: [string, Uint8Array][] = [];
  if (first !== undefined) parts.push(["announce", bencode.encode(first)]);
  if (announce.flat().length > 1) parts.push(["announce-list", bencode.encode(announce)]);
  parts.push(["info", info]);
  if (webSeeds.length > 0) parts.push(["url-list", bencode.encode(webSeeds)]);
  const entries = parts.flatMap(([key, value]) => [Buffer.from(`${key.length}:${key}`), value]);
  return Buffer.concat([Buffer.from("d"), ...entries, Buffer.from("e")]);
}
