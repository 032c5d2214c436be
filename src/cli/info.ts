// scatterwire info: says what a torrent file holds.

import { Command } from "commander";
import { describeMetainfo, readMetainfo } from "../index.js";
import { formatBytes, printJson, printLine } from "./output.js";
import { runVerb } from "./run-verb.js";

export function run(args: readonly string[]): Promise<number> {
  return runVerb(infoCommand(), args);
}

function infoCommand(): Command {
  return new Command("info")
    .description("say what a torrent file holds")
    .argument("<torrent>", "the torrent file")
    .option("--json", "print one JSON object")
    .action(info);
}

async function info(torrent: string, options: { json?: boolean }): Promise<void> {
  const info = describeMetainfo(await readMetainfo(torrent));
  if (options.json === true) {
    printJson(info);
    return;
  }
  printLine(`name          ${info.name}`);
  printLine(`info hash     ${info.infoHash}`);
  printLine(`size          ${info.totalLength} bytes (${formatBytes(info.totalLength)})`);
  printLine(`pieces        ${info.pieceCount} of ${info.pieceLength} bytes`);
  printLine(`private       ${info.private ? "yes" : "no"}`);
  for (const tier of info.announce) printLine(`tracker       ${tier.join(" ")}`);
  if (info.comment !== null) printLine(`comment       ${info.comment}`);
  if (info.createdBy !== null) printLine(`made by       ${info.createdBy}`);
  if (info.created !== null) printLine(`made on       ${info.created}`);
  for (const url of info.webSeeds) printLine(`web seed      ${url}`);
  for (const url of info.httpSeeds) printLine(`web seed      ${url} (of BEP 17: not used)`);
  for (const path of info.links) printLine(`left out      ${path} (a symbolic link)`);
  printLine("files");
  for (const file of info.files) {
    if (!file.padding) printLine(`  ${String(file.length).padStart(14)}  ${file.path}`);
  }
}
