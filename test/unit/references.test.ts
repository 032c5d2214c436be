// Files that comments and pages name are there: whoever follows a reference arrives.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const FOLDERS = ["src", "bench", "test", "native", "scripts", "examples"];
const PAGES = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "docs/dht.md",
  "docs/indexer.md",
  "docs/misbehaviour.md",
];
const SOURCE = /\.(?:ts|mjs|cc|h|py)$/;
const NAMED = /(?<![\w@./-])[\w-]+(?:\/[\w.-]+)*\.(?:ts|mjs|cc|h|py)\b/g;
const COMMENT = /^\s*(?:\/\/|\/?\*)/;

const sources = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => SOURCE.test(name) && !name.includes("node_modules"))
    .map((name) => `${folder}/${name}`),
);

/** True if a file has this path, or ends in it: "peer/peer-state.ts" stands for the one in src/client. */
const isThere = (named: string): boolean =>
  sources.some((source) => source === named || source.endsWith(`/${named}`));

describe("Files that are named", () => {
  it("in comments are there", () => {
    let count = 0;
    for (const source of sources) {
      const lines = readFileSync(join(ROOT, source), "utf8").split("\n");
      for (const [index, line] of lines.entries()) {
        if (!COMMENT.test(line)) continue;
        for (const [named] of line.matchAll(NAMED)) {
          count++;
          assert.ok(isThere(named), `${source}:${index + 1} names ${named}`);
        }
      }
    }
    assert.ok(count > 100, `${count} are named`);
  });

  it("in ARCHITECTURE.md and other pages are there", () => {
    for (const page of PAGES)
      for (const [named] of readFileSync(join(ROOT, page), "utf8").matchAll(NAMED))
        assert.ok(isThere(named), `${page} names ${named}`);
  });
});
