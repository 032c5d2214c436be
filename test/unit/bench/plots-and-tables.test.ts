// What stands beside bars and in cells: whose a bar is, how slow something is, and what a single round cannot tell.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { firstOf } from "../../../bench/measuring/ends.js";
import { axisName, axisPhrase } from "../../../bench/report/axes.js";
import { groupsOf } from "../../../bench/report/cells.js";
import { LIMIT_COLOUR, OTHER_COLOUR, OUR_COLOUR } from "../../../bench/report/colours.js";
import { plansOf } from "../../../bench/report/figures.js";
import { tableOf } from "../../../bench/report/tables.js";
import { speedText } from "../../../bench/report/words.js";
import { type Made, makeResults, makeTrials } from "./made-results.js";

const FAR: readonly Made[] = ["scatterwire", "libtorrent"].flatMap((subject) =>
  ["libtorrent", "a seeder without reqq"].map((seeder): Made => {
    return { verb: "wan", group: "far", subject, axes: { seeder, rttMs: 50 }, cost: 1, bytesPerSecond: 57e6 };
  }),
);

function group(works: readonly Made[], rounds = 3): ReturnType<typeof groupsOf>[number] {
  return firstOf(groupsOf([{ path: "", results: makeResults(makeTrials(works, rounds)) }]));
}

describe("bars", () => {
  it("of far peers say who downloads, and from whom", () => {
    const names = plansOf(group(FAR)).map((plan) => (plan.kind === "bars" ? plan.options.bars : []));
    const bars = firstOf(names);
    assert.deepEqual(bars.map(({ name, colour }) => [name, colour]).sort(), [
      ["libtorrent, from a seeder without reqq", OTHER_COLOUR],
      ["libtorrent, from libtorrent", OTHER_COLOUR],
      ["scatterwire, from a seeder without reqq", OUR_COLOUR],
      ["scatterwire, from libtorrent", OUR_COLOUR],
    ]);
    assert.ok(!bars.some(({ colour }) => colour === LIMIT_COLOUR));
  });

  it("are said to be relative to ours where ours are there", () => {
    const unitOf = (works: readonly Made[]): string => {
      const plan = firstOf(plansOf(group(works)));
      return plan.kind === "bars" ? plan.options.unit : "";
    };
    const works = ["scatterwire", "libtorrent", "aria2"].map((subject): Made => {
      return { verb: "compare", group: "download", subject, axes: { peers: 1 }, cost: 1 };
    });
    assert.match(unitOf(works), /relative to scatterwire/);
    assert.doesNotMatch(unitOf(works.slice(1)), /scatterwire/);
  });

  it("tell slow ones apart", () => {
    assert.deepEqual([0.0571e9, 0.6e9, 12.345e9].map(speedText), ["0.057 GB/s", "0.60 GB/s", "12.35 GB/s"]);
  });

  it("have names that stand for themselves, but where they would not say what they are the name of", () => {
    assert.equal(axisName("mode", "scatter"), "scatter");
    assert.equal(axisName("seeder", "libtorrent"), "from libtorrent");
    assert.equal(axisName("peers", 1), "1 peer");
    assert.equal(axisPhrase("linkBytesPerSecond", 60e6), "a link of 60 MB/s");
  });
});

describe("tables", () => {
  it("have the extremes of the rounds beside a ratio, where there are several", () => {
    const works: readonly Made[] = [
      { group: "mode", subject: "limit", axes: {}, cost: 0.1 },
      { group: "mode", axes: { mode: "scatter" }, cost: 0.2, noise: [1, 1.1, 1] },
    ];
    const ratios = (rounds: number): (string | undefined)[] => {
      const { columns, rows } = tableOf(group(works, rounds));
      const at = columns.findIndex(({ title }) => title === "CPU ÷ limit");
      return rows.map(({ cells }) => cells[at]?.aside);
    };
    assert.deepEqual(ratios(3), [undefined, "2.00 to 2.20"]);
    assert.deepEqual(ratios(1), [undefined, undefined]);
  });

  it("hold others against ours where there are others", () => {
    const ours: Made = { verb: "compare", group: "seed", subject: "scatterwire (mapped)", cost: 0.1 };
    const titles = (works: readonly Made[]): string[] =>
      tableOf(group(works)).columns.map(({ title }) => title);
    assert.ok(titles([ours, { ...ours, subject: "aria2", cost: 0.2 }]).includes("CPU ÷ ours"));
    assert.ok(!titles([ours]).includes("CPU ÷ ours"));
  });
});
