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

  it("comes in several tables where it is too wide, each with the first column, and no line is wider", () => {
    const columns = Array.from({ length: 9 }, (_, index) => `column ${index}`);
    const table = new TextTable({ head: ["", ...columns], compact: true, width: 60 });
    table.push(["a name", ...columns.map((_, index) => `${index}`.repeat(12))]);
    const lines = table.toString().split("\n");
    for (const line of lines) assert.ok(line.length <= 60, line);
    const text = lines.join("\n");
    assert.equal(text.split("a name").length - 1, 3);
    for (const column of columns) assert.equal(text.split(column).length - 1, 1, column);
    const narrow = new TextTable({ head: ["a name that is long", "another that is as long"], width: 20 });
    assert.equal(narrow.toString().split("\n").length, 3, "two columns stay together");
  });
});
