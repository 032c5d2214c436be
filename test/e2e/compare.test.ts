// The comparison, tiny: us and libtorrent do the same work once, what was stored is what was sent, and the figures are of
// that work.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { LabTrial } from "../../bench/measuring/results.js";
import { parseResults } from "../../bench/report/read.js";
import type { CompareResults } from "../../bench/rivals/compare.js";
import { NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { temporaryFolder } from "../support/data.js";
import { CLI, Program } from "../support/program.js";
import { entryOf } from "../support/required.js";

const SIZE = 8 * 1024 * 1024;

describe("bench compare", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);

  it("measures us and libtorrent at the same work", async () => {
    requireInstalled(NEEDED.libtorrentLibrary);
    const output = join(folder, "compare.json");
    const program = Program.cli(
      ...["bench", "compare", "--size", String(SIZE), "--runs", "1", "--peers", "2", "--disk", folder],
      ...[
        "--only",
        "download,download-stored,download-disk,seed,idle,scatterwire,libtorrent,limit,disk,writes,C loop",
      ],
      ...["-o", output, "--json"],
    );
    const { status, last, errors } = await program.result();
    assert.equal(status, 0, errors);
    assert.deepEqual(readdirSync(folder), ["compare.json"]);
    // What the report reads is what was printed.
    const results = parseResults(readFileSync(output, "utf8"), output) as CompareResults;
    assert.deepEqual(results, last);
    assert.deepEqual(results.omissions, []);
    const subjects = (group: string): string[] =>
      results.trials.filter((trial) => trial.group === group).map(({ subject }) => subject);
    assert.deepEqual(subjects("download"), [
      "limit",
      "scatterwire (speculative, null)",
      "libtorrent (disabled)",
    ]);
    assert.deepEqual(subjects("download-stored"), [
      "writes alone (pwrite)",
      "scatterwire (speculative, file)",
      "libtorrent (posix)",
      "libtorrent (mmap)",
    ]);
    assert.deepEqual(subjects("download-disk"), [
      "disk (O_DIRECT)",
      "scatterwire (speculative, file)",
      "scatterwire (speculative, direct)",
      "libtorrent (posix)",
      "libtorrent (mmap)",
    ]);
    assert.deepEqual(subjects("seed"), [
      "scatterwire (mapped)",
      "libtorrent (posix)",
      "libtorrent (mmap)",
      "C loop of writev",
    ]);
    for (const trial of results.trials) checkFigures(trial);
    assert.deepEqual(
      results.idle.map(({ subject }) => subject),
      ["scatterwire (idle)", "libtorrent (mmap)"],
    );
    for (const { figures } of results.idle) assert.equal(figures.peers, 2);
  });

  it("leaves out the beginning, where it is told to", async () => {
    const program = Program.cli(
      ...[
        "bench",
        "compare",
        "--size",
        String(SIZE),
        "--skip",
        String(SIZE / 2),
        "--runs",
        "1",
        "--peers",
        "1",
      ],
      ...["--only", "download,download-stored,seed,scatterwire,limit", "--json"],
    );
    const { status, last, errors } = await program.result();
    assert.equal(status, 0, errors);
    const { trials, omissions } = last as unknown as CompareResults;
    assert.deepEqual(omissions, []);
    assert.deepEqual(
      trials.map(({ subject }) => subject),
      ["limit", "scatterwire (speculative, null)", "scatterwire (speculative, file)", "scatterwire (mapped)"],
    );
    for (const { group, subject, figures, axes } of trials) {
      assert.equal(axes["skippedBytes"], SIZE / 2);
      // The limit, which counts headers as well, and a leecher see that it is enough when a receive has brought more.
      const slack = group === "seed" || subject === "limit" ? [1024 * 1024, 16 * 1024] : [0, 0];
      const tooMuch = figures.payloadBytes - SIZE / 2;
      assert.ok(
        tooMuch >= -entryOf(slack, 0) && tooMuch <= entryOf(slack, 1),
        `${subject}: ${figures.payloadBytes}`,
      );
    }
  });

  it("measures what a running process costs beside what the first bytes do, and says which is which", async () => {
    const program = Program.cli(
      ...["bench", "compare", "--size", String(SIZE), "--runs", "1", "--peers", "1"],
      ...["--only", "download,download-running,scatterwire,limit", "--json"],
    );
    const { status, last, errors } = await program.result();
    assert.equal(status, 0, errors);
    const { trials, omissions } = last as unknown as CompareResults;
    if (omissions.length > 0) {
      assert.match(entryOf(omissions, 0).reason, /no room for in memory: choose a smaller --size/);
      return;
    }
    const payloads = (group: string): number[] =>
      trials.filter((trial) => trial.group === group).map(({ figures }) => figures.payloadBytes);
    assert.equal(payloads("download").length, 2);
    assert.equal(payloads("download-running").length, 2);
    for (const payload of payloads("download-running"))
      assert.ok(payload > SIZE / 2 && payload < 2 * SIZE, `the beginning is left out: ${payload}`);
    const skipped = trials.filter(({ axes }) => axes["skippedBytes"] !== undefined);
    assert.ok(skipped.every(({ group }) => group === "download-running"));
    assert.equal(skipped.length, 2);
  });

  it("names a program that is missing, and the package that brings it", async () => {
    // All that a comparison takes, and no aria2.
    const tools = join(folder, "tools");
    mkdirSync(tools);
    for (const tool of ["c++", "as", "ld", "cmp"]) {
      const path = execFileSync("/bin/sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim();
      symlinkSync(path, join(tools, tool));
    }
    const program = new Program(
      process.execPath,
      [
        ...[CLI, "bench", "compare", "--size", String(SIZE), "--runs", "1", "--peers", "1", "--json"],
        ...["--only", "seed,aria2,scatterwire"],
      ],
      { environment: { PATH: tools } },
    );
    const { status, last, errors } = await program.result();
    assert.equal(status, 0, errors);
    const { omissions, trials } = last as unknown as CompareResults;
    assert.deepEqual(
      omissions.map(({ subject }) => subject),
      ["aria2"],
    );
    assert.match(entryOf(omissions, 0).reason, /apt-get install aria2/);
    assert.deepEqual(
      trials.map(({ subject }) => subject),
      ["scatterwire (mapped)"],
    );
  });
});

function checkFigures({ group, subject, figures }: LabTrial): void {
  const what = `${group}: ${subject}`;
  // A leecher ends with the block that makes it enough, and others may be on their way.
  if (group === "seed") assert.ok(figures.payloadBytes >= SIZE, what);
  else assert.equal(figures.payloadBytes, SIZE, what);
  // Programs that measure themselves round what they print.
  assert.ok(Math.abs((figures.bytesPerSecond * figures.seconds) / figures.payloadBytes - 1) < 1e-3, what);
  assert.ok(figures.cpuSecondsPerGB > 0, what);
  const { userSecondsPerGB, systemSecondsPerGB } = figures;
  assert.ok(Math.abs(userSecondsPerGB + systemSecondsPerGB - figures.cpuSecondsPerGB) < 1e-5, what);
  assert.ok(figures.peakRssBytes > 1e6 && figures.peakRssBytes < 1e9, what);
}
