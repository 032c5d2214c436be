// What a caller selects of a torrent, held against what the torrent has: at the start by options or by a magnet, and later by select().

import { UsageError } from "../../base/errors.js";
import type { Selection, TorrentOptions } from "../options.js";
import type { Layout } from "../storage/layout.js";
import { PRIORITY_DEFAULT, PRIORITY_MAX, type Wanted, type WantedChanges } from "./wanted.js";

const NOBODY: WantedChanges = { wanted: () => {}, unwanted: () => {} };

/**
 * Throws UsageError `USAGE_OPTION` for a file that the torrent does not have; of a magnet, which somebody else wrote, such files are
 * passed over. What the options say counts, and what the magnet says if they say nothing.
 */
export function selectAtFirst(
  wanted: Wanted,
  layout: Layout,
  options: Pick<TorrentOptions, "select" | "priorities">,
  selectOnly: readonly number[] | undefined,
): void {
  const { priorities } = options;
  const count = layout.files.length;
  const select = options.select ?? (priorities === undefined ? selectOnly : undefined);
  if (options.select !== undefined) checkIndices("select", options.select, count, "file");
  if (priorities !== undefined && priorities.length > count)
    throw new UsageError(
      "USAGE_OPTION",
      `priorities has ${priorities.length} numbers, and the torrent ${count} files`,
    );
  const selected = select === undefined ? undefined : new Set(select);
  const byPriority = new Map<number, number[]>();
  for (let index = 0; index < count; index++) {
    const given = priorities?.[index] ?? PRIORITY_DEFAULT;
    const priority = selected !== undefined && !selected.has(index) ? 0 : given;
    if (priority === PRIORITY_DEFAULT) continue;
    const files = byPriority.get(priority);
    if (files === undefined) byPriority.set(priority, [index]);
    else files.push(index);
  }
  for (const [priority, files] of byPriority) wanted.setFiles(files, priority, NOBODY);
}

/** Throws UsageError `USAGE_OPTION` for what the torrent does not have, and a priority that is none. */
export function checkSelection(selection: Selection, layout: Layout): Selection {
  if (typeof selection !== "object" || selection === null)
    throw new UsageError("USAGE_OPTION", "select() takes { files, pieces, priority }");
  const { files, pieces, priority } = selection;
  if (files === undefined && pieces === undefined)
    throw new UsageError("USAGE_OPTION", "select() needs files or pieces: arrays of their indices");
  if (files !== undefined) checkIndices("files", files, layout.files.length, "file");
  if (pieces !== undefined) checkIndices("pieces", pieces, layout.pieceCount, "piece");
  const fits = Number.isInteger(priority) && Number(priority) >= 0 && Number(priority) <= PRIORITY_MAX;
  if (priority !== undefined && !fits)
    throw new UsageError(
      "USAGE_OPTION",
      `a priority is a whole number from 0 (not wanted) to ${PRIORITY_MAX}, not ${priority}`,
    );
  return selection;
}

function checkIndices(name: string, indices: readonly number[], count: number, what: string): void {
  if (!Array.isArray(indices))
    throw new UsageError("USAGE_OPTION", `${name} is an array of indices, not ${String(indices)}`);
  for (const index of indices) {
    if (Number.isInteger(index) && index >= 0 && index < count) continue;
    throw new UsageError(
      "USAGE_OPTION",
      `${name} names ${what} ${index}; the torrent has those from 0 to ${count - 1}`,
    );
  }
}
