// Files of a folder that are looked at in one call: what node:fs says of each, and what is no file told apart.

import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { LOOK_WORDS } from "../../src/native/binding.js";
import { entryOf } from "../support/required.js";
import { binding, temporaryFolder } from "./harness.js";

test("says of each file what node:fs does, through links, and of what is no file that it is none", (t) => {
  const folder = temporaryFolder(t);
  const files = ["a", "ü ☃", "x".repeat(255), "new\nline", "empty"];
  files.forEach((name, index) => void writeFileSync(join(folder, name), "0123456789".slice(0, 4 - index)));
  symlinkSync("a", join(folder, "link"));
  symlinkSync("nowhere", join(folder, "broken"));
  mkdirSync(join(folder, "folder"));
  execFileSync("mkfifo", [join(folder, "fifo")]);
  const names = [...files, "link", "broken", "folder", "fifo", "missing", "y".repeat(300)];
  for (const opening of [true, false]) {
    const found = new Float64Array(LOOK_WORDS * names.length);
    const text = names.map((name) => `${name}\0`).join("");
    assert.equal(binding.lookAtFiles(folder, text, found, opening), names.length);
    names.forEach((name, index) => {
      const words = [...found.subarray(LOOK_WORDS * index, LOOK_WORDS * (index + 1))];
      const status = name.length > 255 ? undefined : statSync(join(folder, name), { throwIfNoEntry: false });
      if (status?.isFile() !== true) assert.equal(entryOf(words, 0), -1, name);
      else assert.deepEqual(words, [status.size, status.mtimeMs, status.dev, status.ino], name);
    });
  }
});

test("looks at as many as there is room for, and at none without names", (t) => {
  const folder = temporaryFolder(t);
  for (const name of ["a", "b", "c"]) writeFileSync(join(folder, name), name);
  const found = new Float64Array(2 * LOOK_WORDS + 1).fill(7);
  assert.equal(binding.lookAtFiles(folder, "a\0b\0c\0", found, true), 2);
  assert.deepEqual([found[0], found[LOOK_WORDS], found[2 * LOOK_WORDS]], [1, 1, 7]);
  assert.equal(binding.lookAtFiles(folder, "", found, true), 0);
  assert.equal(binding.lookAtFiles("/", `${folder.slice(1)}/a\0`, found, true), 1);
  assert.equal(found[0], 1);
});

test("refuses arguments of other types", () => {
  const call = binding.lookAtFiles as (...values: unknown[]) => number;
  const found = new Float64Array(LOOK_WORDS);
  for (const wrong of [
    [1, "a\0", found, true],
    ["/", 1, found, true],
    ["/", "a\0", [], true],
    ["/", "a\0", found, 1],
  ])
    assert.throws(() => call(...wrong), TypeError);
});
