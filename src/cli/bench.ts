// scatterwire bench: measures on this machine. One file per verb in bench/, and here the list of them. The benchmarks
// themselves are in the folder bench/ beside src/.

import { Command } from "commander";
import { compareCommand } from "./bench/compare.js";
import { loopbackCommand } from "./bench/loopback.js";
import { receiveCommand } from "./bench/receive.js";
import { reportCommand } from "./bench/report.js";
import { seedCommand } from "./bench/seed.js";
import { storageCommand } from "./bench/storage.js";

const VERBS = [
  loopbackCommand,
  receiveCommand,
  seedCommand,
  storageCommand,
  compareCommand,
  reportCommand,
] as const;

export function benchCommand(): Command {
  const bench = new Command("bench").description("measure on this machine");
  for (const verb of VERBS) bench.addCommand(verb());
  return bench;
}
