// What `bench dht` finds of lookups in a simulated network, as it prints it with --json and as `bench report` reads it again; and beside it
// what Grunthal measured in the real one. What is read is checked by this shape, which is also the type.

import { listOf, number, object, ShapeError, string, type ValueOf } from "../processes/shape.js";
import { aboutRun, RUN_ABOUT } from "./run-about.js";

const DHT_RESULTS_SCHEMA = 1;

const dhtFigures = object({
  name: string,
  queriesPerLookup: number,
  convergedSeconds: number,
  completedSeconds: number,
  peers: number,
  queriesMostPerMinute: number,
  gini: number,
  hostileShare: number,
  eclipsedShare: number,
  toNamedPerLookup: number,
  victimMostPerSecond: number,
});
export type DhtFigures = ValueOf<typeof dhtFigures>;

const dhtFound = object({
  /** Of the network, and the share of them that never answers. */
  nodes: number,
  dead: number,
  /** Of each row. */
  lookups: number,
  seed: number,
  rows: listOf(dhtFigures),
});
export type DhtFound = ValueOf<typeof dhtFound>;

const frame = object({ dht: number, ...RUN_ABOUT });
export type DhtResults = ValueOf<typeof frame> & { readonly found: DhtFound };

/** One figure of the paper's, in the words of its unit, and what it is called here. */
export interface PaperFigure {
  readonly what: string;
  readonly paper: string;
  /** Of the rows that have it. */
  readonly ours: (found: DhtFound) => string | undefined;
}

/** Grunthal 2010, in a network of 4 to 6 million nodes of which two thirds to four fifths answered nobody. */
export const PAPER_FIGURES: readonly PaperFigure[] = [
  {
    what: "queries a lookup, without cache",
    paper: "60 to 100",
    ours: ({ rows }) => rows.find(({ name }) => name.startsWith("random order"))?.queriesPerLookup.toFixed(1),
  },
  {
    what: "queries a lookup, in order with cache",
    paper: "10 at best",
    ours: ({ rows }) => rows.find(({ name }) => /^all(:|$)/.test(name))?.queriesPerLookup.toFixed(1),
  },
  {
    what: "seconds until a lookup is complete",
    paper: "about 10: the last calls are waited for",
    ours: ({ rows }) => rows.find(({ name }) => /^all(:|$)/.test(name))?.completedSeconds.toFixed(1),
  },
];

/** What was found, with the machine and the command. `startedAt`: when the verb began. */
export function framedDht(version: string, startedAt: Date, found: DhtFound): DhtResults {
  return { dht: DHT_RESULTS_SCHEMA, ...aboutRun(version, startedAt), found };
}

/** Whether a file is one of these, before it is read. */
export function isDhtResults(value: unknown): value is { readonly found?: unknown } {
  return typeof value === "object" && value !== null && "dht" in value;
}

/** Throws ShapeError, which names the place, if it is not what this version prints. */
export function readDhtResults(value: { readonly found?: unknown }): DhtResults {
  const about = frame(value, "the file");
  if (about.dht !== DHT_RESULTS_SCHEMA)
    throw new ShapeError(`has schema ${about.dht} of the DHT: this one reads ${DHT_RESULTS_SCHEMA}`);
  return { ...about, found: dhtFound(value.found, "found") };
}
