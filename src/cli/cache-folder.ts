// Where the command line keeps what it can do without, between starts, and how the way there is made.
//
// Always: nothing here prevents what a user asked for. A user may have no home (containers run as users that the system does not
// know), or one where nothing can be made.

import { type MakeDirectoryOptions, mkdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";

/** The user's folder for such, or undefined: there is none. A path that is not absolute is none either (XDG Base Directory Specification). */
export function cacheFolder(): string | undefined {
  const said = process.env["XDG_CACHE_HOME"];
  if (said !== undefined && isAbsolute(said)) return join(said, "scatterwire");
  try {
    return join(homedir(), ".cache", "scatterwire");
  } catch {
    return undefined;
  }
}

/**
 * Makes the folder, and those that it lies in. Throws what node:fs does. Node.js's own way (`recursive`) tries for ever where a folder is
 * there, and the system answers "no such file" to whoever makes one in it, as it does in /proc.
 */
export function makeFolders(path: string, options: MakeDirectoryOptions = {}): void {
  const missing: string[] = [];
  let at = resolve(path);
  while (!isThere(at)) {
    missing.push(at);
    at = dirname(at);
  }
  for (const folder of missing.reverse()) {
    try {
      mkdirSync(folder, options);
    } catch (error) {
      // Another process made it meanwhile.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !isThere(folder)) throw error;
    }
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
