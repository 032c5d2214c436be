// The mark `!`, which says without a check that something is there: the linter allows it in the files that biome.json names, which handle each
// block, packet or announce. They use it behind an index into a list, and nowhere else, and no file joins them unnoticed.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Fewer is better: whoever takes a file from the list of biome.json takes one off this. */
const FILES_MAX = 59;

interface Settings {
  readonly linter: { readonly rules: Rules };
  readonly overrides: readonly {
    readonly includes: readonly string[];
    readonly linter: { readonly rules: Rules };
  }[];
}
type Rules = { readonly style?: { readonly noNonNullAssertion?: string } };

/** Without comments and strings. */
function codeOf(text: string): string {
  return text.replace(/"(?:\\.|[^"\\\n])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, "");
}

/** What stands before each mark: a bracket, or something else. */
function marks(code: string): string[] {
  return [...code.matchAll(/([\w)\]])!(?![=\w(])/g)].map(([, before = ""]) => before);
}

describe("the mark !", () => {
  const settings = JSON.parse(readFileSync(join(ROOT, "biome.json"), "utf8")) as Settings;
  const exempt = settings.overrides.filter(({ linter }) => linter.rules.style?.noNonNullAssertion === "off");
  const files = exempt.flatMap(({ includes }) => includes);

  it("is found", () => {
    assert.deepEqual(marks(codeOf('a[1]! + b.c!.d + f(x)!; // e!\n!g; h !== "i!"; [...j!]')), [
      "]",
      "c",
      ")",
      "j",
    ]);
  });

  it("is refused everywhere but in a list of files that does not grow", () => {
    assert.equal(settings.linter.rules.style?.noNonNullAssertion, "error");
    assert.ok(files.length <= FILES_MAX, `${files.length} files`);
    for (const file of files) assert.match(file, /^src\/[\w/-]+\.ts$/, "one file, and no folder");
  });

  it("stands behind an index in each of them", () => {
    for (const file of files) {
      const found = marks(codeOf(readFileSync(join(ROOT, file), "utf8")));
      assert.ok(found.length > 0, `${file} has none: take it from the list of biome.json`);
      assert.deepEqual([...new Set(found)], ["]"], file);
    }
  });

  it("is let through nowhere by a comment", () => {
    for (const folder of ["src", "bench", "test"])
      for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }))
        if (name.endsWith(".ts"))
          assert.doesNotMatch(
            readFileSync(join(ROOT, folder, name), "utf8"),
            /biome-ignore(?:-all)? lint\/style\/noNonNull/,
            name,
          );
  });
});
