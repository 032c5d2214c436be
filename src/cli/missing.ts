// Which files of a torrent are not where they should be, or not what they should be, in words: a wrong folder is the likeliest mistake
// there is, and "0 of 916 pieces are good" does not tell it.

import { type Stats, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Metainfo } from "../index.js";

/** So many are named. */
const NAMED_MAX = 3;

export interface MissingFiles {
  /** Below the folder. Padding is never there. */
  readonly paths: readonly string[];
  /** What lies in a file's place and is no regular file: it cannot be read. */
  readonly odd: readonly string[];
  /** Nothing at all is there: no use in hashing. */
  readonly all: boolean;
  /** In one line, with what may have been meant, and what lies in a file's place that is none; undefined if each file is there. */
  readonly text: string | undefined;
}

export function findMissing(metainfo: Metainfo, directory: string): MissingFiles {
  const files = metainfo.files.filter(({ padding }) => !padding);
  const paths: string[] = [];
  const odd: string[] = [];
  for (const { path } of files) {
    const name = join(...path);
    const status = lookAt(join(directory, name));
    if (status === undefined) paths.push(name);
    else if (status !== UNKNOWN && !status.isFile()) odd.push(name);
  }
  const all = paths.length === files.length;
  if (all) return { paths, odd, all, text: nothingThere(metainfo, directory) };
  const texts = [
    ...(paths.length > 0 ? [someMissing(paths, files.length)] : []),
    ...(odd.length > 0 ? [`not a regular file: ${namesOf(odd)}`] : []),
  ];
  return { paths, odd, all, text: texts.length === 0 ? undefined : texts.join("; ") };
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

/** What cannot be looked at may be there: reading it will say what is wrong. */
const UNKNOWN = Symbol("cannot be looked at");

/** What is there; undefined: nothing. */
function lookAt(path: string): Stats | typeof UNKNOWN | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? undefined : UNKNOWN;
  }
}

function isThere(path: string): boolean {
  return lookAt(path) !== undefined;
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
