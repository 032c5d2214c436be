// Names from a torrent file, made safe to join to the download folder.
//
//   as it stands in the torrent          what becomes of it
//   ""  in a file's path                 left out: it means nothing
//   "." or ".."                          refused: a path that climbs is an attack or a bug, and neither is repaired in silence
//   with "/" or NUL inside               refused; but of a torrent's name that is a path, the last part is taken
//   with "\" inside                      kept: an ordinary character here
//   more than 255 bytes                  shortened to its start, "~", a digest of the whole, and its ending
//   more than 4095 bytes as a path       refused: no folder is short enough to hold it
//   two files at one place, a file       refused: one would overwrite the other
//     where another's folder is
//
// Always: a component that leaves here is not empty, not "." or "..", has no slash and no NUL, and fits a file system's
// limit; the same torrent gives the same paths, so that its files are found again.

import { createHash } from "node:crypto";
import { entryOf } from "../../base/assert.js";
import { MetainfoError } from "../../base/errors.js";
import { quoted } from "./fields.js";

/** Limits of the usual file systems and of the kernel, in bytes. */
const COMPONENT_BYTES_MAX = 255;
export const PATH_BYTES_MAX = 4095;
const DIGEST_CHARACTERS = 8;
const ENDING_BYTES_MAX = 16;

/** The torrent's name as one component. Throws MetainfoError `METAINFO_PATH` if there is no way to use it. */
export function cleanName(name: string): string {
  return cleanComponent(lastPart(name), "the torrent's name");
}

/** The same, however long it is: what others call the torrent. */
export function lastPart(name: string): string {
  // Some makers put a path here; the last part of it is what was meant.
  let end = name.length;
  while (end > 0 && name[end - 1] === "/") end--;
  return name.slice(name.lastIndexOf("/", Math.max(0, end - 1)) + 1, end);
}

/** The components of a file's path below the torrent's folder. Throws MetainfoError `METAINFO_PATH`. */
export function cleanPath(components: readonly string[], file: number): string[] {
  const kept = withoutEmpty(components);
  if (kept.length === 0) throw unsafe(`file ${file}`, "its path is empty");
  const clean = kept.map((component) => cleanComponent(component, `file ${file}`));
  const bytes = clean.reduce((sum, component) => sum + 1 + Buffer.byteLength(component), 0);
  if (bytes > PATH_BYTES_MAX)
    throw unsafe(`file ${file}`, `a path of ${bytes} bytes; at most ${PATH_BYTES_MAX} can be used`);
  return clean;
}

/** The components of a path that mean something, however long they are. */
export function withoutEmpty(components: readonly string[]): string[] {
  return components.filter((component) => component !== "");
}

/** Throws MetainfoError `METAINFO_PATH` if two files have one path, or one is where a folder of another is. */
export function checkConflicts(paths: readonly (readonly string[])[]): void {
  // NUL sorts before all that a component may hold: what lies in a folder follows its name directly.
  const sorted = paths.map((path) => path.join("\0")).sort();
  for (let index = 1; index < sorted.length; index++) {
    const [before, path] = [entryOf(sorted, index - 1), entryOf(sorted, index)];
    if (path === before) throw unsafe(quoted(before.replaceAll("\0", "/")), "two files have this path");
    if (path.startsWith(`${before}\0`))
      throw unsafe(quoted(before.replaceAll("\0", "/")), "it is a file and a folder");
  }
}

function cleanComponent(component: string, whose: string): string {
  if (component === "" || component === "." || component === "..") {
    throw unsafe(whose, `${quoted(component)} is not a file name`);
  }
  if (component.includes("/") || component.includes("\0")) {
    throw unsafe(whose, `${quoted(component)} holds a character that a file name cannot have`);
  }
  return shorten(component);
}

/** A name too long for a file system keeps its start and its ending; a digest of the whole keeps it unique. */
function shorten(component: string): string {
  const bytes = Buffer.from(component);
  if (bytes.length <= COMPONENT_BYTES_MAX) return component;
  const dot = bytes.lastIndexOf(".");
  const ending = bytes.subarray(dot > 0 && bytes.length - dot <= ENDING_BYTES_MAX ? dot : bytes.length);
  const digest = createHash("sha1").update(bytes).digest("hex").slice(0, DIGEST_CHARACTERS);
  let cut = COMPONENT_BYTES_MAX - ending.length - DIGEST_CHARACTERS - 1;
  // Not in the middle of a character: its bytes after the first begin with the bits 10.
  while ((entryOf(bytes, cut) & 0xc0) === 0x80) cut--;
  return `${bytes.toString("utf8", 0, cut)}~${digest}${ending.toString()}`;
}

function unsafe(whose: string, why: string): MetainfoError {
  return new MetainfoError("METAINFO_PATH", `unsafe path in the torrent, ${whose}: ${why}`);
}
