// Torrent files for tests, from their parts. Dictionaries are written as they are given, in any order and with any
// key, so that a test can write what no program should.

import bencode from "bencode";

/** Bencodes entries in the order given; keys and strings are latin1, so that a test can name each byte. */
export function dictionary(entries: readonly (readonly [key: string, value: unknown])[]): Buffer {
  const parts = entries.map(([key, value]) => Buffer.concat([bencoded(key), bencoded(value)]));
  return Buffer.concat([Buffer.from("d"), ...parts, Buffer.from("e")]);
}

/** A value: text as latin1, a Buffer as it is (bencoded already), anything else as the package has it. */
function bencoded(value: unknown): Buffer {
  if (Buffer.isBuffer(value)) return value;
  if (typeof value === "string") return Buffer.from(`${value.length}:${value}`, "latin1");
  if (Array.isArray(value))
    return Buffer.concat([Buffer.from("l"), ...value.map(bencoded), Buffer.from("e")]);
  return Buffer.from(bencode.encode(value));
}

/** The info dictionary of a torrent of one file "n" of 5 bytes, with `changes`: undefined leaves a key out. */
export function infoOf(changes: Readonly<Record<string, unknown>> = {}): Buffer {
  const fields: Record<string, unknown> = {
    length: 5,
    name: "n",
    "piece length": 16_384,
    pieces: "p".repeat(20),
    ...changes,
  };
  return dictionary(Object.entries(fields).filter(([, value]) => value !== undefined));
}

export function torrentOf(
  changes: Readonly<Record<string, unknown>> = {},
  outer: Readonly<Record<string, unknown>> = {},
) {
  return dictionary([...Object.entries(outer), ["info", infoOf(changes)]]);
}

/** An entry of "files". */
export function fileOf(
  path: unknown,
  length: unknown = 5,
  more: Readonly<Record<string, unknown>> = {},
): Buffer {
  return dictionary(Object.entries({ length, path, ...more }).filter(([, value]) => value !== undefined));
}

/** A torrent "n" of several files, of no more than one piece together. */
export function folderOf(files: readonly Buffer[], changes: Readonly<Record<string, unknown>> = {}): Buffer {
  return torrentOf({ length: undefined, files, ...changes });
}
