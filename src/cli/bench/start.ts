// scatterwire bench start: what starting costs, and the first gigabytes of a process.

import { Command } from "commander";
import { benchStart, startText } from "../../../bench/rivals/start.js";
import { interruptSignal, printJson, printLine, wholeNumber } from "../output.js";
import { parseSize } from "./arguments.js";
import { LabProgress } from "./lab-progress.js";

interface StartFlags {
  size?: number;
  runs: number;
  json?: boolean;
}

const SIZE_DEFAULT = 2 * 1024 ** 3;

export function startCommand(): Command {
  return new Command("start")
    .description(
      "what starting costs, and the first gigabytes of a process, beside a loop in C that only receives",
    )
    .option("--size <bytes>", "size of the torrent; K, M and G are understood (default: 2G)", parseSize)
    .option("--runs <n>", "rounds", wholeNumber("--runs", 1, 100), 5)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nThe loop is compiled when it is first needed, so a C++ compiler is.\n\nExample:\n  scatterwire bench start",
    )
    .action(start);
}

async function start(flags: StartFlags): Promise<void> {
  const progress = new LabProgress(flags.json !== true);
  const result = await benchStart({
    size: flags.size ?? SIZE_DEFAULT,
    runs: flags.runs,
    signal: interruptSignal(),
    onStep: (step) => progress.step(step),
  }).finally(() => progress.stop());
  if (flags.json === true) printJson(result);
  else printLine(startText(result));
}
