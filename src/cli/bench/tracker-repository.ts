// scatterwire bench tracker-repository: Torrust's benchmark of torrent repositories, on ours and on plain ones.

import { Command } from "commander";
import { framed } from "../../../bench/measuring/tracker-results.js";
import { repositoryText } from "../../../bench/measuring/tracker-words.js";
import { benchTrackerRepository, SAMPLES_DEFAULT } from "../../../bench/suites/tracker-repository.js";
import { VERSION } from "../../base/version.js";
import { printJson, printLine, wholeNumber } from "../output.js";

interface Flags {
  samples: number;
  sleep: number;
  compare: boolean;
  json?: boolean;
}

export function trackerRepositoryCommand(): Command {
  return new Command("tracker-repository")
    .description("put a peer into a swarm and count: Torrust's four scenarios")
    .option(
      "--samples <n>",
      "runs of the scenario add_one_torrent",
      wholeNumber("--samples", 2, 1_000_000),
      SAMPLES_DEFAULT,
    )
    .option(
      "--sleep <ns>",
      "nanoseconds that each parallel task spins",
      wholeNumber("--sleep", 0, 1_000_000),
      0,
    )
    .option("--no-compare", "measure our own store only")
    .option("--json", "print one JSON object, which `bench report` reads")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const { samples, sleep, compare } = flags;
  const startedAt = new Date();
  const results = await benchTrackerRepository({ samples, sleepNs: sleep, compare });
  if (flags.json === true) printJson(framed("tracker-repository", VERSION, startedAt, { results }));
  else printLine(repositoryText(results));
}
