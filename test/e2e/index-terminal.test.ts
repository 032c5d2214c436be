// An indexer at a terminal: what its screen draws has room at 80 and at 40 columns, whatever torrents are called, and Ctrl-C leaves its store whole,
// with nothing claimed. The terminal is one of `script`, from util-linux.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { openSqlite } from "../../src/indexer/store/sqlite-database.js";
import { makeIndexable, temporaryIndex, until } from "../support/index-network.js";
import { CLI, Program } from "../support/program.js";

const TORRENTS = 6;
const CTRL_C = "\u0003";
/** Sequences that move the cursor and clear: they take no columns. */
const SEQUENCES = new RegExp(`${String.fromCharCode(0x1b)}\\[[0-9;?]*[A-Za-z]`, "g");

async function indexAt(t: TestContext, columns: number): Promise<void> {
  const { options } = await makeIndexable(t, TORRENTS);
  const place = temporaryIndex(t);
  const command = [process.execPath, CLI, "index", "--store", place, ...options];
  const terminal = new Program(
    "script",
    [
      "-qefc",
      `stty cols ${columns} rows 30; exec ${command.map((each) => `'${each}'`).join(" ")}`,
      "/dev/null",
    ],
    { environment: { SHELL: "/bin/sh" } },
  );
  t.after(() => terminal.stop());
  await until(
    () => terminal.over || (terminal.output.match(/torrent number/g)?.length ?? 0) >= TORRENTS,
    "torrents are on the screen",
  );
  terminal.child.stdin.write(CTRL_C);
  assert.equal(await terminal.ended, 130, terminal.output.slice(-2000));
  const lines = terminal.output.replace(SEQUENCES, "").split(/[\r\n]+/);
  const drawn = lines.filter((line) => /in 10 minutes|under way|waiting|the DHT| files? /.test(line));
  assert.ok(drawn.length > 5, terminal.output);
  for (const line of drawn) assert.ok(line.length < columns, `${line.length} columns: ${line}`);
  assert.match(terminal.output, /giving back what was claimed/);
  assert.match(terminal.output, /torrents were stored in this run/);

  const database = await openSqlite(place);
  t.after(() => database.close());
  assert.deepEqual(
    database
      .prepare("PRAGMA integrity_check")
      .all()
      .map((row) => Object.values(row)[0]),
    ["ok"],
  );
  const of = (sql: string): number => Number(database.prepare(`${sql}`).get()?.["value"]);
  assert.equal(of("SELECT count(*) AS value FROM hash WHERE state = 1"), 0, "nothing is claimed any more");
  const stored = of("SELECT count(*) AS value FROM torrent");
  assert.ok(stored > 0);
  assert.equal(of("SELECT count(*) AS value FROM hash WHERE state = 3"), stored);
  assert.equal(of("SELECT value FROM total WHERE name = 'torrents'"), stored);
}

describe("scatterwire index at a terminal", { timeout: 300_000 }, () => {
  it("draws its screen in 80 columns, and ends well with Ctrl-C", (t) => indexAt(t, 80));
  it("draws its screen in 40 columns, and ends well with Ctrl-C", (t) => indexAt(t, 40));
});
