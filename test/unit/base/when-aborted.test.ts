// One listener for all who wait for a signal.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { whenAborted } from "../../../src/base/when-aborted.js";
import { entryOf } from "../../support/required.js";

describe("whenAborted", () => {
  it("tells all who still wait, in order, through one listener", () => {
    const controller = new AbortController();
    const { signal } = controller;
    const told: number[] = [];
    const stops = Array.from({ length: 30 }, (_, index) => whenAborted(signal, () => told.push(index)));
    assert.equal(getEventListeners(signal, "abort").length, 1);
    for (const index of [0, 7, 29]) entryOf(stops, index)();
    controller.abort();
    assert.deepEqual(
      told,
      stops.map((_, index) => index).filter((index) => ![0, 7, 29].includes(index)),
    );
  });

  it("listens no more when the last has gone, and again for the next", () => {
    const controller = new AbortController();
    const { signal } = controller;
    const stops = [whenAborted(signal, assert.fail), whenAborted(signal, assert.fail)];
    for (const stop of [...stops, ...stops]) stop();
    assert.equal(getEventListeners(signal, "abort").length, 0);
    let told = 0;
    whenAborted(signal, () => told++);
    entryOf(stops, 0)();
    controller.abort();
    assert.equal(told, 1);
  });
});
