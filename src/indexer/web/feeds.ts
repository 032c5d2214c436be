// What other programs read of an index: an RSS 2.0 feed of the newest torrents, and Torznab, which programs that look for torrents ask
// (https://torznab.github.io/spec-1.3-draft/).
//
// Always: names of torrents are anybody's words: they become text of the document, whatever they hold, and the document is well-formed.

import type { IndexedTorrent } from "../store/store.js";

/** All that an index knows of a torrent is its files: it is in the category "Other". */
const CATEGORY = 8000;
const TORZNAB = "http://torznab.com/schemas/2015/feed";
/** Characters that XML 1.0 has no way to write, lone surrogates included. */
const NOT_XML = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;
const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

export function magnetOf({ infoHash, name }: Pick<IndexedTorrent, "infoHash" | "name">): string {
  return `magnet:?xt=urn:btih:${infoHash}&dn=${encodeURIComponent(wellFormed(name))}`;
}

/** RSS; with `isTorznab` with the attributes that Torznab's readers look for. */
export function feedOf(torrents: readonly IndexedTorrent[], isTorznab: boolean): string {
  const items = torrents.map((torrent) => itemOf(torrent, isTorznab)).join("");
  const space = isTorznab ? ` xmlns:torznab="${TORZNAB}"` : "";
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"${space}>\n<channel>\n<title>Index of torrents</title>\n` +
    `<description>Torrents that this index found in the DHT</description>\n<link>/</link>\n${items}</channel>\n</rss>\n`
  );
}

/** What Torznab's readers ask first: what can be asked. */
export function torznabCapabilities(limitMax: number): string {
  const text = (element: string): string =>
    `<${element} available="yes" supportedParams="${element === "tv-search" ? "q,season,ep" : "q"}"/>`;
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<caps>\n<server title="scatterwire"/>\n<limits max="${limitMax}" default="50"/>\n` +
    `<searching>${text("search")}${text("tv-search")}${text("movie-search")}</searching>\n` +
    `<categories><category id="${CATEGORY}" name="Other"/></categories>\n</caps>\n`
  );
}

/** Codes of Torznab: 100 wrong key, 201 wrong parameter, 202 no such function, 900 anything else. */
export function torznabError(code: number, description: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<error code="${code}" description="${escaped(description)}"/>\n`;
}

function itemOf(torrent: IndexedTorrent, isTorznab: boolean): string {
  const { infoHash, name, bytes, fileCount, discoveredMs } = torrent;
  const magnet = escaped(magnetOf(torrent));
  const attributes: readonly [string, string | number][] = [
    ["category", CATEGORY],
    ["size", bytes],
    ["files", fileCount],
    ["infohash", infoHash],
    ["magneturl", magnet],
  ];
  return (
    `<item>\n<title>${escaped(name)}</title>\n<guid isPermaLink="false">${infoHash}</guid>\n` +
    `<pubDate>${new Date(discoveredMs).toUTCString()}</pubDate>\n<link>${magnet}</link>\n<category>${CATEGORY}</category>\n` +
    `<enclosure url="${magnet}" length="${bytes}" type="application/x-bittorrent;x-scheme-handler/magnet"/>\n` +
    (isTorznab
      ? `<size>${bytes}</size>\n${attributes.map(([key, value]) => `<torznab:attr name="${key}" value="${value}"/>\n`).join("")}`
      : "") +
    "</item>\n"
  );
}

/** What cannot be written is a replacement character. */
function wellFormed(text: string): string {
  return text.replace(NOT_XML, "\u{fffd}");
}

function escaped(text: string): string {
  return wellFormed(text).replace(/[&<>"]/g, (character) => ENTITIES[character] ?? "");
}
