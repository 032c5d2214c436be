// scatterwire check: holds data on disk against a torrent file.

import { Command } from "commander";
import { checkTorrent, readMetainfo } from "../index.js";
import { filesOfPieces, findMissing, namesOf } from "./missing.js";
import { EXIT_FAILED, EXIT_UNREADABLE, ExitError, interruptSignal, printJson, printLine } from "./output.js";
import { Progress } from "./progress.js";
import { runVerb } from "./run-verb.js";

export function run(args: readonly string[]): Promise<number> {
  return runVerb(checkCommand(), args);
}

function checkCommand(): Command {
  return new Command("check")
    .description(
      "hash data on disk and compare it with a torrent file; status 1 if a piece is wrong or missing, 3 if one cannot be read",
    )
    .argument("<torrent>", "the torrent file")
    .argument("<dir>", "the folder that the torrent's file or folder lies in")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExample:\n  scatterwire check album.torrent .")
    .action(check);
}

async function check(torrent: string, directory: string, options: { json?: boolean }): Promise<void> {
  const metainfo = await readMetainfo(torrent);
  const json = options.json === true;
  const progress = new Progress({ label: "checking", total: metainfo.totalLength, json });
  const result = await checkTorrent(metainfo, directory, {
    signal: interruptSignal(),
    onProgress: (fraction) => progress.update({ bytes: fraction * metainfo.totalLength }),
  }).finally(() => progress.stop());
  const missing = findMissing(metainfo, directory);
  const wrong = missing.all ? [] : filesOfPieces(metainfo, result.badPieces, missing.paths);
  if (json) printJson({ ...result, missing: missing.paths, wrong });
  else if (!missing.all) printLine(`${result.piecesGood} of ${result.pieceCount} pieces are good`);
  if (result.complete) return;
  if (result.unreadablePieces.length > 0) {
    const [first, ...others] = result.readErrors;
    const more = others.length > 0 ? `, and ${others.length} more reasons (--json has all)` : "";
    const count = `${result.unreadablePieces.length} of ${result.pieceCount} pieces`;
    throw new ExitError(
      EXIT_UNREADABLE,
      `${count} cannot be read, so nobody knows what they are: ${first}${more}`,
    );
  }
  if (missing.all) throw new ExitError(EXIT_FAILED, missing.text ?? "nothing is there");
  const count = result.badPieces.length;
  const bad = `${count} of ${result.pieceCount} pieces ${count === 1 ? "is" : "are"} wrong or missing in ${directory}`;
  const why = [missing.text, wrongText(wrong)].filter((text) => text !== undefined).join("; ");
  throw new ExitError(EXIT_FAILED, why === "" ? bad : `${bad}: ${why}`);
}

function wrongText(paths: readonly string[]): string | undefined {
  if (paths.length === 0) return undefined;
  return `${namesOf(paths)} ${paths.length === 1 ? "is not what it" : "are not what they"} should be`;
}
