// scatterwire scrape: asks trackers how many peers a torrent has.

import { Command } from "commander";
import type { ScrapeEntry } from "../tracker/index.js";
import {
  collect,
  EXIT_FAILED,
  EXIT_USAGE,
  ExitError,
  interruptSignal,
  printJson,
  printLine,
} from "./output.js";
import { runVerb } from "./run-verb.js";
import { hostOf } from "./source-notes.js";
import { loadTorrent, trackersOf } from "./torrent-argument.js";

interface Options {
  tracker?: string[];
  json?: boolean;
}

export function run(args: readonly string[]): Promise<number> {
  return runVerb(scrapeCommand(), args);
}

function scrapeCommand(): Command {
  return new Command("scrape")
    .description("ask trackers how many peers a torrent has")
    .argument("<torrent>", "a torrent file, the address of one on the web, or a magnet link")
    .option(
      "--tracker <url>",
      "ask this tracker instead of the torrent's own; may be given several times",
      collect,
    )
    .option("--json", "print a line of JSON for each tracker")
    .addHelpText(
      "after",
      `
Examples:
  scatterwire scrape album.torrent
  scatterwire scrape 'magnet:?xt=urn:btih:…' --tracker udp://127.0.0.1:6969`,
    )
    .action(scrape);
}

async function scrape(name: string, options: Options): Promise<void> {
  const signal = interruptSignal();
  const torrent = await loadTorrent(name, signal);
  const trackers = [...new Set(options.tracker ?? trackersOf(torrent).flat())];
  if (trackers.length === 0)
    throw new ExitError(EXIT_USAGE, "the torrent names no tracker: give --tracker URL");
  const { scrapeTrackers } = await import("../tracker/index.js");
  const results = await scrapeTrackers(trackers, [torrent.infoHash], signal);
  for (const { url, entries, error } of results) {
    const [entry] = entries;
    if (options.json === true) printJson(scrapeEvent(url, entry, error?.message));
    else if (entry !== undefined) printLine(`${hostOf(url)}: ${described(entry)}`);
    else printLine(`${hostOf(url)}: ${error?.message ?? "it does not know the torrent"}`);
  }
  if (!results.some(({ entries }) => entries.length > 0))
    throw new ExitError(EXIT_FAILED, "no tracker said anything of the torrent");
}

function described({ seeders, leechers, downloads }: ScrapeEntry): string {
  return `${seeders} have all of it, ${leechers} a part, and ${downloads} have downloaded it`;
}

function scrapeEvent(url: string, entry: ScrapeEntry | undefined, error: string | undefined): object {
  const { seeders = null, leechers = null, downloads = null } = entry ?? {};
  return { event: "scrape", url, seeders, leechers, downloads, error: error ?? null };
}
