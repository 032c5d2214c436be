// scatterwire create: makes a torrent file.

import { basename, resolve } from "node:path";
import { Command } from "commander";
import { createTorrent } from "../index.js";
import { byteCount, collect, formatBytes, interruptSignal, printJson, printLine } from "./output.js";
import { checkOutput, writeOutput } from "./output-file.js";
import { Progress } from "./progress.js";
import { runVerb } from "./run-verb.js";

interface Options {
  output?: string;
  force?: boolean;
  pieceLength?: number;
  announce?: string[];
  private?: boolean;
  comment?: string;
  json?: boolean;
}

export function run(args: readonly string[]): Promise<number> {
  return runVerb(createCommand(), args);
}

function createCommand(): Command {
  return new Command("create")
    .description("make a torrent file of a file or folder")
    .argument("<path>", "the file or folder to share")
    .option("-o, --output <file>", "the torrent file to write (default: NAME.torrent in this folder)")
    .option("--force", "write over a file that is there")
    .option(
      "--piece-length <bytes>",
      "bytes per piece, from 16K up, such as 256K or 1M (default: chosen for the size)",
      byteCount("--piece-length", 16_384, 536_870_912),
    )
    .option("--announce <url>", "tracker address; may be given several times", collect)
    .option("--private", "peers come from the trackers only (BEP 27)")
    .option("--comment <text>", "a comment in the torrent file")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExample:\n  scatterwire create ./album -o album.torrent --piece-length 1M")
    .action(create);
}

async function create(path: string, options: Options): Promise<void> {
  const output = options.output ?? `${basename(resolve(path))}.torrent`;
  const file = { path: output, flag: "-o", force: options.force === true };
  await checkOutput(file);
  let progress: Progress | undefined;
  const {
    bytes,
    description,
    fileCount: count,
  } = await createTorrent(path, {
    ...(options.announce === undefined ? {} : { announce: options.announce }),
    ...(options.pieceLength === undefined ? {} : { pieceLength: options.pieceLength }),
    ...(options.private === true ? { private: true } : {}),
    ...(options.comment === undefined ? {} : { comment: options.comment }),
    output,
    signal: interruptSignal(),
    onProgress: (hashed, total) => {
      progress ??= new Progress({ label: "hashing", total, json: options.json === true });
      progress.update({ bytes: hashed });
    },
  }).finally(() => progress?.stop());
  await writeOutput(file, bytes);
  if (options.json === true) {
    printJson({ output, ...description, files: count });
    return;
  }
  const size = formatBytes(description.totalLength);
  const pieces = `${description.pieceCount} piece${description.pieceCount === 1 ? "" : "s"} of ${description.pieceLength} bytes`;
  printLine(
    `${output}: ${count} file${count === 1 ? "" : "s"}, ${size}, ${pieces}, info hash ${description.infoHash}`,
  );
}
