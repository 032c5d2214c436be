// scatterwire bench report: files of results in, a page, a text and a summary out. Everything is computed from the trials when
// the report is made, so an old file gets the newest reading.

import { type Against, compareFiles } from "./against.js";
import { busyTrials } from "./caveats.js";
import { type Group, groupsOf, repeatedTrials } from "./cells.js";
import { crossingData } from "./crossing.js";
import { reportPage } from "./page.js";
import { loadPainter } from "./painter.js";
import { machineName, type ResultsFile, readAnyResults, readResults, requireOneMachine } from "./read.js";
import type { TableOptions } from "./run-tables.js";
import { reportText } from "./terminal.js";
import { trackerLead, trackerPage } from "./tracker-page.js";
import { judge, type Verdict } from "./verdict.js";

export interface Report {
  readonly html: string;
  readonly text: string;
  /** Undefined where there are results of trackers only. */
  readonly verdict: Verdict | undefined;
  readonly against: Against | undefined;
  readonly groups: readonly Group[];
}

/** Rejects UsageError if a file is no file of results, or two are of different machines. */
export async function makeReport(
  paths: readonly string[],
  options: { against?: string | undefined } & TableOptions = {},
): Promise<Report> {
  const { files, trackers } = await readAnyResults(paths);
  requireOneMachine([...files, ...trackers]);
  const painter = await loadPainter();
  if (files.length === 0) {
    const html = trackerPage(trackers, painter);
    return { html, text: trackerLead(trackers), verdict: undefined, against: undefined, groups: [] };
  }
  const groups = groupsOf(files);
  const before = options.against === undefined ? undefined : await readResults(options.against);
  const verdict = judge(groups, {
    repeated: repeatedTrials(files),
    busy: busyTrials(files.map(({ results }) => results)),
  });
  const against = before === undefined ? undefined : compareWith(before, groups, files);
  const crossing = crossingData(groups);
  const html = reportPage({ files, trackers, groups, verdict, crossing, against }, painter);
  const text = reportText(verdict, groups, against, options);
  return { html, text, verdict, against, groups };
}

function compareWith(
  before: ResultsFile,
  groups: readonly Group[],
  [first]: readonly ResultsFile[],
): Against {
  const theirs = machineName(before.results.machine);
  const other = first !== undefined && machineName(first.results.machine) !== theirs;
  return compareFiles(groups, groupsOf([before]), before.path, other ? theirs : undefined);
}
