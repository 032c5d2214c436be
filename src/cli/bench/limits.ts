// scatterwire bench limits: how well rate limits are kept.

import { Command } from "commander";
import { LIMIT_PEERS, limitsAnswer } from "../../../bench/suites/limits.js";
import { byteCount, interruptSignal, printJson, printLine, wholeNumber } from "../output.js";
import { LabProgress } from "./lab-progress.js";

interface Flags {
  rate?: number[];
  seconds: number;
  json?: boolean;
}

const RATES_DEFAULT = [100_000, 1_000_000, 20_000_000];

export function limitsCommand(): Command {
  const rate = byteCount("--rate", 1000, 2 ** 30);
  return new Command("limits")
    .description(`how well rate limits are kept, with ${LIMIT_PEERS.join(" and ")} peers, in both directions`)
    .option(
      "--rate <list>",
      `bytes per second; K, M and G are understood (default: ${RATES_DEFAULT})`,
      (text: string) => text.split(",").map(rate),
    )
    .option("--seconds <n>", "that are measured, of each", wholeNumber("--seconds", 1, 3600), 10)
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExample:\n  scatterwire bench limits --rate 1M,50M")
    .action(async (flags: Flags) => {
      const progress = new LabProgress(flags.json !== true);
      const { data, text } = await limitsAnswer({
        rates: flags.rate ?? RATES_DEFAULT,
        seconds: flags.seconds,
        signal: interruptSignal(),
        onStep: (step) => progress.step(step),
      }).finally(() => progress.stop());
      if (flags.json === true) printJson(data);
      else printLine(text);
    });
}
