// What came of connections to peers, and how often what bounds them held (docs/indexer.md has the table of what others can do).

/** Of all fetches of info dictionaries together, since the indexer was made. */
export interface FetcherCounters {
  /** Connections that were begun. */
  connected: number;
  /** Fetches that a peer began which came by itself. */
  accepted: number;
  /** Addresses that were not connected to: ports below 1024, not public, or connected to often enough. */
  refused: number;
  /** Dictionaries that came. */
  fetched: number;
  /** Bytes of those. */
  infoBytes: number;
  /** Peers that have no dictionary, or one that is longer than may be: nothing was asked of them. */
  useless: number;
  /** Peers whose whole dictionary has another digest than the hash. */
  lied: number;
  /** Peers that brought nothing for 12 s. */
  silent: number;
  /** Fetches that had no dictionary after a minute. */
  expired: number;
  /** Fetches that held the most when all together held more than they may: 48 MiB of parts. */
  crowdedOut: number;
  /** Addresses beyond the 64 that are kept of a torrent. */
  addressesTooMany: number;
}

export function makeFetcherCounters(): FetcherCounters {
  return {
    connected: 0,
    accepted: 0,
    refused: 0,
    fetched: 0,
    infoBytes: 0,
    useless: 0,
    lied: 0,
    silent: 0,
    expired: 0,
    crowdedOut: 0,
    addressesTooMany: 0,
  };
}
