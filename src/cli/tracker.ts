// scatterwire tracker: keeps swarms, and answers who announces, until it is stopped.

import { setFlagsFromString } from "node:v8";
import { Command } from "commander";
import { Tracker } from "../tracker/index.js";
import {
  collect,
  EXIT_INTERRUPTED,
  EXIT_USAGE,
  ExitError,
  interruptSignal,
  note,
  parseAddress,
  printJson,
  printLine,
  wholeNumber,
} from "./output.js";
import { runVerb } from "./run-verb.js";

interface Options {
  udp?: string[];
  interval: number;
  peers: number;
  memoryMib: number;
  torrents: number;
  newTorrents?: number;
  duration?: number;
  json?: boolean;
}

const MIB = 1024 * 1024;

/**
 * V8 puts small functions into their callers up to a budget that is meant for large programs. This one has a few hot paths of many
 * small functions, and answers a tenth cheaper with a larger one.
 */
const INLINING = [
  "--max-inlined-bytecode-size=1500",
  "--max-inlined-bytecode-size-cumulative=12000",
  "--max-optimized-bytecode-size=200000",
];

export function run(args: readonly string[]): Promise<number> {
  for (const flag of INLINING) setFlagsFromString(flag);
  return runVerb(trackerCommand(), args);
}

function trackerCommand(): Command {
  return new Command("tracker")
    .description("run a tracker until Ctrl-C")
    .option("--udp <host:port>", "receive there; port 0 picks one; may be given several times", collect)
    .option(
      "--interval <seconds>",
      "what clients wait between announces",
      wholeNumber("--interval", 30, 3600),
      900,
    )
    .option("--peers <n>", "peers in an answer at the most", wholeNumber("--peers", 0, 1000), 200)
    .option(
      "--memory-mib <n>",
      "memory for swarms; the oldest make room",
      wholeNumber("--memory-mib", 1, 65_536),
      1024,
    )
    .option(
      "--torrents <n>",
      "torrents at the most; the oldest make room",
      wholeNumber("--torrents", 1, 2 ** 30 - 1),
      2 ** 24 - 1,
    )
    .option(
      "--new-torrents <n>",
      "new torrents that one address (IPv6: /64) may bring in a minute (default: any number)",
      wholeNumber("--new-torrents", 1, 2 ** 20 - 1),
    )
    .option("--duration <seconds>", "stop after so long", wholeNumber("--duration", 1, 31_536_000))
    .option("--json", "print JSON lines: where it listens, and totals at the end")
    .addHelpText(
      "after",
      `
Examples:
  scatterwire tracker --udp 0.0.0.0:6969 --udp [::]:6969
  scatterwire tracker --udp 127.0.0.1:0 --json --duration 60`,
    )
    .action(serve);
}

async function serve(options: Options): Promise<void> {
  if (options.udp === undefined) throw new ExitError(EXIT_USAGE, "where to receive? give --udp HOST:PORT");
  const signal = interruptSignal();
  const udp = await Promise.all(options.udp.map((text) => parseAddress(text, "--udp")));
  const tracker = new Tracker({
    udp,
    intervalSeconds: options.interval,
    peersMax: options.peers,
    store: {
      bytesMax: options.memoryMib * MIB,
      torrentsMax: options.torrents,
      ...(options.newTorrents === undefined ? {} : { newTorrentsPerMinute: options.newTorrents }),
    },
  });
  for (const { host, port } of tracker.udpAddresses) {
    if (options.json === true) printJson({ event: "listening", protocol: "udp", host, port });
    else printLine(`tracker at udp://${host.includes(":") ? `[${host}]` : host}:${port}; Ctrl-C stops`);
  }
  const startedMs = performance.now();
  const timer =
    options.duration === undefined
      ? undefined
      : setTimeout(() => process.kill(process.pid, "SIGTERM"), 1000 * options.duration);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
  clearTimeout(timer);
  const seconds = (performance.now() - startedMs) / 1000;
  const counters = tracker.counters();
  tracker.close();
  const { user, system } = process.cpuUsage();
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  if (options.json === true)
    printJson({ event: "stopped", seconds, cpuSeconds: (user + system) / 1e6, peakRssBytes, ...counters });
  else note(`answered ${counters.udp.responses} requests, ${counters.totals.torrents} torrents known`);
  if (options.duration === undefined || seconds < options.duration) throw new ExitError(EXIT_INTERRUPTED);
}
