// The verdict follows from the figures: other figures, another verdict; figures that noise covers, none.
//
// It is long because each rule of the verdict has figures for which it speaks, and figures for which it must not.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compareFiles } from "../../../bench/report/against.js";
import {
  groupsOf,
  isReference,
  LIMIT,
  limitOf,
  measureFigure,
  repeatedTrials,
} from "../../../bench/report/cells.js";
import { crossingData } from "../../../bench/report/crossing.js";
import { type Choice, judge, type Verdict } from "../../../bench/report/verdict.js";
import { DISK, WRITES } from "../../../bench/rivals/compare.js";
import { C_LOOP } from "../../../bench/rivals/subjects.js";
import { entryOf, required } from "../../support/required.js";
import { type Made, makeResults, makeTrials } from "./made-results.js";

function groups(works: readonly Made[], rounds = 3): ReturnType<typeof groupsOf> {
  return groupsOf([{ path: "made.json", results: makeResults(makeTrials(works, rounds)) }]);
}

function verdictOn(works: readonly Made[], rounds = 3): Verdict {
  return judge(groups(works, rounds));
}

function choiceOf(verdict: Verdict, axis: string): Choice {
  const choice = verdict.choices.find((one) => one.axis === axis);
  assert.ok(choice !== undefined, `no choice of ${axis}`);
  return choice;
}

/** What makes a trial one of downloads as people make them: only of those is anything recommended. */
const REAL = { storage: "file", verify: true };

function modes(
  costs: Readonly<Record<string, number>>,
  noise: Readonly<Record<string, number[]>> = {},
): Made[] {
  return Object.entries(costs).map(([mode, cost]) => ({
    group: "mode",
    axes: { mode, peers: 1, ...REAL },
    cost,
    ...(noise[mode] === undefined ? {} : { noise: noise[mode] }),
  }));
}

describe("the verdict of a report", () => {
  it("recommends the mode that is cheapest in every round, and another when the figures are turned round", () => {
    const usual = choiceOf(verdictOn(modes({ contiguous: 0.2, scatter: 0.15, speculative: 0.1 })), "mode");
    assert.deepEqual([usual.value, usual.certainty], ["speculative", "clear"]);
    const turned = choiceOf(verdictOn(modes({ contiguous: 0.1, scatter: 0.15, speculative: 0.2 })), "mode");
    assert.deepEqual([turned.value, turned.certainty], ["contiguous", "clear"]);
    assert.match(turned.why, /0\.100 CPU s\/GB/);
    assert.match(turned.why, /2\.00 × as much/);
  });

  it("takes the default where it ties, and says that it ties", () => {
    const verdict = verdictOn(modes({ contiguous: 0.2, speculative: 0.1, adaptive: 0.101 }));
    const { value, certainty, why } = choiceOf(verdict, "mode");
    assert.deepEqual([value, certainty], ["adaptive", "tied"]);
    assert.match(why, /Speculative costs the same within noise/);
    assert.match(verdict.lead, /Receive with adaptive/);
  });

  it("takes what is cheapest by its median where noise hides a large difference, and is not certain", () => {
    const noise = { adaptive: [1, 0.5, 1] };
    const { value, certainty, why } = choiceOf(
      verdictOn(modes({ speculative: 0.1, adaptive: 0.12 }, noise)),
      "mode",
    );
    assert.deepEqual([value, certainty], ["speculative", "uncertain"]);
    assert.match(
      why,
      /Cheapest by its median: 0\.100 CPU s\/GB\. Adaptive \(median 0\.115 CPU s\/GB\) wanders too much/,
    );
  });

  it("never takes the dearest row because it is the smallest, however noisy the rounds", () => {
    const costs = { 16: 0.374, 64: 0.303, 256: 0.305 };
    const buffers = Object.entries(costs).map(([kibibytes, cost]) => ({
      group: "stored-contiguous-buffer",
      axes: { mode: "contiguous", contiguousBufferBytes: Number(kibibytes) * 1024, ...REAL },
      cost,
      ...(kibibytes === "16" ? { noise: [1, 0.8, 1] } : {}),
    }));
    const { value } = choiceOf(verdictOn(buffers), "contiguousBufferBytes");
    assert.equal(value, 64 * 1024);
  });

  it("recommends nothing from downloads that were not hashed or not stored, and still says what they showed", () => {
    for (const axes of [{ verify: false, storage: "file" }, { verify: true, storage: "null" }, {}]) {
      const verdict = verdictOn(
        ["contiguous", "speculative"].map((mode, index) => ({
          group: "mode",
          axes: { mode, ...axes },
          cost: entryOf([0.2, 0.1], index),
        })),
      );
      assert.deepEqual(verdict.choices, []);
      assert.match(
        verdict.lead,
        /^Nothing here lets one setting be held against another for downloads that are hashed/,
      );
      assert.ok(verdict.findings.some((text) => /copying costs 2\.00 × as much as speculative/.test(text)));
    }
  });

  it("recommends a pool from hashed and stored downloads, although a smaller one is cheaper where nothing is hashed", () => {
    const pool = (group: string, mebibytes: number, cost: number, axes: object): Made => ({
      group,
      axes: { poolBytes: mebibytes * 2 ** 20, ...axes },
      cost,
    });
    const verdict = verdictOn([
      pool("pool", 2, 0.27, { verify: false, storage: "null" }),
      pool("pool", 32, 0.37, { verify: false, storage: "null" }),
      pool("stored-pool", 2, 0.9, { ...REAL, peers: 8 }),
      pool("stored-pool", 32, 0.65, { ...REAL, peers: 8 }),
    ]);
    assert.equal(choiceOf(verdict, "poolBytes").value, 32 * 2 ** 20);
  });

  it("gives percentages of the value that it recommends, also where that is not the very cheapest", () => {
    const verdict = verdictOn(modes({ speculative: 0.1, adaptive: 0.1025, contiguous: 0.205 }));
    const { value, why } = choiceOf(verdict, "mode");
    assert.equal(value, "adaptive");
    assert.match(why, /^0\.103 CPU s\/GB|^0\.102 CPU s\/GB/);
    assert.match(why, /Contiguous costs 2\.00 × as much/);
  });

  it("warns that trials of few bytes are mostly starting up, and that the machine was busy", () => {
    const small = modes({ contiguous: 0.2, speculative: 0.1 }).map((made) => ({
      ...made,
      figures: { payloadBytes: 64 * 2 ** 20 },
    }));
    const verdict = judge(groups(small), { repeated: 3, busy: { trials: 2, of: 9, most: 0.5 } });
    const text = verdict.caveats.join(" ");
    assert.match(text, /moved no more than 64 MiB .* most is starting up/);
    assert.match(text, /3 trials stand in more than one place .* count once/);
    assert.match(text, /busy with something else just before 2 of 9 trials \(up to 50 %/);
    const quiet = judge(groups(modes({ contiguous: 0.2, speculative: 0.1 })), {
      repeated: 0,
      busy: { trials: 0, of: 9, most: 0 },
    });
    assert.doesNotMatch(quiet.caveats.join(" "), /starting up|more than one place|busy/);
  });

  it("is certain of nothing after one round", () => {
    const verdict = verdictOn(modes({ contiguous: 0.2, speculative: 0.1 }), 1);
    assert.equal(choiceOf(verdict, "mode").certainty, "uncertain");
    assert.ok(verdict.caveats.some((text) => text.includes("tell no difference from noise")));
  });

  it("takes the smallest pool among those that tie, and says what larger ones cost", () => {
    const pools = [2, 8, 512].map((mebibytes, index) => ({
      group: "pool",
      axes: { mode: "speculative", poolBytes: mebibytes * 2 ** 20, ...REAL },
      cost: entryOf([0.1, 0.099, 0.3], index),
    }));
    const { value, why } = choiceOf(verdictOn(pools), "poolBytes");
    assert.equal(value, 2 * 2 ** 20);
    assert.match(why, /512 MiB costs 3\.00 × as much/);
  });

  it("names the conditions under which the recommendation is not the cheapest", () => {
    const verdict = verdictOn([
      ...modes({ scatter: 0.2, speculative: 0.1 }),
      { group: "peers", axes: { mode: "scatter", peers: 64, ...REAL }, cost: 0.2 },
      { group: "peers", axes: { mode: "speculative", peers: 64, ...REAL }, cost: 0.3 },
    ]);
    const { value, why } = choiceOf(verdict, "mode");
    assert.equal(value, "speculative");
    assert.match(why, /Elsewhere another is cheaper: scatter with 64 peers, where speculative takes 1\.50 ×/);
  });

  it("does not recommend storing nothing, and names a faster kind that costs more", () => {
    const storages = [
      { storage: "null", cost: 0.1, bytesPerSecond: 4e9 },
      { storage: "direct", cost: 0.3, bytesPerSecond: 0.5e9 },
      { storage: "file", cost: 0.6, bytesPerSecond: 1e9 },
    ].map(({ storage, ...rest }) => ({ group: "storage", axes: { storage, verify: true }, ...rest }));
    const { value, why } = choiceOf(verdictOn(storages), "storage");
    assert.equal(value, "direct");
    assert.match(why, /Faster, at 2\.00 × the CPU, is file: 1\.00 GB\/s against 0\.50 GB\/s/);
  });

  it("lets speed decide between kinds of storage that cost the same", () => {
    const kind = (storage: string, bytesPerSecond: number): Made => ({
      ...{ group: "storage", axes: { storage, verify: true }, cost: 0.5, bytesPerSecond },
    });
    const { value, why } = choiceOf(verdictOn([kind("file", 0.3e9), kind("direct", 0.6e9)]), "storage");
    assert.equal(value, "direct");
    assert.match(why, /File costs the same .* the choice falls on the faster one/);
  });

  it("splits a block's cost into shares that are of one whole", () => {
    const split = { kernel: 0.06, copying: 0, framing: 0.02, hashing: 0, writing: 0 };
    const { findings } = verdictOn([
      ...modes({ contiguous: 0.2, speculative: 0.1 }),
      {
        group: "costs",
        axes: { mode: "speculative", storage: "null" },
        cost: 0.1,
        figures: { costs: split },
      },
    ]);
    assert.ok(findings.some((text) => /75 % is the kernel's .* 0 % copying and 25 % TypeScript/.test(text)));
  });

  it("sets our best beside the best of the others, and no reference among them", () => {
    const compared = (subject: string, cost: number, bytesPerSecond: number): Made => ({
      ...{ verb: "compare", group: "seed", axes: { peers: 1 }, subject, cost, bytesPerSecond },
    });
    const { findings } = verdictOn([
      compared("scatterwire (copy)", 0.5, 1e9),
      compared("scatterwire (mapped)", 0.2, 4e9),
      compared("libtorrent (posix)", 1, 1e9),
      compared("aria2", 2, 2e9),
      compared("C loop of writev", 0.1, 8e9),
    ]);
    const [finding, ...others] = findings.filter((text) => text.startsWith("Seed"));
    assert.deepEqual(others, []);
    assert.match(
      required(finding, "finding"),
      /scatterwire \(mapped\) takes 0\.20 × the CPU of libtorrent \(\w+\), the cheapest of the others/,
    );
    assert.match(required(finding, "finding"), /2\.00 × the speed of aria2, the fastest of them/);
  });

  it("says that we are dearer where we are", () => {
    const { findings } = verdictOn([
      { verb: "compare", group: "seed", subject: "scatterwire (copy)", cost: 3 },
      { verb: "compare", group: "seed", subject: "aria2", cost: 1 },
    ]);
    assert.ok(
      findings.some((text) =>
        text.includes("takes 3.00 × the CPU of aria2, both the cheapest and the fastest of the others"),
      ),
    );
  });
});

describe("bench storage's files", () => {
  const WAYS = {
    "pool, pwritev": { mode: "speculative", storage: "file", writeRunBytes: 2 ** 20 },
    "into the mapping": { mode: "speculative", storage: "mapped", populate: false },
    "contiguous, copied": { mode: "contiguous", storage: "mapped", populate: false },
    "pool, O_DIRECT": { mode: "speculative", storage: "direct", writeRunBytes: 2 ** 20 },
  };
  const way = (group: string, name: keyof typeof WAYS, where: string, cost: number): Made => ({
    ...{
      verb: "storage",
      group,
      cost,
      axes: { way: name, where, file: "sparse", verify: true, ...WAYS[name] },
    },
  });
  const works = [
    way("mapped-memory", "pool, pwritev", "memory", 0.5),
    way("mapped-memory", "into the mapping", "memory", 0.4),
    way("mapped-memory", "contiguous, copied", "memory", 0.1),
    way("mapped-disk", "pool, pwritev", "disk", 0.5),
    way("mapped-disk", "into the mapping", "disk", 0.8),
    way("direct", "pool, O_DIRECT", "disk", 0.3),
  ];

  it("name cells by their ways, which stand for modes and kinds of storage", () => {
    const memory = entryOf(groups(works), 0);
    assert.deepEqual(memory.varying, ["way"]);
  });

  it("recommend a kind over all groups, on the disk", () => {
    const { value, certainty, why } = choiceOf(verdictOn(works), "storage");
    assert.deepEqual([value, certainty], ["direct", "clear"]);
    assert.match(why, /File costs 67 % more, and the dearest, mapped, 2\.67 × as much/);
  });

  it("count where receiving into a mapping is cheaper, and do not take copying into one for it", () => {
    const text = required(
      verdictOn(works).findings.find((finding) => finding.startsWith("Receiving straight")),
      "text",
    );
    assert.match(
      text,
      /: cheaper under 1 of 2 sets of conditions that were measured, [^;]*0\.80 ×\); dearer under 1 of 2 [^;]*1\.60 ×\)\./,
    );
  });
});

describe("cells", () => {
  it("know what is no program that anybody would use, as bench compare names it", () => {
    assert.deepEqual([LIMIT, DISK, WRITES, C_LOOP, "aria2"].map(isReference), [
      true,
      true,
      true,
      true,
      false,
    ]);
  });

  it("hold a cell against the limit of its own conditions, and against none where there is none", () => {
    const limit = (peers: number): Made => ({
      group: "peers",
      subject: "limit",
      axes: { peers },
      cost: peers,
    });
    const own = (peers: number): Made => ({ group: "peers", axes: { mode: "scatter", peers }, cost: 9 });
    const group = entryOf(groups([limit(1), limit(4), own(1), own(4), own(16)]), 0);
    const costs = group.cells
      .filter((cell) => cell.subject === "scatterwire")
      .map((cell) => limitOf(cell, group))
      .map((cell) =>
        cell === undefined
          ? undefined
          : required(measureFigure(cell, "cpuSecondsPerGB"), "the figure").median,
      );
    assert.deepEqual(costs, [1, 4, undefined]);
  });

  it("keep the rounds of several files apart, and count a file that is given twice once", () => {
    const trials = makeTrials([{ group: "mode", axes: { mode: "scatter" }, cost: 1 }]);
    const later = trials.map((trial) => ({ ...trial, startedAt: "2026-01-03T03:04:05.000Z" }));
    const files = [trials, later, trials].map((each, index) => ({
      path: `${index}`,
      results: makeResults(each),
    }));
    const group = entryOf(groupsOf(files), 0);
    assert.equal(group.cells.length, 1);
    assert.equal(entryOf(group.cells, 0).rounds.size, 6);
    assert.equal(repeatedTrials(files), 3);
  });

  it("are others for other amounts of bytes, and tell them by their payload", () => {
    const works = [64 * 2 ** 20, 2 ** 30].map((payloadBytes) => ({
      ...{ group: "mode", axes: { mode: "scatter" }, cost: 1 },
      figures: { payloadBytes },
    }));
    const group = entryOf(groups(works), 0);
    assert.deepEqual(
      group.cells.map(({ axes }) => axes["bytes"]),
      [undefined, 2 ** 30],
    );
  });
});

describe("the crossing of system calls and copying", () => {
  const point = (mode: string, bytesPerSystemCall: number, cost: number, noise?: number[]): Made => ({
    group: "buffer",
    axes: { mode, contiguousBufferBytes: bytesPerSystemCall, peers: 1 },
    cost,
    figures: { bytesPerSystemCall },
    ...(noise === undefined ? {} : { noise }),
  });

  it("is found where the lines meet, and the cheaper side named", () => {
    const data = required(
      crossingData(
        groups([
          point("contiguous", 16_384, 0.3),
          point("contiguous", 65_536, 0.2),
          point("contiguous", 262_144, 0.1),
          point("scatter", 8192, 0.2),
        ]),
      ),
      "data",
    );
    const [crossing, ...others] = data.crossings;
    assert.deepEqual(others, []);
    assert.ok(
      Math.abs(required(crossing, "crossing").bytesPerCall / 65_536 - 1) < 0.01,
      `${required(crossing, "crossing").bytesPerCall}`,
    );
    assert.match(data.sentences.join(" "), /cross at 64 KiB per call .* contiguous is the cheaper/);
  });

  it("is denied where one line is above the other in every round", () => {
    const data = required(
      crossingData(
        groups([
          ...[16_384, 65_536, 262_144].map((bytes) => point("contiguous", bytes, 0.2)),
          ...[16_384, 65_536, 262_144].map((bytes) => point("speculative", bytes, 0.1)),
        ]),
      ),
      "data",
    );
    assert.deepEqual(data.crossings, []);
    assert.match(
      data.sentences.join(" "),
      /do not cross on this machine.*contiguous costs more than speculative in every round/,
    );
  });

  it("is left open where the rounds disagree", () => {
    const data = required(
      crossingData(
        groups([
          point("contiguous", 16_384, 0.2, [1, 0.4, 1]),
          point("contiguous", 65_536, 0.2, [1, 0.4, 1]),
          point("contiguous", 262_144, 0.2, [1, 0.4, 1]),
          point("scatter", 8192, 0.15),
        ]),
      ),
      "data",
    );
    assert.deepEqual(data.crossings, []);
    assert.match(data.sentences.join(" "), /cannot be told: the rounds disagree/);
  });
});

describe("two files of results", () => {
  const before = groups([
    { group: "mode", axes: { mode: "contiguous" }, cost: 0.2 },
    { group: "mode", axes: { mode: "scatter" }, cost: 0.2 },
    { group: "mode", axes: { mode: "speculative" }, cost: 0.2 },
    { group: "mode", axes: { mode: "adaptive" }, cost: 0.2 },
  ]);
  const after = groups([
    { group: "mode", axes: { mode: "contiguous" }, cost: 0.1 },
    { group: "mode", axes: { mode: "scatter" }, cost: 0.4 },
    { group: "mode", axes: { mode: "speculative" }, cost: 0.19 },
    { group: "hashing", axes: { verify: true }, cost: 0.4 },
  ]);

  it("say what got cheaper, what dearer, and what noise hides", () => {
    const { sentences, onlyAfter, onlyBefore, changes } = compareFiles(after, before, "old.json");
    const text = sentences.join(" ");
    assert.match(text, /Of 3 kinds of work .* 1 got cheaper in CPU, 1 got dearer, and 1 did not change/);
    assert.match(text, /Cheaper: receive mode, contiguous \(0\.50 ×\)\./);
    assert.match(text, /Dearer: receive mode, scatter \(2\.00 ×\)\./);
    assert.deepEqual([onlyAfter, onlyBefore], [1, 1]);
    const cpu = changes.filter(({ figure }) => figure === "cpuSecondsPerGB");
    assert.deepEqual(
      cpu.map(({ sure }) => sure),
      [true, true, false],
    );
  });

  it("say the contrary the other way round", () => {
    const text = compareFiles(before, after, "new.json").sentences.join(" ");
    assert.match(text, /Cheaper: receive mode, scatter/);
    assert.match(text, /Dearer: receive mode, contiguous/);
  });

  it("say that the machine changed when the limit did, and give ratios in limits", () => {
    const drifting = (factor: number): ReturnType<typeof groups> =>
      groups([
        { group: "mode", subject: "limit", axes: {}, cost: 0.1 * factor },
        { group: "mode", axes: { mode: "scatter" }, cost: 0.15 * factor },
      ]);
    const { sentences, changes } = compareFiles(drifting(2), drifting(1), "old.json");
    assert.match(sentences.join(" "), /The limit itself costs 2\.00 × as much/);
    const own = required(
      changes.find(({ subject, figure }) => subject === "scatterwire" && figure === "cpuSecondsPerGB"),
      "own",
    );
    assert.equal(required(own.ratioInLimits, "ratio in limits").toFixed(6), "1.000000");
  });

  it("do not compare 1 GiB with 64 MiB, and say so", () => {
    const of = (payloadBytes: number, cost: number): ReturnType<typeof groups> =>
      groups([{ group: "mode", axes: { mode: "scatter" }, cost, figures: { payloadBytes } }]);
    const { sentences, changes, otherPayload } = compareFiles(of(2 ** 26, 1), of(2 ** 30, 0.2), "x.json");
    assert.deepEqual(changes, []);
    assert.equal(otherPayload, 1);
    assert.match(
      sentences.join(" "),
      /^1 kind of work moved another amount of bytes in the two files \(1 GiB before and 64 MiB now, for instance\)/,
    );
    assert.equal(compareFiles(of(2 ** 30, 1), of(2 ** 30, 0.2), "x.json").otherPayload, 0);
  });

  it("say so when they have nothing in common", () => {
    const other = groups([{ group: "pool", axes: { poolBytes: 1 }, cost: 1 }]);
    assert.deepEqual(compareFiles(after, other, "x.json").sentences, [
      "Nothing was measured both here and in x.json.",
    ]);
  });
});
