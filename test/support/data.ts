// Data for the tests: bytes from a seed, folders of files in every shape, and comparing them.

import { createCipheriv } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";

/** `length` bytes that are the same for the same seed, and look random. */
export function bytesOf(seed: number, length: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(seed);
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** A folder that is removed when `after` runs its callback. */
export function temporaryFolder(after: (callback: () => void) => void, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, "scatterwire-test-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes files (path → length) with bytes of their own below `folder`. */
export function writeFiles(folder: string, files: Readonly<Record<string, number>>): void {
  let seed = 1;
  for (const [path, length] of Object.entries(files)) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytesOf(seed++, length));
  }
}

/** All files below `path`, or the one it is: relative path → absolute. */
function filesBelow(path: string): Map<string, string> {
  if (statSync(path).isFile()) return new Map([["", path]]);
  const names = readdirSync(path, { recursive: true, encoding: "utf8" });
  const files = names.map((name) => join(path, name)).filter((file) => statSync(file).isFile());
  return new Map(files.map((file) => [relative(path, file), file]));
}

/** What is different between two files or folders, in words; undefined if nothing is. Hidden files and pads do not count. */
export function difference(expected: string, actual: string): string | undefined {
  for (const [name, file] of filesBelow(expected)) {
    const other = name === "" ? actual : join(actual, name);
    let bytes: Buffer;
    try {
      bytes = readFileSync(other);
    } catch {
      return `${other} is missing`;
    }
    const wanted = readFileSync(file);
    if (wanted.length !== bytes.length)
      return `${other} has ${bytes.length} bytes instead of ${wanted.length}`;
    if (Buffer.compare(wanted, bytes) === 0) continue;
    return `${other} differs from byte ${wanted.findIndex((byte, index) => byte !== bytes[index])} on`;
  }
  return undefined;
}
