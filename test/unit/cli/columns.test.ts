// What has room in the columns of a terminal.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cutToColumns } from "../../../src/cli/columns.js";

describe("text at a terminal", () => {
  it("is cut where its columns end, wide characters, marks and pictures counted", () => {
    for (const [text, columns, cut] of [
      ["plain text", 5, "plain"],
      ["plain", 9, "plain"],
      ["沙丘第二部", 5, "沙丘"],
      ["沙丘第二部", 6, "沙丘第"],
      ["ﾃ゛ハーフ", 2, "ﾃ"],
      ["한국어", 3, "한"],
      ["e\u0301e\u0301e\u0301", 2, "e\u0301e\u0301"],
      ["a\u200bb\ufeffc", 2, "a\u200bb\ufeff"],
      ["🐦🐦🐦", 5, "🐦🐦"],
      ["größe", 4, "größ"],
      ["x", 0, ""],
    ] as const)
      assert.equal(cutToColumns(text, columns), cut, `${text} in ${columns}`);
  });
});
