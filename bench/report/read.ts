// Files of results, read and checked. What comes out has the shape that results.ts promises; what does not have it is
// refused in one line that names the file, the place in it, and what was expected there.

import { readFile } from "node:fs/promises";
import { messageOf } from "../../src/base/errors.js";
import { UsageError } from "../../src/index.js";
import { wrongFigure } from "../measuring/answers.js";
import { type DhtResults, isDhtResults, readDhtResults } from "../measuring/dht-results.js";
import { type LabResults, RESULTS_SCHEMA } from "../measuring/results.js";
import { isSwarmResults, readSwarmResults, type SwarmResults } from "../measuring/swarm-results.js";
import { isTrackerResults, readTrackerResults, type TrackerResults } from "../measuring/tracker-results.js";
import type { Machine } from "../measuring/workplace.js";
import { counted } from "./english.js";

export interface ResultsFile {
  readonly path: string;
  readonly results: LabResults;
}

export interface TrackerFile {
  readonly path: string;
  readonly results: TrackerResults;
}

export interface SwarmFile {
  readonly path: string;
  readonly results: SwarmResults;
}

export interface DhtFile {
  readonly path: string;
  readonly results: DhtResults;
}

const HOW_TO_MAKE_ONE =
  '"scatterwire bench receive", "seed" and "compare" write such files, and with --json "swarm", "dht" and those that measure trackers';

type Json = Readonly<Record<string, unknown>>;

export interface AnyResults {
  /** Of the lab's verbs. */
  readonly files: readonly ResultsFile[];
  readonly trackers: readonly TrackerFile[];
  readonly swarms: readonly SwarmFile[];
  readonly dhts: readonly DhtFile[];
}

/** Files of the lab's verbs, and of those that print what they find, apart. Rejects as readResults() does. */
export async function readAnyResults(paths: readonly string[]): Promise<AnyResults> {
  const files: ResultsFile[] = [];
  const trackers: TrackerFile[] = [];
  const swarms: SwarmFile[] = [];
  const dhts: DhtFile[] = [];
  for (const path of paths) {
    const text = await readFile(path, "utf8");
    const value = parseJson(text, path);
    try {
      if (isTrackerResults(value)) trackers.push({ path, results: readTrackerResults(value) });
      else if (isSwarmResults(value)) swarms.push({ path, results: readSwarmResults(value) });
      else if (isDhtResults(value)) dhts.push({ path, results: readDhtResults(value) });
      else files.push({ path, results: parseResults(text, path) });
    } catch (error) {
      if (error instanceof UsageError) throw error;
      refuse(path, messageOf(error));
    }
  }
  return { files, trackers, swarms, dhts };
}

/** Rejects UsageError, or the system's error if the file cannot be read. */
export async function readResults(path: string): Promise<ResultsFile> {
  return { path, results: parseResults(await readFile(path, "utf8"), path) };
}

/** Throws UsageError if `text` is no file of results that this version understands, or holds no trial. */
export function parseResults(text: string, path: string): LabResults {
  const value = parseJson(text, path);
  if (!isObject(value) || typeof value["schema"] !== "number") {
    refuse(path, `is not a file of results: it has no "schema"; ${HOW_TO_MAKE_ONE}`);
  }
  if (value["schema"] > RESULTS_SCHEMA) {
    refuse(
      path,
      `was written by a newer scatterwire: its schema is ${value["schema"]}, and this one reads ${RESULTS_SCHEMA}`,
    );
  }
  if (value["schema"] !== RESULTS_SCHEMA) refuse(path, `has schema ${value["schema"]}, which never was`);
  requireResults(value, path);
  return value;
}

function requireResults(value: Json, path: string): asserts value is Json & LabResults {
  checkFrame(value, path);
  const trials = listAt(value, "trials", path);
  if (trials.length === 0) refuse(path, "holds no trial: the benchmark that wrote it measured nothing");
  trials.forEach((trial, index) => {
    checkTrial(trial, `trials[${index}]`, path);
  });
}

function listAt(value: Json, name: string, path: string): readonly unknown[] {
  const list: unknown = value[name];
  return Array.isArray(list) ? list : refuse(path, `"${name}" should be a list`);
}

/** Throws UsageError if the files were not made on one machine: their figures do not belong on one page. */
export function requireOneMachine(
  files: readonly { readonly path: string; readonly results: { readonly machine: Machine } }[],
): void {
  const [first, ...others] = files;
  if (first === undefined) return;
  const wanted = machineName(first.results.machine);
  for (const other of others) {
    const found = machineName(other.results.machine);
    if (found === wanted) continue;
    throw new UsageError(
      "USAGE_STATE",
      `${other.path} is of another machine (${found}) than ${first.path} (${wanted}): compare them with --against`,
    );
  }
}

export function machineName({ cpu, cores }: Machine): string {
  return `${cpu}, ${counted(cores, "core")}`;
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return refuse(path, `is not JSON: ${messageOf(error)}`);
  }
}

function checkFrame(value: Json, path: string): void {
  const machine = value["machine"];
  if (!isObject(machine)) refuse(path, '"machine" should be an object');
  for (const name of ["cpu", "system", "node"]) requireString(machine[name], `machine.${name}`, path);
  for (const name of ["cores", "memoryBytes"]) requireNumber(machine[name], `machine.${name}`, path);
  for (const name of ["version", "startedAt", "endedAt"]) requireString(value[name], name, path);
  listAt(value, "trials", path);
  listAt(value, "commands", path).forEach((command, index) => {
    requireString(command, `commands[${index}]`, path);
  });
  listAt(value, "omissions", path).forEach((omission, index) => {
    const at = `omissions[${index}]`;
    if (!isObject(omission)) refuse(path, `${at} should be an object`);
    for (const name of ["verb", "subject", "reason"]) requireString(omission[name], `${at}.${name}`, path);
    if (omission["group"] !== undefined) requireString(omission["group"], `${at}.group`, path);
    if (omission["axes"] !== undefined) checkAxes(omission["axes"], `${at}.axes`, path);
  });
}

function checkTrial(trial: unknown, at: string, path: string): void {
  if (!isObject(trial)) refuse(path, `${at} should be an object`);
  for (const name of ["verb", "group", "subject"]) requireString(trial[name], `${at}.${name}`, path);
  requireNumber(trial["round"], `${at}.round`, path);
  checkAxes(trial["axes"], `${at}.axes`, path);
  if (trial["busyBefore"] !== undefined) requireNumber(trial["busyBefore"], `${at}.busyBefore`, path);
  const wrong = wrongFigure(trial["figures"]);
  if (wrong !== undefined) refuse(path, `${at}.figures${wrong.startsWith("should") ? " " : "."}${wrong}`);
}

function checkAxes(axes: unknown, at: string, path: string): void {
  if (!isObject(axes)) refuse(path, `${at} should be an object`);
  for (const [name, value] of Object.entries(axes)) {
    if (!["string", "number", "boolean"].includes(typeof value)) {
      refuse(path, `${at}.${name} should be a string, a number or a boolean, not ${JSON.stringify(value)}`);
    }
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function requireString(value: unknown, at: string, path: string): void {
  if (typeof value !== "string") refuse(path, `${at} should be a string, not ${JSON.stringify(value)}`);
}

function requireNumber(value: unknown, at: string, path: string): void {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    refuse(path, `${at} should be a number, not ${JSON.stringify(value)}`);
  }
}

function refuse(path: string, why: string): never {
  throw new UsageError("USAGE_STATE", `${path}: ${why}`);
}
