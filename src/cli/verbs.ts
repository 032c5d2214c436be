// The verbs, as far as one must know them to choose one: names and what they are for. What a verb does, and all that it needs,
// is loaded when it is called.

import { nearestWord } from "../base/nearest-word.js";

export interface Verb {
  readonly name: string;
  readonly summary: string;
  load(): Promise<VerbModule>;
}

/** What the file of a verb exports. */
export interface VerbModule {
  /** Does what `args` (all behind `scatterwire`) say. Resolves to the exit status, with the reason told; never rejects. */
  run(args: readonly string[]): Promise<number>;
}

export const VERBS: readonly Verb[] = [
  { name: "create", summary: "make a torrent file of a file or folder", load: () => import("./create.js") },
  { name: "info", summary: "say what a torrent file holds", load: () => import("./info.js") },
  { name: "check", summary: "compare data on disk with a torrent file", load: () => import("./check.js") },
  {
    name: "download",
    summary: "fetch torrents from peers; an interrupted download continues where it stopped",
    load: () => import("./download.js"),
  },
  { name: "seed", summary: "serve a torrent until Ctrl-C", load: () => import("./seed.js") },
  {
    name: "replay",
    summary: "feed a recording of connections through a receive mode",
    load: () => import("./replay.js"),
  },
  {
    name: "scrape",
    summary: "ask trackers how many peers a torrent has",
    load: () => import("./scrape.js"),
  },
  {
    name: "tracker",
    summary: "keep swarms, and tell peers of each other, until Ctrl-C",
    load: () => import("./tracker.js"),
  },
  {
    name: "dht",
    summary: "ask the distributed hash table for peers, or be a node of it",
    load: () => import("./dht.js"),
  },
  {
    name: "index",
    summary: "find torrents in the DHT, and keep what they hold",
    load: () => import("./index-verb.js"),
  },
  { name: "bench", summary: "measure on this machine", load: () => import("./bench.js") },
];

/** What `scatterwire --help` says. */
export function overview(): string {
  const width = Math.max(...VERBS.map(({ name }) => name.length));
  const verbs = VERBS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join("\n");
  return `Usage: scatterwire <verb> [options]

A BitTorrent engine: downloads, seeds, finds peers, and measures what all of it costs.

Verbs:
${verbs}

Options:
  -h, --help     this text; after a verb, its arguments and options
  -V, --version  the version

Examples:
  scatterwire create ./album
  scatterwire seed album.torrent . --listen 127.0.0.1:6881
  scatterwire download 'magnet:?xt=urn:btih:…' -o ./copy
  scatterwire bench loopback

Exit status: 0 done; 1 failed; 2 wrong usage; 3 data that is there cannot be read; 130 stopped by Ctrl-C, with resume data safe.
`;
}

/** The verb that somebody who wrote `word` may have meant. */
export function similarVerb(word: string): string | undefined {
  return nearestWord(
    word,
    VERBS.map(({ name }) => name),
  );
}
