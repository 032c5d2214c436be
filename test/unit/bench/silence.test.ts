// What counts as silence: not what a thread waited for a processor that others had.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import { readWaits, Silence } from "../../../bench/measuring/silence.js";

const waits = (...ms: number[]): Map<string, number> =>
  new Map(ms.map((value, index) => [String(index), value]));

describe("silence", () => {
  it("is what passed without a word, less what the thread that waited longest waited", () => {
    const silence = new Silence(0, waits(0, 100));
    silence.look(false, 1000, waits(0, 100));
    assert.deepEqual([silence.totalMs, silence.longestMs], [0, 1000]);
    silence.look(false, 3000, waits(50, 1800));
    assert.equal(silence.longestMs, 1300);
    silence.look(true, 4000, waits(50, 1800));
    assert.deepEqual([silence.totalMs, silence.longestMs], [1300, 1300]);
  });

  it("begins anew with every word, and is none where a thread waited all the time", () => {
    const silence = new Silence(0, waits(0));
    silence.look(true, 1000, waits(0));
    silence.look(false, 3000, waits(2000));
    silence.look(true, 3500, waits(2400));
    assert.deepEqual([silence.totalMs, silence.longestMs], [0, 0]);
    // A thread that is new has waited since it is there.
    silence.look(false, 4500, waits(2400, 900));
    silence.look(true, 5000, waits(2400, 900));
    assert.deepEqual([silence.totalMs, silence.longestMs], [100, 100]);
  });

  it("reads how long threads waited, and that a process that is gone has none", () => {
    for (const ms of readWaits([process.pid]).values()) assert.ok(ms >= 0);
    assert.equal(readWaits([2 ** 30]).size, 0);
  });
});
