// Work that many ask for at once.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { coalesce } from "../../../src/base/coalesce.js";

describe("coalesce", () => {
  it("does the work at once, and once more for all who ask while it is done", async () => {
    const ends: (() => void)[] = [];
    const ask = coalesce(() => new Promise((resolve) => ends.push(resolve)));
    const goOn = async (): Promise<void> => {
      ends.at(-1)?.();
      await new Promise((resolve) => setImmediate(resolve));
    };
    ask();
    assert.equal(ends.length, 1);
    for (let times = 0; times < 200; times++) ask();
    assert.equal(ends.length, 1, "one at a time");
    await goOn();
    assert.equal(ends.length, 2, "what was asked for meanwhile is done after it");
    await goOn();
    assert.equal(ends.length, 2);
    ask();
    assert.equal(ends.length, 3, "it is done again for whoever asks later");
    await goOn();
    assert.equal(ends.length, 3);
  });
});
