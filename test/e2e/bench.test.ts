// The loopback benchmark, tiny: it runs, cleans up, and its counters are those of the modes. A wrong counter fails here.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createTorrentFile } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { CLI, Program, requireProgram } from "../support/program.js";

const MIB = 1024 * 1024;
const BLOCKS = (16 * MIB) / 16384;

describe("bench loopback", { timeout: 120_000 }, () => {
  it("measures all modes and tells them apart by their counters", async () => {
    const program = Program.cli("bench", "loopback", "--size", "16M", "--runs", "1", "--no-verify", "--json");
    const { status, last, errors } = await program.result();
    assert.equal(status, 0, errors);
    const left = [tmpdir(), "/dev/shm"].flatMap((folder) =>
      readdirSync(folder).filter((name) => name.startsWith(`scatterwire-bench-${program.child.pid}-`)),
    );
    assert.deepEqual(left, []);
    const modes = last["modes"] as Record<
      string,
      { median: Record<string, number>; runs: unknown[]; ratioToLimit: Record<string, number> }
    >;
    assert.deepEqual(Object.keys(modes).sort(), ["adaptive", "contiguous", "scatter", "speculative"]);
    const { contiguous, scatter, speculative, adaptive } = modes as Record<string, (typeof modes)[string]>;
    assert.equal(contiguous!.median["copiedBytesPerByte"], 1);
    assert.equal(contiguous!.median["predictionHits"], 0);
    assert.equal(scatter!.median["copiedBytesPerByte"], 0);
    const calls = scatter!.median["systemCallsPerBlock"]!;
    assert.ok(calls >= 1.95 && calls < 3, `scatter makes two calls per block, not ${calls}`);
    for (const mode of [speculative!, adaptive!]) {
      assert.ok(mode.median["copiedBytesPerByte"]! < 0.05);
      assert.ok(mode.median["predictionHits"]! > 0.9 * BLOCKS && mode.median["predictionHits"]! <= BLOCKS);
      assert.ok(mode.median["systemCallsPerBlock"]! < 1);
      assert.ok(mode.ratioToLimit["cpuSecondsPerGB"]! > 0);
    }
    assert.ok((last["limit"] as typeof contiguous)!.median["cpuSecondsPerGB"]! > 0);
    assert.match(String(last["verdict"]), /Cheapest on this machine: \w+/);
  });

  it("counts receives as strace does", async () => {
    requireProgram("strace", ["-V"], "strace");
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
