// Whatever way an environment ends, and whatever is pending then, nothing crashes and nothing hangs. Each case runs in
// a process of its own, so that a crash is seen as its exit status.

import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const fixture = fileURLToPath(new URL("./teardown-fixture.js", import.meta.url));

/** Runs a case of the fixture; answers its exit status, or the signal that ended it, and what it wrote. */
function run(name: string): Promise<{ status: number | string | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--expose-gc", fixture, name], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      output += chunk;
    });
    child.on("close", (status, signal) => resolve({ status: signal ?? status, output }));
  });
}

const CASES: [name: string, promise: string, status: number][] = [
  ["idle", "an engine with nothing to do does not keep the process alive", 0],
  ["unwatched", "a socket that is not watched does not keep the process alive", 0],
  ["jobs", "pending jobs keep the process alive until they are told", 7],
  ["exit", "process.exit with sockets watched and jobs pending", 3],
  ["exit-in-callback", "process.exit inside the callback", 4],
  ["throw-in-callback", "what the callback throws is an uncaught exception", 5],
  ["uncaught-fatal", "an exception that nobody catches ends the process", 1],
  ["collected", "an engine that nobody holds any more is collected, with a job pending", 0],
  ["workers", "several workers at a time, each with an engine of its own", 0],
  ["terminate", "worker.terminate with sockets watched and jobs pending", 0],
  ["terminate-in-callback", "worker.terminate while the worker is in its callback", 0],
  ["terminate-in-call", "worker.terminate while the worker calls the addon all the time", 0],
  ["worker-exit", "process.exit in a worker with everything pending", 0],
];

for (const [name, promise, status] of CASES) {
  test(promise, { timeout: 300_000 }, async () => {
    const result = await run(name);
    assert.equal(result.status, status, result.output);
  });
}
