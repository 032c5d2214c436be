// A Metainfo as plain values, for people and for JSON.

import { metainfoOf } from "./source.js";
import type { Metainfo } from "./types.js";

export interface MetainfoDescription {
  name: string;
  infoHash: string;
  totalLength: number;
  pieceLength: number;
  pieceCount: number;
  private: boolean;
  announce: readonly (readonly string[])[];
  comment: string | null;
  createdBy: string | null;
  /** ISO 8601. */
  created: string | null;
  files: { path: string; length: number; padding: boolean }[];
  /** Symbolic links, which are not made. */
  links: readonly string[];
  /** Those of BEP 19, which are used, and of BEP 17, which are not. */
  webSeeds: readonly string[];
  httpSeeds: readonly string[];
}

/** Throws UsageError `USAGE_OPTION` for what is no torrent, MetainfoError for bytes that are no torrent file. */
export function describeMetainfo(torrentFile: Metainfo | Uint8Array): MetainfoDescription {
  const metainfo = metainfoOf(torrentFile);
  return {
    name: metainfo.name,
    infoHash: metainfo.infoHashHex,
    totalLength: metainfo.totalLength,
    pieceLength: metainfo.pieceLength,
    pieceCount: metainfo.pieces.length / 20,
    private: metainfo.private,
    announce: metainfo.announce,
    comment: metainfo.comment ?? null,
    createdBy: metainfo.createdBy ?? null,
    created: isoDate(metainfo.creationDate),
    files: metainfo.files.map(({ path, length, padding }) => ({ path: path.join("/"), length, padding })),
    links: metainfo.links,
    webSeeds: metainfo.webSeeds,
    httpSeeds: metainfo.httpSeeds,
  };
}

/** Null for what is no date. */
export function isoDate(seconds: number | undefined): string | null {
  if (seconds === undefined) return null;
  const date = new Date(1000 * seconds);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/** What a torrent asks for and we do not do, in a sentence each. */
export function describeOmissions({ links, httpSeeds }: Metainfo): string[] {
  const omissions: string[] = [];
  if (links.length > 0) {
    const many = links.length === 1 ? "the symbolic link" : `${links.length} symbolic links, such as`;
    omissions.push(`${many} ${links[0]} of the torrent: left out`);
  }
  if (httpSeeds.length > 0)
    omissions.push(
      `the torrent has web seeds of the older kind (BEP 17), which are not used: ${httpSeeds[0]}`,
    );
  return omissions;
}
