// Which files of a torrent a person means: by index ("3"), by indices ("0-4", "1,5-7"), by a pattern of paths ("*.flac", "extras/**"), or by the
// name of a folder, which is all that is in it.
//
//   *  any letters of one name     ?  one letter     **  any letters, across folders
//
// A pattern without a slash is held against the name of a file alone as well as against its whole path.

import { entryOf } from "../base/assert.js";
import type { Magnet, Metainfo, Torrent } from "../index.js";
import { EXIT_USAGE, ExitError } from "./exit.js";

interface ChosenFrom {
  readonly path: readonly string[];
  readonly padding: boolean;
}

/** Indices of the files that any of `choices` means, ascending. Throws ExitError with the status for wrong usage if one means none. */
export function chooseFiles(
  files: readonly ChosenFrom[],
  choices: readonly string[],
  option: string,
): number[] {
  const chosen = new Set<number>();
  for (const choice of choices) {
    const found = indicesOf(files, choice);
    if (found.length === 0)
      throw new ExitError(
        EXIT_USAGE,
        `${option} ${choice}: the torrent has no such file; \`scatterwire info\` lists its ${files.length} files, from index 0 on`,
      );
    for (const index of found) chosen.add(index);
  }
  return [...chosen].sort((a, b) => a - b);
}

interface Choices {
  readonly select?: readonly string[];
  readonly stream?: string;
}

/** A file that is streamed is all that is wanted, unless more is. */
function choicesOf({ select, stream }: Choices): readonly string[] | undefined {
  return select ?? (stream === undefined ? undefined : [stream]);
}

/** What is selected of a torrent, whose files are known. */
export function selectionOf(
  source: Metainfo | Magnet,
  options: Choices,
): { readonly select?: readonly number[] } {
  const choices = choicesOf(options);
  if (choices === undefined || !("files" in source)) return {};
  return {
    select: chooseFiles(source.files, choices, options.select === undefined ? "--stream" : "--select"),
  };
}

/** Of a magnet, once its files are known. */
export function selectLate(torrent: Torrent, options: Choices): void {
  const choices = choicesOf(options);
  const files = torrent.metainfo?.files;
  if (choices === undefined || files === undefined) return;
  const chosen = new Set(chooseFiles(files, choices, options.select === undefined ? "--stream" : "--select"));
  torrent.select({ files: [...files.keys()].filter((index) => !chosen.has(index)), priority: 0 });
  torrent.select({ files: [...chosen] });
}

function indicesOf(files: readonly ChosenFrom[], choice: string): number[] {
  const all = [...files.keys()];
  const ranges = choice.split(",").map((part) => /^(\d+)(?:-(\d+))?$/.exec(part));
  // Names of files may look like that, too.
  if (ranges.every((range) => range !== null)) {
    const bounds = ranges.map((range) => [Number(range[1]), Number(range[2] ?? range[1])] as const);
    if (bounds.every(([first, last]) => first <= last && last < files.length))
      return all.filter((index) => bounds.some(([first, last]) => index >= first && index <= last));
  }
  const folder = choice.replace(/\/+$/, "");
  const pattern = patternOf(folder);
  return all.filter((index) => {
    const { path, padding } = entryOf(files, index);
    if (padding) return false;
    // The first of several names is the torrent's own folder, which nobody has to say.
    for (const from of path.length > 1 ? [0, 1] : [0]) {
      const text = path.slice(from).join("/");
      if (isMatch(pattern, text) || text.startsWith(`${folder}/`)) return true;
    }
    return !folder.includes("/") && isMatch(pattern, path.at(-1) ?? "");
  });
}

type Token =
  | { readonly kind: "letter"; readonly letter: string }
  /** One letter; any letters of a name; any letters; any folders, with the slash behind them. */
  | { readonly kind: "?" | "*" | "**" | "**/" };

function patternOf(text: string): Token[] {
  return (text.match(/\*\*+\/?|[\s\S]/gu) ?? []).map((part): Token => {
    if (part.startsWith("**")) return { kind: part.endsWith("/") ? "**/" : "**" };
    return part === "?" || part === "*" ? { kind: part } : { kind: "letter", letter: part };
  });
}

/** All ways at once, a letter after the other: names come from the torrent, and none of them may take long. */
function isMatch(pattern: readonly Token[], text: string): boolean {
  let places = new Set<number>();
  const enter = (into: Set<number>, place: number): void => {
    into.add(place);
    // What may be nothing is left as it is entered.
    if (pattern[place]?.kind.startsWith("*") === true) enter(into, place + 1);
  };
  enter(places, 0);
  for (const letter of text) {
    const next = new Set<number>();
    for (const place of places) {
      const token = pattern[place];
      if (token === undefined) continue;
      if (token.kind === "letter") {
        if (token.letter === letter) enter(next, place + 1);
      } else if (token.kind === "?") {
        if (letter !== "/") enter(next, place + 1);
      } else if (token.kind === "**/") {
        next.add(place);
        if (letter === "/") enter(next, place + 1);
      } else if (token.kind === "**" || letter !== "/") enter(next, place);
    }
    places = next;
  }
  return places.has(pattern.length);
}
