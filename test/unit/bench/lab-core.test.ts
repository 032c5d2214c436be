// The lab's core without a benchmark: which scenarios are selected, in which order rounds do them, what the verdict says of
// noise, what becomes of a trial that fails or hangs, and counters that stand still until work begins.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { PerfStat, perfMayCount } from "../../../bench/measuring/perf.js";
import type { Axes, LabFigures, LabTrial } from "../../../bench/measuring/results.js";
import { runLab } from "../../../bench/measuring/run.js";
import { orderOf, parseSelection, type Scenario, select } from "../../../bench/measuring/scenario.js";
import { track, withDeadline } from "../../../bench/processes/running.js";
import { groupsOf } from "../../../bench/report/cells.js";
import { groupVerdict } from "../../../bench/report/group-verdict.js";
import { labTables } from "../../../bench/report/run-tables.js";
import { progressText, stepText } from "../../../src/cli/bench/lab-progress.js";
import { entryOf, required } from "../../support/required.js";
import { makeResults } from "./made-results.js";

function figures(cpuSecondsPerGB: number): LabFigures {
  const userSecondsPerGB = cpuSecondsPerGB;
  return {
    ...{ payloadBytes: 1e9, seconds: 1, bytesPerSecond: 1e9, cpuSecondsPerGB, userSecondsPerGB },
    ...{ systemSecondsPerGB: 0, peakRssBytes: 1e6 },
  };
}

function scenario(group: string, subject: string, axes: Axes, run = async () => figures(1)): Scenario {
  return { verb: "receive", group, subject, axes, run };
}

const SCENARIOS = [
  scenario("depth", "limit", {}),
  scenario("depth", "scatterwire", { depth: 1 }),
  scenario("depth", "scatterwire", { depth: 16 }),
  scenario("peers", "limit", { peers: 4 }),
  scenario("peers", "limit", { peers: 16 }),
  scenario("peers", "scatterwire", { peers: 4 }),
  scenario("peers", "scatterwire", { peers: 16 }),
];

describe("selection", () => {
  const chosen = (...texts: string[]): string[] =>
    select(SCENARIOS, texts.map(parseSelection)).map(
      ({ group, subject, axes }) => `${group} ${subject} ${Object.values(axes)}`,
    );

  it("takes everything where nothing is asked for", () => assert.equal(chosen().length, SCENARIOS.length));

  it("leaves the limit beside what is selected", () => {
    assert.deepEqual(chosen("depth:depth=16"), ["depth limit ", "depth scatterwire 16"]);
    assert.deepEqual(chosen("peers:peers=4"), ["peers limit 4", "peers scatterwire 4"]);
  });

  it("refuses what it cannot read", () => {
    for (const text of ["", ":a=b", "depth:depth", "depth:=1", "depth:a=b=c"])
      assert.throws(() => parseSelection(text), /--only takes/);
  });
});

describe("rounds", () => {
  it("do everything once, groups together, in another order each", () => {
    const orders = [0, 1, 2].map((round) => orderOf(SCENARIOS, round));
    for (const order of orders) {
      assert.deepEqual(new Set(order), new Set(SCENARIOS));
      const groups = order.map(({ group }) => group);
      assert.equal(groups.filter((group, index) => group !== groups[index - 1]).length, 2);
    }
    assert.equal(new Set(orders.map(([first]) => first)).size, 3);
  });

  const run = (scenarios: Scenario[], signal = new AbortController().signal) =>
    runLab({ verb: "receive", size: 1e6, rounds: 2, only: [], command: "test", signal }, (work) =>
      work({ scenarios, omissions: [] }),
    );

  it("name a trial that fails, once, and go on", async () => {
    let tries = 0;
    const failing = scenario("depth", "scatterwire", { depth: 2 }, async () => {
      tries++;
      throw new Error("no such\ndepth");
    });
    const { results, complete } = await run([failing, ...SCENARIOS]);
    assert.equal(complete, true);
    assert.equal(tries, 1);
    assert.deepEqual(results.omissions, [
      {
        verb: "receive",
        group: "depth",
        subject: "scatterwire",
        axes: { depth: 2 },
        reason: "no such depth",
      },
    ]);
    assert.equal(results.trials.length, 2 * SCENARIOS.length);
  });

  const runOnly = (only: string[], extra: Partial<Parameters<typeof runLab>[0]> = {}) =>
    runLab(
      {
        ...{ verb: "receive", size: 1e6, rounds: 1, only: only.map(parseSelection), command: "test" },
        signal: new AbortController().signal,
        ...extra,
      },
      (work) => work({ scenarios: SCENARIOS, omissions: [] }),
    );

  it("refuse a selection that selects the limit alone, and say what there is", async () => {
    await assert.rejects(runOnly(["depth:depth=17"]), /selects nothing; depth of depth is 1, 16/);
    await assert.rejects(runOnly(["depth:mode=fast"]), /selects nothing; depth has no axis mode, but depth/);
    await assert.rejects(runOnly(["nonsense"]), /selects nothing; the groups are depth, peers/);
    assert.equal((await runOnly(["depth:depth=16"])).results.trials.length, 2);
  });

  it("replace finished results only when they are told to", async () => {
    const folder = mkdtempSync(join(tmpdir(), "scatterwire-test-"));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const output = join(folder, "results.json");
    await runOnly(["depth"], { output });
    const first = readFileSync(output, "utf8");
    await assert.rejects(runOnly(["peers"], { output }), /holds 3 trials of a finished run/);
    assert.equal(readFileSync(output, "utf8"), first);
    await runOnly(["peers"], { output, overwrite: true });
    assert.notEqual(readFileSync(output, "utf8"), first);
  });

  it("note how busy the machine was before each trial", async () => {
    const { results } = await runOnly(["depth:depth=16"]);
    for (const { busyBefore } of results.trials)
      assert.ok(required(busyBefore, "busy before") >= 0 && required(busyBefore, "busy before") <= 1);
  });

  it("stop at once when they are told to, with what there is", async () => {
    const controller = new AbortController();
    const stopping = scenario("depth", "scatterwire", { depth: 2 }, async () => {
      controller.abort();
      return figures(1);
    });
    const { results, complete } = await run([stopping, ...SCENARIOS], controller.signal);
    assert.equal(complete, false);
    assert.equal(results.trials.length, 1);
  });

  it("end the processes of a trial that hangs, and no others", async () => {
    const sleep = (): ReturnType<typeof spawn> => {
      const child = spawn("sleep", ["60"]);
      track(child);
      return child;
    };
    const bystander = sleep();
    const hanging = withDeadline(200, async () => {
      const child = sleep();
      await new Promise((resolve) => child.once("exit", resolve));
      throw new Error("killed");
    });
    await assert.rejects(hanging, /not done after 0 s/);
    assert.equal(bystander.exitCode ?? bystander.signalCode, null);
    bystander.kill("SIGKILL");
  });
});

describe("verdict", () => {
  const trials = (costs: Record<string, number[]>): LabTrial[] =>
    Object.entries(costs).flatMap(([mode, values]) =>
      values.map((cost, round): LabTrial => {
        const subject = mode === "limit" ? "limit" : "scatterwire";
        const axes: Axes = mode === "limit" ? {} : { mode };
        return {
          verb: "receive",
          group: "mode",
          subject,
          axes,
          round,
          startedAt: "",
          figures: figures(cost),
        };
      }),
    );
  const verdict = (costs: Record<string, number[]>): string => {
    const [group] = groupsOf([{ path: "", results: makeResults(trials(costs)) }]);
    return groupVerdict(required(group, "group")).join("\n");
  };

  it("calls dearer what every round shows to be", () => {
    const text = verdict({ limit: [1, 1, 1], one: [1.5, 1.6, 1.5], other: [3, 3, 3.2] });
    assert.match(
      text,
      /^mode: cheapest is one with 1\.500 CPU s\/GB, 1\.50 × the limit\. Dearer: other by 100 %/,
    );
  });

  it("does not tell apart what the rounds disagree about, or too few rounds", () => {
    assert.match(verdict({ one: [1, 3, 1], other: [2, 2, 2] }), /Not told apart from it by 3 rounds: other/);
    assert.match(verdict({ one: [1], other: [2] }), /Not told apart from it by 1 round: other/);
  });

  it("divides nothing that was hashed or stored by a limit that only receives", () => {
    for (const [axes, divides] of [
      [{ verify: true, storage: "null" }, false],
      [{ verify: false, storage: "file" }, false],
      [{ verify: false, storage: "null" }, true],
    ] as const) {
      const made = trials({ limit: [1, 1, 1], one: [2, 2, 2] }).map((trial) =>
        trial.subject === "limit" ? trial : { ...trial, axes: { ...trial.axes, ...axes } },
      );
      const results = makeResults(made);
      const [group] = groupsOf([{ path: "", results }]);
      assert.equal(groupVerdict(required(group, "group")).join().includes("× the limit"), divides);
      assert.equal(labTables(results).includes("× limit"), divides);
    }
  });
});

describe("tables of a run", () => {
  const modes = ["contiguous", "scatter", "speculative", "adaptive"];
  const results = makeResults(
    [0, 1, 2].flatMap((round) =>
      modes.map((mode) => ({
        ...{ verb: "receive" as const, group: "mode", subject: "scatterwire", axes: { mode }, round },
        startedAt: "",
        figures: {
          ...figures(0.2),
          ...{ systemCallsPerBlock: 2.017, bytesPerSystemCall: 8192, copiedBytesPerByte: 1 },
          ...{ minorFaultsPerBlock: 4, voluntarySwitchesPerBlock: 0.5, loadCpuSecondsPerGB: 0.2 },
          ...{ predictionHits: 65_532, predictionMisses: 4, firstCpuSecondsPerGB: 0.3 },
          costs: { kernel: 0.1, copying: 0.1, framing: 0, hashing: 0, writing: 0 },
        },
      })),
    ),
  );
  const widest = (text: string): number =>
    Math.max(
      ...text
        .split("\n")
        .filter((line) => line.startsWith("│"))
        .map((line) => line.length),
    );

  it("fit the terminal, name what was left out, and show all of it when asked", () => {
    for (const width of [60, 80, 100]) {
      const text = labTables(results, { width });
      assert.ok(widest(text) <= width, `${widest(text)} columns of ${width}`);
      assert.match(text, /Left out, for want of room: [\s\S]*writing\s+\(--verbose\)/);
      const all = labTables(results, { width, verbose: true });
      assert.ok(widest(all) <= width);
      assert.doesNotMatch(all, /Left out/);
      for (const head of ["CPU s/GB", "first", "hits", "load", "writing"])
        assert.ok(all.includes(head), head);
    }
  });

  it("end in what they say", () => {
    assert.match(entryOf(labTables(results).split("\n\n"), -1), /^mode: cheapest is /);
  });
});

describe("progress of a run", () => {
  const next = scenario("depth", "scatterwire", { depth: 16 });
  const at = { done: 3, total: 15, round: 0, rounds: 3, next };

  it("is told in words, with the time that is left once some is known", () => {
    assert.equal(progressText({ ...at, fresh: 0 }, 0), "trial 4 of 15, round 1 of 3: depth, depth 16");
    assert.match(progressText({ ...at, fresh: 3 }, 6000), /, about 24 s left: /);
    assert.match(progressText({ ...at, fresh: 3 }, 60_000), /, about 4 min left: /);
  });

  it("names what tells a trial from the others of its group, and nothing that they have in common", async () => {
    const told: string[] = [];
    const two = [1, 16].map((depth) =>
      scenario("depth", "scatterwire", { depth, peers: 1, storage: "null" }),
    );
    await runLab(
      {
        ...{ verb: "receive", size: 1e6, rounds: 1, only: [], command: "test" },
        signal: new AbortController().signal,
        onProgress: (progress) => told.push(progressText(progress, 1000).replace(/, about .* left/, "")),
      },
      (work) => work({ scenarios: two, omissions: [] }),
    );
    assert.deepEqual(told.slice(0, 2), ["trial 1 of 2: depth, depth 1", "trial 2 of 2: depth, depth 16"]);
  });

  it("of a benchmark without trials is told likewise", () => {
    const what = "beside two checks";
    assert.equal(stepText({ done: 0, total: 8, what }, 5), "step 1 of 8: beside two checks");
    assert.equal(
      stepText({ done: 2, total: 8, what }, 10_000),
      "step 3 of 8, about 30 s left: beside two checks",
    );
  });

  it("does not count trials that an earlier run did", () => {
    assert.match(progressText({ ...at, done: 13, fresh: 1 }, 10_000), /, about 20 s left: /);
  });
});

describe("perf", () => {
  const events = ["page-faults", "context-switches"];

  it("counts between its start and its end, or says that it cannot", async (context) => {
    if (!perfMayCount(events)) {
      context.diagnostic("perf may not count here");
      assert.equal(perfMayCount(["no-such-event"]), false);
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), "scatterwire-test-"));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const perf = new PerfStat(folder, events);
    const module = new URL("../../../bench/measuring/perf.js", import.meta.url).href;
    const program = `
      const { PerfControl } = await import(${JSON.stringify(module)});
      const control = PerfControl.fromEnvironment();
      Buffer.alloc(512 << 20, 1);
      control.enable();
      Buffer.alloc(32 << 20, 1);
      control.disable();
      Buffer.alloc(512 << 20, 1);`;
    const command = [...perf.prefix, process.execPath, "--input-type=module", "-e", program];
    const child = spawn(entryOf(command, 0), command.slice(1), {
      stdio: "ignore",
      env: { ...process.env, ...perf.environment },
    });
    const status = await new Promise((resolve) => child.once("exit", resolve));
    assert.equal(status, 0, readFileSync(join(folder, "perf.counts"), "utf8"));
    const faults = required(perf.read().get("page-faults"), "an entry of read");
    // 32 MiB are 8192 pages, or 16 huge ones; what lies outside would be sixteen times as many.
    assert.ok(faults >= 16 && faults < 3 * 8192, `${faults} faults`);
  });
});
