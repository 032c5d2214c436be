// Paths of torrents become paths of files: none leads out of the folder, and none is refused by the system.

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MetainfoError } from "../../../../src/base/errors.js";
import { checkConflicts, cleanName, cleanPath } from "../../../../src/client/metainfo/paths.js";
import { check } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

const isPathError = (error: unknown) => error instanceof MetainfoError && error.code === "METAINFO_PATH";

describe("cleanPath", () => {
  it("keeps what is a name, backslashes and all", () => {
    const names = ["a", "..a", "...", " ", "a\\b", "C:", "-rf", "naïve ☃", "a\nb", "~", "$HOME"];
    assert.deepEqual(cleanPath(names, 0), names);
    assert.deepEqual(cleanPath(["", "a", "", "b", ""], 0), ["a", "b"]);
  });

  it("leaves no way out of the folder", () => {
    const piece = fc.constantFrom("..", ".", "/", "\0", "", "a", "\\", "é", "~", "..\u2215");
    const component = fc.array(piece, { maxLength: 4 }).map((pieces) => pieces.join(""));
    check(
      fc.property(fc.array(fc.oneof(component, fc.string()), { maxLength: 6 }), (components) => {
        let clean: string[];
        try {
          clean = cleanPath(components, 0);
        } catch (error) {
          assert.ok(isPathError(error));
          return;
        }
        const from = relative("/downloads/folder", join("/downloads/folder", ...clean));
        assert.equal(from, clean.join("/"), "joined, nothing is resolved away");
        assert.ok(clean.every((name) => name !== ".." && !name.includes("/") && !name.includes("\0")));
      }),
      3000,
    );
  });

  it("shortens names over 255 bytes: start, digest, ending; never through a character", () => {
    const nameOf = (name: string) => entryOf(cleanPath([name], 0), 0);
    const exact = "x".repeat(255);
    assert.equal(nameOf(exact), exact);
    assert.match(nameOf(`${exact}.mkv`), /^x{242}~[0-9a-f]{8}\.mkv$/);
    assert.match(nameOf(`x.${"y".repeat(300)}`), /^x\.y+~[0-9a-f]{8}$/);
    assert.notEqual(nameOf(`${exact}1`), nameOf(`${exact}2`));
    check(
      fc.property(
        fc.string({ unit: "grapheme", minLength: 60, maxLength: 400 }),
        fc.nat({ max: 3 }),
        (text, shift) => {
          const name = `a${"b".repeat(shift)}${text.replace(/[/\0]/g, "_")}`;
          const short = nameOf(name);
          assert.ok(Buffer.byteLength(short) <= 255);
          assert.ok(!short.includes("\ufffd") || name.includes("\ufffd"));
          assert.equal(nameOf(name), short, "the same name each time");
          if (Buffer.byteLength(name) <= 255) assert.equal(short, name);
        },
      ),
      300,
    );
  });

  it("refuses a path that no folder can hold", () => {
    const components = Array<string>(2047).fill("a");
    assert.equal(cleanPath(components, 0).length, 2047);
    assert.throws(() => cleanPath([...components, "a"], 0), /a path of 4096 bytes/);
  });
});

describe("cleanName", () => {
  it("takes the last part of a path", () => {
    const cases = [
      ["n", "n"],
      ["a/b", "b"],
      ["/a/b//", "b"],
      ["C:\\x", "C:\\x"],
      ["../x", "x"],
    ] as const;
    for (const [name, clean] of cases) assert.equal(cleanName(name), clean);
  });

  it("refuses what leaves none", () => {
    for (const name of ["", "/", "//", ".", "..", "a/..", "../", "./"])
      assert.throws(() => cleanName(name), isPathError);
  });
});

describe("checkConflicts", () => {
  it("finds what building the tree finds", () => {
    const component = fc.constantFrom("a", "b", "a b", "a!", "a-", "\x01");
    const path = fc.array(component, { minLength: 1, maxLength: 3 });
    check(
      fc.property(fc.array(path, { maxLength: 8 }), (paths) => {
        const conflict = paths.some((one, index) =>
          paths.some(
            (other, otherIndex) => index !== otherIndex && one.every((part, depth) => part === other[depth]),
          ),
        );
        if (conflict) assert.throws(() => checkConflicts(paths), isPathError);
        else checkConflicts(paths);
      }),
      3000,
    );
  });
});
