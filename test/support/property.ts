// Properties that fast-check tries, and dice with a seed. A failure says how to run the same case again:
//
//   SEED=<n> RUNS=<n> node --test dist/test/…

import fc from "fast-check";

const SEED = process.env["SEED"] === undefined ? Date.now() & 0x7fffffff : Number(process.env["SEED"]);
const RUNS = process.env["RUNS"] === undefined ? undefined : Number(process.env["RUNS"]);

/** Checks `property` for about `runs` cases (RUNS overrides). */
export function check(property: fc.IRawProperty<unknown>, runs: number): void {
  const seed = SEED;
  try {
    fc.assert(property, { seed, numRuns: RUNS ?? runs, includeErrorInReport: true });
  } catch (error) {
    if (error instanceof Error)
      error.message += `\n\nAgain: SEED=${seed} RUNS=${RUNS ?? runs} node --test <this file>`;
    throw error;
  }
}

/** The same for properties that take their time: each case is `weight` of others, so that RUNS means as much work. */
export async function checkAsync(
  property: fc.IAsyncProperty<unknown>,
  runs: number,
  weight: number,
): Promise<void> {
  const numRuns = RUNS === undefined ? runs : Math.max(1, Math.ceil(RUNS / weight));
  try {
    await fc.assert(property, { seed: SEED, numRuns, includeErrorInReport: true });
  } catch (error) {
    if (error instanceof Error)
      error.message += `\n\nAgain: SEED=${SEED} RUNS=${numRuns * weight} node --test <this file>`;
    throw error;
  }
}

/** Numbers from 0 to below 1, the same ones for the same seed (a linear congruential generator, mixed). */
export function makeRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x7feb352d);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x846ca68b);
    mixed ^= mixed >>> 16;
    return (mixed >>> 0) / 2 ** 32;
  };
}
