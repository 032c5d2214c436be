// Colours by what is shown, the same on the whole page: CSS variables that page.ts gives values for, one set for light and
// one for dark. The hues are those of Okabe and Ito, which people with any common colour blindness can tell apart; shapes and
// labels say the same again.

import { entryOf, firstOf, namedIn } from "../measuring/ends.js";

const KNOWN: Readonly<Record<string, number>> = {
  contiguous: 1,
  scatter: 2,
  speculative: 3,
  adaptive: 4,
  copy: 1,
  sendfile: 2,
  mapped: 3,
  file: 1,
  direct: 2,
  null: 5,
  memory: 4,
  scatterwire: 3,
};
const COUNT = 7;

const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye", "cross"] as const;

export type SymbolName = (typeof SYMBOLS)[number];

export interface Look {
  readonly colour: string;
  readonly symbol: SymbolName;
}

export const LIMIT_COLOUR = "var(--limit)";
export const OTHER_COLOUR = "var(--other)";
export const OUR_COLOUR = "var(--series-3)";

/** Looks that no receive mode has: whatever else a plot shows takes these first, so that a mode keeps its colour everywhere. */
const NOT_OF_MODES: readonly number[] = [5, 6, 7, 1, 2, 4, 3];

/** A look for each name: its own where it is known and still free, else the next one that is free. */
export function looksFor(names: readonly string[]): Map<string, Look> {
  const looks = new Map<string, Look>();
  const free = [...NOT_OF_MODES];
  const take = (name: string, index: number): void => {
    looks.set(name, { colour: `var(--series-${index})`, symbol: entryOf(SYMBOLS, index - 1) });
    free.splice(free.indexOf(index), 1);
  };
  for (const name of names) {
    const word = Object.keys(KNOWN).find((known) => name === known || name.startsWith(`${known},`));
    if (word !== undefined && free.includes(namedIn(KNOWN, word))) take(name, namedIn(KNOWN, word));
  }
  for (const name of names) {
    if (looks.has(name)) continue;
    // More series than looks: the last one is shared, and the labels tell them apart.
    if (free.length > 0) take(name, firstOf(free));
    else looks.set(name, { colour: `var(--series-${COUNT})`, symbol: entryOf(SYMBOLS, COUNT - 1) });
  }
  return looks;
}
