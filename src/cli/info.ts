// scatterwire info: says what a torrent holds: a torrent file, or a magnet link, whose metadata comes from peers.

import { Command } from "commander";
import { describeMetainfo } from "../index.js";
import { fetchMetadata } from "./metadata.js";
import { collect, formatBytes, interruptSignal, printJson, printLine, wholeNumber } from "./output.js";
import { runVerb } from "./run-verb.js";
import { checkSavedTorrent, saveTorrent } from "./saved-torrent.js";
import { loadTorrent } from "./torrent-argument.js";

interface Options {
  json?: boolean;
  peer?: string[];
  timeout?: number;
  saveTorrent?: string;
}

export function run(args: readonly string[]): Promise<number> {
  return runVerb(infoCommand(), args);
}

function infoCommand(): Command {
  return new Command("info")
    .description("say what a torrent holds")
    .argument("<torrent>", "a torrent file, the address of one on the web, or a magnet link")
    .option("--json", "print one JSON object")
    .option("--peer <host:port>", "of a magnet, a peer to ask; may be given several times", collect)
    .option(
      "--timeout <seconds>",
      "of a magnet, fail with status 1 when its metadata has not come by then (default: keep trying)",
      wholeNumber("--timeout", 1, 31_536_000),
    )
    .option("--save-torrent <file>", "write a torrent file of it; an existing file is not overwritten")
    .addHelpText(
      "after",
      `
Examples:
  scatterwire info album.torrent
  scatterwire info 'magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567' --timeout 60`,
    )
    .action(info);
}

async function info(torrent: string, options: Options): Promise<void> {
  const signal = interruptSignal();
  const source = await loadTorrent(torrent, signal);
  if (options.saveTorrent !== undefined) await checkSavedTorrent(options.saveTorrent, source.infoHash);
  const metainfo = "pieces" in source ? source : await fetchMetadata(source, options, signal);
  if (options.saveTorrent !== undefined) await saveTorrent(options.saveTorrent, metainfo);
  const info = describeMetainfo(metainfo);
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
  // With the index that --select takes: padding, which is not told, has one as well.
  for (const [index, file] of info.files.entries()) {
    if (!file.padding)
      printLine(`  ${String(index).padStart(6)}  ${String(file.length).padStart(14)}  ${file.path}`);
  }
}
