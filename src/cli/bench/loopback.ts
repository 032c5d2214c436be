// scatterwire bench loopback: one process seeds, another downloads, once per receive mode.

import { Command } from "commander";
import { benchLoopback } from "../../../bench/suites/loopback.js";
import { RECEIVE_MODES, type ReceiveModeName, STORAGE_KINDS, type StorageKind } from "../../index.js";
import { oneOf, wholeNumber } from "../output.js";
import { parseSize } from "./arguments.js";
import { type LabFlags, runLabVerb } from "./lab.js";

interface LoopbackFlags extends LabFlags {
  peers: number;
  modes?: ReceiveModeName[];
  storage: StorageKind;
  verify: boolean;
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
    .option(
      "--runs <n>",
      "rounds: each mode has its turn in each (default: 3)",
      wholeNumber("--runs", 1, 100),
    )
    .option("-o, --output <file>", "write the results there, for `bench report`; an interrupted run goes on")
    .option("--force", "replace finished results in that file")
    .option("--verbose", "all columns, in as many tables as they take")
    .option("--json", "print the results as one JSON object")
    .addHelpText(
      "after",
      `
Where nothing is hashed or stored, the limit stands beside: the same addon receiving the same stream into one buffer and
ignoring it. "first" is what a process's first download costs, while V8 compiles; the other figures are those of a process that has downloaded 3 GB before.

Examples:
  scatterwire bench loopback
  scatterwire bench loopback --no-verify --runs 5
  scatterwire bench loopback --storage file --peers 4 --modes adaptive,contiguous`,
    )
    .action(runLoopback);
}

async function runLoopback(flags: LoopbackFlags): Promise<void> {
  const { peers, storage, verify, modes = RECEIVE_MODES } = flags;
  await runLabVerb("receive", flags, SIZE_DEFAULT, (size, signal) =>
    benchLoopback({ size, peers, modes, storage, verify, signal }),
  );
}

function parseModes(text: string): ReceiveModeName[] {
  return [...new Set(text.split(",").map(oneOf("--modes", RECEIVE_MODES)))];
}
