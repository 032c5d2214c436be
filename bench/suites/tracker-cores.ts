// Which processors a tracker has and which its load, as aquatic's bencher divides a machine: the tracker's from the first on, the load's
// from the last back, and never the same ones.

import { cpus } from "node:os";

export const CPU_MODES = [
  "subsequent",
  "split-pairs",
  "subsequent-pairs",
  "subsequent-one-per-pair",
] as const;
export type CpuMode = (typeof CPU_MODES)[number];

/** Cores of the tracker that are tried, as far as the machine has them. */
const CORE_COUNTS = [1, 2, 4, 6, 8, 12, 16] as const;

export interface CoreSet {
  readonly cores: number;
  readonly cpus: string;
}

/** Processors that count as one core, in order. */
function coresOf(mode: CpuMode, processors: number): number[][] {
  const half = Math.floor(processors / 2);
  switch (mode) {
    case "subsequent":
      return Array.from({ length: processors }, (_, core) => [core]);
    case "split-pairs":
      return Array.from({ length: half }, (_, core) => [core, core + half]);
    case "subsequent-pairs":
      return Array.from({ length: half }, (_, core) => [2 * core, 2 * core + 1]);
    case "subsequent-one-per-pair":
      return Array.from({ length: half }, (_, core) => [2 * core]);
  }
}

/** Pairs are a guess: processors i and i + n/2 share a core on most machines that have such. */
export function cpuModeDefault(processors = cpus().length): CpuMode {
  return processors >= 4 && processors % 2 === 0 ? "split-pairs" : "subsequent";
}

/** The sets of `mode` that leave a core for the load. */
export function coreSets(mode: CpuMode, min: number, max: number, processors = cpus().length): CoreSet[] {
  const cores = coresOf(mode, processors);
  return CORE_COUNTS.filter((count) => count >= min && count <= max && count < cores.length).map((count) => ({
    cores: count,
    cpus: cpuList(cores.slice(0, count).flat()),
  }));
}

/** The processors of so many load workers beside so many cores of the tracker; fewer workers if there are not so many cores left. */
export function loadSet(
  mode: CpuMode,
  trackerCores: number,
  workers: number,
  processors = cpus().length,
): CoreSet {
  const cores = coresOf(mode, processors);
  const count = Math.max(1, Math.min(workers, cores.length - trackerCores));
  return { cores: count, cpus: cpuList(cores.slice(cores.length - count).flat()) };
}

/** "0-1,16-17". */
export function cpuList(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((left, right) => left - right);
  const parts: string[] = [];
  for (let index = 0; index < sorted.length; ) {
    const first = sorted[index] ?? 0;
    let length = 1;
    while (sorted[index + length] === first + length) length++;
    parts.push(length === 1 ? String(first) : `${first}-${first + length - 1}`);
    index += length;
  }
  return parts.join(",");
}
