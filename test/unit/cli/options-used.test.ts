// An option that a verb takes does something: its value is looked at by the verb, or by what the verb hands all of its options to.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../../src/cli/", import.meta.url));
const OPTION = /(?:\.option|new Option)\(\s*"(?:-\w, )?--(?:no-)?([a-z][\w-]*)/g;

interface Source {
  /** Names of options, as commander gives them to the verb. */
  readonly options: readonly string[];
  /** Words of the code, without those of types, comments and texts. */
  readonly words: ReadonlySet<string>;
  /** Files of the command line that it imports. */
  readonly imports: readonly string[];
}

function read(text: string, file: string): Source {
  const code = text
    .replace(/^(?:export )?interface [\s\S]*?^}/gm, "")
    .replace(/^import [\s\S]*?;$/gm, "")
    .replace(/\/\/.*|"(?:\\.|[^"\\\n])*"/g, "");
  return {
    options: [...text.matchAll(OPTION)].map(([, name = ""]) =>
      name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
    ),
    words: new Set(code.match(/\w+/g)),
    imports: [...text.matchAll(/from "(\.[^"]+)\.js"/g)].map(([, name]) => join(dirname(file), `${name}.ts`)),
  };
}

/** Options of a file that neither it, nor a file that it imports or that imports it, names. */
function unused(sources: ReadonlyMap<string, Source>): string[] {
  return [...sources].flatMap(([file, { options, imports }]) => {
    const near = [...sources].filter(
      ([other, source]) => other === file || imports.includes(other) || source.imports.includes(file),
    );
    return options
      .filter((option) => !near.some(([, { words }]) => words.has(option)))
      .map((option) => `${file}: ${option}`);
  });
}

describe("options of the command line", () => {
  it("that do nothing are found", () => {
    const made = new Map([
      [
        "a.ts",
        read('x.option("--used-one <n>", "").option("-d, --no-dead", "--dead");\nflags.usedOne', "a.ts"),
      ],
      ["b.ts", read('import { dead } from "./c.js";\ninterface Flags {\n  dead: boolean;\n}\n', "b.ts")],
    ]);
    assert.deepEqual(unused(made), ["a.ts: dead"]);
  });

  it("all do something", () => {
    const sources = new Map(
      readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts"))
        .map((name) => [name, read(readFileSync(join(FOLDER, name), "utf8"), name)]),
    );
    const count = [...sources.values()].reduce((sum, { options }) => sum + options.length, 0);
    assert.ok(count > 150, `${count} options were found`);
    assert.deepEqual(unused(sources), []);
  });
});
