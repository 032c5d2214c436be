// What somebody may have meant who wrote a word that does not exist.

import { entryOf } from "./assert.js";

/** The word that is nearest, if no more than half of its letters would have to change. */
export function nearestWord(word: string, words: readonly string[]): string | undefined {
  const near = words.map((name) => ({ name, distance: changesBetween(word, name) }));
  const best = near.sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= Math.floor(best.name.length / 2) ? best.name : undefined;
}

/** Letters to be put in, taken out or changed, by the table of Wagner and Fischer. */
export function changesBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = entryOf(row, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, entryOf(row, j) + 1, entryOf(next, j - 1) + 1));
    }
    row = next;
  }
  return entryOf(row, b.length);
}
