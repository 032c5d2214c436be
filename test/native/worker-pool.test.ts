// The threads that jobs run on: the host's calls do not wait behind them, engines do not wait for each other, and threads come and
// go with engines. In processes of their own, because libuv's pool has one size per process.

import { strict as assert } from "node:assert";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { required } from "../support/required.js";

const fixture = fileURLToPath(new URL("./worker-pool-fixture.js", import.meta.url));

async function run(name: string): Promise<Record<string, number>> {
  const env = { ...process.env, UV_THREADPOOL_SIZE: "1" };
  const { stdout } = await promisify(execFile)(process.execPath, [fixture, name], { env });
  return JSON.parse(stdout) as Record<string, number>;
}

test("with one thread in libuv's pool, fs.stat and dns.lookup are answered while much is being hashed", async () => {
  const { count, told } = await run("host");
  assert.ok(
    required(told, "told") < required(count, "count") / 2,
    `${told} of ${count} digests were done first`,
  );
});

test("an engine with little to hash does not wait for one with much", async () => {
  const { count, told } = await run("turns");
  assert.ok(
    required(told, "told") < required(count, "count") / 2,
    `${told} of ${count} digests of the other were done first`,
  );
});

test("engines come and go, and threads with them", async () => {
  assert.deepEqual(await run("again"), { rounds: 50 });
});
