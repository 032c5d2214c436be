// What a client says to a tracker and hears from it, whatever the protocol.

/** A peer as a tracker names it. */
export interface PeerEndpoint {
  /** Numeric. */
  readonly host: string;
  readonly port: number;
}

/** BEP 3; `paused` is BEP 21's: we have all that we want, and not all there is. */
export type AnnounceEvent = "none" | "started" | "completed" | "stopped" | "paused";

export interface AnnounceRequest {
  /** 20 bytes each. */
  readonly infoHash: Uint8Array;
  readonly peerId: Uint8Array;
  /** Where we accept connections, for addresses of each kind; 1 … 65535. */
  readonly ports: { readonly v4: number; readonly v6: number };
  /** Bytes. */
  readonly uploaded: number;
  readonly downloaded: number;
  readonly left: number;
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

export interface AnnounceAnswer {
  /** Seconds; undefined where the tracker does not say. */
  readonly interval: number | undefined;
  readonly minInterval: number | undefined;
  /** Of the swarm, as far as the tracker says. */
  readonly seeders: number | undefined;
  readonly leechers: number | undefined;
  readonly downloads: number | undefined;
  /** PEERS_MAX at the most, and none whose port is 0. */
  readonly peers: readonly PeerEndpoint[];
  readonly warning: string | undefined;
  readonly trackerId: string | undefined;
  /** Our address as the tracker sees it (BEP 24). */
  readonly externalIp: string | undefined;
}

export interface ScrapeEntry {
  /** 40 hexadecimal digits. */
  readonly infoHash: string;
  readonly seeders: number;
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
