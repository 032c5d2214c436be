// scatterwire check: holds data on disk against a torrent file.

import { Command } from "commander";
import { checkTorrent, readMetainfo } from "../index.js";
import { EXIT_FAILED, ExitError, interruptSignal, Progress, printJson, printLine } from "./output.js";

export function checkCommand(): Command {
  return new Command("check")
    .description(
      "hash data on disk and compare it with a torrent file; status 1 if a piece is wrong or missing",
    )
    .argument("<torrent>", "the torrent file")
    .argument("<dir>", "the folder that the torrent's file or folder lies in")
    .option("--json", "print one JSON object")
    .action(run);
}

async function run(torrent: string, directory: string, options: { json?: boolean }): Promise<void> {
  const metainfo = await readMetainfo(torrent);
  const progress = new Progress("checking", metainfo.totalLength, options.json !== true);
  const result = await checkTorrent(metainfo, directory, {
    signal: interruptSignal(),
    onProgress: (fraction) => progress.update(fraction * metainfo.totalLength),
  }).finally(() => progress.stop());
  if (options.json === true) printJson(result);
  else printLine(`${result.piecesGood} of ${result.pieceCount} pieces are good`);
  if (!result.complete) {
    throw new ExitError(
      EXIT_FAILED,
      `${result.badPieces.length} of ${result.pieceCount} pieces are wrong or missing in ${directory}`,
    );
  }
}
