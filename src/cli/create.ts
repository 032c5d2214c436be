// scatterwire create: makes a torrent file.

import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { createTorrentFile, describeMetainfo, parseMetainfo } from "../index.js";
import {
  collect,
  formatBytes,
  interruptSignal,
  Progress,
  printJson,
  printLine,
  wholeNumber,
} from "./output.js";

interface Options {
  output: string;
  pieceLength?: number;
  announce?: string[];
  private?: boolean;
  comment?: string;
  json?: boolean;
}

export function createCommand(): Command {
  return new Command("create")
    .description("make a torrent file of a file or folder")
    .argument("<path>", "the file or folder to share")
    .requiredOption("-o, --output <file>", "the torrent file to write")
    .option(
      "--piece-length <bytes>",
      "bytes per piece, from 16384 up (default: chosen for the size)",
      wholeNumber("--piece-length", 16_384, 536_870_912),
    )
    .option("--announce <url>", "tracker address; may be given several times", collect)
    .option("--private", "peers come from the trackers only (BEP 27)")
    .option("--comment <text>", "a comment in the torrent file")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExample:\n  scatterwire create ./album -o album.torrent --piece-length 1048576")
    .action(run);
}

async function run(path: string, options: Options): Promise<void> {
  let progress: Progress | undefined;
  const bytes = await createTorrentFile(path, {
    ...(options.announce === undefined ? {} : { announce: options.announce }),
    ...(options.pieceLength === undefined ? {} : { pieceLength: options.pieceLength }),
    ...(options.private === true ? { private: true } : {}),
    ...(options.comment === undefined ? {} : { comment: options.comment }),
    signal: interruptSignal(),
    onProgress: (hashed, total) => {
      progress ??= new Progress("hashing", total, options.json !== true);
      progress.update(hashed);
    },
  }).finally(() => progress?.stop());
  await writeFile(options.output, bytes);
  const { files, ...description } = describeMetainfo(parseMetainfo(bytes));
  const count = files.filter((file) => !file.padding).length;
  if (options.json === true) {
    printJson({ output: options.output, ...description, files: count });
    return;
  }
  const size = formatBytes(description.totalLength);
  const pieces = `${description.pieceCount} pieces of ${description.pieceLength} bytes`;
  printLine(
    `${options.output}: ${count} file${count === 1 ? "" : "s"}, ${size}, ${pieces}, info hash ${description.infoHash}`,
  );
}
