// What bench compare adds to its file beyond trials: how each program was set, and what connections cost that say nothing.
// Both are for reading only, so what has not the expected shape is left out instead of refused.

import { firstOf } from "../measuring/ends.js";
import { median } from "../measuring/statistics.js";
import type { ResultsFile } from "./read.js";

export interface IdleRow {
  readonly subject: string;
  readonly peers: number;
  readonly rounds: number;
  /** Medians; and the lowest and the highest round. */
  readonly bytesPerPeer: number;
  readonly bytesLow: number;
  readonly bytesHigh: number;
  /** Of one core. */
  readonly cpuShare: number;
}

export interface Extras {
  readonly idle: readonly IdleRow[];
  readonly settings: readonly (readonly [subject: string, text: string])[];
}

interface IdleTrial {
  readonly subject: string;
  readonly figures: {
    readonly peers: number;
    readonly residentBytesPerPeer: number;
    readonly cpuShare: number;
  };
}

export function extrasOf(files: readonly ResultsFile[]): Extras {
  const more = files.map(({ results }) => results as unknown as Record<string, unknown>);
  const trials = more.flatMap(({ idle }) => (Array.isArray(idle) ? idle.filter(isIdleTrial) : []));
  const rows = new Map<string, IdleTrial[]>();
  for (const trial of trials) {
    const key = JSON.stringify([trial.subject, trial.figures.peers]);
    rows.set(key, [...(rows.get(key) ?? []), trial]);
  }
  const measured = new Set([
    ...files.flatMap(({ results }) => results.trials.map(({ subject }) => subject)),
    ...trials.map(({ subject }) => subject),
  ]);
  const settings = more.flatMap(({ settings: each }) => settingsIn(each, measured));
  return {
    idle: [...rows.values()].map(idleRow),
    // Of several files that agree, once.
    settings: [...new Map(settings.map((entry) => [JSON.stringify(entry), entry])).values()],
  };
}

/** A file names those of all programs that might have been measured. */
function settingsIn(value: unknown, measured: ReadonlySet<string>): (readonly [string, string])[] {
  const entries = Object.entries(typeof value === "object" && value !== null ? value : {});
  return entries.filter(
    (entry): entry is [string, string] => typeof entry[1] === "string" && measured.has(entry[0]),
  );
}

function idleRow(trials: readonly IdleTrial[]): IdleRow {
  const bytes = trials.map(({ figures }) => figures.residentBytesPerPeer);
  return {
    subject: firstOf(trials).subject,
    peers: firstOf(trials).figures.peers,
    rounds: trials.length,
    bytesPerPeer: median(bytes),
    bytesLow: Math.min(...bytes),
    bytesHigh: Math.max(...bytes),
    cpuShare: median(trials.map(({ figures }) => figures.cpuShare)),
  };
}

function isIdleTrial(value: unknown): value is IdleTrial {
  const { subject, figures } = (value ?? {}) as Record<string, unknown>;
  const { peers, residentBytesPerPeer, cpuShare } = (figures ?? {}) as Record<string, unknown>;
  return (
    typeof subject === "string" &&
    [peers, residentBytesPerPeer, cpuShare].every((figure) => Number.isFinite(figure))
  );
}
