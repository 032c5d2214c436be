// What to keep in mind before believing figures: how many rounds there were, how far they wander, whether so few bytes moved
// that starting up is most of what was measured, and whether the machine was busy with something else.

import { entryOf } from "../measuring/ends.js";
import type { LabResults } from "../measuring/results.js";
import { binaryBytes } from "./axes.js";
import { type Cell, type Group, isOurs, measureFigure, payloadOf } from "./cells.js";
import { percent } from "./words.js";

/** Trials of less than this are mostly warming up. */
const PAYLOAD_MIN = 256 * 1024 ** 2;
/** Whoever has moved so much before is warm. */
const WARM_BYTES = 1024 ** 3;
/** From how much of the machine's processors on other programs disturb a trial. */
const BUSY_SHARE = 0.1;

/** What is known of the trials as a whole, beyond their figures. */
export interface TrialNotes {
  /** Trials that stood in more than one file, and count once. */
  readonly repeated?: number;
  /** Trials before which other programs used much of the machine, of how many that say so. */
  readonly busy?: { readonly trials: number; readonly of: number; readonly most: number };
}

export function caveats(groups: readonly Group[]): string[] {
  const cells = groups.flatMap((group) => group.cells);
  const costs = cells.map((cell) => measureFigure(cell, "cpuSecondsPerGB"));
  const rounds = costs.map((cost) => cost.rounds);
  const fewest = Math.min(...rounds);
  const most = Math.max(...rounds);
  const texts: string[] = [];
  const counted = fewest === most ? `${fewest}` : `${fewest} to ${most}`;
  const few = fewest < 3 ? " Fewer than 3 tell no difference from noise: measure more rounds." : "";
  const what = most === 1 ? "comes from a single round" : `is the median of ${counted} rounds`;
  texts.push(`Each figure ${what}.${few}`);
  const wander = costs
    .filter((cost) => cost.rounds > 1 && cost.median > 0)
    .map((cost) => (cost.high - cost.low) / 2 / cost.median)
    .sort((left, right) => left - right);
  if (wander.length > 0) {
    const typical = entryOf(wander, Math.floor(wander.length / 2));
    const wild = wander.filter((value) => value > 0.15).length;
    const loud =
      wild === 0
        ? ""
        : ` ${wild} of ${wander.length} wander${wild === 1 ? "s" : ""} by more than 15 %: read ${wild === 1 ? "it" : "those"} with care.`;
    texts.push(
      `From round to round a CPU figure typically wanders by ± ${(typical * 100).toFixed(1)} %.${loud}`,
    );
  }
  texts.push(...smallPayloadCaveats(groups));
  if (!cells.some((cell) => isOurs(cell.subject))) texts.push("No trial of our own engine is among them.");
  return texts;
}

export function noteCaveats({ repeated = 0, busy }: TrialNotes): string[] {
  const texts: string[] = [];
  if (repeated > 0)
    texts.push(
      `${repeated} trial${repeated === 1 ? " stands" : "s stand"} in more than one place of these files, and count${repeated === 1 ? "s" : ""} once.`,
    );
  if (busy !== undefined && busy.trials > 0)
    texts.push(
      `The machine was busy with something else just before ${busy.trials} of ${busy.of} trials (up to ${percent(busy.most)} % of its processors): measure again when it is idle before believing small differences.`,
    );
  return texts;
}

/** Of the trials that say how busy the machine was: those before which it was. */
export function busyTrials(results: readonly LabResults[]): NonNullable<TrialNotes["busy"]> {
  const shares = results
    .flatMap(({ trials }) => trials)
    .map(({ busyBefore }) => busyBefore)
    .filter((share) => share !== undefined);
  const busy = shares.filter((share) => share >= BUSY_SHARE);
  return { trials: busy.length, of: shares.length, most: Math.max(0, ...busy) };
}

/** So few bytes that beginning and ending is a large part. */
export function isSmall(cell: Cell): boolean {
  return payloadOf(cell) < PAYLOAD_MIN;
}

/** Before at least half of the trials other programs ran. */
export function isMostlyBusy({ busy }: TrialNotes): boolean {
  return busy !== undefined && busy.trials > 0 && busy.trials >= busy.of / 2;
}

/** One sentence for processes that were measured cold, and one for those that had moved much before. */
export function smallPayloadCaveats(groups: readonly Group[]): string[] {
  const cells = groups.flatMap((group) => group.cells);
  const small = cells.filter(isSmall);
  const isWarm = (cell: Cell): boolean => (measureFigure(cell, "bytesBefore")?.low ?? 0) >= WARM_BYTES;
  const told = (some: readonly Cell[], why: string): string[] => {
    if (some.length === 0) return [];
    const payloads = some.map(payloadOf);
    const [least, most] = [binaryBytes(Math.min(...payloads)), binaryBytes(Math.max(...payloads))];
    const who =
      some.length === cells.length ? "The trials" : `${some.length} of ${cells.length} kinds of work`;
    const moved = least === most ? most : `${least} to ${most}`;
    return [`${who} moved no more than ${moved} each: ${why}. Costs per GB are those of --size 1G and more.`];
  };
  return [
    ...told(
      small.filter((cell) => !isWarm(cell)),
      "of so little, most is starting up, while V8 compiles",
    ),
    ...told(
      small.filter(isWarm),
      "the process was warm, but of so little, a large part is how a download begins and ends",
    ),
  ];
}
