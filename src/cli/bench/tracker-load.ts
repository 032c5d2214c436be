// scatterwire bench tracker-load: load for a UDP tracker, with the knobs of aquatic's load tester.

import { Command, Option } from "commander";
import { framed } from "../../../bench/measuring/tracker-results.js";
import {
  benchTrackerLoad,
  TRACKER_LOAD_DEFAULTS as DEFAULTS,
  readyText,
  reportText,
  summaryText,
  type TrackerLoad,
} from "../../../bench/suites/tracker-load.js";
import { VERSION } from "../../base/version.js";
import {
  EXIT_USAGE,
  ExitError,
  interruptSignal,
  parseAddress,
  printJson,
  printLine,
  wholeNumber,
} from "../output.js";

interface Flags {
  workers: number;
  duration: number;
  summarizeLast: number;
  extraStatistics: boolean;
  multipleClientIpv4s: boolean;
  socketsPerWorker: number;
  recvBuffer: number;
  torrents: number;
  peers: number;
  scrapeMaxTorrents: number;
  peersWanted: number;
  weights: [number, number, number];
  seeders: number;
  freshTorrents?: boolean;
  throttle?: number;
  window: number;
  json?: boolean;
}

const MANY = 2 ** 30;

export function trackerLoadCommand(): Command {
  const number = (name: string, low: number, high: number) => wholeNumber(`--${name}`, low, high);
  return new Command("tracker-load")
    .description("load for a UDP tracker: simulated peers connect, announce and scrape")
    .argument("<tracker>", "HOST:PORT of the tracker")
    .option("--workers <n>", "processes that send", number("workers", 1, 64), DEFAULTS.workers)
    .option(
      "--duration <s>",
      "seconds of load; 0: until Ctrl-C",
      number("duration", 0, 1_000_000),
      DEFAULTS.durationSeconds,
    )
    .option(
      "--summarize-last <s>",
      "only these in the summary; 0: all",
      number("summarize-last", 0, 1_000_000),
      0,
    )
    .option("--no-extra-statistics", "no percentiles of responses per info hash")
    .option("--no-multiple-client-ipv4s", "all workers send from 127.0.0.1, not from 127.0.0.1, .2, …")
    .option(
      "--sockets-per-worker <n>",
      "sockets of each process",
      number("sockets-per-worker", 1, 256),
      DEFAULTS.socketsPerWorker,
    )
    .option(
      "--recv-buffer <bytes>",
      "SO_RCVBUF of each socket",
      number("recv-buffer", 0, MANY),
      DEFAULTS.receiveBufferBytes,
    )
    .option("--torrents <n>", "torrents that are announced", number("torrents", 1, MANY), DEFAULTS.torrents)
    .option("--peers <n>", "peers that the load pretends to be", number("peers", 1, MANY), DEFAULTS.peers)
    .option(
      "--scrape-max-torrents <n>",
      "torrents of a scrape at the most",
      number("scrape-max-torrents", 1, 15),
      DEFAULTS.scrapeTorrentsMax,
    )
    .option(
      "--peers-wanted <n>",
      "peers that an announce asks for",
      number("peers-wanted", 0, 1000),
      DEFAULTS.peersWanted,
    )
    .addOption(
      new Option("--weights <c/a/s>", "how often connect, announce and scrape are sent")
        .argParser(parseWeights)
        .default([50, 50, 1], "50/50/1"),
    )
    .option(
      "--seeders <share>",
      "share of announces that have nothing left to download",
      parseShare,
      DEFAULTS.seederProbability,
    )
    .option("--fresh-torrents", "a flood: each announce names a torrent that nobody has heard of")
    .option(
      "--throttle <share>",
      "send while so many of all requests were answered (aquatic: 0.9)",
      parseShare,
    )
    .option(
      "--window <n>",
      "requests under way, where --throttle is not given",
      number("window", 1, MANY),
      DEFAULTS.window,
    )
    .option("--json", "print one JSON object, which `bench report` reads")
    .action(run);
}

async function run(tracker: string, flags: Flags): Promise<void> {
  const { host, port } = await parseAddress(tracker, "the tracker");
  const [weightConnect, weightAnnounce, weightScrape] = flags.weights;
  const load: TrackerLoad = {
    host,
    port,
    workers: flags.workers,
    durationSeconds: flags.duration,
    summarizeLastSeconds: flags.summarizeLast,
    extraStatistics: flags.extraStatistics,
    multipleClientIpv4s: flags.multipleClientIpv4s,
    socketsPerWorker: flags.socketsPerWorker,
    receiveBufferBytes: flags.recvBuffer,
    torrents: flags.torrents,
    peers: flags.peers,
    scrapeTorrentsMax: flags.scrapeMaxTorrents,
    peersWanted: flags.peersWanted,
    weightConnect,
    weightAnnounce,
    weightScrape,
    seederProbability: flags.seeders,
    window: flags.window,
    ...(flags.freshTorrents === true ? { freshTorrents: true } : {}),
    ...(flags.throttle === undefined ? {} : { throttle: flags.throttle }),
  };
  const quiet = flags.json === true;
  const startedAt = new Date();
  const result = await benchTrackerLoad(load, {
    signal: interruptSignal(),
    onReady: (ready) => quiet || printLine(`${readyText(ready)}\n`),
    onReport: (report) => quiet || printLine(`${reportText(report)}\n`),
  });
  const summary = summaryText(result, load);
  if (quiet) printJson(framed("tracker-load", VERSION, startedAt, { load, summary, result }));
  else printLine(summary);
}

/** "50/50/1". */
export function parseWeights(text: string): [number, number, number] {
  const [connect = -1, announce = -1, scrape = -1, ...rest] = text.split("/").map(Number);
  const weights: [number, number, number] = [connect, announce, scrape];
  const sum = connect + announce + scrape;
  if (rest.length === 0 && weights.every((weight) => weight >= 0) && sum > 0 && sum < MANY) return weights;
  throw new ExitError(EXIT_USAGE, `weights are three numbers such as 50/50/1, not "${text}"`);
}

export function parseShare(text: string): number {
  const share = Number(text);
  if (text !== "" && share >= 0 && share <= 1) return share;
  throw new ExitError(EXIT_USAGE, `a share is a number from 0 to 1, not "${text}"`);
}
