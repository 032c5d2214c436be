// Each file opens with what it is for, and one that is longer than LINES_MAX says there why it is not parted.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const LINES_MAX = 400;
const FOLDERS = ["src", "bench", "test"];
/** "One file, because …", "It is long because …", "… is all here, which is why the file is somewhat long". */
const REASON = /One file, because|\blong because|\blong, because|which is why the file is/;

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");

interface File {
  readonly name: string;
  readonly header: string;
  readonly lines: number;
}

function read(name: string, text: string): File {
  const header = /^(?:#![^\n]*\n)?((?:\/\/[^\n]*\n)*)/.exec(text)?.[1] ?? "";
  return { name, header: header.replaceAll("\n// ", " "), lines: text.split("\n").length - 1 };
}

/** What is wrong with the header of a file; undefined: nothing. */
function complaint({ name, header, lines }: File): string | undefined {
  if (header === "") return `${name} does not say what it is for`;
  return lines > LINES_MAX && !REASON.test(header)
    ? `${name} has ${lines} lines and does not say why`
    : undefined;
}

function files(folder: string): File[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(?:ts|cc|h)$/.test(file) && !file.endsWith(".d.ts"))
    .map((file) => read(`${folder}/${file}`, readFileSync(join(root, folder, file), "utf8")));
}

describe("headers", () => {
  it("are asked for, and reasons of what is long", () => {
    const long = "const a = 1;\n".repeat(LINES_MAX);
    const of = (text: string): string | undefined => complaint(read("a.ts", text));
    assert.equal(of("const a = 1;\n"), "a.ts does not say what it is for");
    assert.equal(of("// Sums.\nconst a = 1;\n"), undefined);
    assert.equal(of(`// Sums.\n${long}`), "a.ts has 401 lines and does not say why");
    assert.equal(of(`// Sums.\n//\n// One file,\n// because it is one sum.\n${long}`), undefined);
    assert.equal(
      of(`// Sums.\n${long}// It is long because nobody looked.\n`),
      "a.ts has 402 lines and does not say why",
    );
  });

  it("are there", () => {
    const all = FOLDERS.flatMap(files);
    assert.ok(all.length > 500, "the files are found");
    assert.deepEqual(
      all.map(complaint).filter((each) => each !== undefined),
      [],
    );
  });
});
