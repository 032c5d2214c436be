// scatterwire bench report: makes a page of the files of results that the other benchmarks wrote, and says in words what is in them.

import { Command } from "commander";
import { makeReport } from "../../../bench/report/report.js";
import { note, printJson, printLine } from "../output.js";
import { checkOutput, writeOutput } from "../output-file.js";

interface ReportFlags {
  output: string;
  force?: boolean;
  against?: string;
  verbose?: boolean;
  json?: boolean;
}

export function reportCommand(): Command {
  return new Command("report")
    .description("make one HTML file of results: a verdict for this machine, plots, tables")
    .argument(
      "<results...>",
      "files that bench receive, storage, seed and compare wrote, and what swarm, tracker, tracker-load, tracker-repository and peer-store print with --json; all of one machine",
    )
    .option("-o, --output <file>", "where the page goes", "report.html")
    .option("--force", "write over a page that is there")
    .option("--against <file>", "other results: says what got cheaper or dearer since")
    .option("--verbose", "print the tables as well, before the verdict")
    .option("--json", "print the verdict and the comparison as one JSON object")
    .addHelpText(
      "after",
      `
The page loads nothing from anywhere. It is made from the trials alone, so it can be made again from old files.

Examples:
  scatterwire bench report results.json
  scatterwire bench report receive.json compare.json -o report.html
  scatterwire bench report now.json --against before.json
  scatterwire bench tracker --json > tracker.json && scatterwire bench report tracker.json`,
    )
    .action(runReport);
}

async function runReport(paths: string[], flags: ReportFlags): Promise<void> {
  const page = { path: flags.output, flag: "-o", force: flags.force === true };
  await checkOutput(page);
  const { html, text, verdict, against } = await makeReport(paths, {
    against: flags.against,
    verbose: flags.verbose,
    width: process.stdout.columns,
  });
  await writeOutput(page, html);
  if (flags.json === true)
    printJson({ output: flags.output, verdict: verdict ?? null, against: against ?? null });
  else {
    printLine(text);
    note(`\nThe page is in ${flags.output}`);
  }
}
