// What the page of a report says or leaves out by what was measured: each with files for which it is right, and with files for which
// it must say something else. What follows from figures alone, in words, is in sentences.test.ts.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { LabResults } from "../../../bench/measuring/results.js";
import type { TrackerBench, TrackerRun } from "../../../bench/measuring/tracker-results.js";
import { makeReport } from "../../../bench/report/report.js";
import { temporaryFolder } from "../../support/data.js";
import { literalsOf } from "../../support/literals.js";
import { required } from "../../support/required.js";
import { type Made, makeResults, makeTrials } from "./made-results.js";

const REAL = { storage: "file", verify: true };

function modes(speculative: number, contiguous: number, more: Partial<Made> = {}): Made[] {
  return [
    { group: "stored-mode", axes: { ...REAL, mode: "speculative" }, cost: speculative, ...more },
    { group: "stored-mode", axes: { ...REAL, mode: "contiguous" }, cost: contiguous, ...more },
  ];
}

function depths(): Made[] {
  return [1, 4].map((depth) => ({ group: "depth", axes: { depth }, cost: 0.2 + 0.1 / depth }));
}

function run(changes: Partial<TrackerRun> = {}): TrackerRun {
  return {
    subject: "scatterwire",
    keys: "",
    cores: 1,
    cpus: "0",
    loadWorkers: 1,
    loadCpus: "1",
    weights: "50/50/1",
    round: 0,
    responsesPerSecond: 200_000,
    errorsPerSecond: 0,
    peersPerAnnounce: 30,
    cpu: 1,
    cpuLifetime: 0.9,
    cpuMicrosPerResponse: 5,
    peakRssBytes: 50e6,
    rssBytes: 40e6,
    redisMicrosPerResponse: undefined,
    redisPeakRssBytes: undefined,
    ...changes,
  };
}

function trackerFile(found: Partial<TrackerBench>): object {
  const { machine, version, startedAt, endedAt } = makeResults([]);
  const command = "scatterwire bench tracker --json";
  return {
    ...{ trackers: 1, verb: "tracker", version, startedAt, endedAt, command, machine },
    found: { runs: [run()], failures: [], missing: [], ...found },
  };
}

describe("sentences of the page", () => {
  let folder = "";
  let files = 0;
  const ends: (() => void)[] = [];
  /** All that was said on any page. */
  const everything: string[] = [];
  before(() => {
    folder = temporaryFolder((done) => ends.push(done));
  });
  after(() => {
    for (const end of ends) end();
  });

  function written(results: object): string {
    const path = join(folder, `${files++}.json`);
    writeFileSync(path, JSON.stringify(results));
    return path;
  }

  /** Without tags, each space once. */
  function plain(html: string): string {
    const text = html
      .replace(/<style>[\s\S]*?<\/style>/g, "")
      .replace(/<[^>]*>/g, " ")
      .replace(/&quot;/g, '"')
      .replace(/&#39;/g, "'")
      .replace(/\s+/g, " ");
    everything.push(text, html.replace(/\s+/g, " "));
    return text;
  }

  async function page(works: readonly Made[], changes: object = {}): Promise<string> {
    return plain((await makeReport([written(makeResults(makeTrials(works), changes))])).html);
  }

  async function against(now: readonly Made[], then: readonly Made[]): Promise<string> {
    const [here, there] = [now, then].map((works) => written(makeResults(makeTrials(works))));
    return plain((await makeReport([required(here, "here")], { against: there })).html);
  }

  async function trackers(found: Partial<TrackerBench>): Promise<string> {
    return plain((await makeReport([written(trackerFile(found))])).html);
  }

  it("what was left out is told with its reason; nothing is only where nothing was", async () => {
    const omissions: LabResults["omissions"] = [
      {
        verb: "receive",
        group: "storage",
        subject: "direct",
        axes: { storage: "direct" },
        reason: "no O_DIRECT",
      },
    ];
    const some = await page(modes(1, 2), { omissions });
    const none = await page(modes(1, 2));
    assert.match(some, /Left out, and why .*direct .*no O_DIRECT/);
    assert.doesNotMatch(some, /Nothing that was asked for/);
    assert.match(none, /Left out Nothing that was asked for\./);
    assert.doesNotMatch(none, /Left out, and why/);
  });

  it("marks a choice clear, a tie or uncertain, as its rounds are", async () => {
    const clear = await page(modes(0.5, 0.9));
    const tie = await page(modes(0.5, 0.501));
    const [speculative, contiguous] = modes(0.5, 0.55) as [Made, Made];
    const uncertain = await page([
      { ...speculative, noise: [1, 0.5, 1.4] },
      { ...contiguous, noise: [1, 1.6, 0.7] },
    ]);
    const markOf = (text: string): string | undefined =>
      /receiveMode: "\w+"\s+(clear|a tie|uncertain)/.exec(text)?.[1];
    assert.deepEqual([clear, tie, uncertain].map(markOf), ["clear", "a tie", "uncertain"]);
  });

  it("counts what changed beyond noise apart from what did not, and one figure is one", async () => {
    const changed = await against(modes(0.5, 0.9), modes(1, 1.8));
    const same = await against(modes(0.5, 0.9), modes(0.5, 0.9));
    assert.match(changed, /Changed beyond noise: \d+ figures/);
    assert.match(changed, /CPU, s\/GB 1\.000 0\.500 0\.50 0\.46 to 0\.55 better/);
    assert.doesNotMatch(same, /Changed beyond noise:/);
    assert.match(same, /Not changed, or not beyond noise: \d+ figures/);
    assert.doesNotMatch(changed + same, /: 1 figures|\b1 trials/);
    const worse = await against(modes(1, 1.8), modes(0.5, 0.9));
    assert.match(worse, / worse /);
    assert.doesNotMatch(worse, / better /);
  });

  it("shows the largest of many changes, and the others when they are asked for", async () => {
    const depths = (cost: number): Made[] =>
      Array.from({ length: 15 }, (_, index) => ({
        group: "depth",
        axes: { depth: index + 1 },
        // The more, the greater the depth.
        cost: cost === 1 ? 1 : 1 - 0.05 * (index + 1),
      }));
    const text = await against(depths(0), depths(1));
    assert.match(text, /Changed beyond noise, the largest of \d+: 12 figures/);
    assert.match(text, /Changed beyond noise, the others: \d+ figures?/);
    const largest = text.slice(text.indexOf("the largest of"), text.indexOf("noise, the others"));
    assert.match(largest, /depth 15/);
    assert.doesNotMatch(largest, /depth 1 /);
  });

  it("does not call better what changed as much as the limit of its machine did", async () => {
    const limit = (cost: number): Made => ({ group: "mode", subject: "limit", axes: {}, cost });
    const mode = (cost: number): Made => ({ group: "mode", axes: { mode: "scatter" }, cost });
    const quicker = await against([limit(0.1), mode(0.2)], [limit(0.2), mode(0.4)]);
    const better = await against([limit(0.1), mode(0.2)], [limit(0.1), mode(0.4)]);
    assert.match(
      quicker,
      /receive mode scatterwire CPU, s\/GB 0\.400 0\.200 0\.50 [\d.]+ to [\d.]+ 1\.00 as the limit/,
    );
    assert.match(
      better,
      /receive mode scatterwire CPU, s\/GB 0\.400 0\.200 0\.50 [\d.]+ to [\d.]+ 0\.50 better/,
    );
    assert.doesNotMatch(better, /as the limit/);
  });

  it("says how much was measured on one side only, where something was", async () => {
    const here = await against([...modes(1, 2), ...depths()], modes(1, 2));
    const there = await against(modes(1, 2), [...modes(1, 2), ...depths()]);
    const both = await against(modes(1, 2), modes(1, 2));
    assert.match(here, /Not compared: \d+ measured only here\./);
    assert.match(there, /Not compared: \d+ only there\./);
    assert.doesNotMatch(both, /Not compared/);
  });

  it("has connections that say nothing, and settings, where compare measured and noted them", async () => {
    const idle = [0, 1].map((round) => ({
      ...{ subject: "libtorrent", round },
      figures: { peers: 5000, residentBytesPerPeer: 4100 + round, cpuShare: 0.003 },
    }));
    const with_ = await page(modes(1, 2), { idle, settings: { libtorrent: "2 threads" } });
    const without = await page(modes(1, 2));
    assert.match(with_, /Connections that say nothing .*libtorrent 5,?000 /);
    assert.match(with_, /How each program was set libtorrent 2 threads/);
    assert.doesNotMatch(without, /Connections that say nothing|How each program was set/);
  });

  it("of one core says core, of all files when they were made, and names groups in words", async () => {
    const { machine } = makeResults([]);
    const omissions: LabResults["omissions"] = [
      { verb: "storage", group: "stored-pool", subject: "direct", reason: "no O_DIRECT" },
    ];
    const one = await page(modes(1, 2), { machine: { ...machine, cores: 1 }, omissions });
    const two = await page(modes(1, 2), { machine: { ...machine, cores: 2 } });
    assert.match(one, /, 1 core · .*Processor .*, 1 core Memory/);
    assert.match(two, /, 2 cores · .*Processor .*, 2 cores Memory/);
    assert.doesNotMatch(one, /1 cores/);
    assert.match(one, /storage stored pool direct no O_DIRECT/);
    const lab = written(makeResults(makeTrials(modes(1, 2))));
    const tracker = written(trackerFile({}));
    const both = plain((await makeReport([lab, tracker])).html);
    for (const path of [lab, tracker])
      assert.match(
        both,
        new RegExp(`${path} (6 trials, )?\\d{4}-[^,]* UTC to \\d{4}-[^,]* UTC, scatterwire`),
      );
  });

  it("has what a Redis beside a tracker costs, where there was one", async () => {
    const with_ = await trackers({
      runs: [run({ redisMicrosPerResponse: 0.25, redisPeakRssBytes: 2 ** 20 })],
    });
    const without = await trackers({});
    assert.match(with_, /Redis µs per response Redis peak MiB .* 0\.250 1\.0 /);
    assert.doesNotMatch(without, /Redis/);
  });

  it("of one benchmark of the peer store says benchmark", async () => {
    const { machine, version, startedAt, endedAt } = makeResults([]);
    const about = { version, startedAt, endedAt, command: "scatterwire bench peer-store", machine };
    const of = async (...names: string[]): Promise<string> => {
      const benchmarks = names.map((name) => ({ name, nsPerOp: 88, heapBytesPerOp: 0 }));
      const file = { trackers: 1, verb: "peer-store", ...about, found: { benchmarks, memory: [] } };
      return plain((await makeReport([written(file)])).html);
    };
    assert.match(await of("BenchmarkPut"), /Time: 1 benchmark /);
    assert.match(await of("BenchmarkPut", "BenchmarkNop"), /Time: 2 benchmarks/);
  });

  it("of one trial says trial", async () => {
    const one = await page([{ group: "depth", axes: { depth: 1 }, cost: 1 }], {
      trials: makeTrials([{ group: "depth", axes: { depth: 1 }, cost: 1 }], 1),
    });
    assert.match(one, /\b1 trial,/);
    assert.match(await page(modes(1, 2)), /\b6 trials,/);
  });

  it("one round of trackers says little; several have medians", async () => {
    const one = await trackers({});
    const three = await trackers({ runs: [0, 1, 2].map((round) => run({ round })) });
    assert.match(one, /One round: it says little\./);
    assert.doesNotMatch(one, /Bars are medians/);
    assert.match(three, /Bars are medians of 3 rounds, and strokes go from the lowest to the highest\./);
    assert.doesNotMatch(three, /it says little/);
    const none = await trackers({ runs: [], missing: ["aquatic_udp"] });
    assert.match(none, /No tracker was measured\. .*Left out: aquatic_udp is not installed\./);
    assert.doesNotMatch(none, /Bars are medians|it says little|Best results/);
    assert.doesNotMatch(one + three, /No tracker was measured/);
  });

  it("names trackers that are not installed or failed, and none where all ran", async () => {
    const left = await trackers({
      missing: ["aquatic_udp"],
      failures: [
        { subject: "opentracker", keys: "", cores: 1, reason: "no port\nmore" },
        { subject: "scatterwire", keys: "threads: 2", cores: 1, reason: "no core" },
      ],
    });
    assert.match(left, /opentracker failed: no port/);
    assert.match(left, /scatterwire \(threads: 2\) failed: no core/);
    assert.match(left, /: no core; aquatic_udp is not installed\./);
    assert.doesNotMatch(left, /more\./);
    assert.doesNotMatch(await trackers({}), /Left out|is not installed|failed/);
  });

  it("leads with what an answer costs where trackers were measured side by side, and else with nothing of them", async () => {
    const measured = await trackers({
      runs: [run(), run({ subject: "opentracker", cpuMicrosPerResponse: 3 })],
    });
    assert.match(measured, /Processor time of an answer: scatterwire 5\.0 µs and opentracker 3\.0 µs/);
    const nothing = await trackers({ runs: [] });
    assert.match(nothing, /What trackers cost: measured here, and published/);
    assert.doesNotMatch(nothing, /Processor time of an answer/);
  });

  it("the cores of a tracker, and its mix of requests", async () => {
    const one = await trackers({});
    const two = await trackers({ runs: [run({ cores: 2, weights: "0/100/0" })] });
    assert.match(one, /One core for the tracker; /);
    assert.match(two, /2 cores for the tracker; /);
    assert.doesNotMatch(two, /One core/);
    assert.match(one, /50 connects, 50 announces and 1 scrape in each 101 requests/);
    assert.match(two, /; 100 announces in each 100 requests/);
    assert.doesNotMatch(two, /connects/);
    const few = await trackers({ runs: [run({ weights: "1/1/2" })] });
    assert.match(few, /1 connect, 1 announce and 2 scrapes in each 4 requests/);
  });

  it("is tested: whatever these sources can say stands on a page above, or on one of all kinds", async () => {
    const { machine, version, startedAt, endedAt } = makeResults([]);
    const about = { version, startedAt, endedAt, command: "scatterwire bench", machine };
    const one = { seconds: 20, seedCopies: 1.5 };
    const swarm = {
      size: 1e8,
      rate: 1e7,
      leechers: 8,
      runs: { scatterwire: [one], libtorrent: [one], mixed: [one] },
    };
    const three = (seconds: number): (typeof one)[] => Array(3).fill({ seconds, seedCopies: seconds / 10 });
    const swarms = [
      [15, 20, 25],
      [20, 15, 12],
      [20, 20.2, 20.1],
    ].map(([ours = 0, theirs = 0, mixed = 0]) => ({
      ...swarm,
      runs: { scatterwire: three(ours), libtorrent: three(theirs), mixed: three(mixed) },
    }));
    const figures = {
      ...{ queriesPerLookup: 40, convergedSeconds: 20, completedSeconds: 20, peers: 20_000 },
      ...{ queriesMostPerMinute: 15, gini: 0.5, toNamedPerLookup: 0, victimMostPerSecond: 0 },
      ...{ hostileShare: 0.1, eclipsedShare: 0.1 },
    };
    const rows = [{ name: "all", ...figures }];
    const memory = [
      { infoHashes: 1000, seeders: 1, leechers: 0, bytes: 40_000, residentBytes: 1 },
      { infoHashes: 1, seeders: 1000, leechers: 1000, bytes: 20_000, residentBytes: 1 },
    ];
    const load = {
      ...{ seconds: 1, ranSeconds: 1, requestsPerSecond: 1, responsesPerSecond: 1, connectsPerSecond: 1 },
      ...{ announcesPerSecond: 1, scrapesPerSecond: 1, errorsPerSecond: 0, peersPerAnnounce: 1 },
      ...{ loadCpuSeconds: 1, infoHashes: 1, peersPerInfoHash: { p10: 1 }, announcesPerInfoHash: null },
    };
    const scenarios = { add_one_torrent: { averageNs: 60, adjustedNs: 59 } };
    const benchmarks = [{ name: "BenchmarkPut", nsPerOp: 88, heapBytesPerOp: 0 }];
    const limit: Made = { group: "mode", subject: "limit", axes: {}, cost: 0.1 };
    const receiving = (mode: string, bytesPerSystemCall: number, cost: number): Made => ({
      ...{ group: "buffer", axes: { mode, contiguousBufferBytes: bytesPerSystemCall, peers: 1 }, cost },
      figures: { bytesPerSystemCall },
    });
    for (const file of [
      ...[swarm, ...swarms].map((found) => ({ swarms: 1, ...about, found })),
      { swarms: 1, ...about, found: { ...swarm, runs: { scatterwire: [] } } },
      { dht: 1, ...about, found: { nodes: 1000, dead: 0.4, lookups: 100, seed: 7, rows } },
      { dht: 1, ...about, found: { nodes: 1000, dead: 0, lookups: 100, seed: 7, rows } },
      { trackers: 1, verb: "tracker-load", ...about, found: { summary: "fast", result: load } },
      {
        trackers: 1,
        verb: "tracker-repository",
        ...about,
        found: { results: [{ name: "store", scenarios }] },
      },
      { trackers: 1, verb: "peer-store", ...about, found: { benchmarks, memory } },
      makeResults(
        makeTrials([
          limit,
          { verb: "compare", group: "seed", axes: { peers: 1 }, cost: 1 },
          { verb: "wan", group: "far", axes: { linkBytesPerSecond: 60e6 }, cost: 1 },
          ...[16_384, 65_536, 262_144].flatMap((bytes) => [
            receiving("contiguous", bytes, 0.2),
            receiving("speculative", bytes, 0.1),
          ]),
        ]),
      ),
    ])
      plain((await makeReport([written(file)])).html);
    const said = everything.join("\n").toLowerCase();
    assert.ok(said.includes("a link of 60 mb/s"));
    for (const name of ["dht-section", "extras", "page", "section-parts", "swarm-section", "tracker-page"]) {
      const source = new URL(`../../../../bench/report/${name}.ts`, import.meta.url);
      const parts = literalsOf(readFileSync(fileURLToPath(source), "utf8"))
        // What stands between tags; a tag may be cut where something is put into it.
        .flatMap((part) => part.replace(/^[^<>]*>|<[^<>]*$/g, "<>").split(/<[^<>]*>/))
        .map((part) => part.replace(/\s+/g, " ").trim().toLowerCase())
        .filter((part) => /[a-z]+ [a-z]+ [a-z]+/.test(part));
      for (const part of parts) assert.ok(said.includes(part), `${name} never says: ${part}`);
    }
  });
});
