// The page that bench report makes: it loads nothing, shows every group, cannot be broken by names, and is refused for files
// that are no results.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { LabResults } from "../../../bench/measuring/results.js";
import { groupsOf } from "../../../bench/report/cells.js";
import { looksFor } from "../../../bench/report/colours.js";
import { plansOf } from "../../../bench/report/figures.js";
import { html } from "../../../bench/report/html.js";
import { makeReport } from "../../../bench/report/report.js";
import { temporaryFolder } from "../../support/data.js";
import { Program } from "../../support/program.js";
import { entryOf, required } from "../../support/required.js";
import { costs, type Made, makeResults, makeTrials } from "./made-results.js";

const WORKS: readonly Made[] = [
  {
    group: "mode",
    subject: "limit",
    axes: { peers: 1 },
    cost: 0.1,
    figures: { costs: costs(0.09, 0, 0.01) },
  },
  ...["contiguous", "speculative"].map((mode, index) => ({
    ...{ group: "mode", axes: { mode, peers: 1 }, cost: 0.2 - index * 0.05 },
    figures: { costs: costs(0.1, 0.05 - index * 0.05, 0.05) },
  })),
  ...["contiguous", "speculative"].map((mode, index) => ({
    ...{ group: "stored-mode", axes: { mode, peers: 8, storage: "file", verify: true } },
    cost: 0.9 - index * 0.2,
  })),
  ...[1, 4, 16].map((depth) => ({ group: "depth", axes: { depth }, cost: 0.2 + 0.1 / depth })),
  ...[16_384, 65_536, 262_144].map((bytes) => ({
    ...{ group: "buffer", axes: { mode: "contiguous", contiguousBufferBytes: bytes }, cost: 0.2 },
    figures: { bytesPerSystemCall: bytes },
  })),
  { verb: "storage", group: "mapped", axes: { storage: "file" }, cost: 0.4 },
  { verb: "storage", group: "mapped", axes: { storage: "mapped" }, cost: 0.5 },
  { verb: "seed", group: "send-mode", axes: { sendMode: "copy" }, cost: 0.4 },
  { verb: "seed", group: "send-mode", axes: { sendMode: "mapped" }, cost: 0.3 },
  { verb: "compare", group: "download", subject: "scatterwire (null)", axes: { peers: 1 }, cost: 0.1 },
  { verb: "compare", group: "download", subject: "aria2", axes: { peers: 1 }, cost: 1 },
];

const EVIL = `"><script>alert(1)</script>&<img src=x onerror='y'>`;

function fileOf(folder: string, name: string, results: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(results));
  return path;
}

async function pageOf(
  results: LabResults,
  folder: string,
  others: readonly LabResults[] = [],
): Promise<string> {
  const files = [results, ...others].map((each, index) => fileOf(folder, `made-${index}.json`, each));
  return (await makeReport(files)).html;
}

/** What makes a browser fetch something, in tags and in style rules; links within the page do not. */
function loads(page: string): string[] {
  const tags = required(page.match(/<[a-z](?:"[^"]*"|[^">])*>/gi), "a match");
  const bare = tags.map((tag) => tag.replace(/"[^"]*"/g, '""'));
  const rules =
    required(page.match(/<style>[^<]*<\/style>/g), "a match").join("") +
    tags.join("").replace(/aria-label="[^"]*"/g, "");
  const links = tags
    .flatMap((tag) => [...tag.matchAll(/\shref="([^"]*)"/g)])
    .map(([, target]) => required(target, "target"));
  return [
    ...bare.filter((tag) => /\s(?:src|srcset|data|poster|action|on\w+)\s*=/i.test(tag)),
    ...bare.filter((tag) => /^<(?:script|link|iframe|object|embed|img|image|use)\b/i.test(tag)),
    ...(rules.match(/@import|url\(/gi) ?? []),
    ...links.filter((target) => !target.startsWith("#")),
  ];
}

describe("the page of a report", () => {
  it("loads nothing, and knows no address but the name of SVG", async (t) => {
    const page = await pageOf(
      makeResults(makeTrials(WORKS)),
      temporaryFolder((done) => t.after(done)),
    );
    assert.deepEqual(loads(page), []);
    assert.deepEqual([...new Set(page.match(/https?:\/\/[^\s"<]+/g))], ["http://www.w3.org/2000/svg"]);
    assert.match(page, /default-src 'none'/);
  });

  it("has a plot and a table of every group, and each link leads to a table", async (t) => {
    const page = await pageOf(
      makeResults(makeTrials(WORKS)),
      temporaryFolder((done) => t.after(done)),
    );
    const targets = [...page.matchAll(/href="#(table-\d+)"/g)].map(([, target]) =>
      required(target, "target"),
    );
    assert.equal(new Set(targets).size, 7);
    for (const target of targets) assert.ok(page.includes(`id="${target}"`), target);
    for (const title of ["Receiving", "Storing", "Seeding", "Beside the others"]) {
      assert.ok(page.includes(`<h2>${title}</h2>`), title);
    }
    assert.ok(page.includes("System calls against copying"));
  });

  it("draws what it says: bars as wide as their figures, split into their costs", async (t) => {
    const page = await pageOf(
      makeResults(makeTrials(WORKS)),
      temporaryFolder((done) => t.after(done)),
    );
    const figure = page.slice(page.indexOf("CPU by receive mode"));
    const svg = figure.slice(figure.indexOf("<svg"), figure.indexOf("</svg>"));
    const widthOf = (mode: string, cost: string): number => {
      const rects = svg.match(/<rect[^>]*>(?:<title>[^<]*<\/title>)?/g) ?? [];
      const rect = rects.find((one) => one.includes(`<title>${mode}: ${cost} `));
      assert.ok(rect !== undefined, `${mode}: ${cost}`);
      return Number(required(/width="([\d.]+)"/.exec(rect), "a match")[1]);
    };
    const copying = widthOf("contiguous", "copying");
    assert.ok(Math.abs(widthOf("contiguous", "kernel") / copying - 2) < 0.05);
    assert.throws(() => widthOf("speculative", "copying"));
    assert.match(svg, /role="img"/);
    assert.match(svg, /<title>CPU by receive mode<\/title>/);
    assert.match(svg, />0\.200 CPU s\/GB</);
  });

  it("shows a group and axes that nobody told it of", async (t) => {
    const odd = [1, 2, 3, 4].map((moons) => ({
      group: "moonlight",
      axes: { moonPhase: moons },
      cost: moons,
    }));
    const verb = "observe" as LabResults["trials"][number]["verb"];
    const works = [...odd, { verb, group: "stars", axes: { bright: true }, cost: 1 }];
    const page = await pageOf(
      makeResults(makeTrials(works)),
      temporaryFolder((done) => t.after(done)),
    );
    assert.match(page, /CPU over moon phase/);
    assert.match(page, /Moonlight/);
    assert.match(page, /<h2>Observe<\/h2>/);
    assert.match(page, /Observe: stars/);
  });

  it("escapes every name, whatever it is called", async (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const works = [
      ...["a", "b"].map((end) => ({ group: EVIL, axes: { [EVIL]: `${EVIL}${end}` }, cost: 1 })),
      ...[1, 2, 3].map((value) => ({ group: `${EVIL}2`, axes: { [EVIL]: value, mode: EVIL }, cost: 1 })),
      { verb: "compare" as const, group: EVIL, subject: EVIL, axes: { peers: 1 }, cost: 1 },
    ];
    const results = makeResults(makeTrials(works), {
      version: EVIL,
      commands: [EVIL],
      machine: { cpu: EVIL, cores: 1, memoryBytes: 1, system: EVIL, node: EVIL },
      omissions: [{ verb: "seed", subject: EVIL, axes: { [EVIL]: EVIL }, reason: EVIL }],
    });
    const page = await pageOf(results, folder);
    assert.deepEqual(loads(page), []);
    assert.ok(page.split("&lt;script&gt;").length > 20);
  });

  it("shows what bench compare adds: idle connections and settings, and leaves out what is neither", async (t) => {
    const idle = [3000, 3200, 3100].map((residentBytesPerPeer, round) => ({
      ...{ subject: "aria2", round, figures: { peers: 500, residentBytesPerPeer, cpuShare: 0.0125 } },
    }));
    const more = { idle: [...idle, { subject: 1 }, null], settings: { aria2: "--split=1", bad: 7 } };
    const results = { ...makeResults(makeTrials(WORKS)), ...more };
    const page = await pageOf(
      results,
      temporaryFolder((done) => t.after(done)),
    );
    const row = required(
      /<tr><th scope="row">aria2<\/th><td class="number">500<\/td>.*?<\/tr>/.exec(page),
      "a match",
    )[0];
    assert.deepEqual(row.replace(/<[^>]*>/g, " ").match(/[\d.,]+/g), [
      "2",
      "500",
      "3,100",
      "3,000",
      "3,200",
      "1.25",
      "3",
    ]);
    assert.match(page, /<dt>aria2<\/dt><dd><code>--split=1<\/code>/);
    assert.doesNotMatch(page, /<dt>bad/);
  });

  it("says how each program that was measured was set, once where several files agree", async (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const made = (text: string, cost: number): LabResults & { settings: object } => ({
      ...makeResults(makeTrials([{ verb: "compare", group: "seed", subject: "aria2", cost }])),
      settings: { aria2: text, rtorrent: "never measured" },
    });
    const agreed = await pageOf(made("--split=1", 1), folder, [made("--split=1", 2)]);
    const differing = await pageOf(made("--split=1", 1), folder, [made("--split=2", 2)]);
    const settingsOf = (page: string): (string | undefined)[] =>
      [...page.matchAll(/<dt>([a-z0-9]+)<\/dt><dd><code>(.*?)<\/code>/g)].map(
        ([, name, text]) => `${name} ${text}`,
      );
    assert.deepEqual(settingsOf(agreed), ["aria2 --split=1"]);
    assert.deepEqual(settingsOf(differing), ["aria2 --split=1", "aria2 --split=2"]);
  });

  it("draws even what cost nothing", async (t) => {
    const works = [
      ...["a", "b"].map((mode) => ({ group: "mode", axes: { mode }, cost: 0 })),
      ...[1, 2, 3].map((depth) => ({ group: "depth", axes: { depth }, cost: 0 })),
    ];
    const page = await pageOf(
      makeResults(makeTrials(works)),
      temporaryFolder((done) => t.after(done)),
    );
    assert.doesNotMatch(page, /NaN|Infinity/);
  });

  it("does not mistake names for parts of the language it is written in", async (t) => {
    const works = ["__proto__", "constructor", "toString"].map((word) => ({
      group: word,
      axes: JSON.parse(`{"${word}": "${word}", "mode": "${word}"}`) as Record<string, string>,
      cost: 1,
    }));
    const page = await pageOf(
      makeResults(makeTrials(works)),
      temporaryFolder((done) => t.after(done)),
    );
    for (const word of ["proto", "constructor", "toString"]) assert.ok(page.includes(word), word);
    assert.doesNotMatch(page, /native code|undefined|NaN/);
  });

  it("claims no more of the limit and of certainty than holds", async (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const { html } = await makeReport([fileOf(folder, "made.json", makeResults(makeTrials(WORKS)))]);
    assert.doesNotMatch(html, /can cost less/);
    assert.match(html, /what is close to it may be measured below it/);
    assert.match(
      html,
      /trials of less than 256 MiB, or on rounds that differ too much; nothing of that is recommended/,
    );
  });

  it("names what was left out and the commands", async (t) => {
    const omissions = [{ verb: "compare" as const, subject: "rtorrent", reason: "apt-get install rtorrent" }];
    const results = makeResults(makeTrials(WORKS), {
      omissions,
      commands: ["scatterwire bench receive --full"],
    });
    const page = await pageOf(
      results,
      temporaryFolder((done) => t.after(done)),
    );
    assert.match(page, /apt-get install rtorrent/);
    assert.match(page, /scatterwire bench receive --full/);
  });

  it("would be seen to load something", () => {
    const page = '<style>p{}</style><p title="<img src=x>"><img src=x><a href="//x"></a><p onclick="">';
    assert.equal(loads(page).length, 4);
  });

  it("escapes in its smallest part", () => {
    assert.equal(
      html`<p title="${`"'`}">${"<&>"}${html`<b>${1}</b>`}</p>`.text,
      '<p title="&quot;&#39;">&lt;&amp;&gt;<b>1</b></p>',
    );
  });
});

describe("colours", () => {
  it("of a mode are the same for its bar and its line, and no two modes share one", () => {
    const [group] = groupsOf([
      {
        path: "made.json",
        results: makeResults(
          makeTrials(
            ["contiguous", "scatter", "speculative", "adaptive"].map((mode) => ({
              ...{ group: "mode", axes: { mode }, cost: 1 },
            })),
          ),
        ),
      },
    ]);
    assert.ok(group !== undefined);
    const colours = plansOf(group).flatMap((plan) =>
      plan.kind === "bars" ? plan.options.bars.map(({ name, colour }) => [name, colour] as const) : [],
    );
    for (const [mode, colour] of colours)
      assert.equal(looksFor(["other", mode]).get(mode)?.colour, colour, mode);
    assert.equal(new Set(colours.map(([, colour]) => colour)).size, 4);
  });
});

describe("files that are no results", () => {
  const good = makeResults(makeTrials(WORKS));
  const trial = entryOf(good.trials, 0);
  const refused: readonly [name: string, results: unknown, why: RegExp][] = [
    ["a list", [], /made\.json: is not a file of results: it has no "schema"/],
    ["a newer schema", { ...good, schema: 2 }, /newer scatterwire: its schema is 2, and this one reads 1/],
    ["no trial", { ...good, trials: [] }, /made\.json: holds no trial/],
    ["no machine", { ...good, machine: null }, /"machine" should be an object/],
    [
      "a figure that is none",
      { ...good, trials: [{ ...trial, figures: { ...trial.figures, cpuSecondsPerGB: "0.1" } }] },
      /trials\[0\]\.figures\.cpuSecondsPerGB should be a number, not "0\.1"/,
    ],
    [
      "an axis that is none",
      { ...good, trials: [trial, { ...trial, axes: { peers: [1] } }] },
      /trials\[1\]\.axes\.peers should be a string, a number or a boolean, not \[1\]/,
    ],
  ];
  for (const [name, results, why] of refused) {
    it(`are refused in one line: ${name}`, async (t) => {
      const path = fileOf(
        temporaryFolder((done) => t.after(done)),
        "made.json",
        results,
      );
      await assert.rejects(makeReport([path]), (error: Error) => {
        assert.match(error.message, why);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      });
    });
  }

  it("are refused together when they are of different machines", async (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const other = { ...good, machine: { ...good.machine, cpu: "Another CPU" } };
    const paths = [fileOf(folder, "a.json", good), fileOf(folder, "b.json", other)];
    await assert.rejects(makeReport(paths), /b\.json is of another machine .*--against/);
    const { against } = await makeReport([entryOf(paths, 0)], { against: entryOf(paths, 1) });
    assert.match(
      required(against, "against").sentences.join(" "),
      /b\.json was made on another machine .* 0 got cheaper in CPU, 0 got dearer/,
    );
  });
});

describe("scatterwire bench report", () => {
  it("writes the page and prints the verdict", async (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const path = fileOf(folder, "made.json", makeResults(makeTrials(WORKS)));
    const output = join(folder, "page.html");
    const program = Program.cli("bench", "report", path, "-o", output);
    assert.equal((await program.result()).status, 0, program.errors);
    assert.match(program.output, /Receive mode: speculative\. Cheapest in every round: 0\.700 CPU s\/GB/);
    assert.match(program.output, /\nFrom round to round .*\n$/, "the verdict is all that is printed");
    const verbose = Program.cli("bench", "report", path, "-o", output, "--force", "--verbose");
    assert.equal(await verbose.ended, 0);
    assert.ok(
      verbose.output.endsWith(program.output),
      "and stands below the tables where they are asked for",
    );
    assert.match(verbose.output, /│ +CPU s\/GB/);
    for (const line of verbose.output.split("\n")) assert.ok(line.length <= 100, line);
    assert.match(readFileSync(output, "utf8"), /^<!doctype html>/);
  });

  it("prints one JSON object when asked, with the comparison", async (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const path = fileOf(folder, "made.json", makeResults(makeTrials(WORKS)));
    const output = join(folder, "page.html");
    const args = ["bench", "report", path, "--against", path, "--json", "-o", output];
    const { status, last } = await Program.cli(...args).result();
    assert.equal(status, 0);
    const verdict = last["verdict"] as { choices: { axis: string; value: string }[] };
    assert.equal(
      required(
        verdict.choices.find(({ axis }) => axis === "mode"),
        "one of choices",
      ).value,
      "speculative",
    );
    assert.match(JSON.stringify(last["against"]), /0 got cheaper in CPU, 0 got dearer/);
  });

  it("says in one line what is wrong with a file", async (t) => {
    const folder = temporaryFolder((done) => t.after(done));
    const path = join(folder, "broken.json");
    writeFileSync(path, "{");
    const broken = await Program.cli("bench", "report", path, "-o", join(folder, "page.html")).result();
    assert.equal(broken.status, 1);
    assert.match(broken.errors, /^scatterwire: .*broken\.json: is not JSON[^\n]*\n$/);
    const missing = await Program.cli(
      ...["bench", "report", join(folder, "none.json"), "-o", join(folder, "page.html")],
    ).result();
    assert.equal(missing.status, 1);
    assert.match(missing.errors, /^scatterwire: ENOENT[^\n]*\n$/);
  });
});
