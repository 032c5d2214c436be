// What a person names a torrent by on the command line: a torrent file, its address on the web, or a magnet link.

import { fetchMetainfo, type Magnet, type Metainfo, parseMagnet, readMetainfo } from "../index.js";

export function loadTorrent(text: string, signal?: AbortSignal): Promise<Metainfo | Magnet> {
  if (/^magnet:/i.test(text)) return Promise.resolve().then(() => parseMagnet(text));
  if (/^https?:\/\//i.test(text)) return fetchMetainfo(text, signal === undefined ? {} : { signal });
  return readMetainfo(text);
}

/** Tiers of trackers that it names. */
export function trackersOf(torrent: Metainfo | Magnet): readonly (readonly string[])[] {
  return "trackers" in torrent ? torrent.trackers.map((url) => [url]) : torrent.announce;
}
