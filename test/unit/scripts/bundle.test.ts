// A light start, as far as it does not depend on how busy the machine is: what must be read before the first line is said.
// `scatterwire bench start` measures what it costs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

const BUNDLE = new URL("../../../bundle/", import.meta.url);
const STATIC_IMPORT = /^(?:import|export)\s(?:[^"';]*?\sfrom\s)?"([^"]+)";/gm;

/** The files of the bundle that an entry loads at once, and the modules of Node.js that it names. */
function loadedWith(entry: string): { files: Map<string, number>; modules: Set<string> } {
  const files = new Map<string, number>();
  const modules = new Set<string>();
  const visit = (name: string): void => {
    if (files.has(name)) return;
    const text = readFileSync(new URL(name, BUNDLE), "utf8");
    files.set(name, text.length);
    for (const [, specifier] of text.matchAll(STATIC_IMPORT)) {
      if (specifier!.startsWith("./")) visit(specifier!.slice(2));
      else modules.add(specifier!);
    }
  };
  visit(entry);
  return { files, modules };
}

function sum(files: ReadonlyMap<string, number>): number {
  return [...files.values()].reduce((total, bytes) => total + bytes, 0);
}

describe("the bundle", () => {
  it("says help with a few kilobytes, and without what verbs need", () => {
    const { files, modules } = loadedWith("main.js");
    assert.ok(sum(files) < 16_384, `${sum(files)} bytes in ${[...files.keys()]}`);
    assert.deepEqual([...modules], ["node:module"]);
  });

  it("is a few files for whoever imports the package, none of them of the command line", () => {
    const { files, modules } = loadedWith("index.js");
    assert.ok(files.size <= 16, `${[...files.keys()]}`);
    assert.ok(sum(files) > 100_000, "the engine is in it");
    for (const name of files.keys())
      assert.doesNotMatch(readFileSync(new URL(name, BUNDLE), "utf8"), /class CommanderError/);
    assert.deepEqual(
      [...modules].filter((name) => !name.startsWith("node:")),
      [],
      "packages are in it",
    );
  });

  it("has a chunk for each verb but the lab's", () => {
    const text = [...loadedWith("main.js").files.keys()]
      .map((name) => readFileSync(new URL(name, BUNDLE), "utf8"))
      .join("\n");
    const loaded = [...text.matchAll(/import\("([^"]+)"\)/g)].map(([, path]) => path!);
    assert.deepEqual(loaded.map((path) => path.replace(/^.*\/|-\w+\.js$|\.js$/g, "")).sort(), [
      ...[
        "bench",
        "check",
        "create",
        "dht",
        "download",
        "index-verb",
        "info",
        "replay",
        "scrape",
        "seed",
        "tracker",
      ],
    ]);
  });
});
