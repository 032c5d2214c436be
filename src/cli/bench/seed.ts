// scatterwire bench seed: the matrix of seeding.

import { Command } from "commander";
import { benchSeed } from "../../../bench/suites/seed.js";
import { addLabOptions, type LabFlags, runLabVerb } from "./lab.js";

const SIZE_DEFAULT = 1024 ** 3;

export function seedCommand(): Command {
  const command = new Command("seed").description(
    "what seeding costs: send modes, leechers, cached or not, receive modes and request queues",
  );
  return addLabOptions(command, "1G")
    .option(
      "--disk <folder>",
      "the folder for data that is not cached (default: the folder for temporary files)",
    )
    .addHelpText(
      "after",
      `
The limit is a loop that does nothing but writev from a mapping, on the same addon. The leechers are a process of their
own, and their CPU is apart.

Examples:
  scatterwire bench seed -o seed.json
  scatterwire bench seed --only queue --only cached:sendMode=mapped --runs 5`,
    )
    .action(async (flags: LabFlags & { disk?: string }) => {
      await runLabVerb("seed", flags, SIZE_DEFAULT, (size, signal) =>
        benchSeed({ size, signal, full: flags.full === true, disk: flags.disk }),
      );
    });
}
