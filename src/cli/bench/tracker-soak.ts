// scatterwire bench tracker-soak: a tracker under full load, while lists are read again, statistics read, and threads ended.

import { Command } from "commander";
import { benchTrackerSoak, type SoakOptions, soakText } from "../../../bench/suites/tracker-soak.js";
import { EXIT_FAILED, ExitError, interruptSignal, printJson, printLine, wholeNumber } from "../output.js";

interface Flags {
  duration: number;
  workers: number;
  loadWorkers: number;
  torrents: number;
  peers: number;
  reload: number;
  read: number;
  restart: number;
  json?: boolean;
}

const MANY = 2 ** 30;

export function trackerSoakCommand(): Command {
  const option = (name: string, low: number, high: number) => wholeNumber(`--${name}`, low, high);
  return new Command("tracker-soak")
    .description("a tracker under full load, with lists reloaded, statistics read and threads ended")
    .option("--duration <s>", "seconds of load", option("duration", 1, 1_000_000), 600)
    .option("--workers <n>", "threads of the tracker", option("workers", 1, 64), 2)
    .option("--load-workers <n>", "processes of load", option("load-workers", 1, 64), 1)
    .option("--torrents <n>", "torrents that are announced", option("torrents", 1, MANY), 1_000_000)
    .option("--peers <n>", "peers that the load pretends to be", option("peers", 1, MANY), 2_000_000)
    .option("--reload <s>", "seconds between two readings of the lists", option("reload", 1, 3600), 2)
    .option("--read <s>", "seconds between two readings of the statistics", option("read", 1, 3600), 1)
    .option("--restart <s>", "seconds between two threads that are ended", option("restart", 1, 3600), 3)
    .option("--json", "print one JSON object")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const quiet = flags.json === true;
  const options: SoakOptions = {
    durationSeconds: flags.duration,
    workers: flags.workers,
    loadWorkers: flags.loadWorkers,
    torrents: flags.torrents,
    peers: flags.peers,
    reloadSeconds: flags.reload,
    readSeconds: flags.read,
    restartSeconds: flags.restart,
    signal: interruptSignal(),
    onMinute: (soFar) => quiet || printLine(`${soakText(soFar)}\n`),
  };
  const result = await benchTrackerSoak(options);
  if (quiet) printJson({ options: { ...options, signal: undefined, onMinute: undefined }, result });
  else printLine(soakText(result));
  if (result.failures.length > 0)
    throw new ExitError(EXIT_FAILED, "the tracker did not do all that was asked");
}
