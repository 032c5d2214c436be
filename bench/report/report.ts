// scatterwire bench report: files of results in, a page, a text and a summary out. Everything is computed from the trials when
// the report is made, so an old file gets the newest reading.

import { type Against, compareFiles } from "./against.js";
import { type Group, groupsOf, repeatedTrials } from "./cells.js";
import { crossingData } from "./crossing.js";
import { reportPage } from "./page.js";
import { loadPainter } from "./painter.js";
import { type ResultsFile, readResults, requireOneMachine } from "./read.js";
import { reportText } from "./terminal.js";
import { judge, type TrialNotes, type Verdict } from "./verdict.js";

export interface Report {
  readonly html: string;
  readonly text: string;
  readonly verdict: Verdict;
  readonly against: Against | undefined;
  readonly groups: readonly Group[];
}

/** Rejects UsageError if a file is no file of results, or two are of different machines. */
export async function makeReport(
  paths: readonly string[],
  options: { against?: string | undefined } = {},
): Promise<Report> {
  const files = await Promise.all(paths.map(readResults));
  requireOneMachine(files);
  const groups = groupsOf(files);
  const before = options.against === undefined ? undefined : await readResults(options.against);
  const verdict = judge(groups, { repeated: repeatedTrials(files), ...busyNote(files) });
  const against = before === undefined ? undefined : compareFiles(groups, groupsOf([before]), before.path);
  const crossing = crossingData(groups);
  const html = reportPage({ files, groups, verdict, crossing, against }, await loadPainter());
  return { html, text: reportText(verdict, groups, against), verdict, against, groups };
}

/** From how much of the machine's processors on other programs disturb a trial. */
const BUSY_SHARE = 0.1;

function busyNote(files: readonly ResultsFile[]): Pick<TrialNotes, "busy"> {
  const shares = files
    .flatMap(({ results }) => results.trials)
    .map(({ busyBefore }) => busyBefore)
    .filter((share) => share !== undefined);
  const busy = shares.filter((share) => share >= BUSY_SHARE);
  return { busy: { trials: busy.length, of: shares.length, most: Math.max(0, ...busy) } };
}
