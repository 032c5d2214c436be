// What a file of results says about the run that made it, but for the lab's trials: when, by what command, and on what machine.

import { number, object, string, type ValueOf } from "../processes/shape.js";
import { describeMachine } from "./workplace.js";

export const RUN_ABOUT = {
  version: string,
  startedAt: string,
  endedAt: string,
  command: string,
  machine: object({ cpu: string, cores: number, memoryBytes: number, system: string, node: string }),
} as const;

const runAbout = object(RUN_ABOUT);
export type RunAbout = ValueOf<typeof runAbout>;

/** `startedAt`: when the verb began. It ends now. */
export function aboutRun(version: string, startedAt: Date): RunAbout {
  return {
    version,
    startedAt: startedAt.toISOString(),
    endedAt: new Date().toISOString(),
    command: `scatterwire ${process.argv.slice(2).join(" ")}`,
    machine: describeMachine(),
  };
}
