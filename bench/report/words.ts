// Figures in words: each with its unit, and no more digits than it deserves.

import type { Comparison } from "../measuring/statistics.js";
import { binaryBytes } from "./axes.js";
import type { FigureName, Measured } from "./cells.js";

interface FigureWords {
  readonly title: string;
  readonly unit: string;
  readonly format: (value: number) => string;
  /** Which way is good, where one is. */
  readonly better?: "less" | "more";
}

const fixed =
  (digits: number) =>
  (value: number): string =>
    value.toFixed(digits);

/** Three digits that say something, whatever the size: 0.117, 4.20, 61,035. */
export function significant(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 1 ? 2 : 3);
}

/** In the order in which tables show them. */
export const FIGURES: Readonly<Partial<Record<FigureName, FigureWords>>> = {
  cpuSecondsPerGB: { title: "CPU", unit: "s/GB", format: fixed(3), better: "less" },
  bytesPerSecond: {
    title: "speed",
    unit: "GB/s",
    format: (value) => (value / 1e9).toFixed(2),
    better: "more",
  },
  firstCpuSecondsPerGB: { title: "CPU, first download", unit: "s/GB", format: fixed(3), better: "less" },
  userSecondsPerGB: { title: "user", unit: "s/GB", format: fixed(3), better: "less" },
  systemSecondsPerGB: { title: "system", unit: "s/GB", format: fixed(3), better: "less" },
  systemCallsPerBlock: { title: "system calls", unit: "per block", format: significant, better: "less" },
  bytesPerSystemCall: { title: "bytes", unit: "per call", format: binaryBytes },
  receiveCallsPerRequest: {
    title: "receive calls",
    unit: "per request",
    format: significant,
    better: "less",
  },
  requestsPerSecond: { title: "requests", unit: "per s", format: significant, better: "more" },
  linkShare: { title: "of the link", unit: "0 to 1", format: fixed(2), better: "more" },
  copiedBytesPerByte: { title: "copied", unit: "bytes per byte", format: fixed(3), better: "less" },
  predictionHits: { title: "hits", unit: "blocks", format: significant },
  predictionMisses: { title: "misses", unit: "blocks", format: significant },
  minorFaultsPerBlock: { title: "minor faults", unit: "per block", format: significant, better: "less" },
  majorFaults: { title: "major faults", unit: "in all", format: significant, better: "less" },
  voluntarySwitchesPerBlock: { title: "waits", unit: "per block", format: significant, better: "less" },
  involuntarySwitches: { title: "preemptions", unit: "in all", format: significant, better: "less" },
  cyclesPerBlock: { title: "cycles", unit: "per block", format: significant, better: "less" },
  instructionsPerBlock: { title: "instructions", unit: "per block", format: significant, better: "less" },
  cacheMissesPerBlock: { title: "cache misses", unit: "per block", format: significant, better: "less" },
  peakRssBytes: {
    title: "peak RSS",
    unit: "MB",
    format: (value) => (value / 1e6).toFixed(0),
    better: "less",
  },
  loadCpuSecondsPerGB: { title: "other end's CPU", unit: "s/GB", format: fixed(3) },
};

export function cpuText(value: number): string {
  return `${value.toFixed(3)} CPU s/GB`;
}

export function speedText(bytesPerSecond: number): string {
  const speed = bytesPerSecond / 1e9;
  return `${speed.toFixed(speed < 0.1 ? 3 : 2)} GB/s`;
}

/** "± 3 %": how far the rounds lie from the middle. */
export function spreadText({ median, low, high, rounds }: Measured): string {
  if (rounds === 1) return "1 run";
  return `± ${median === 0 ? 0 : percent((high - low) / 2 / median)} %`;
}

/** "32 % more", "20 % less", "2.30 × as much". */
export function howMuchMore(ratio: number): string {
  if (ratio >= 2 || ratio <= 0.5) return `${ratio.toFixed(2)} × as much`;
  const parts = percent(Math.abs(ratio - 1));
  return `${parts} % ${ratio >= 1 ? "more" : "less"}`;
}

/** "1.32 × (1.28 to 1.36)" */
export function ratioText({ ratio, low, high }: Pick<Comparison, "ratio" | "low" | "high">): string {
  return `${ratio.toFixed(2)} × (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

export function percent(part: number): string {
  return (part * 100).toFixed(part !== 0 && Math.abs(part) < 0.1 ? 1 : 0);
}
