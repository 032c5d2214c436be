// Dead code goes: an export that nothing in the sources or the lab names is found, and a method that not even a test names.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { required } from "../support/required.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

interface Source {
  readonly name: string;
  /** Without comments and without what is in strings. */
  readonly code: string;
}

function read(folder: string): Source[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => ({
      name: `${folder}/${name}`,
      code: withoutComments(readFileSync(join(ROOT, folder, name), "utf8")),
    }));
}

function withoutComments(text: string): string {
  return text.replace(/("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, "$1");
}

/** Exports that wait for who uses them, and who that will be. What is used goes from this list, too. */
const AHEAD: Readonly<Record<string, string>> = {
  decodeHolepunch: "uTP",
  readUint64: "the statistics of a tracker",
  readUrlData: "the lists of a tracker, by the path of its URL",
  writeErrorResponse: "the lists of a tracker",
  sessionCoreOf: "tests, which look at what a session is made of",
  processDescriptors: "the session's budget",
  codeCacheFolder: "the bundle, which puts it before the verbs (scripts/bundle.mjs)",
  runCompiled: "the bundle, too",
  customStorageContract: "programs, which hold their own storage to it",
};

const EXPORT =
  /^export (?:default )?(?:async )?(?:abstract )?(?:const|let|function\*?|class|interface|type|enum) (\w+)/gm;
/** A method or getter of a class: what stands at its first level and has a body. */
const METHOD = /^ {2}(?:(?:static|async|get|set|override) )*([A-Za-z]\w*)\([^;]*?\)(?:: [^;{]+)? \{$/gm;
const KEYWORDS = new Set(["if", "for", "while", "switch", "catch", "constructor"]);

/** How often each word stands in the code. */
function countWords(sources: readonly Source[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { code } of sources)
    for (const word of code.match(/[\w$]+/g) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** Names that `pattern` finds and that stand nowhere in `uses` but where they are declared. */
function unusedNames(sources: readonly Source[], uses: readonly Source[], pattern: RegExp): string[] {
  const counts = countWords(uses);
  return sources.flatMap(({ name, code }) =>
    [...code.matchAll(pattern)]
      .map(([, found]) => required(found, "found"))
      .filter((found) => !KEYWORDS.has(found) && counts.get(found) === 1)
      .map((found) => `${name}: ${found}`),
  );
}

describe("dead code", () => {
  const sources = [...read("src"), ...read("bench")];
  const tests = read("test");

  it("is found", () => {
    const file = (name: string, code: string): Source => ({ name, code: withoutComments(code) });
    const made = [
      file("a.ts", "export const used = 1;\nexport function lonely() {}\nexport type T = 1;"),
      file("b.ts", 'import { used, type T } from "./a.js"; // lonely\nused satisfies T;'),
      file("c.ts", "class C {\n  get never(): number {\n  }\n  called(): void {\n    this.called();\n  }\n}"),
    ];
    assert.deepEqual(unusedNames(made, made, EXPORT), ["a.ts: lonely"]);
    assert.deepEqual(unusedNames(made, made, METHOD), ["c.ts: never"]);
  });

  it("no export is there that the sources and the lab name nowhere else", () => {
    const unused = unusedNames(sources, sources, EXPORT);
    assert.deepEqual(
      unused.filter((each) => !Object.hasOwn(AHEAD, each.slice(each.indexOf(": ") + 2))),
      [],
      "delete it, or write into AHEAD who is going to use it",
    );
  });

  it("no method is there that nothing names, tests included", () => {
    assert.deepEqual(unusedNames(sources, [...sources, ...tests], METHOD), []);
  });
});
