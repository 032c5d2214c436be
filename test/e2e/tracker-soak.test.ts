// The soak of a tracker, tiny: under load, with lists read again, statistics read and a thread ended, and nothing that failed.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Program } from "../support/program.js";

test("a tracker under load is reloaded, read and loses threads, and goes on", {
  timeout: 180_000,
}, async () => {
  const small = ["--torrents", "1000", "--peers", "2000", "--duration", "5"];
  const often = ["--reload", "1", "--read", "1", "--restart", "1"];
  const soak = Program.cli("bench", "tracker-soak", ...small, ...often, "--workers", "2", "--json");
  const { status, last, errors } = await soak.result();
  assert.equal(status, 0, `${errors} ${JSON.stringify(last["result"])}`);
  const { responses, reloads, reads, restarts, probes, failures } = last["result"] as Record<string, number>;
  assert.deepEqual(failures, []);
  for (const [name, count] of Object.entries({ responses, reloads, reads, restarts, probes }))
    assert.ok((count ?? 0) > 0, name);
});
