// A process of its own that takes locks: for each line that it reads, "take HASH" or "release HASH", it answers what came of it.

import { createInterface } from "node:readline";
import { ScatterwireError } from "../../../../src/base/errors.js";
import { DownloadLock } from "../../../../src/client/storage/lock.js";

const [folder = ""] = process.argv.slice(2);
const held = new Map<string, DownloadLock | undefined>();

function answer(line: string): string {
  const [what, hash = ""] = line.split(" ");
  if (what === "release") {
    held.get(hash)?.release();
    return "released";
  }
  try {
    held.set(
      hash,
      DownloadLock.take(folder, hash, () => {}),
    );
    return "taken";
  } catch (error) {
    return error instanceof ScatterwireError ? error.code : String(error);
  }
}

createInterface({ input: process.stdin }).on("line", (line) => process.stdout.write(`${answer(line)}\n`));
