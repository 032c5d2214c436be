// Medians, and ratios pair by pair: machines drift, so a figure is compared with the one measured beside it.

import { entryOf } from "./ends.js";
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? entryOf(sorted, middle)
    : (entryOf(sorted, middle - 1) + entryOf(sorted, middle)) / 2;
}

/** Median of value[i] / base[i]. */
export function medianRatio(values: readonly number[], bases: readonly number[]): number {
  return median(values.map((value, index) => value / entryOf(bases, index)));
}

export interface Comparison {
  /** Median of value[i] / base[i], and the extremes. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  /** Whether all rounds agree on which is greater, and there are enough of them to say so. */
  readonly sure: boolean;
  /** Why not, in words. */
  readonly why: string;
}

/** Fewer rounds than this say nothing about noise. */
const ROUNDS_FOR_CERTAINTY = 3;

/** Compares figures round by round: what differs by less than it wanders from round to round does not differ. */
export function compare(values: readonly number[], bases: readonly number[]): Comparison {
  const ratios = values.map((value, index) => value / entryOf(bases, index));
  const low = Math.min(...ratios);
  const high = Math.max(...ratios);
  const few = ratios.length < ROUNDS_FOR_CERTAINTY;
  return {
    ratio: median(ratios),
    low,
    high,
    sure: !few && (low > 1 || high < 1),
    why: few
      ? `${ratios.length} run${ratios.length === 1 ? "" : "s"} cannot tell a difference from noise`
      : `the ratio goes from ${low.toFixed(2)} to ${high.toFixed(2)} between runs`,
  };
}
