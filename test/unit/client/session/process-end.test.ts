// However a process ends that has opened a session, a DHT node and a tracker, it ends as it says, and Node.js with it: what they share with
// native code is taken apart only then. Each case is a process of its own, so that a crash is seen as its exit status.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Program } from "../../../support/program.js";

const from = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

const OPENED = `
  import { Session } from ${from("../../../../src/index.js")};
  import { Dht } from ${from("../../../../src/dht/index.js")};
  import { Tracker } from ${from("../../../../src/tracker/index.js")};
  const place = { host: "127.0.0.1", port: 0 };
  const dht = new Dht({ listen: [place], bootstrap: [] });
  const tracker = new Tracker({ udp: [place] });
  const session = new Session({ listen: place, dht });
  await session.listen();`;
const closed = "await session.close(); dht.close(); tracker.close();";

const CASES: [promise: string, program: string, status: number, errors: RegExp][] = [
  ["when all is closed", `${OPENED} ${closed}`, 0, /^$/],
  [
    "with a session that was never used and is not closed",
    `import { Session } from ${from("../../../../src/index.js")}; new Session();`,
    0,
    /^$/,
  ],
  ["by process.exit", `${OPENED} process.exit(3);`, 3, /^$/],
  ["by an exception that nobody catches", `${OPENED} throw new Error("not caught");`, 1, /Error: not caught/],
  [
    "with a thread that has a session and ends itself",
    threadOf(
      `${OPENED} process.exit(5);`,
      'process.exitCode = await new Promise((end) => thread.once("exit", end))',
    ),
    5,
    /^$/,
  ],
  [
    "with a thread that has a session and is ended",
    threadOf(
      `${OPENED} (await import("node:worker_threads")).parentPort.postMessage("open");`,
      'await new Promise((open) => thread.once("message", open)); process.exitCode = 6 + (await thread.terminate())',
    ),
    7,
    /^$/,
  ],
];

/** A program that has another one run in a thread. */
function threadOf(program: string, then: string): string {
  const url = `data:text/javascript,${encodeURIComponent(program)}`;
  return `import { Worker } from "node:worker_threads";
    const thread = new Worker(new URL(${JSON.stringify(url)}));
    ${then};`;
}

describe("A process that opened a session ends as it says", { timeout: 120_000 }, () => {
  for (const [promise, program, status, errors] of CASES) {
    it(promise, async () => {
      const run = new Program(process.execPath, ["--input-type=module", "-e", program]);
      assert.equal(await run.ended, status, run.errors);
      assert.equal(run.child.signalCode, null);
      assert.match(run.errors, errors);
    });
  }
});
