// The table of ARCHITECTURE.md that says what is lent, and until when: each row says who holds it, and names a test that is there.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { required } from "../support/required.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const text = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
const table = text.slice(text.indexOf("## What is lent, and until when"));
const rows = table
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .slice(1)
  .map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
const tests = readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" });

describe("the table of what is lent", () => {
  it("has a row for each thing, with what, who, bound, deadline or price, and test", () => {
    assert.ok(rows.length >= 100, `${rows.length} rows`);
    for (const row of rows) {
      assert.equal(row.length, 5, row[0]);
      const [what, who, bound, deadline] = row;
      assert.ok(what !== "" && who !== "", `who holds it: ${what}`);
      assert.ok(bound !== "" || deadline !== "", `a bound or a deadline: ${what}`);
    }
    const names = rows.map(([what]) => what);
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
      "nothing is there twice",
    );
  });

  it("names a test for each, and those are there", () => {
    for (const [what = "", , , , named = ""] of rows) {
      const paths = [...named.matchAll(/`(?:test\/)?([^`]+\.ts)`/g)].map(([, path]) =>
        required(path, "path"),
      );
      assert.ok(paths.length > 0, `a test: ${what}`);
      for (const path of paths)
        assert.ok(
          tests.some((file) => file === path || file.endsWith(`/${path}`)),
          `${what}: ${path}`,
        );
    }
  });
});
