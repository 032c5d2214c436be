// How fast an indexer indexes: real datagrams, connections and transactions, over loopback. The network is another process; this one is the
// indexer with its store in a temporary file, and its CPU and memory are those of this process.

import { createHash } from "node:crypto";
import { PerformanceObserver } from "node:perf_hooks";
import type { Indexer } from "../../src/indexer/index.js";
import { madeHash } from "../load/metadata-seeder.js";
import { median } from "../measuring/statistics.js";
import { Program } from "../processes/program.js";
import { boolean, number, object, type Shape } from "../processes/shape.js";
import { besideNetwork } from "./index-run.js";

const POLL_MS = 50;
/** Hashes are told in parts: no more wait in the indexer than it has room for. */
const TOLD_AT_ONCE = 10_000;
const TOLD_EACH = 1000;

export interface IndexingOptions {
  readonly seconds: number;
  /** Of the network, and of the indexer. */
  readonly nodes: number;
  readonly virtualNodes: number;
  /** Of the network's nodes: so many per cent went when the others knew them. */
  readonly deadPercent: number;
  /** Hashes that there are, and the share of them in per cent that somebody has. */
  readonly hashes: number;
  readonly sharePercent: number;
  /** Undefined: a file of SQLite. */
  readonly store?: string;
}

const indexingRow: Shape<IndexingRow> = object({
  seconds: number,
  lookups: number,
  torrents: number,
  lookupsPer10Minutes: number,
  torrentsPer10Minutes: number,
  queriesPerLookup: number,
  unansweredShare: number,
  connections: number,
  cpuSeconds: number,
  collectionShare: number,
  peakRssBytes: number,
  ranDry: boolean,
});

export interface IndexingRow {
  readonly seconds: number;
  readonly lookups: number;
  readonly torrents: number;
  readonly lookupsPer10Minutes: number;
  readonly torrentsPer10Minutes: number;
  readonly queriesPerLookup: number;
  readonly connections: number;
  readonly cpuSeconds: number;
  /** Queries that were not answered in time, of all. */
  readonly unansweredShare: number;
  /** Of the time in which the loop worked: both by the clock, since a machine that has other work stretches both alike. */
  readonly collectionShare: number;
  readonly peakRssBytes: number;
  /** No hash was left before the time was over: it would have done more. */
  readonly ranDry: boolean;
}

/** Several runs, each in a process of its own: their memory is theirs. */
export async function runIndexings(runs: number, args: readonly string[]): Promise<IndexingRow[]> {
  const rows: IndexingRow[] = [];
  for (let run = 0; run < runs; run++) {
    const program = Program.cli("bench", "index", "--json", ...args);
    rows.push(await program.answer(indexingRow));
  }
  return rows;
}

/** Each figure's median. */
export function medianRow(rows: readonly IndexingRow[]): IndexingRow {
  const of = (pick: (row: IndexingRow) => number): number => median(rows.map(pick));
  return {
    seconds: of((row) => row.seconds),
    lookups: of((row) => row.lookups),
    torrents: of((row) => row.torrents),
    lookupsPer10Minutes: of((row) => row.lookupsPer10Minutes),
    torrentsPer10Minutes: of((row) => row.torrentsPer10Minutes),
    queriesPerLookup: of((row) => row.queriesPerLookup),
    unansweredShare: of((row) => row.unansweredShare),
    connections: of((row) => row.connections),
    cpuSeconds: of((row) => row.cpuSeconds),
    collectionShare: of((row) => row.collectionShare),
    peakRssBytes: of((row) => row.peakRssBytes),
    ranDry: rows.some((row) => row.ranDry),
  };
}

export async function runIndexing(options: IndexingOptions): Promise<IndexingRow> {
  const torrents = Math.round((options.hashes * options.sharePercent) / 100);
  const { nodes, deadPercent, virtualNodes, store } = options;
  const network = ["--nodes", `${nodes}`, "--dead", `${deadPercent}`, "--torrents", `${torrents}`];
  return besideNetwork({ network, virtualNodes, store }, (indexer) => measure(indexer, options, torrents));
}

async function measure(indexer: Indexer, options: IndexingOptions, torrents: number): Promise<IndexingRow> {
  let collectionMs = 0;
  const collections = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) collectionMs += duration;
  });
  collections.observe({ entryTypes: ["gc"] });
  // Those that somebody has lie among those that nobody has: hashes do so by themselves.
  const hashes = Array.from({ length: options.hashes }, (_, at) =>
    at < torrents ? madeHash(at) : madeUp(at),
  );
  let told = 0;
  const tell = (): void => {
    for (; told < hashes.length && indexer.stats().hashesWaiting < TOLD_AT_ONCE; told += TOLD_EACH)
      indexer.add(hashes.slice(told, told + TOLD_EACH));
  };
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) {
      tell();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  };
  // It has all hashes, and has begun.
  await until(() => told >= hashes.length && indexer.stats().hashesWaiting === 0);
  await until(() => indexer.stats().counters.stored > 0);
  const before = indexer.stats();
  const cpuBefore = process.cpuUsage();
  const collectedBefore = collectionMs;
  const loopBefore = performance.eventLoopUtilization();
  const startMs = performance.now();
  await until(
    () =>
      performance.now() - startMs >= 1000 * options.seconds ||
      indexer.stats().counters.lookups >= hashes.length,
  );
  const after = indexer.stats();
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const { active } = performance.eventLoopUtilization(loopBefore);
  const sent = after.dht.counters.queriesSent - before.dht.counters.queriesSent;
  collections.disconnect();
  const lookups = after.counters.lookupsConverged - before.counters.lookupsConverged;
  const stored = after.counters.stored - before.counters.stored;
  return {
    seconds,
    lookups,
    torrents: stored,
    lookupsPer10Minutes: (600 * lookups) / seconds,
    torrentsPer10Minutes: (600 * stored) / seconds,
    queriesPerLookup: sent / Math.max(1, lookups),
    unansweredShare:
      1 - (after.dht.counters.answersReceived - before.dht.counters.answersReceived) / Math.max(1, sent),
    connections: after.fetcher.connected - before.fetcher.connected,
    cpuSeconds: (user + system) / 1e6,
    collectionShare: (collectionMs - collectedBefore) / Math.max(1, active),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    ranDry: after.counters.lookups >= hashes.length,
  };
}

/** The hash of a torrent that there is not. */
export function madeUp(at: number): Uint8Array {
  return Uint8Array.from(createHash("sha1").update(`nobody's ${at}`).digest());
}
