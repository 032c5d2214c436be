// Tables of text for a terminal.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TextTable } from "../../../bench/report/text-table.js";

describe("a table of text", () => {
  it("is as wide as what is in it, with a line below its head", () => {
    const table = new TextTable({ head: ["", "GB/s"], colAligns: ["left", "right"], compact: true });
    table.push(["ours", "3.96"], ["the limit", "12.02 (1.02)"]);
    assert.equal(
      table.toString(),
      [
        "┌───────────┬──────────────┐",
        "│           │         GB/s │",
        "├───────────┼──────────────┤",
        "│ ours      │         3.96 │",
        "│ the limit │ 12.02 (1.02) │",
        "└───────────┴──────────────┘",
      ].join("\n"),
    );
  });

  it("has lines between rows unless it is compact, and cells of several lines", () => {
    const table = new TextTable({ head: ["a\nb", "c"] });
    table.push(["1"], ["2", "×"]);
    const lines = table.toString().split("\n");
    assert.deepEqual(lines, [
      "┌───┬───┐",
      "│ a │ c │",
      "│ b │   │",
      "├───┼───┤",
      "│ 1 │   │",
      "├───┼───┤",
      "│ 2 │ × │",
      "└───┴───┘",
    ]);
  });
});
