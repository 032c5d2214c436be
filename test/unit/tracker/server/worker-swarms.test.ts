// The swarms of worker threads, as the main thread has them.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import { EVENT_STARTED } from "../../../../src/tracker/peer-store/contract.js";
import { PartedSwarms } from "../../../../src/tracker/peer-store/parted-swarms.js";
import { Admission } from "../../../../src/tracker/server/admission.js";
import { WorkerSwarms } from "../../../../src/tracker/server/worker-swarms.js";
import { announce, announcement, Sink } from "../peer-store/model.js";

describe("swarms of worker threads", () => {
  it("have memory populated by the main thread ahead of what a worker uses, and what that is counted as touched", async () => {
    const threads = new WorkerSwarms(1, {}, { hasLists: false, keepsDownloads: false });
    const keeper = threads.guardedBy(new Admission(threads.store, {}));
    const worker = new PartedSwarms(threads.memory, 1);
    keeper.advance(0);
    const before = keeper.totals();
    announce(worker, announcement(1, { family: 4, number: 1 }, true, EVENT_STARTED, 0), new Sink());
    keeper.advance(5);
    const after = keeper.totals();
    assert.equal(after.torrents, 1);
    assert.ok(
      after.bytesTouched - before.bytesTouched >= 2 ** 16,
      `${after.bytesTouched} bytes are touched, ${before.bytesTouched} were`,
    );
  });
});
