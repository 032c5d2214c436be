// A light start, as far as it does not depend on how busy the machine is: what must be read before the first line is said.
// `scatterwire bench start` measures what it costs.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { BUNDLED_CLI } from "../../../bench/processes/command-line.js";
import { Program } from "../../../bench/processes/program.js";
import { object, string } from "../../../bench/processes/shape.js";
import { CLI } from "../../support/program.js";
import { required } from "../../support/required.js";

const BUNDLE = new URL("../../../bundle/", import.meta.url);
/** As esbuild writes them, with and without whitespace. */
const STATIC_IMPORT = /(?:^|[;}\n])(?:import|export)\s*(?:\{[^{}"]*\}\s*from\s*)?"([^"]+)";/g;

/** The files of the bundle that an entry loads at once, and the modules of Node.js that it names. */
function loadedWith(entry: string): { files: Map<string, number>; modules: Set<string> } {
  const files = new Map<string, number>();
  const modules = new Set<string>();
  const visit = (name: string): void => {
    if (files.has(name)) return;
    const text = readFileSync(new URL(name, BUNDLE), "utf8");
    files.set(name, text.length);
    for (const [, specifier] of text.matchAll(STATIC_IMPORT)) {
      if (required(specifier, "specifier").startsWith("./")) visit(required(specifier, "specifier").slice(2));
      else modules.add(required(specifier, "specifier"));
    }
  };
  visit(entry);
  return { files, modules };
}

function sum(files: ReadonlyMap<string, number>): number {
  return [...files.values()].reduce((total, bytes) => total + bytes, 0);
}

describe("the bundle", () => {
  it("is what the tests of the command line run", () => {
    assert.equal(CLI, BUNDLED_CLI, "it is older than what it is made of: npm run build:bundle");
  });

  it("says help with a few kilobytes, and without what verbs need", () => {
    const { files, modules } = loadedWith("main.js");
    assert.ok(sum(files) < 16_384, `${sum(files)} bytes in ${[...files.keys()]}`);
    assert.deepEqual([...modules], []);
  });

  it("is two files for whoever imports the package, none of them of the command line", () => {
    const { files, modules } = loadedWith("index.js");
    assert.deepEqual([...files.keys()].map((name) => name.replace(/-\w+/, "")).sort(), [
      "index.js",
      "library.js",
    ]);
    assert.ok(sum(files) > 100_000, "the engine is in it");
    assert.ok(sum(files) < 800_000, `${sum(files)} bytes`);
    for (const name of files.keys())
      assert.doesNotMatch(readFileSync(new URL(name, BUNDLE), "utf8"), /class CommanderError/);
    assert.deepEqual([...modules], [], "packages are in it");
  });

  it("exports what the modules export, and nothing else", async () => {
    const [bundled, plain] = await Promise.all([
      import(new URL("index.js", BUNDLE).href),
      import("../../../src/index.js"),
    ]);
    assert.deepEqual(Object.keys(bundled).sort(), Object.keys(plain).sort());
  });

  it("has parts of the library that find in it what they need", async () => {
    const parts = readdirSync(BUNDLE).filter((name) => /^part-.*\.js$/.test(name));
    const library = await import(new URL("index.js", BUNDLE).href);
    let found = 0;
    for (const name of parts)
      for (const [key, value] of Object.entries(await import(new URL(name, BUNDLE).href)))
        if (key.endsWith("Error") && key in library) {
          assert.equal(value, library[key], `${key} of ${name} is the one that programs see`);
          found++;
        }
    assert.ok(
      parts.length > 5 && found > 0,
      "trackers, web seeds and routers are parts, and have errors in common",
    );
  });

  it("loads modules of Node.js when a call needs them that cost a millisecond each", async () => {
    const folder = mkdtempSync(join(tmpdir(), "scatterwire-bundle-"));
    const script = join(folder, "program.mjs");
    writeFileSync(
      script,
      `const costly = ["crypto", "net", "stream", "worker_threads", "zlib"];
      const loaded = () => costly.filter((name) => process.moduleLoadList.includes("NativeModule " + name)).join(" ");
      const { parseMetainfo } = await import(process.argv[2]);
      const before = loaded();
      const info = "d6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:" + "a".repeat(20) + "e";
      parseMetainfo(Buffer.from("d4:info" + info + "e"));
      process.getBuiltinModule("node:fs").writeSync(1, JSON.stringify({ before, after: loaded() }));`,
    );
    const program = new Program(process.execPath, [script, new URL("index.js", BUNDLE).href]);
    const { before, after } = await program.answer(object({ before: string, after: string }));
    rmSync(folder, { recursive: true });
    assert.deepEqual({ before, after }, { before: "", after: "crypto stream" });
  });

  it("starts a verb without modules of Node.js that only some of what it does needs", async () => {
    const folder = mkdtempSync(join(tmpdir(), "scatterwire-bundle-"));
    const script = join(folder, "program.cjs");
    writeFileSync(
      script,
      `const costly = ["child_process", "dgram", "dns/promises", "http", "https", "zlib"];
      process.on("exit", () => {
        const loaded = costly.filter((name) => process.moduleLoadList.includes("NativeModule " + name)).join(" ");
        require("node:fs").writeSync(2, JSON.stringify({ loaded }));
      });`,
    );
    const args = ["--require", script, BUNDLED_CLI, "download", "--help"];
    const { status, errors } = await new Program(process.execPath, args).result();
    rmSync(folder, { recursive: true });
    assert.equal(status, 0);
    assert.equal(errors.trim(), '{"loaded":""}');
  });

  it("has a chunk for each verb but the lab's", () => {
    const text = [...loadedWith("main.js").files.keys()]
      .map((name) => readFileSync(new URL(name, BUNDLE), "utf8"))
      .join("\n");
    const loaded = [...text.matchAll(/import\("([^"]+)"\)/g)].map(([, path]) => required(path, "path"));
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
