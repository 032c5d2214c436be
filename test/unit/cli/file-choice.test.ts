// Which files a person means: by index, by folder, by pattern; and what nobody meant.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { chooseFiles } from "../../../src/cli/file-choice.js";
import { ExitError } from "../../../src/cli/output.js";

const FILES = [
  "t/a.flac",
  "t/cover [1].jpg",
  "t/.pad/7",
  "t/extras/b.flac",
  "t/extras/deep/c.txt",
  "t/9",
].map((path) => ({ path: path.split("/"), padding: path.includes(".pad") }));

const choose = (...choices: string[]): number[] => chooseFiles(FILES, choices, "--select");

describe("Files that are chosen", () => {
  const right: [string, number[]][] = [
    ["0", [0]],
    ["0-1", [0, 1]],
    ["0,3-4", [0, 3, 4]],
    ["4,0,0-1", [0, 1, 4]],
    // An index that there is not may be a name.
    ["9", [5]],
    ["*.flac", [0, 3]],
    ["t/*.flac", [0]],
    ["**/*.flac", [0, 3]],
    ["t/**", [0, 1, 3, 4, 5]],
    ["**", [0, 1, 3, 4, 5]],
    ["*****", [0, 1, 3, 4, 5]],
    ["t", [0, 1, 3, 4, 5]],
    ["t/", [0, 1, 3, 4, 5]],
    ["extras//", [3, 4]],
    ["extras/*", [3]],
    ["extras/**/c.txt", [4]],
    ["cover [1].jpg", [1]],
    ["cover ?1?.jpg", [1]],
    ["?.flac", [0, 3]],
  ];
  for (const [choice, expected] of right)
    it(`"${choice}" is ${expected.join(", ")}`, () => assert.deepEqual(choose(choice), expected));

  for (const choice of [
    "",
    "/",
    "//",
    ".",
    "..",
    "../t",
    "[",
    "(a|b)",
    "A.flac",
    "1-0",
    "0,",
    ",0",
    "0,99",
    "-1",
    "99",
  ])
    it(`"${choice}" is none, and refused as wrong usage`, () =>
      assert.throws(
        () => choose(choice),
        (error) => error instanceof ExitError && error.status === 2 && error.message.includes("no such file"),
      ));

  it("of a torrent that is one file by its name", () => {
    const single = [{ path: ["film.mkv"], padding: false }];
    for (const choice of ["0", "*", "*.mkv", "film.mkv", "**"])
      assert.deepEqual(chooseFiles(single, [choice], "--select"), [0], choice);
    for (const choice of ["", "/", "f", "film.mkv/x"])
      assert.throws(() => chooseFiles(single, [choice], "--select"), /no such file/);
  });

  it("one by one and together, each once", () => {
    assert.deepEqual(choose("*.flac", "0", "extras"), [0, 3, 4]);
    assert.throws(() => choose("0", "nothing"), /--select nothing: the torrent has no such file/);
  });

  it("by patterns that mean what a regular expression does", () => {
    const part = fc.constantFrom("*", "**", "**/", "?", "/", "a", "b");
    const text = fc
      .array(fc.constantFrom("a", "b", "/"), { maxLength: 8 })
      .map((letters) => letters.join(""));
    const source: Readonly<Record<string, string>> = {
      "*": "[^/]*",
      "**": ".*",
      "**/": "(?:.*/)?",
      "?": "[^/]",
    };
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), text, (parts, name) => {
        const pattern = parts.join("");
        // What would be another pattern when it is joined, and what is cut off at the end, are told apart elsewhere.
        fc.pre(!/\*{3}|\*\*\/?\*/.test(pattern) && !pattern.endsWith("/"));
        const tokens = pattern.match(/\*\*\/?|[\s\S]/g) ?? [];
        const expected = new RegExp(`^${tokens.map((token) => source[token] ?? token).join("")}$`).test(name);
        let isChosen = true;
        try {
          // The name below a folder that no pattern names: neither its last part alone nor the rest of it is held against the pattern.
          chooseFiles([{ path: [name], padding: false }], [pattern], "--select");
        } catch {
          isChosen = false;
        }
        const isBelow = name.startsWith(`${pattern}/`);
        assert.equal(isChosen, expected || isBelow, `${pattern} ${name}`);
      }),
      { numRuns: 2000 },
    );
  });

  it("in steps that do not grow with the ways in which a name could be meant", () => {
    const name = "aeiou".repeat(40);
    const files = [{ path: ["t", name], padding: false }];
    assert.throws(() => chooseFiles(files, [`${"*a*e*i*o*u".repeat(10)}.mkv`], "--select"), /no such file/);
    assert.deepEqual(chooseFiles(files, [`${"*a*e*i*o*u".repeat(10)}*`], "--select"), [0]);
  });
});
