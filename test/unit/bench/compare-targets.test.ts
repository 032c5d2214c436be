// Targets and what was reached, from made-up figures: which side is compared with which, and what counts as met.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LabFigures, LabTrial } from "../../../bench/measuring/results.js";
import type { CompareResults } from "../../../bench/rivals/compare.js";
import { compareReport } from "../../../bench/rivals/table.js";
import { reached } from "../../../bench/rivals/targets.js";
import { entryOf } from "../../support/required.js";

function figures(gigabytesPerSecond: number, cpuSecondsPerGB: number, peakRssBytes = 1e8): LabFigures {
  const payloadBytes = 1e9;
  return {
    payloadBytes,
    seconds: 1 / gigabytesPerSecond,
    bytesPerSecond: 1e9 * gigabytesPerSecond,
    cpuSecondsPerGB,
    userSecondsPerGB: cpuSecondsPerGB / 2,
    systemSecondsPerGB: cpuSecondsPerGB / 2,
    peakRssBytes,
  };
}

function trial(group: string, subject: string, peers: number, round: number, of: LabFigures): LabTrial {
  const axes = { peers, bytes: of.payloadBytes, where: "memory file system" };
  return { verb: "compare", group, subject, axes, round, startedAt: "2026-01-01T00:00:00Z", figures: of };
}

function results(trials: LabTrial[], idle: CompareResults["idle"] = []): CompareResults {
  return {
    schema: 1,
    version: "0.0.0",
    machine: { cpu: "a processor", cores: 2, memoryBytes: 1e9, system: "linux", node: "v20" },
    startedAt: "2026-01-01T00:00:00Z",
    endedAt: "2026-01-01T00:00:00Z",
    commands: [],
    omissions: [],
    settings: {},
    ...{ trials, idle },
  };
}

describe("targets of the comparison", () => {
  it("compares each figure with the libtorrent that is better in it, round by round", () => {
    const rounds = [0, 1].flatMap((round) => [
      trial("download-stored", "scatterwire (speculative, file)", 1, round, figures(2, 0.5, 1.4e8)),
      trial("download-stored", "libtorrent (posix)", 1, round, figures(0.5, 1)),
      trial("download-stored", "libtorrent (mmap)", 1, round, figures(round === 0 ? 1 : 0.4, 2)),
    ]);
    const rows = reached(results(rounds));
    assert.deepEqual(
      rows.map(({ goal, value, low, high, met, sure }) => ({ goal, value, low, high, met, sure })),
      [
        {
          goal: "download-stored, 1 peer: GB/s ≥ 3 × libtorrent",
          ...{ value: 3, low: 2, high: 4, met: true, sure: false },
        },
        {
          goal: "download-stored, 1 peer: CPU s/GB ≤ 0.4 × libtorrent",
          ...{ value: 0.5, low: 0.5, high: 0.5, met: false, sure: true },
        },
        {
          goal: "download-stored, 1 peer: peak RSS ≤ 150 MB",
          ...{ value: 140, low: 140, high: 140, met: true, sure: true },
        },
      ],
    );
  });

  it("takes the way that a target names, where we are there in two", () => {
    const rows = reached(
      results([
        trial("download-disk", "disk (O_DIRECT)", 1, 0, figures(1, 0.1)),
        trial("download-disk", "scatterwire (speculative, file)", 1, 0, figures(0.1, 9)),
        trial("download-disk", "scatterwire (speculative, direct)", 1, 0, figures(0.9, 0.4)),
      ]),
    );
    assert.equal(rows.length, 1);
    assert.match(entryOf(rows, 0).goal, /0\.8 × disk/);
    assert.equal(entryOf(rows, 0).value, 0.9);
    assert.equal(entryOf(rows, 0).met, true);
  });

  it("says nothing of a row without the other side", () => {
    assert.deepEqual(reached(results([trial("seed", "libtorrent (mmap)", 1, 0, figures(1, 1))])), []);
  });

  it("misses idle peers that cost too much", () => {
    const idle = [{ residentBytesPerPeer: 5000, cpuShare: 0.001 }].map((part, round) => ({
      subject: "scatterwire (idle)",
      round,
      figures: { peers: 5000, ...part },
    }));
    assert.deepEqual(
      reached(results([], idle)).map(({ met }) => met),
      [false, true],
    );
  });

  it("tells all of it as text, omissions too", () => {
    const text = compareReport({
      ...results([
        trial("seed", "scatterwire (mapped)", 4, 0, figures(2, 0.2)),
        trial("seed", "libtorrent (mmap)", 4, 0, figures(1, 1)),
      ]),
      omissions: [{ verb: "compare", subject: "aria2", reason: "not installed" }],
    });
    assert.match(text, /seed, 4 leechers/);
    assert.match(text, /libtorrent \(mmap\) +│ 1\.00 │ +1\.000 │ +100 │ +│ +0\.50 │ +5\.00 │/);
    assert.match(text, /aria2: not installed/);
    assert.match(
      text.replaceAll("\n", " "),
      /Seed: scatterwire \(mapped\) takes 0\.20 × the CPU of libtorrent \(mmap\), both the cheapest and the fastest of the others, at 2\.00 × its speed\. Neither ratio can be told from noise/,
    );
    assert.match(text, /2 of the 2 targets that this project set itself are met/);
  });
});
