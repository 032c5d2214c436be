// From the bytes of a torrent file to a checked Metainfo (BEP 3, 12, 27, 47).
//
// Always: every bad input ends in MetainfoError with one clear line; no path that comes out of here leaves the folder it
// is joined to; file lengths, piece count and digests fit each other.

import { createHash } from "node:crypto";
import bencode from "bencode";
import { MetainfoError } from "../errors.js";
import { METAINFO_BYTES_MAX, PIECE_COUNT_MAX, PIECE_LENGTH_MAX, PIECE_LENGTH_MIN } from "../limits.js";
import { cleanName, cleanPath, PathSet } from "./paths.js";
import { malformed, scanDictionary } from "./scan.js";
import type { Metainfo, MetainfoFile } from "./types.js";

type Dictionary = Record<string, unknown>;

const DIGEST_BYTES = 20;

/** Throws MetainfoError: not a torrent file, too large, a version that is not supported, or a path that is not safe. */
export function parseMetainfo(bytes: Uint8Array): Metainfo {
  if (bytes.length > METAINFO_BYTES_MAX) {
    throw new MetainfoError("METAINFO_TOO_LARGE", `torrent file of ${bytes.length} bytes; at most ${METAINFO_BYTES_MAX}`);
  }
  const spans = scanDictionary(bytes);
  const span = spans.get("info");
  if (span === undefined) throw malformed('it has no "info"');
  const outer = decode(bytes);
  const info = outer["info"];
  if (!isDictionary(info)) throw malformed('"info" is not a dictionary');
  const infoHash = Uint8Array.from(createHash("sha1").update(bytes.subarray(span[0], span[1])).digest());

  const name = cleanName(text(info["name.utf-8"]) ?? text(info["name"]) ?? missing("name"));
  const pieceLength = wholeNumber(info["piece length"], "piece length", PIECE_LENGTH_MIN, PIECE_LENGTH_MAX);
  const files = parseFiles(info, name);
  const totalLength = files.reduce((sum, file) => sum + file.length, 0);
  const pieces = parsePieces(info, totalLength, pieceLength);
  const comment = text(outer["comment.utf-8"]) ?? text(outer["comment"]);
  const createdBy = text(outer["created by"]);
  const creationDate = outer["creation date"];
  return {
    infoHash,
    infoHashHex: Buffer.from(infoHash).toString("hex"),
    name,
    pieceLength,
    pieces,
    totalLength,
    files,
    isSingleFile: info["files"] === undefined,
    announce: parseAnnounce(outer),
    private: info["private"] === 1,
    ...(comment === undefined ? {} : { comment }),
    ...(createdBy === undefined ? {} : { createdBy }),
    ...(typeof creationDate === "number" ? { creationDate } : {}),
  };
}

function decode(bytes: Uint8Array): Dictionary {
  let value: unknown;
  try {
    value = bencode.decode(bytes.slice());
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : "it cannot be decoded");
  }
  if (!isDictionary(value)) throw malformed("it is not a dictionary");
  return value;
}

function parseFiles(info: Dictionary, name: string): MetainfoFile[] {
  const list = info["files"];
  if (list === undefined) {
    if (info["length"] === undefined && info["file tree"] !== undefined) throw onlyVersion2();
    const length = wholeNumber(info["length"], "length", 0, Number.MAX_SAFE_INTEGER);
    return [{ path: [name], length, offset: 0, padding: false }];
  }
  if (!Array.isArray(list) || list.length === 0) throw malformed('"files" is not a list of files');
  const paths = new PathSet();
  let offset = 0;
  return list.map((entry: unknown, index) => {
    if (!isDictionary(entry)) throw malformed(`file ${index} is not a dictionary`);
    const length = wholeNumber(entry["length"], `length of file ${index}`, 0, Number.MAX_SAFE_INTEGER);
    const attributes = text(entry["attr"]) ?? "";
    if (attributes.includes("l")) {
      throw new MetainfoError("METAINFO_UNSUPPORTED", `file ${index} is a symbolic link (BEP 47), which is not supported`);
    }
    const padding = attributes.includes("p");
    const path = [name, ...cleanPath(parsePath(entry, index), index)];
    if (!padding) paths.add(path);
    const file = { path, length, offset, padding };
    offset += length;
    if (offset > Number.MAX_SAFE_INTEGER) throw malformed("its files are longer than can be counted");
    return file;
  });
}

function parsePath(entry: Dictionary, index: number): string[] {
  const list = entry["path.utf-8"] ?? entry["path"];
  if (!Array.isArray(list) || list.length === 0) throw malformed(`file ${index} has no path`);
  return list.map((component: unknown) => text(component) ?? missing(`path of file ${index}`));
}

function parsePieces(info: Dictionary, totalLength: number, pieceLength: number): Uint8Array {
  const pieces = info["pieces"];
  if (pieces === undefined && info["meta version"] === 2) throw onlyVersion2();
  if (!(pieces instanceof Uint8Array)) throw malformed('it has no "pieces"');
  const count = Math.ceil(totalLength / pieceLength);
  if (totalLength === 0) throw malformed("its files are all empty: there is nothing to transfer");
  if (count > PIECE_COUNT_MAX) {
    throw new MetainfoError("METAINFO_UNSUPPORTED", `${count} pieces; at most ${PIECE_COUNT_MAX} are supported`);
  }
  if (pieces.length !== DIGEST_BYTES * count) {
    throw malformed(`it has ${pieces.length} bytes of digests where ${count} pieces need ${DIGEST_BYTES * count}`);
  }
  return Uint8Array.from(pieces);
}

function parseAnnounce(outer: Dictionary): string[][] {
  const list = outer["announce-list"];
  const tiers: string[][] = [];
  if (Array.isArray(list)) {
    for (const tier of list) {
      if (!Array.isArray(tier)) continue;
      const urls = tier.map(text).filter((url) => url !== undefined && url !== "");
      if (urls.length > 0) tiers.push(urls as string[]);
    }
  }
  const single = text(outer["announce"]);
  if (tiers.length === 0 && single !== undefined && single !== "") tiers.push([single]);
  return tiers;
}

function isDictionary(value: unknown): value is Dictionary {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** A byte string as text: UTF-8, with a replacement character where it is not. */
function text(value: unknown): string | undefined {
  return value instanceof Uint8Array ? new TextDecoder("utf-8").decode(value) : undefined;
}

function missing(what: string): never {
  throw malformed(`it has no ${what}`);
}

function wholeNumber(value: unknown, what: string, min: number, max: number): number {
  if (typeof value !== "number") throw malformed(`it has no ${what}`);
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new MetainfoError("METAINFO_UNSUPPORTED", `${what} of ${value}; from ${min} to ${max} is supported`);
}

function onlyVersion2(): MetainfoError {
  return new MetainfoError("METAINFO_UNSUPPORTED", "a torrent of version 2 only (BEP 52) is not supported yet; a hybrid one is");
}
