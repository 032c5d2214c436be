// Names from a torrent file, made safe to join to the download folder.
//
// Always: a component that leaves here is not empty, not "." or "..", has no slash, no NUL, and fits a file system's limit.

import { createHash } from "node:crypto";
import { MetainfoError } from "../errors.js";

/** Limit of the usual file systems, in bytes. */
const COMPONENT_BYTES_MAX = 255;
const DIGEST_CHARACTERS = 8;

/** The torrent's name as one component. Throws MetainfoError `METAINFO_PATH` if there is no way to use it. */
export function cleanName(name: string): string {
  // Some makers put a path here; the last part of it is what was meant.
  const last = name.split("/").filter((part) => part !== "").at(-1) ?? "";
  return cleanComponent(last, "the torrent's name");
}

/** The components of a file's path. Throws MetainfoError `METAINFO_PATH`. */
export function cleanPath(components: readonly string[], file: number): string[] {
  // Empty components mean nothing; anything that climbs is an attack or a bug, and not repaired in silence.
  const kept = components.filter((component) => component !== "");
  if (kept.length === 0) throw unsafe(`file ${file}`, "its path is empty");
  return kept.map((component) => cleanComponent(component, `file ${file}`));
}

function cleanComponent(component: string, whose: string): string {
  if (component === "" || component === "." || component === "..") throw unsafe(whose, `"${component}" is not a file name`);
  if (component.includes("/") || component.includes("\0")) {
    throw unsafe(whose, `${JSON.stringify(component)} holds a character that a file name cannot have`);
  }
  return shorten(component);
}

/** A name too long for a file system keeps its start and its ending; a digest of the whole keeps it unique. */
function shorten(component: string): string {
  if (Buffer.byteLength(component) <= COMPONENT_BYTES_MAX) return component;
  const dot = component.lastIndexOf(".");
  const ending = dot > 0 && component.length - dot <= 16 ? component.slice(dot) : "";
  const digest = createHash("sha1").update(component).digest("hex").slice(0, DIGEST_CHARACTERS);
  const room = COMPONENT_BYTES_MAX - Buffer.byteLength(ending) - DIGEST_CHARACTERS - 1;
  let start = component;
  while (Buffer.byteLength(start) > room) start = [...start].slice(0, -1).join("");
  return `${start}~${digest}${ending}`;
}

function unsafe(whose: string, why: string): MetainfoError {
  return new MetainfoError("METAINFO_PATH", `unsafe path in the torrent, ${whose}: ${why}`);
}

/** Refuses two files at one place, and a file where another's folder is. */
export class PathSet {
  readonly #files = new Set<string>();
  readonly #folders = new Set<string>();

  add(path: readonly string[]): void {
    const file = path.join("/");
    if (this.#files.has(file)) throw unsafe(`"${file}"`, "two files have this path");
    if (this.#folders.has(file)) throw unsafe(`"${file}"`, "it is a file and a folder");
    this.#files.add(file);
    for (let length = 1; length < path.length; length++) {
      const folder = path.slice(0, length).join("/");
      if (this.#files.has(folder)) throw unsafe(`"${folder}"`, "it is a file and a folder");
      this.#folders.add(folder);
    }
  }
}
