// The reference of the API is what the docstrings say now.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, it } from "node:test";
import { temporaryFolder } from "../support/data.js";
import { manifestOf, ROOT } from "../support/installed-package.js";
import { Program } from "../support/program.js";

it("docs/api*.md are current: `npm run docs` writes them", { timeout: 240_000 }, async () => {
  const folder = temporaryFolder(after);
  const program = new Program(process.execPath, [join(ROOT, "scripts/docs/write.mjs"), folder]);
  assert.equal(await program.ended, 0, `${program.output}\n${program.errors}`);
  const written = readdirSync(folder);
  const entries = Object.keys(manifestOf(ROOT).exports).filter((path) => path !== "./package.json");
  assert.equal(written.length, entries.length);
  for (const name of written) {
    const [is, was] = [join(folder, name), join(ROOT, "docs", name)].map((path) =>
      readFileSync(path, "utf8").split("\n"),
    ) as [string[], string[]];
    const line = is.findIndex((text, index) => text !== was[index]);
    const at = line < 0 ? Math.min(is.length, was.length) : line;
    assert.equal(was[at], is[at], `docs/${name}, line ${at + 1}: run \`npm run docs\``);
    assert.equal(was.length, is.length, `docs/${name}: run \`npm run docs\``);
  }
  const there = readdirSync(join(ROOT, "docs")).filter((name) => /^api.*\.md$/.test(name));
  assert.deepEqual(there.sort(), written.sort());
});
