// What a client says to a tracker and hears from it, whatever the protocol.

/** A peer as a tracker names it. */
export interface PeerEndpoint {
  /** Numeric. */
  readonly host: string;
  /** 1 … 65535. */
  readonly port: number;
}

/** BEP 3; `paused` is BEP 21's: we have all that we want, and not all there is. */
export type AnnounceEvent = "none" | "started" | "completed" | "stopped" | "paused";

/** One announce (BEP 3, BEP 15): who we are, how far we are, and what we want. */
export interface AnnounceRequest {
  /** 20 bytes each. */
  readonly infoHash: Uint8Array;
  /** What this session calls itself in the handshakes of this torrent. */
  readonly peerId: Uint8Array;
  /** Where we accept connections, for addresses of each kind; 1 … 65535. */
  readonly ports: { readonly v4: number; readonly v6: number };
  /** Bytes. */
  readonly uploaded: number;
  /** Since `started` was said, bytes that were sent again included. */
  readonly downloaded: number;
  /** 0 is what makes a seeder of us. */
  readonly left: number;
  /** "none" for the announces between two events. */
  readonly event: AnnounceEvent;
  /** −1: as many as the tracker thinks right. */
  readonly numWant: number;
  /** 32 bits by which a tracker knows us again at another address. */
  readonly key: number;
  /** What the tracker called itself before. */
  readonly trackerId?: string | undefined;
  /** Numeric address at which we are reached, where that is not the one we ask from. Most trackers ignore it. */
  readonly ip?: string | undefined;
}

/** What a tracker that took an announce in says. One that refuses it is a TrackerError instead. */
export interface AnnounceAnswer {
  /** Seconds; undefined where the tracker does not say. */
  readonly interval: number | undefined;
  /** Seconds that an announce before its time has to wait for, at least ("min interval" of HTTP). */
  readonly minInterval: number | undefined;
  /** Of the swarm, as far as the tracker says. */
  readonly seeders: number | undefined;
  /** Peers of the swarm that are no seeders. */
  readonly leechers: number | undefined;
  /** Downloads that were completed, ever. */
  readonly downloads: number | undefined;
  /** PEERS_MAX at the most, and none whose port is 0. */
  readonly peers: readonly PeerEndpoint[];
  /** What the tracker wants its user to read, though it took the announce in: one line, nothing that steers a terminal. */
  readonly warning: string | undefined;
  /** What it wants to be told of in the next announce, as `trackerId`. */
  readonly trackerId: string | undefined;
  /** Our address as the tracker sees it (BEP 24). */
  readonly externalIp: string | undefined;
}

/** How large the swarm of one torrent is (BEP 48, BEP 15). */
export interface ScrapeEntry {
  /** 40 hexadecimal digits. */
  readonly infoHash: string;
  /** Peers that have everything. */
  readonly seeders: number;
  /** Peers that do not. */
  readonly leechers: number;
  /** Downloads that were completed, ever. */
  readonly downloads: number;
}

/** Peers that are taken from one answer. A list of known peers has room for some thousand of all trackers together. */
export const PEERS_MAX = 1000;
const TEXT_LENGTH_MAX = 200;

/** What a tracker wrote, as it may stand in a message: one line, not long, nothing that steers a terminal. */
export function printableText(text: string): string {
  const short = text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text;
  return short.replace(/\p{C}|\p{Zl}|\p{Zp}/gu, " ").trim();
}
