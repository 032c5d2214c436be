// scatterwire bench swarm: leechers around one slow seed.

import { Command, Option } from "commander";
import { framedSwarm, SWARM_KINDS, type SwarmKind } from "../../../bench/measuring/swarm-results.js";
import { benchSwarm, swarmText } from "../../../bench/rivals/swarm.js";
import { VERSION } from "../../base/version.js";
import { interruptSignal, printJson, printLine, wholeNumber } from "../output.js";
import { parseSize } from "./arguments.js";
import { LabProgress } from "./lab-progress.js";

interface SwarmFlags {
  size?: number;
  rate?: number;
  leechers: number;
  runs: number;
  kinds: SwarmKind[];
  json?: boolean;
}

const SIZE_DEFAULT = 128 * 1024 ** 2;
const RATE_DEFAULT = 10e6;

export function swarmCommand(): Command {
  return new Command("swarm")
    .description(
      "leechers around one slow seed: when the last one is complete, and what the seed has sent by then",
    )
    .option("--size <bytes>", "size of the torrent; K, M and G are understood (default: 128M)", parseSize)
    .option(
      "--rate <bytes>",
      "bytes per second that the seed sends; K, M and G are understood (default: 10000000)",
      parseSize,
    )
    .option("--leechers <n>", "programs that download", wholeNumber("--leechers", 1, 64), 8)
    .option("--runs <n>", "rounds", wholeNumber("--runs", 1, 100), 3)
    .addOption(
      new Option("--kinds <list...>", "swarms to compare")
        .choices(SWARM_KINDS)
        .default([...SWARM_KINDS], "all"),
    )
    .option("--json", "print one JSON object, which `bench report` reads")
    .addHelpText(
      "after",
      `
Each piece has to leave the seed once, which takes the time of one copy: what the seed sends twice, all wait for. libtorrent is compiled
against when it is first needed, so a C++ compiler and libtorrent-rasterbar-dev are.

Examples:
  scatterwire bench swarm
  scatterwire bench swarm --kinds scatterwire --size 64M --rate 5M --runs 1
  scatterwire bench swarm --json > swarm.json && scatterwire bench report swarm.json`,
    )
    .action(swarm);
}

async function swarm(flags: SwarmFlags): Promise<void> {
  const progress = new LabProgress(flags.json !== true);
  const { size = SIZE_DEFAULT, rate = RATE_DEFAULT, leechers, runs, kinds } = flags;
  const startedAt = new Date();
  const found = await benchSwarm({
    ...{ size, rate, leechers, runs, kinds },
    signal: interruptSignal(),
    onStep: (step) => progress.step(step),
  }).finally(() => progress.stop());
  if (flags.json === true) printJson(framedSwarm(VERSION, startedAt, found));
  else printLine(swarmText(found));
}
