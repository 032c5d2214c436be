// scatterwire bench report: files of results in, a page, a text and a summary out. Everything is computed from the trials when
// the report is made, so an old file gets the newest reading.

import { present } from "../../src/base/assert.js";
import { type Against, compareFiles } from "./against.js";
import { busyTrials } from "./caveats.js";
import { type Group, groupsOf, repeatedTrials } from "./cells.js";
import { crossingData } from "./crossing.js";
import { dhtLead, dhtSections } from "./dht-section.js";
import { wrap } from "./english.js";
import { reportPage } from "./page.js";
import { loadPainter, type Painter } from "./painter.js";
import {
  type AnyResults,
  machineName,
  type ResultsFile,
  readAnyResults,
  readResults,
  requireOneMachine,
} from "./read.js";
import { type TableOptions, widthOf } from "./run-tables.js";
import { sectionsPage } from "./section-parts.js";
import { swarmLead, swarmSections } from "./swarm-section.js";
import { reportText, swarmText } from "./terminal.js";
import { trackerLead, trackerSections } from "./tracker-page.js";
import { judge, type Verdict } from "./verdict.js";

export interface Report {
  readonly html: string;
  readonly text: string;
  /** Undefined where there are results of trackers, swarms and the DHT only. */
  readonly verdict: Verdict | undefined;
  readonly against: Against | undefined;
  readonly groups: readonly Group[];
}

/** Rejects UsageError if a file is no file of results, or two are of different machines. */
export async function makeReport(
  paths: readonly string[],
  options: { against?: string | undefined } & TableOptions = {},
): Promise<Report> {
  const found = await readAnyResults(paths);
  const { files, trackers, swarms, dhts } = found;
  requireOneMachine([...files, ...trackers, ...swarms, ...dhts]);
  const painter = await loadPainter();
  if (files.length === 0) return withoutTrials(found, painter, options);
  const groups = groupsOf(files);
  const before = options.against === undefined ? undefined : await readResults(options.against);
  const verdict = judge(groups, {
    repeated: repeatedTrials(files),
    busy: busyTrials(files.map(({ results }) => results)),
  });
  const against = before === undefined ? undefined : compareWith(before, groups, files);
  const crossing = crossingData(groups);
  const html = reportPage({ files, trackers, swarms, dhts, groups, verdict, crossing, against }, painter);
  const text = [reportText(verdict, groups, against, options), ...swarmText(swarms, widthOf(options))].join(
    "\n",
  );
  return { html, text, verdict, against, groups };
}

/** A page of what was found of trackers, swarms and lookups in the DHT. */
function withoutTrials(
  { trackers, swarms, dhts }: AnyResults,
  painter: Painter,
  options: TableOptions,
): Report {
  const others = [...trackers, ...swarms, ...dhts];
  const [subject, lead] =
    trackers.length > 0
      ? ["trackers", trackerLead(trackers)]
      : swarms.length > 0
        ? ["swarms", swarmLead(swarms)]
        : ["the DHT", dhtLead(dhts)];
  const html = sectionsPage({
    subject,
    about: present(others[0], "a report is of one file at least").results,
    lead,
    sections: [
      ...trackerSections(trackers, painter),
      ...swarmSections(swarms, painter),
      ...dhtSections(dhts, painter),
    ],
    commands: others.map(({ results }) => results.command),
  });
  const text = [
    trackers.length > 0 ? lead : wrap(lead, widthOf(options)),
    ...swarmText(swarms, widthOf(options)),
  ].join("\n");
  return { html, text, verdict: undefined, against: undefined, groups: [] };
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
