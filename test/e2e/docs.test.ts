// The reference of the API is what the docstrings say now.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, it } from "node:test";
import { temporaryFolder } from "../support/data.js";
import { manifestOf, ROOT } from "../support/installed-package.js";
import { Program } from "../support/program.js";

/** Members of the public API without words of their own. The number may fall, and never rise. */
const UNDESCRIBED: Readonly<Record<string, number>> = {
  "src/base": 0,
  "src/client": 0,
  "src/native": 0,
  "src/testing": 1,
  "src/dht": 0,
  "src/indexer": 0,
  "src/tracker": 0,
};

it("what is public has words of its own, but for so many members of other wings", async () => {
  const program = new Program(process.execPath, [join(ROOT, "scripts/docs/undocumented.mjs")]);
  assert.equal(await program.ended, 0, program.errors);
  const names = program.output.split("\n").filter((line) => line !== "");
  for (const [folder, count] of Object.entries(UNDESCRIBED)) {
    const found = names.filter((line) => line.startsWith(`${folder}/`));
    assert.ok(found.length <= count, `${found.length} of ${folder}, ${count} before:\n${found.join("\n")}`);
  }
  assert.ok(names.every((line) => Object.keys(UNDESCRIBED).some((folder) => line.startsWith(`${folder}/`))));
});

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
