// Which files of a torrent are not where they should be, or not what they should be, in words: a wrong folder is the likeliest mistake
// there is, and "0 of 916 pieces are good" does not tell it.

import { statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Metainfo } from "../index.js";

/** So many are named. */
const NAMED_MAX = 3;

export interface MissingFiles {
  /** Below the folder. Padding is never there. */
  readonly paths: readonly string[];
  /** Nothing at all is there: no use in hashing. */
  readonly all: boolean;
  /** In one line, with what may have been meant; undefined if nothing is missing. */
  readonly text: string | undefined;
}

export function findMissing(metainfo: Metainfo, directory: string): MissingFiles {
  const files = metainfo.files.filter(({ padding }) => !padding);
  const paths = files.map(({ path }) => join(...path)).filter((path) => !isThere(join(directory, path)));
  if (paths.length === 0) return { paths, all: false, text: undefined };
  const all = paths.length === files.length;
  return { paths, all, text: all ? nothingThere(metainfo, directory) : someMissing(paths, files.length) };
}

/**
 * Paths of the files that are there and hold a part of those pieces. A piece that reaches into a file that is missing says nothing of its
 * others; of one that lies in several that are there nobody can tell which is wrong, and all are named.
 */
export function filesOfPieces(
  metainfo: Metainfo,
  pieces: readonly number[],
  missing: readonly string[],
): string[] {
  const files = metainfo.files
    .filter(({ padding, length }) => !padding && length > 0)
    .map(({ path, offset, length }) => ({ path: join(...path), offset, end: offset + length }));
  const lacking = new Set(missing);
  const found = new Set<string>();
  let from = 0;
  for (const piece of [...pieces].sort((left, right) => left - right)) {
    const begin = piece * metainfo.pieceLength;
    const end = begin + metainfo.pieceLength;
    while (from < files.length && (files[from]?.end ?? 0) <= begin) from++;
    const parts: string[] = [];
    for (let at = from; at < files.length && (files[at]?.offset ?? end) < end; at++)
      parts.push(files[at]?.path ?? "");
    if (parts.some((path) => lacking.has(path))) continue;
    for (const path of parts) found.add(path);
  }
  return [...found];
}

/** "a, b, c, and 4 more" */
export function namesOf(paths: readonly string[]): string {
  const more = paths.length > NAMED_MAX ? `, and ${paths.length - NAMED_MAX} more` : "";
  return `${paths.slice(0, NAMED_MAX).join(", ")}${more}`;
}

function isThere(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    // What cannot be looked at may be there: reading it will say what is wrong.
    const { code } = error as NodeJS.ErrnoException;
    return code !== "ENOENT" && code !== "ENOTDIR";
  }
}

function nothingThere(metainfo: Metainfo, directory: string): string {
  if (!isThere(directory)) return `there is no folder ${directory}`;
  const what = metainfo.isSingleFile ? "file" : "folder";
  const lacking = `there is no ${what} ${metainfo.name} in ${directory}`;
  // The folder of the torrent itself, or its only file, where the one around it is meant.
  const meant = dirname(resolve(directory));
  if (basename(resolve(directory)) === metainfo.name) return `${lacking}: did you mean ${meant}?`;
  if (isThere(join(directory, metainfo.name)))
    return `none of the files of ${metainfo.name} is in ${join(directory, metainfo.name)}`;
  return lacking;
}

function someMissing(paths: readonly string[], count: number): string {
  return `${paths.length} of ${count} files ${paths.length === 1 ? "is" : "are"} missing: ${namesOf(paths)}`;
}
