// scatterwire bench loopback: one process seeds, another downloads, once per receive mode.

import { Command } from "commander";
import { benchLoopback } from "../../../bench/suites/loopback.js";
import { loopbackTable } from "../../../bench/suites/loopback-table.js";
import { RECEIVE_MODES, type ReceiveModeName, STORAGE_KINDS, type StorageKind } from "../../index.js";
import { interruptSignal, oneOf, printJson, printLine, wholeNumber } from "../output.js";
import { parseSize } from "./arguments.js";
import { LabProgress } from "./lab.js";

interface LoopbackFlags {
  size?: number;
  peers: number;
  modes?: ReceiveModeName[];
  storage: StorageKind;
  verify: boolean;
  runs: number;
  json?: boolean;
}

const SIZE_DEFAULT = 1024 ** 3;

export function loopbackCommand(): Command {
  return new Command("loopback")
    .description("download a torrent of random bytes from a second process, once per receive mode and run")
    .option("--size <bytes>", "size of the torrent; K, M and G are understood (default: 1G)", parseSize)
    .option("--peers <n>", "seeding processes", wholeNumber("--peers", 1, 64), 1)
    .option(
      "--modes <list>",
      `receive modes, separated by commas (default: ${RECEIVE_MODES.join(",")})`,
      parseModes,
    )
    .option(
      "--storage <kind>",
      `${STORAGE_KINDS.join(", ")}; null shows what receiving itself costs`,
      oneOf("--storage", STORAGE_KINDS),
      "null" as StorageKind,
    )
    .option("--no-verify", "do not hash: with --storage null, receiving alone is measured")
    .option("--runs <n>", "runs of each mode", wholeNumber("--runs", 1, 100), 3)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The limit is the same addon receiving the same stream into one buffer and ignoring it.

Examples:
  scatterwire bench loopback
  scatterwire bench loopback --no-verify --runs 5
  scatterwire bench loopback --storage file --peers 4 --modes adaptive,contiguous`,
    )
    .action(runLoopback);
}

async function runLoopback(flags: LoopbackFlags): Promise<void> {
  const progress = new LabProgress(flags.json !== true);
  const result = await benchLoopback({
    size: flags.size ?? SIZE_DEFAULT,
    peers: flags.peers,
    modes: flags.modes ?? RECEIVE_MODES,
    storage: flags.storage,
    verify: flags.verify,
    runs: flags.runs,
    signal: interruptSignal(),
    onProgress: (done, total, what) => progress.update(done, total, what),
  }).finally(() => progress.stop());
  if (flags.json === true) printJson(result);
  else printLine(loopbackTable(result));
}

function parseModes(text: string): ReceiveModeName[] {
  return [...new Set(text.split(",").map(oneOf("--modes", RECEIVE_MODES)))];
}
