// Runs the scenarios of a verb in rounds, and keeps what they measured. Round by round all scenarios are done once, so
// that figures which are compared were measured side by side, however the machine drifts meanwhile.
//
// Always: what was measured is in the journal before the next trial begins. A run that is stopped gives the results that it
// has, and leaves no process and no folder behind.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { messageOf } from "../../src/base/errors.js";
import { VERSION } from "../../src/base/version.js";
import { UsageError } from "../../src/index.js";
import { withDeadline } from "../processes/running.js";
import { Journal } from "./journal.js";
import { type Axes, type LabResults, type LabVerb, RESULTS_SCHEMA } from "./results.js";
import { keyOf, type LabPlan, LIMIT, orderOf, type Scenario, type Selection, select } from "./scenario.js";
import { busyShare, describeMachine } from "./workplace.js";

/** A trial that takes longer than this, and than its bytes at this rate, hangs: it is ended, and named as left out. */
const DEADLINE_MS = 60_000;
const BYTES_PER_SECOND_MIN = 2e6;

export interface RunOptions {
  readonly verb: LabVerb;
  /** Bytes of the torrent. */
  readonly size: number;
  readonly rounds: number;
  readonly only: readonly Selection[];
  /** Where results go, and beside it the journal, by which an interrupted run goes on. */
  readonly output?: string | undefined;
  /** Whether finished results of another run at that place may be lost. */
  readonly overwrite?: boolean | undefined;
  readonly command: string;
  readonly signal: AbortSignal;
  readonly onProgress?: OnProgress | undefined;
}

/** Told before each trial, with what is next, and at the end, without. Trials that need not be done again do not count as `fresh`. */
export type OnProgress = (progress: {
  readonly done: number;
  readonly total: number;
  /** Trials that this run did itself: what its speed is told by. */
  readonly fresh: number;
  readonly round: number;
  readonly rounds: number;
  readonly next: Scenario | undefined;
}) => void;

export interface RunOutcome {
  readonly results: LabResults;
  /** Everything that was asked for was done, or could not be done. */
  readonly complete: boolean;
}

/** Calls `prepare` for the scenarios within a place where they can work, and that is gone afterwards. */
export type Workshop = (work: (plan: LabPlan) => Promise<void>) => Promise<void>;

/** Rejects UsageError if nothing is selected, or the journal is of another run. */
export async function runLab(options: RunOptions, workshop: Workshop): Promise<RunOutcome> {
  const { verb, size, output, signal } = options;
  if (output !== undefined && options.overwrite !== true) refuseToOverwrite(output);
  const journal = Journal.open(output, { verb, version: VERSION, size });
  let complete = false;
  try {
    await workshop(async (plan) => {
      complete = await runRounds(options, plan, journal);
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  const results: LabResults = {
    schema: RESULTS_SCHEMA,
    version: VERSION,
    machine: describeMachine(),
    startedAt: journal.startedAt,
    endedAt: new Date().toISOString(),
    commands: [options.command],
    trials: journal.trials,
    omissions: journal.omissions,
  };
  if (output !== undefined) {
    writeResults(output, results);
    if (complete) journal.remove();
  }
  return { results, complete };
}

/** Whole, or as it was: a run that is killed here loses nothing. */
export function writeResults(path: string, results: LabResults): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(results, undefined, 1)}\n`);
  renameSync(`${path}.new`, path);
}

/** Throws UsageError if a finished run's results are there: without a journal beside it, nothing would go on with them. */
function refuseToOverwrite(output: string): void {
  if (!existsSync(output) || existsSync(`${output}.journal`)) return;
  let trials: unknown;
  try {
    trials = (JSON.parse(readFileSync(output, "utf8")) as { trials?: unknown }).trials;
  } catch {
    // Not a file of ours: it must not be lost either.
  }
  const held = Array.isArray(trials) ? `holds ${trials.length} trials of a finished run` : "exists already";
  throw new UsageError("USAGE_STATE", `${output} ${held}: name another file, or give --force to replace it`);
}

async function runRounds(options: RunOptions, plan: LabPlan, journal: Journal): Promise<boolean> {
  const scenarios = select(plan.scenarios, options.only);
  if (!scenarios.some(({ subject }) => subject !== LIMIT)) throw selectsNothing(plan, options.only);
  const known = new Set(journal.omissions.map((omission) => JSON.stringify(omission)));
  const wanted = select(plan.omissions, options.only);
  for (const omission of wanted) if (!known.has(JSON.stringify(omission))) journal.omit(omission);
  const done = new Set(journal.trials.map((trial) => roundKey(keyOf(trial), trial.round)));
  const failed = new Set(
    journal.omissions.flatMap(({ group, axes = {}, ...rest }) =>
      group === undefined ? [] : [keyOf({ ...rest, group, axes })],
    ),
  );
  const { rounds } = options;
  const total = rounds * scenarios.length;
  const told = tellingAxes(scenarios);
  let [count, fresh] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    for (const scenario of orderOf(scenarios, round)) {
      if (options.signal.aborted) return false;
      const next = { ...scenario, axes: told.get(scenario) ?? scenario.axes };
      options.onProgress?.({ done: count++, total, fresh, round, rounds, next });
      const key = keyOf(scenario);
      if (done.has(roundKey(key, round)) || failed.has(key)) continue;
      const deadlineMs = DEADLINE_MS + (1000 * options.size) / BYTES_PER_SECOND_MIN;
      const trial: Scenario = { ...scenario, run: () => withDeadline(deadlineMs, scenario.run) };
      if (!(await runTrial(trial, round, journal, options.signal))) failed.add(key);
      fresh++;
    }
  }
  options.onProgress?.({ done: total, total, fresh, round: rounds - 1, rounds, next: undefined });
  return !options.signal.aborted;
}

/** Of each scenario the axes by which it differs from others of its group: what all have in common tells them apart from nothing. */
function tellingAxes(scenarios: readonly Scenario[]): Map<Scenario, Axes> {
  const told = new Map<Scenario, Axes>();
  for (const scenario of scenarios) {
    const others = scenarios.filter(({ group }) => group === scenario.group);
    const differs = ([axis]: [string, Axes[string]]): boolean =>
      new Set(others.map(({ axes }) => axes[axis]).filter((value) => value !== undefined)).size > 1;
    told.set(scenario, Object.fromEntries(Object.entries(scenario.axes).filter(differs)));
  }
  return told;
}

/** False if it failed: then it is named as omitted, and is not tried again. */
async function runTrial(
  scenario: Scenario,
  round: number,
  journal: Journal,
  signal: AbortSignal,
): Promise<boolean> {
  const { verb, group, subject, axes, run } = scenario;
  const busyBefore = await busyShare();
  const startedAt = new Date().toISOString();
  try {
    const figures = await run();
    journal.add({ verb, group, subject, axes, round, startedAt, busyBefore, figures });
    return true;
  } catch (error) {
    if (signal.aborted) throw error;
    const reason = messageOf(error).replaceAll("\n", " ");
    journal.omit({ verb, group, subject, axes, reason });
    return false;
  }
}

/** The limit alone is no answer to anything: then says which groups there are, or which values the axes have. */
function selectsNothing({ scenarios, omissions }: LabPlan, only: readonly Selection[]): UsageError {
  const omitted = select(omissions, only)[0];
  if (omitted !== undefined && only.length > 0)
    return new UsageError("USAGE_OPTION", `what --only selects cannot be measured here: ${omitted.reason}`);
  const groups = [...new Set(scenarios.map(({ group }) => group))];
  const unknown = only.find(({ group }) => !groups.includes(group));
  if (unknown !== undefined || only.length === 0)
    return new UsageError("USAGE_OPTION", `--only selects nothing; the groups are ${groups.join(", ")}`);
  const axes = only.flatMap(({ group, axes }) => axes.map(([axis]) => [group, axis] as const));
  const values = axes.map(([group, axis]) => {
    const own = scenarios.filter((scenario) => scenario.group === group && scenario.subject !== LIMIT);
    const found = [...new Set(own.map((scenario) => scenario.axes[axis]))].filter(
      (value) => value !== undefined,
    );
    const names = [...new Set(own.flatMap((scenario) => Object.keys(scenario.axes)))];
    return found.length === 0
      ? `${group} has no axis ${axis}, but ${names.join(", ")}`
      : `${axis} of ${group} is ${found.join(", ")}`;
  });
  return new UsageError("USAGE_OPTION", `--only selects nothing; ${values.join("; ")}`);
}

function roundKey(key: string, round: number): string {
  return `${round} ${key}`;
}
