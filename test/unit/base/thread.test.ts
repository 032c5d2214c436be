// Threads of ours run in whatever process begins them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { temporaryFolder } from "../../support/data.js";

const MODULE = new URL("../../../src/base/thread.js", import.meta.url).href;
const PROGRAM = `
  import { startThread } from ${JSON.stringify(MODULE)};
  const worker = startThread(new URL(process.argv[1]), { said: "here" });
  worker.on("message", (message) => console.log(message));`;
const THREAD = `
  import { parentPort, workerData } from "node:worker_threads";
  parentPort.postMessage(workerData.said);`;

describe("a thread", { timeout: 120_000 }, () => {
  const script = join(temporaryFolder(after), "thread.mjs");
  writeFileSync(script, THREAD);

  for (const options of [
    ["--input-type=module"],
    ["--input-type", "module"],
    ["--input-type=module", "--max-old-space-size=200", "--no-warnings"],
  ]) {
    it(`runs in a program that was given as text, with ${options.join(" ")}`, () => {
      const args = [...options, "--eval", PROGRAM, pathToFileURL(script).href];
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "here\n", stderr: "" });
    });
  }

  it("runs in a program that is a file, with the options of its process", () => {
    const program = join(temporaryFolder(after), "program.mjs");
    writeFileSync(program, PROGRAM.replace("process.argv[1]", "process.argv[2]"));
    const args = ["--max-old-space-size=200", "--no-warnings", program, pathToFileURL(script).href];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "here\n", stderr: "" });
  });
});
