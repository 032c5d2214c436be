// The loopback benchmark, tiny: it runs, cleans up, and its counters are those of the modes. A wrong counter fails here.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { LabFigures, LabResults } from "../../bench/measuring/results.js";
import { NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { createTorrentFile } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { CLI, Program } from "../support/program.js";
import { required } from "../support/required.js";

const MIB = 1024 * 1024;
const BLOCKS = (16 * MIB) / 16384;

describe("bench loopback", { timeout: 600_000 }, () => {
  it("measures all modes and tells them apart by their counters", async () => {
    const program = Program.cli("bench", "loopback", "--size", "16M", "--runs", "1", "--no-verify", "--json");
    const { status, last, errors } = await program.result();
    assert.equal(status, 0, errors);
    const left = [tmpdir(), "/dev/shm"].flatMap((folder) =>
      readdirSync(folder).filter((name) => name.startsWith(`scatterwire-bench-${program.child.pid}-`)),
    );
    assert.deepEqual(left, []);
    const results = last as unknown as LabResults;
    const figuresOf = (mode: string): LabFigures =>
      required(
        results.trials.find(({ axes }) => axes["mode"] === mode),
        "one of trials",
      ).figures;
    assert.deepEqual(results.trials.map(({ subject, axes }) => axes["mode"] ?? subject).sort(), [
      "adaptive",
      "contiguous",
      "limit",
      "scatter",
      "speculative",
    ]);
    const [contiguous, scatter] = [figuresOf("contiguous"), figuresOf("scatter")];
    assert.equal(contiguous.copiedBytesPerByte, 1);
    assert.equal(contiguous.predictionHits, 0);
    assert.equal(scatter.copiedBytesPerByte, 0);
    const calls = required(scatter.systemCallsPerBlock, "system calls per block");
    assert.ok(calls >= 1.95 && calls < 3, `scatter makes two calls per block, not ${calls}`);
    for (const figures of [figuresOf("speculative"), figuresOf("adaptive")]) {
      assert.ok(required(figures.copiedBytesPerByte, "copied bytes per byte") < 0.05);
      assert.ok(
        required(figures.predictionHits, "prediction hits") > 0.9 * BLOCKS &&
          required(figures.predictionHits, "prediction hits") <= BLOCKS,
      );
      assert.ok(required(figures.systemCallsPerBlock, "system calls per block") < 1);
      assert.ok(
        required(figures.firstCpuSecondsPerGB, "first cpu seconds per gb") > 0,
        "what its first download cost stands beside",
      );
    }
  });

  it("ends in words, and has no limit where data is hashed", async () => {
    const program = Program.cli(
      "bench",
      "loopback",
      "--size",
      "16M",
      "--runs",
      "1",
      "--modes",
      "adaptive,scatter",
    );
    const { status, errors } = await program.result();
    assert.equal(status, 0, errors);
    assert.match(
      program.output.replace(/\s+/g, " "),
      /loopback: cheapest is (adaptive|scatter) with [\d.]+ CPU s\/GB\. Not told apart/,
    );
    assert.match(
      program.output.replace(/\s+/g, " "),
      /of so little, (most is starting up|a large part is how a download begins and ends)/,
    );
    assert.doesNotMatch(program.output, /the limit,|× limit/);
    assert.match(errors, /trial 1 of 2: loopback, (adaptive|scatter)\n/);
  });

  it("counts receives as strace does", async () => {
    requireInstalled(NEEDED.strace);
    const folder = temporaryFolder(after);
    writeFileSync(join(folder, "data.bin"), bytesOf(5, 16 * MIB));
    const torrent = join(folder, "data.torrent");
    writeFileSync(torrent, await createTorrentFile(join(folder, "data.bin")));
    const seeder = Program.cli("seed", torrent, folder, "--listen", "127.0.0.1:0", "--no-check", "--json");
    after(() => seeder.stop("SIGINT"));
    const { host, port } = await seeder.line("event");
    for (const mode of ["scatter", "speculative"]) {
      const log = join(folder, `${mode}.strace`);
      const traced = new Program("strace", [
        ...["-f", "-qq", "-e", "trace=readv", "-e", "signal=none", "-o", log],
        ...[
          process.execPath,
          CLI,
          "download",
          torrent,
          "--peer",
          `${host}:${port}`,
          "--storage",
          "null",
          "--receive-mode",
          mode,
          "--json",
        ],
      ]);
      const { status, last, errors } = await traced.result();
      assert.equal(status, 0, errors);
      const calls = readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => /readv\(\d+, .*= -?\d+/.test(line) || /resumed>.*= -?\d+/.test(line)).length;
      assert.equal(last["receiveCalls"], calls, `${mode}: counted by us and by strace`);
    }
  });
});

describe("bench limits", { timeout: 600_000 }, () => {
  it("says what passed beside what was allowed, in both directions, with one peer and sixteen", async () => {
    type Trials = readonly { direction: string; peers: number; bytesPerSecond: number }[];
    const measured = async (seconds: number): Promise<Trials> => {
      const program = Program.cli("bench", "limits", "--rate", "1M", "--seconds", `${seconds}`, "--json");
      const { status, last, errors } = await program.result();
      assert.equal(status, 0, errors);
      return (last as unknown as { trials: Trials }).trials;
    };
    let trials = await measured(1);
    // On a machine with much else to do nothing may come in one second.
    if (trials.some(({ bytesPerSecond }) => bytesPerSecond === 0)) trials = await measured(20);
    assert.deepEqual(
      trials.map(({ direction, peers }) => `${direction} ${peers}`),
      ["download 1", "download 16", "upload 1", "upload 16"],
    );
    for (const { bytesPerSecond } of trials) assert.ok(bytesPerSecond > 0);
  });
});
