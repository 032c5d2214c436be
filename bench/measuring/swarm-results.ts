// What `bench swarm` finds, as it prints it with --json and as `bench report` reads it again. What is read is checked by this shape, which is
// also the type.

import { listOf, number, object, optional, ShapeError, type ValueOf } from "../processes/shape.js";
import { aboutRun, RUN_ABOUT } from "./run-about.js";

export const SWARM_KINDS = ["scatterwire", "libtorrent", "mixed"] as const;
export type SwarmKind = (typeof SWARM_KINDS)[number];

const SWARM_RESULTS_SCHEMA = 1;

const swarmRun = object({
  /** From the first connection until the last leecher was complete. */
  seconds: number,
  /** Payload that the seed sent, by the length of the torrent. */
  seedCopies: number,
});
export type SwarmRun = ValueOf<typeof swarmRun>;

const rounds = optional(listOf(swarmRun));

const swarmFound = object({
  /** Bytes of the torrent, and of it per second that the seed sends. */
  size: number,
  rate: number,
  leechers: number,
  /** Rounds in order, of each kind that was measured. */
  runs: object({ scatterwire: rounds, libtorrent: rounds, mixed: rounds }),
});
export type SwarmFound = ValueOf<typeof swarmFound>;

const frame = object({ swarms: number, ...RUN_ABOUT });
export type SwarmResults = ValueOf<typeof frame> & { readonly found: SwarmFound };

/** What one copy takes: less is impossible. */
export function copySecondsOf({ size, rate }: SwarmFound): number {
  return size / rate;
}

/** What was found, with the machine and the command. `startedAt`: when the verb began. */
export function framedSwarm(version: string, startedAt: Date, found: SwarmFound): SwarmResults {
  return { swarms: SWARM_RESULTS_SCHEMA, ...aboutRun(version, startedAt), found };
}

/** Whether a file is one of these, before it is read. */
export function isSwarmResults(value: unknown): value is { readonly found?: unknown } {
  return typeof value === "object" && value !== null && "swarms" in value;
}

/** Throws ShapeError, which names the place, if it is not what this version prints. */
export function readSwarmResults(value: { readonly found?: unknown }): SwarmResults {
  const about = frame(value, "the file");
  if (about.swarms !== SWARM_RESULTS_SCHEMA)
    throw new ShapeError(`has schema ${about.swarms} of swarms: this one reads ${SWARM_RESULTS_SCHEMA}`);
  return { ...about, found: swarmFound(value.found, "found") };
}
