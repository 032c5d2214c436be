// Scrapes without a session: a loop, sockets and a resolver of their own, for as long as it takes.

import { TrackerError } from "../../base/errors.js";
import { check, checkBytes, checkOption } from "../../base/option-check.js";
import { SystemDatagrams } from "../../native/datagrams.js";
import { SystemNames } from "../../native/names.js";
import { Reactor } from "../../native/reactor.js";
import type { ScrapeEntry } from "./announce.js";
import { TrackerClient } from "./tracker-client.js";

/** What one tracker said of the torrents that it was asked for. */
export interface ScrapeResult {
  /** As it was given. */
  readonly url: string;
  /** Of the torrents that the tracker said something of. */
  readonly entries: readonly ScrapeEntry[];
  /** Why it said nothing. */
  readonly error: TrackerError | undefined;
}

/** A reactor wants memory for blocks, of which there are none here. */
const SLAB_BYTES = 4096;
const INFO_HASH_BYTES = 20;

/**
 * What each tracker says of the torrents with these info hashes (20 bytes each), of 50 at the most. Never rejects for what a tracker does, and
 * with UsageError for what is no address or hash.
 */
export async function scrapeTrackers(
  urls: readonly string[],
  infoHashes: readonly Uint8Array[],
  signal?: AbortSignal,
): Promise<ScrapeResult[]> {
  checkOption("the addresses of trackers", { kind: "texts" }, urls);
  check(Array.isArray(infoHashes), "the info hashes are an array", infoHashes);
  for (const infoHash of infoHashes) checkBytes("an info hash", INFO_HASH_BYTES, infoHash);
  if (signal !== undefined) checkOption("signal", { kind: "signal" }, signal);
  const reactor = new Reactor(SLAB_BYTES);
  const { ground } = reactor;
  const datagrams = new SystemDatagrams(reactor);
  const client = new TrackerClient({ ground, datagrams, names: new SystemNames(ground) });
  try {
    return await Promise.all(
      urls.map(async (url) => {
        try {
          return { url, entries: await client.scrape(url, infoHashes, signal), error: undefined };
        } catch (error) {
          if (!(error instanceof TrackerError)) throw error;
          return { url, entries: [], error };
        }
      }),
    );
  } finally {
    client.close();
    reactor.close();
  }
}
