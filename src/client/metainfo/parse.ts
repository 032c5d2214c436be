// From the bytes of a torrent file to a checked Metainfo (BEP 3, 12, 27, 47).
//
// Always: every bad input ends in MetainfoError with one clear line; time and memory are bounded by the size of the
// input; no path that comes out of here leaves the folder it is joined to; file lengths, piece count and digests fit
// each other.

import { createHash } from "node:crypto";
import { MetainfoError, UsageError } from "../../base/errors.js";
import {
  KIB,
  METAINFO_BYTES_MAX,
  PIECE_COUNT_MAX,
  PIECE_LENGTH_MAX,
  PIECE_LENGTH_MIN,
} from "../../base/limits.js";
import { checkWhole, Fields, malformed } from "./fields.js";
import type { Magnet } from "./magnet.js";
import { checkConflicts, cleanName, cleanPath, lastPart, withoutEmpty } from "./paths.js";
import type { Metainfo, MetainfoFile } from "./types.js";

const DIGEST_BYTES = 20;
/** A path may take this many bytes in the torrent: more than can be used, less than takes long to find unusable. */
const PATH_FIELD_BYTES_MAX = 64 * KIB;
const ANNOUNCE_FIELD_BYTES_MAX = 256 * KIB;
const NODES_MAX = 100;
/** As long as a name can be. */
const NODE_NAME_MAX = 253;
/** What BitComet calls its padding, which it does not mark otherwise. */
export const PADDING_NAME_PREFIX = "_____padding_file_";

/** Throws MetainfoError: not a torrent file, too large, a version that is not supported, or a path that is not safe. UsageError for what is no bytes. */
export function parseMetainfo(bytes: Uint8Array): Metainfo {
  if (!(bytes instanceof Uint8Array))
    throw new UsageError("USAGE_OPTION", "parseMetainfo() takes the bytes of a torrent file, a Uint8Array");
  if (bytes.length > METAINFO_BYTES_MAX) {
    const message = `torrent file of ${bytes.length} bytes; at most ${METAINFO_BYTES_MAX} are read`;
    throw new MetainfoError("METAINFO_TOO_LARGE", message);
  }
  checkWhole(bytes);
  const outer = new Fields(bytes, 0);
  const found = outer.dictionary("info") === undefined ? undefined : outer.raw("info");
  if (found === undefined)
    throw malformed(outer.has("info") ? '"info" is not a dictionary' : 'it has no "info"');
  // A copy: the caller may use its bytes for something else, and need not keep what is around the dictionary.
  const raw = Uint8Array.from(found);
  const info = new Fields(raw, 0);
  if (!info.has("pieces") && (info.has("file tree") || info.has("meta version"))) {
    const message = "a torrent of version 2 only (BEP 52) is not supported; a hybrid one is";
    throw new MetainfoError("METAINFO_UNSUPPORTED", message);
  }
  // Over the bytes as they stand there, in whatever order their keys are: encoding them again might differ.
  const digest = createHash("sha1").update(raw).digest();
  const originalName = lastPart(info.text("name.utf-8") ?? info.text("name") ?? missing("name"));
  const name = cleanName(originalName);
  const pieceLength = wholeNumber(info, "piece length", "piece length", PIECE_LENGTH_MIN, PIECE_LENGTH_MAX);
  const { files, links } = parseFiles(info, name, originalName);
  const totalLength = files.reduce((sum, file) => sum + file.length, 0);
  return {
    infoHash: Uint8Array.from(digest),
    infoHashHex: digest.toString("hex"),
    info: raw,
    name,
    pieceLength,
    pieces: parsePieces(info, totalLength, pieceLength),
    totalLength,
    files,
    isSingleFile: !info.has("files"),
    announce: parseAnnounce(outer),
    private: info.number("private") === 1,
    links,
    webSeeds: parseUrls(outer, "url-list"),
    httpSeeds: parseUrls(outer, "httpseeds"),
    nodes: parseNodes(outer),
    ...parseRemarks(outer),
  };
}

/**
 * What a torrent file would say of which only the info dictionary is there, as peers send it, and the link that led to it. Throws
 * MetainfoError.
 */
export function parseInfo(info: Uint8Array, magnet: Magnet): Metainfo {
  const metainfo = parseMetainfo(Buffer.concat([Buffer.from("d4:info"), info, Buffer.from("e")]));
  if (metainfo.info.length !== info.length) throw malformed("its info dictionary ends before its bytes do");
  return { ...metainfo, announce: magnet.trackers.map((url) => [url]), webSeeds: magnet.webSeeds };
}

function parseFiles(
  info: Fields,
  name: string,
  originalName: string,
): { files: MetainfoFile[]; links: string[] } {
  if (!info.has("files")) {
    const length = wholeNumber(info, "length", "length", 0, Number.MAX_SAFE_INTEGER);
    const paths = namedBoth([name], [originalName]);
    return { files: [{ ...paths, length, offset: 0, padding: false }], links: [] };
  }
  if (info.has("length")) throw malformed('it has both "length" and "files": is it one file, or several?');
  const files: MetainfoFile[] = [];
  const links: string[] = [];
  let offset = 0;
  const isList = info.forEachDictionary("files", (entry, index) => {
    if (entry === undefined) throw malformed(`file ${index} is not a dictionary`);
    if (isLink(entry)) return void links.push([name, ...cleanPath(parsePath(entry, index), index)].join("/"));
    const file = parseFile(entry, index, name, originalName, offset);
    files.push(file);
    offset += file.length;
    if (offset > Number.MAX_SAFE_INTEGER) throw malformed("its files are longer than can be counted");
  });
  if (!isList || files.length + links.length === 0) throw malformed('"files" is not a list of files');
  // Padding is never stored, and many programs give all of it one name.
  checkConflicts(files.filter((file) => !file.padding).map((file) => file.path));
  return { files, links };
}

/** A symbolic link has no bytes in the torrent; one that says it has is taken for a file. */
function isLink(entry: Fields): boolean {
  return (entry.text("attr") ?? "").includes("l") && (entry.number("length") ?? 0) === 0;
}

function parseFile(
  entry: Fields,
  index: number,
  name: string,
  originalName: string,
  offset: number,
): MetainfoFile {
  const attributes = entry.text("attr") ?? "";
  const length = wholeNumber(entry, "length", `length of file ${index}`, 0, Number.MAX_SAFE_INTEGER);
  // Some programs give their padding no path: nobody is going to look for it.
  if (attributes.includes("p") && !entry.has("path") && !entry.has("path.utf-8"))
    return { path: [name, ".pad", String(length)], length, offset, padding: true };
  const components = parsePath(entry, index);
  const path = [name, ...cleanPath(components, index)];
  const padding = attributes.includes("p") || path.at(-1)?.startsWith(PADDING_NAME_PREFIX) === true;
  return { ...namedBoth(path, [originalName, ...withoutEmpty(components)]), length, offset, padding };
}

/** Where it lies here, and what the torrent calls it where that is something else. */
function namedBoth(path: string[], originalPath: string[]): Pick<MetainfoFile, "path" | "originalPath"> {
  return path.every((component, index) => component === originalPath[index])
    ? { path }
    : { path, originalPath };
}

function parsePath(entry: Fields, index: number): string[] {
  const key = entry.has("path.utf-8") ? "path.utf-8" : "path";
  const components = entry.texts(key, PATH_FIELD_BYTES_MAX) ?? [];
  if (components.length === 0) throw malformed(`file ${index} has no path`);
  return components.map((component) => {
    if (typeof component === "string") return component;
    throw malformed(`the path of file ${index} holds something that is no name`);
  });
}

function parsePieces(info: Fields, totalLength: number, pieceLength: number): Uint8Array {
  const pieces = info.string("pieces") ?? missing('"pieces"');
  const count = Math.ceil(totalLength / pieceLength);
  if (totalLength === 0) throw malformed("its files are all empty: there is nothing to transfer");
  if (count > PIECE_COUNT_MAX) {
    const message = `torrent of ${count} pieces; at most ${PIECE_COUNT_MAX} are supported`;
    throw new MetainfoError("METAINFO_UNSUPPORTED", message);
  }
  if (pieces.length !== DIGEST_BYTES * count) {
    throw malformed(
      `${count} pieces need ${DIGEST_BYTES * count} bytes of digests, and it has ${pieces.length}`,
    );
  }
  return pieces;
}

/** Tiers of trackers: those of the list (BEP 12), or else the one tracker of BEP 3. What is no text is left out. */
function parseAnnounce(outer: Fields): string[][] {
  const tiers: string[][] = [];
  for (const tier of outer.texts("announce-list", ANNOUNCE_FIELD_BYTES_MAX) ?? []) {
    if (!Array.isArray(tier)) continue;
    const urls = tier.filter((url) => typeof url === "string").map((url) => url.trim());
    const given = urls.filter((url) => url !== "");
    if (given.length > 0) tiers.push(given);
  }
  const single = outer.text("announce")?.trim() ?? "";
  return tiers.length === 0 && single !== "" ? [[single]] : tiers;
}

/** A list of addresses, which may be one text ("url-list" of BEP 19). */
function parseUrls(outer: Fields, key: string): string[] {
  const single = outer.text(key);
  const listed = single === undefined ? (outer.texts(key, ANNOUNCE_FIELD_BYTES_MAX) ?? []) : [single];
  return listed.filter((url) => typeof url === "string").filter((url) => url.trim() !== "");
}

function parseNodes(outer: Fields): { host: string; port: number }[] {
  return outer
    .pairs("nodes", NODES_MAX)
    .filter(([host, port]) => host !== "" && host.length <= NODE_NAME_MAX && port >= 1 && port <= 65_535)
    .map(([host, port]) => ({ host, port }));
}

function parseRemarks(outer: Fields): { comment?: string; createdBy?: string; creationDate?: number } {
  const comment = outer.text("comment.utf-8") ?? outer.text("comment");
  const createdBy = outer.text("created by.utf-8") ?? outer.text("created by");
  const creationDate = outer.number("creation date");
  return {
    ...(comment === undefined ? {} : { comment }),
    ...(createdBy === undefined ? {} : { createdBy }),
    ...(Number.isSafeInteger(creationDate) ? { creationDate: creationDate as number } : {}),
  };
}

function missing(what: string): never {
  throw malformed(`it has no ${what}`);
}

function wholeNumber(fields: Fields, key: string, what: string, min: number, max: number): number {
  const value = fields.number(key) ?? missing(what);
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new MetainfoError("METAINFO_UNSUPPORTED", `${what} of ${value}; from ${min} to ${max} is supported`);
}
