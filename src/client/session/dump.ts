// A session as a bug report shows it: what it is made of and what state each part is in, as plain values.
//
// Always: it can be written as JSON; its size is bounded, whatever was added and whoever is here, and where something is left out a number
// says how much; nothing in it lets a reader act as the user: no keys of trackers or web seeds, no peer id of ours, no folder.

import type { Costs } from "../../base/metrics/costs.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import { VERSION } from "../../base/version.js";
import type { BlockPool } from "../memory/block-pool.js";
import type {
  ConnectionStats,
  MappedPort,
  PeerInfo,
  SessionStats,
  TorrentProgress,
  TrackerStatus,
  WebSeedStatus,
} from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { StorageCounters } from "../storage/storage.js";
import { describePeer, statsOfPeer } from "../torrent/peer-info.js";
import type { TorrentCore } from "../torrent/torrent-core.js";
import type { SessionSettings } from "./settings.js";

/** What a dump shows of each at the most. */
const TORRENTS_MAX = 64;
const PEERS_MAX = 512;
const PEERS_PER_TORRENT_MAX = 128;
const TRACKERS_PER_TORRENT_MAX = 32;
const TEXT_MAX = 300;
/** Parts of an address that are taken out of what is written about it: not those that are too short to be keys, or that everybody has. */
const KEY_MIN = 4;
const HIDDEN = "…";
const COMMON_PARTS: ReadonlySet<string> = new Set(["announce", "scrape", "announce.php", "scrape.php"]);

/** A session, for a bug report: plain values of bounded size, without keys, folders and our peer id. */
export interface SessionDump {
  /** Version of this package. */
  readonly scatterwire: string;
  /** Version of Node.js. */
  readonly node: string;
  /** System and processor. */
  readonly platform: string;
  /** Seconds since the session was made. */
  readonly secondsOpen: number;
  /** Options that are numbers, names or flags, as they are in use. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Ports that routers let peers through to, as Session.mappedPorts tells them, without our addresses. */
  readonly mappedPorts: readonly Omit<MappedPort, "host">[];
  /** As Session.stats() tells them. */
  readonly stats: SessionStats;
  /** As Session.counters() tells them. */
  readonly counters: TransferCounters;
  /** As Session.costs() tells them. */
  readonly costs: Costs;
  /** Slots of the pool: all, free, the most that were out at one time, and who holds how many. */
  readonly slots: {
    readonly all: number;
    readonly free: number;
    readonly peakHeld: number;
    readonly held: Record<string, number>;
  };
  /** The first 64. */
  readonly torrents: readonly TorrentDump[];
  /** How many more there are. */
  readonly torrentsLeftOut: number;
  /** Connections that have not said which torrent they come for. */
  readonly strangers: readonly PeerDump[];
  /** How many more of those there are. */
  readonly strangersLeftOut: number;
}

/** A torrent in a dump. */
export interface TorrentDump {
  /** 40 hexadecimal digits. */
  readonly infoHash: string;
  /** The name in the torrent file; else what the magnet calls it. */
  readonly name: string;
  /** As Torrent.progress() tells it. */
  readonly progress: TorrentProgress;
  /** Why it failed. */
  readonly failure: { readonly code: string; readonly message: string } | undefined;
  /** BEP 27; undefined while nobody knows. */
  readonly private: boolean | undefined;
  /** Bytes; undefined before the metadata. */
  readonly pieceLength: number | undefined;
  /** How many there are; undefined before the metadata. */
  readonly files: number | undefined;
  /** Times that a piece failed its check. */
  readonly piecesFailedTotal: number;
  /** Pieces that were begun and are not verified. */
  readonly piecesStarted: number | undefined;
  /** Blocks of wanted pieces that have not come. */
  readonly blocksMissing: number | undefined;
  /** All that is missing was asked for. */
  readonly inEndGame: boolean | undefined;
  /** The kind of storage in use. */
  readonly storage: string;
  /** As Torrent.storageCounters() tells them. */
  readonly storageCounters: StorageCounters | undefined;
  /** As Torrent.counters() tells them. */
  readonly counters: TransferCounters;
  /** Addresses that are known, being connected to, and banned. */
  readonly addresses: { readonly known: number; readonly dialled: number; readonly banned: number };
  /** Connections, 128 of a torrent and 512 of all at the most. */
  readonly peers: readonly PeerDump[];
  /** How many more there are. */
  readonly peersLeftOut: number;
  /** The first 32, without the keys in their addresses. */
  readonly trackers: readonly TrackerDump[];
  /** How many more there are. */
  readonly trackersLeftOut: number;
  /** Web seeds (BEP 19), 32 at the most, without the keys in their addresses. */
  readonly webSeeds: readonly { readonly url: string; readonly state: string; readonly error: string }[];
}

/** A connection in a dump. */
export type PeerDump = PeerInfo & { readonly stats: ConnectionStats };

/** A tracker in a dump: its error is text. */
export type TrackerDump = Omit<TrackerStatus, "error"> & { readonly error: string };

export interface DumpParts {
  readonly nowMs: number;
  readonly sinceMs: number;
  readonly stats: SessionStats;
  readonly counters: TransferCounters;
  readonly costs: Costs;
  readonly settings: SessionSettings;
  readonly mappedPorts: readonly MappedPort[];
  readonly pool: BlockPool;
  readonly torrents: readonly TorrentCore[];
  readonly strangers: readonly PeerConnection[];
}

export function makeDump(parts: DumpParts): SessionDump {
  const { nowMs, pool, torrents, strangers } = parts;
  let peersLeft = PEERS_MAX;
  const peersOf = (peers: readonly PeerConnection[]): PeerDump[] => {
    const shown = peers.slice(0, Math.min(peersLeft, PEERS_PER_TORRENT_MAX));
    peersLeft -= shown.length;
    return shown.map((peer) => {
      const info = describePeer(peer);
      return { ...info, client: shortened(info.client), stats: statsOfPeer(peer, nowMs) };
    });
  };
  const shownTorrents = torrents.slice(0, TORRENTS_MAX).map((core) => torrentDump(core, peersOf));
  const shownStrangers = peersOf(strangers);
  return {
    scatterwire: VERSION,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    secondsOpen: (nowMs - parts.sinceMs) / 1000,
    settings: plainSettings(parts.settings),
    mappedPorts: parts.mappedPorts.map(({ host: _ours, ...said }) => said),
    stats: parts.stats,
    counters: parts.counters,
    costs: parts.costs,
    slots: { all: pool.slotCount, free: pool.freeCount, peakHeld: pool.peakHeld, held: pool.heldByHolder() },
    torrents: shownTorrents,
    torrentsLeftOut: torrents.length - shownTorrents.length,
    strangers: shownStrangers,
    strangersLeftOut: strangers.length - shownStrangers.length,
  };
}

function torrentDump(
  core: TorrentCore,
  peersOf: (peers: readonly PeerConnection[]) => PeerDump[],
): TorrentDump {
  const { content, failure, finder, swarm } = core;
  const here = [...swarm.here];
  const peers = peersOf(here);
  const trackers = finder.trackers;
  const shownTrackers = trackers.slice(0, TRACKERS_PER_TORRENT_MAX).map(trackerDump);
  const metainfo = content?.metainfo;
  return {
    infoHash: Buffer.from(core.infoHash).toString("hex"),
    name: shortened(metainfo?.name ?? core.magnet?.name ?? ""),
    progress: core.progress(),
    failure:
      failure === undefined
        ? undefined
        : {
            code: (failure as { code?: string }).code ?? failure.name,
            message: shortened(withoutFolder(failure.message, core.options.directory)),
          },
    private: metainfo?.private,
    pieceLength: metainfo?.pieceLength,
    files: metainfo?.files.length,
    piecesFailedTotal: core.piecesFailed,
    piecesStarted: content?.picking.startedCount,
    blocksMissing: content?.picking.blocksMissing,
    inEndGame: content?.picking.inEndGame,
    storage: content?.storageKind ?? core.options.storage ?? "file",
    storageCounters: content?.storageCounters === undefined ? undefined : { ...content.storageCounters },
    counters: swarm.counters(),
    addresses: swarm.addressCounts(),
    peers,
    peersLeftOut: here.length - peers.length,
    trackers: shownTrackers,
    trackersLeftOut: trackers.length - shownTrackers.length,
    webSeeds: finder.webSeeds.slice(0, TRACKERS_PER_TORRENT_MAX).map(webSeedDump),
  };
}

function trackerDump(status: TrackerStatus): TrackerDump {
  const { url, error, warning } = status;
  return {
    ...status,
    url: shortened(publicAddress(url)),
    warning: warning === undefined ? undefined : without(warning, url),
    error: error === undefined ? "" : `${error.code}: ${without(error.message, url)}`,
    externalIp: undefined,
  };
}

function webSeedDump({ url, state, error }: WebSeedStatus): { url: string; state: string; error: string } {
  return { url: shortened(publicAddress(url)), state, error: without(error ?? "", url) };
}

/** Settings that say nothing of who the user is: neither callbacks nor addresses nor ids. */
function plainSettings(settings: SessionSettings): Record<string, unknown> {
  const plain = Object.entries(settings).filter(
    ([name, value]) => name !== "announceIp" && ["number", "boolean", "string"].includes(typeof value),
  );
  return Object.fromEntries([...plain, ["receiveMode", settings.receiveMode]]);
}

/** What of an address is nobody's key: whom it leads to, and the parts of its path that everybody has. */
function publicAddress(url: string): string {
  const parts = /^([a-z]+:\/\/)(?:[^/?#]*@)?([^/?#]*)([^?#]*)/is.exec(url);
  if (parts === null) return HIDDEN;
  const [, protocol = "", host = "", path = ""] = parts;
  const shown = path.split("/").map((part) => (part === "" || COMMON_PARTS.has(part) ? part : HIDDEN));
  return `${protocol}${host}${shown.join("/")}${url.includes("?") ? `?${HIDDEN}` : ""}`;
}

/** A text that somebody wrote about an address, without the address's keys, however they are written in it. */
function without(text: string, url: string): string {
  const path = url.replace(/^[a-z]+:\/\/(?:[^/?#@]*@)?[^/?#]*/is, "");
  const user = /^[a-z]+:\/\/([^/?#@]*)@/is.exec(url)?.[1] ?? "";
  const parts = [...path.split(/[/?&=;#]/), ...user.split(":")];
  const keys = [...new Set(parts.flatMap((part) => [part, decoded(part)]))]
    .filter((part) => part.length >= KEY_MIN && !COMMON_PARTS.has(part))
    .sort((one, other) => other.length - one.length);
  const cleared = text.replaceAll(url, publicAddress(url));
  return shortened(keys.reduce((left, key) => left.replaceAll(key, HIDDEN), cleared));
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function withoutFolder(text: string, directory: string | undefined): string {
  return directory === undefined ? text : text.replaceAll(directory, "…");
}

function shortened(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}
