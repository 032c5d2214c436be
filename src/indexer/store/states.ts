// What a hash of an index can be, as both stores keep it (store.ts draws how they follow each other), and what is counted.

export const STATE_WAITING = 0;
export const STATE_CLAIMED = 1;
export const STATE_RESTING = 2;
export const STATE_FETCHED = 3;
export const STATE_UNUSABLE = 4;
/** By somebody who wanted it so: kept for good. */
export const STATE_REMOVED = 5;
/** By retention: kept until there are too many of them. */
export const STATE_EXPIRED = 6;

/** Columns of the statistics. */
export const COUNTED = [
  "hashes",
  "fetched",
  "failed",
  "unusable",
  "removed",
  "lookups",
  "queries",
  "fetches",
] as const;
export type Counts = Partial<Record<(typeof COUNTED)[number], number>>;
