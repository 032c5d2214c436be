// Files of results made up for tests: each figure is what the test says it is, with a wobble from round to round that is the
// same for whatever runs in one round, as on a machine that drifts.

import type {
  Axes,
  CostSplit,
  LabFigures,
  LabResults,
  LabTrial,
  LabVerb,
} from "../../../bench/measuring/results.js";
import { entryOf } from "../../support/required.js";

const WOBBLE = [1, 1.05, 0.96, 1.02, 0.99];

export interface Made {
  readonly verb?: LabVerb;
  readonly group: string;
  readonly subject?: string;
  readonly axes?: Axes;
  /** CPU s/GB. */
  readonly cost: number;
  readonly bytesPerSecond?: number;
  readonly figures?: Partial<LabFigures>;
  /** Of this work alone, on top of the wobble: one factor per round. */
  readonly noise?: readonly number[];
}

export function makeTrials(works: readonly Made[], rounds = 3): LabTrial[] {
  return works.flatMap((work) => Array.from({ length: rounds }, (_, round) => makeTrial(work, round)));
}

function makeTrial(
  {
    verb = "receive",
    group,
    subject = "scatterwire",
    axes = {},
    cost,
    bytesPerSecond = 1e9,
    figures,
    noise,
  }: Made,
  round: number,
): LabTrial {
  const cpu = cost * entryOf(WOBBLE, round % WOBBLE.length) * (noise?.[round] ?? 1);
  return {
    verb,
    group,
    subject,
    axes,
    round,
    startedAt: "2026-01-02T03:04:05.000Z",
    figures: {
      payloadBytes: 1e9,
      seconds: 1e9 / bytesPerSecond,
      bytesPerSecond: bytesPerSecond / entryOf(WOBBLE, round % WOBBLE.length),
      cpuSecondsPerGB: cpu,
      userSecondsPerGB: cpu / 4,
      systemSecondsPerGB: (cpu * 3) / 4,
      peakRssBytes: 50e6,
      ...figures,
    },
  };
}

export function makeResults(trials: readonly LabTrial[], changes: Partial<LabResults> = {}): LabResults {
  return {
    schema: 1,
    version: "1.2.3",
    machine: { cpu: "Made-up CPU", cores: 2, memoryBytes: 8 * 2 ** 30, system: "linux 6.1", node: "v20.1.0" },
    startedAt: "2026-01-02T03:04:05.000Z",
    endedAt: "2026-01-02T03:14:05.000Z",
    commands: ["scatterwire bench receive"],
    trials,
    omissions: [],
    ...changes,
  };
}

export function costs(kernel: number, copying: number, framing: number): CostSplit {
  return { kernel, copying, framing, hashing: 0, writing: 0 };
}
