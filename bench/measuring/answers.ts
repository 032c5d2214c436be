// What a measured process answers, checked at the boundary: a figure that is missing or no number ends the trial with the name
// of the figure, instead of turning into NaN in a table.

import { Program, type ProgramOptions } from "../processes/program.js";
import { ShapeError } from "../processes/shape.js";
import { COST_NAMES, type LabFigures } from "./results.js";

/** Every trial has these. */
const FIGURES_REQUIRED = [
  "payloadBytes",
  "seconds",
  "bytesPerSecond",
  "cpuSecondsPerGB",
  "userSecondsPerGB",
  "systemSecondsPerGB",
  "peakRssBytes",
];

/** What is wrong with `value` as figures, in words: "payloadBytes should be a number, not null"; undefined if nothing is. */
export function wrongFigure(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "should be an object";
  const figures = value as Readonly<Record<string, unknown>>;
  const notNumber = (name: string, figure: unknown): string | undefined =>
    typeof figure === "number" && Number.isFinite(figure)
      ? undefined
      : `${name} should be a number, not ${JSON.stringify(figure)}`;
  for (const name of FIGURES_REQUIRED) {
    const wrong = notNumber(name, figures[name]);
    if (wrong !== undefined) return wrong;
  }
  for (const [name, figure] of Object.entries(figures)) {
    const wrong = name === "costs" || figure === undefined ? undefined : notNumber(name, figure);
    if (wrong !== undefined) return wrong;
  }
  const costs = figures["costs"];
  if (costs === undefined) return undefined;
  if (typeof costs !== "object" || costs === null) return "costs should be an object";
  for (const name of COST_NAMES) {
    const wrong = notNumber(`costs.${name}`, (costs as Readonly<Record<string, unknown>>)[name]);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** Reads the figures of a trial from what a measured process answered. Throws with what is wrong with them. */
export function figuresOf(value: unknown, at: string): LabFigures {
  requireFigures(value, at);
  return value;
}

function requireFigures(value: unknown, at: string): asserts value is LabFigures {
  const wrong = wrongFigure(value);
  if (wrong !== undefined) throw new ShapeError(`${at} holds no valid figures: ${wrong}`);
}

/** Runs a measured program of ours to its end. Rejects with what it said on standard error, or with what is wrong with its answer. */
export function runFigures(
  file: string,
  args: readonly string[],
  options?: ProgramOptions,
): Promise<LabFigures> {
  return Program.node(file, args, options).answer(figuresOf);
}
