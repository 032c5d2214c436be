// What stats() of a session, a torrent and a connection tell: plain numbers, units in their names. Types only.
//
// Always: what ends in `Bytes`, `Blocks`, `Calls` or `Total` only grows while the object lives; the others are as things stand now.

/** What a session does now, all its torrents together. */
export interface SessionStats {
  /** Torrents that were added and are not closed. */
  readonly torrents: number;
  /** Connections that are open or being made, and those of them whose handshakes are not over. */
  readonly connections: number;
  /** Connections whose handshakes are not over. */
  readonly connectionsBegun: number;
  /** Over the last seconds. */
  readonly downloadBytesPerSecond: number;
  /** Bytes of blocks that were sent in a second, over the last seconds. */
  readonly uploadBytesPerSecond: number;
  /** Of blocks, since the session began, and of those that came and nobody wanted any more. */
  readonly downloadedBytes: number;
  /** Bytes of blocks that were sent. */
  readonly uploadedBytes: number;
  /** Bytes of blocks that came and nobody wanted any more. */
  readonly wastedBytes: number;
  /** Memory that blocks live in, and what of it is free. */
  readonly poolBytes: number;
  /** What of that memory nobody holds. */
  readonly poolBytesFree: number;
  /** Connections and others that go on when memory is free: while there are some, the pool is what limits. */
  readonly poolWaiters: number;
  /** Ports that a router lets peers through to: Session.mappedPorts says which. */
  readonly portsMapped: number;
  /** Reads, writes and digests that other threads were given and have not finished. */
  readonly jobsUnderWay: number;
}

/** What a torrent does now, and what it has done since it was added. */
export interface TorrentStats {
  /** Over the last seconds. */
  readonly downloadBytesPerSecond: number;
  /** Bytes of blocks that were sent in a second, over the last seconds. */
  readonly uploadBytesPerSecond: number;
  /** Of blocks, since the torrent was added, and of those that came and nobody wanted any more. */
  readonly downloadedBytes: number;
  /** Bytes of blocks that were sent. */
  readonly uploadedBytes: number;
  /** Bytes of blocks that came and nobody wanted any more. */
  readonly wastedBytes: number;
  /** What is missing of what is wanted, and how long it takes if it goes on like this; undefined while nothing comes. */
  readonly bytesMissing: number;
  /** Until all that is wanted is here, if it goes on like this; undefined while nothing comes. */
  readonly secondsLeft: number | undefined;
  /** Connections, and those of them to peers that have everything. */
  readonly peers: number;
  /** Of the peers that are connected, those that have everything. */
  readonly seeds: number;
  /** Pieces that are verified, all that the torrent has, and how often one failed its check. */
  readonly piecesVerified: number;
  /** Pieces of the torrent; 0 before the metadata. */
  readonly pieceCount: number;
  /** Times that a piece failed its check. */
  readonly piecesFailedTotal: number;
}

/** What one connection does now, and what went over it. */
export interface ConnectionStats {
  /** Since it was begun or accepted, whether or not it has ended. */
  readonly secondsConnected: number;
  /** Over the last seconds, of blocks. */
  readonly downloadBytesPerSecond: number;
  /** Bytes of blocks that were sent in a second, over the last seconds. */
  readonly uploadBytesPerSecond: number;
  /** Of blocks, and of those that came and nobody wanted any more. */
  readonly downloadedBytes: number;
  /** Bytes of blocks that were sent. */
  readonly uploadedBytes: number;
  /** Bytes of blocks that came and nobody wanted any more. */
  readonly wastedBytes: number;
  /** All that came and went, messages included. */
  readonly receivedBytes: number;
  /** All that was sent, messages included. */
  readonly sentBytes: number;
  /** Blocks that came whole. */
  readonly receivedBlocks: number;
  /** Blocks that were sent whole. */
  readonly sentBlocks: number;
  /** System calls, those that brought or took nothing included. */
  readonly receiveCalls: number;
  /** Calls of the system that sent, those that took nothing included. */
  readonly sendCalls: number;
  /** Requests that we made and that are not answered, and how many there should be. */
  readonly requestsOutstanding: number;
  /** Requests that should be outstanding. */
  readonly requestsWanted: number;
  /** Blocks that the peer asked for and that have not left. */
  readonly requestsOfPeer: number;
  /** Pieces that the peer says it has. */
  readonly pieces: number;
}

/** A Prometheus registry, as far as it is used: prom-client's Registry has both. */
export interface MetricsRegistry {
  /** Takes a metric in, which is asked for its figures when it is scraped. */
  registerMetric(metric: never): void;
  /** Lets go of the metric of this name. */
  removeSingleMetric(name: string): void;
}
