// scatterwire bench storage: from the socket to the file, and whether a mapping is the shorter way.

import { Command } from "commander";
import { benchStorageWays } from "../../../bench/suites/storage.js";
import { addLabOptions, type LabFlags, runLabVerb } from "./lab.js";

const SIZE_DEFAULT = 512 * 1024 ** 2;

export function storageCommand(): Command {
  const command = new Command("storage").description(
    "what storing costs: pool and pwritev, mapped files, O_DIRECT, in memory and on a disk, durable at the end",
  );
  return addLabOptions(command, "512M")
    .option(
      "--disk <folder>",
      "a folder on the disk that is measured (default: the folder for temporary files)",
    )
    .addHelpText(
      "after",
      `
Examples:
  scatterwire bench storage -o storage.json
  scatterwire bench storage --only mapped-disk:file=sparse --disk /srv/downloads --size 2G --runs 5`,
    )
    .action(async (flags: LabFlags & { disk?: string }) => {
      await runLabVerb("storage", flags, SIZE_DEFAULT, (size, signal) =>
        benchStorageWays({ size, signal, full: flags.full === true, disk: flags.disk }),
      );
    });
}
