// The benchmarks of trackers without trackers: how a machine is divided, which runs are made, and the words and pages of what was found.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { percentiles, percentilesOfCounts } from "../../../bench/load/percentiles.js";
import { PUBLISHED_OPTMEM } from "../../../bench/measuring/tracker-published.js";
import { framed, readTrackerResults, type TrackerRun } from "../../../bench/measuring/tracker-results.js";
import {
  memoryLine,
  peerStoreText,
  repositoryText,
  rustDuration,
} from "../../../bench/measuring/tracker-words.js";
import { makeReport } from "../../../bench/report/report.js";
import { planRuns } from "../../../bench/suites/tracker.js";
import { coreSets, cpuList, cpuModeDefault, loadSet } from "../../../bench/suites/tracker-cores.js";
import { percentilesOf } from "../../../bench/suites/tracker-load.js";
import { benchHead, benchText, failureText, runText } from "../../../bench/suites/tracker-text.js";
import { temporaryFolder } from "../../support/data.js";
import { makeRandom } from "../../support/property.js";

const RUN: TrackerRun = {
  ...{
    subject: "scatterwire",
    keys: "socket workers: 1",
    cores: 1,
    cpus: "0",
    loadWorkers: 8,
    loadCpus: "8-15",
  },
  ...{
    weights: "0/100/1",
    round: 0,
    responsesPerSecond: 351_834.4,
    errorsPerSecond: 0,
    peersPerAnnounce: 30,
  },
  ...{ cpu: 0.991, cpuLifetime: 0.9552, cpuMicrosPerResponse: 2.8167, peakRssBytes: 210 * 2 ** 20 },
  ...{ rssBytes: 197.12 * 2 ** 20, redisMicrosPerResponse: undefined, redisPeakRssBytes: undefined },
};

const OPTIONS = {
  subjects: ["echo", "scatterwire", "opentracker", "bittorrent-tracker"] as const,
  cpuMode: "split-pairs" as const,
  minPriority: "medium" as const,
  ...{ rounds: 1, durationSeconds: 30, summarizeLastSeconds: 0, weights: [[0, 100, 1]] as const },
  ...{ torrents: 10, peers: 20 },
};

describe("benchmarks of trackers", () => {
  it("divide a machine as aquatic's bencher does", () => {
    assert.deepEqual(coreSets("split-pairs", 1, 4, 32), [
      { cores: 1, cpus: "0,16" },
      { cores: 2, cpus: "0-1,16-17" },
      { cores: 4, cpus: "0-3,16-19" },
    ]);
    assert.equal(loadSet("split-pairs", 1, 8, 32).cpus, "8-15,24-31");
    assert.equal(loadSet("split-pairs", 1, 12, 32).cpus, "4-15,20-31");
    assert.deepEqual(coreSets("subsequent", 1, 16, 2), [{ cores: 1, cpus: "0" }]);
    assert.deepEqual(loadSet("subsequent", 1, 12, 2), { cores: 1, cpus: "1" });
    assert.equal(coreSets("subsequent-pairs", 2, 2, 16)[0]?.cpus, "0-3");
    assert.equal(loadSet("subsequent-one-per-pair", 1, 2, 8).cpus, "4,6");
    assert.deepEqual(coreSets("split-pairs", 1, 16, 2), []);
    assert.deepEqual([cpuModeDefault(2), cpuModeDefault(32)], ["subsequent", "split-pairs"]);
    assert.equal(cpuList([5, 1, 2, 3, 9]), "1-3,5,9");
    // Nobody's load stands on the tracker's processors.
    for (const { cores, cpus } of coreSets("subsequent", 1, 16, 9)) {
      const ofLoad = loadSet("subsequent", cores, 12, 9);
      assert.equal(ofLoad.cores, 9 - cores);
      assert.ok(Number(ofLoad.cpus.split("-")[0]) > Number(cpus.split("-").at(-1)));
    }
  });

  it("plan settings by their priority, and load no two times for one machine", () => {
    const names = (cores: readonly number[], min: "low" | "medium" | "high", workers?: number): string[] =>
      planRuns({
        ...OPTIONS,
        coreSets: cores.map((count) => ({ cores: count, cpus: "0" })),
        minPriority: min,
        loadWorkers: workers,
      }).map(({ subject, setting }) => `${subject} ${setting.keys}`.trim());
    assert.deepEqual(names([1], "high", 2), [
      "echo",
      "scatterwire socket workers: 1",
      "opentracker workers: 1",
      "bittorrent-tracker",
    ]);
    assert.deepEqual(names([2], "low", 2), [
      "scatterwire socket workers: 2",
      "opentracker workers: 2",
      "opentracker workers: 4",
    ]);
    assert.equal(names([1], "medium", 2).filter((name) => name.startsWith("opentracker")).length, 2);
    // Eight and twelve workers on a machine that has room for neither are one load.
    const plans = planRuns({
      ...OPTIONS,
      subjects: ["echo"],
      cpuMode: "subsequent",
      coreSets: [{ cores: 1, cpus: "0" }],
    });
    assert.equal(new Set(plans.map(({ loadWorkers }) => loadWorkers)).size, plans.length);
  });

  it("print the bencher's lines", () => {
    assert.equal(
      benchHead(72, 30),
      "# Benchmark report\n\nTotal number of load test runs: 72\nEstimated duration: 0 hours, 45 minutes\n",
    );
    const lines = runText(RUN).split("\n");
    assert.deepEqual(lines.slice(0, 4), [
      "### scatterwire run (socket workers: 1) (load test workers: 8, cpus: 8-15, weights: 0/100/1)",
      "- Average responses per second: 351,834",
      "- Average tracker CPU utilization: 95.5%",
      // A KiB counts as 1000 bytes there.
      "- Peak tracker RSS: 192.5 MiB",
    ]);
    assert.match(lines[4] ?? "", /CPU 99.1%, 2.817 µs per response; true peak of memory \(VmHWM\) 210.0 MiB/);
    const redis = runText({ ...RUN, redisMicrosPerResponse: 0.25, redisPeakRssBytes: 2 ** 20 });
    assert.match(redis, /^- Redis beside it: 0.250 µs CPU per response, peak 1.0 MiB$/m);
    const [plan] = planRuns({ ...OPTIONS, coreSets: [{ cores: 1, cpus: "0" }] });
    assert.ok(plan !== undefined);
    assert.match(failureText(plan, "it ended"), /^### echo run \(\) .*\nRun failed:\nit ended\n$/);
  });

  it("compare with the echo of the same round, and print what others published", () => {
    const echo = (round: number, responsesPerSecond: number): TrackerRun => ({
      ...RUN,
      ...{ subject: "echo", keys: "", round, responsesPerSecond, cpuMicrosPerResponse: 2 },
    });
    const runs = [
      echo(0, 400_000),
      { ...RUN, responsesPerSecond: 200_000, cpuMicrosPerResponse: 4 },
      echo(1, 800_000),
      { ...RUN, round: 1, responsesPerSecond: 600_000, cpuMicrosPerResponse: 3 },
    ];
    const failures = [{ subject: "opentracker", keys: "workers: 1", cores: 1, reason: "it ended" }];
    const text = benchText({ runs, failures, missing: ["bittorrent-tracker"] });
    assert.match(
      text,
      /\| 1 \| 0\/100\/1 \| scatterwire \(socket workers: 1\) \| 400,000 \| 0.63 \| 99 % \| 3.500 \| 1.75 \| 210.0 MiB \|/,
    );
    assert.match(text, /Failed: opentracker \(workers: 1\) on 1 core: it ended/);
    assert.match(text, /Not installed: bittorrent-tracker/);
    assert.match(text, /Published \(aquatic, February 2024\): not measured here/);
    assert.match(text, /\| 1 \| torrust-tracker \| 8 \| 222,330 \| 189 % \| 193.3 MiB \|/);
    assert.doesNotMatch(text, /699,783/);
  });

  it("print repositories as Torrust does, and the peer store as chihaya does", () => {
    assert.deepEqual([60, 999, 1000, 1500, 10_909_457, 2_000_000_000, 0].map(rustDuration), [
      "60ns",
      "999ns",
      "1µs",
      "1.5µs",
      "10.909457ms",
      "2s",
      "0ns",
    ]);
    const scenarios = { add_one_torrent: { averageNs: 60.7, adjustedNs: 59.2 } };
    assert.equal(
      repositoryText([{ name: "store", scenarios }]),
      `store\nadd_one_torrent: Avg/AdjAvg: (60ns, 59ns)

AdjAvg: of the samples within a tenth of the Avg; 0ns: they are fewer than two`,
    );
    const text = peerStoreText([
      { name: "BenchmarkPut", nsPerOp: 88, heapBytesPerOp: 0.1 },
      { name: "BenchmarkNop", nsPerOp: 9.22, heapBytesPerOp: 12 },
    ]);
    const rows = text.split("\n").map((line) => line.replace(/ +/g, " "));
    assert.ok(rows.includes("benchmark old ns/op new ns/op delta"));
    assert.ok(rows.includes("BenchmarkPut 352 88.0 -75.00%"));
    assert.ok(rows.includes("BenchmarkNop 4.61 9.22 +100.00%"));
    assert.ok(rows.includes("BenchmarkPut 1 0 -100.00%"));
    assert.ok(rows.includes("BenchmarkNop 0 ? ?"));
    assert.ok(rows.includes("?: some memory was taken, and V8 does not count in how many pieces"));
    assert.equal(Object.keys(PUBLISHED_OPTMEM).length, 27);
    assert.equal(
      memoryLine({ infoHashes: 1, seeders: 1, leechers: 0, bytes: 2_033_904, residentBytes: 0 }),
      "        1 seeders,         0 leechers:            2033904B (      1986KiB,      1.9MiB)",
    );
  });

  it("have the same percentiles of counts as of a list of them", () => {
    const random = makeRandom(5);
    for (const size of [0, 1, 10, 5000]) {
      const counts = Uint32Array.from({ length: size }, () => Math.floor(random() ** 4 * 4000));
      assert.deepEqual(percentilesOfCounts(counts), percentiles([...counts].filter((count) => count > 0)));
    }
  });

  it("add up what several load processes counted, torrent by torrent, once all of them wrote", (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const files = ["0", "1", "2"].map((name) => join(folder, name));
    const counts = [
      [1, 0, 40, 7],
      [2, 0, 0, 7],
      [3, 0, 2, 0],
    ];
    for (const [index, file] of files.entries()) {
      assert.equal(percentilesOf(files), undefined);
      writeFileSync(file, Uint32Array.from(counts[index] ?? []));
    }
    assert.deepEqual(percentilesOf(files), percentiles([6, 42, 14]));
    assert.equal(percentilesOf([]), undefined);
  });

  it("stand in the report, all four of them, and a file of another shape is refused with the place", async (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const began = new Date(0);
    const file = (name: string, value: unknown): string => {
      const path = join(folder, `${name}.json`);
      writeFileSync(path, JSON.stringify(value));
      return path;
    };
    const evil = "</pre><script>alert(1)</script>";
    const result = {
      ...{ seconds: 1, ranSeconds: 1, requestsPerSecond: 1, responsesPerSecond: 1, connectsPerSecond: 1 },
      ...{ announcesPerSecond: 1, scrapesPerSecond: 1, errorsPerSecond: 0, peersPerAnnounce: 1 },
      ...{ loadCpuSeconds: 1, infoHashes: 1, peersPerInfoHash: { p10: 1 }, announcesPerInfoHash: null },
    };
    const scenarios = { add_one_torrent: { averageNs: 60, adjustedNs: 59 } };
    const memory = [
      { infoHashes: 1000, seeders: 1, leechers: 0, bytes: 40_000, residentBytes: 1 },
      { infoHashes: 1, seeders: 1000, leechers: 1000, bytes: 20_000, residentBytes: 1 },
    ];
    const paths = [
      file(
        "tracker",
        framed("tracker", "1", began, {
          runs: [RUN, { ...RUN, subject: "echo" }],
          failures: [],
          missing: [],
        }),
      ),
      file("load", framed("tracker-load", "1", began, { summary: evil, result })),
      file(
        "repository",
        framed("tracker-repository", "1", began, { results: [{ name: "store", scenarios }] }),
      ),
      file(
        "store",
        framed("peer-store", "1", began, {
          benchmarks: [{ name: "BenchmarkPut", nsPerOp: 88, heapBytesPerOp: 0 }],
          memory,
        }),
      ),
    ];
    const { html, text } = await makeReport(paths);
    assert.equal(text, "Processor time of an answer: scatterwire 2.8 µs and echo 2.8 µs");
    for (const words of [
      "351,834",
      "Results for scatterwire",
      "Best results",
      "Published, not measured here",
      "60ns, 59ns",
      "-75.00%",
      "40.0",
      "314.4",
      "10.0",
      "25.2",
    ])
      assert.ok(html.includes(words), words);
    assert.ok(html.includes("&lt;/pre&gt;") && !html.includes("<script>"));
    await assert.rejects(
      makeReport([file("bad", framed("tracker", "1", began, { runs: [{}], failures: [], missing: [] }))]),
      {
        message: /bad\.json: found\.runs\[0\]\.subject should be a string/,
      },
    );
    assert.throws(
      () => readTrackerResults({ ...framed("tracker", "1", began, {}), trackers: 7 } as object),
      /schema 7/,
    );
  });
});
