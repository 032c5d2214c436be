// One torrent as its parts see it, each no more than it needs: its connections, its content, and what finds peers for it.

import { PeerError } from "../../base/errors.js";
import type { TurnHook } from "../../native/reactor.js";
import type { TorrentOptions } from "../options.js";
import type { StorageKind } from "../storage/storage.js";
import type { ContentHost } from "./content-host.js";
import type { SearchingTorrent } from "./peer-source.js";
import type { TorrentCore } from "./torrent-core.js";
import type { SwarmHost } from "./torrent-swarm.js";

/** Asks for a turn and does nothing in it. */
const NOTHING: TurnHook = { turnEnded: () => {} };
/** Kinds of storage that leave no file behind. */
export const KEEPS_NOTHING: ReadonlySet<StorageKind> = new Set(["memory", "null"]);

/** `isPrivate`: undefined while nobody knows. */
export function swarmHostOf(core: TorrentCore, isPrivate: boolean | undefined): SwarmHost {
  return {
    infoHash: core.infoHash,
    room: core.room,
    receiveMode: core.options.receiveMode,
    isPrivate,
    rateLimits: core.options,
    maxPeers: core.options.maxPeers ?? Number.POSITIVE_INFINITY,
    superSeeding: core.options.superSeeding === true,
    get isOpen() {
      return core.isOpen;
    },
    get isOver() {
      return core.isOver;
    },
    get content() {
      return core.opened;
    },
    get info() {
      return core.content?.metainfo.info;
    },
    metadataArrived: (bytes) => core.metadataArrived(bytes),
    hears: (name) => core.hears(name),
    tell: (name, ...args) => core.tell(name, ...args),
    warn: (text) => core.warn(text),
    fail: (error) => core.fail(error),
  };
}

/** `otherwise`: options that are others than those that the program gave. */
export function contentHostOf(core: TorrentCore, otherwise: TorrentOptions = {}): ContentHost {
  const { room, swarm } = core;
  return {
    room,
    options: { ...core.options, ...otherwise },
    onBlock: core.feed === undefined ? undefined : (lease) => core.feed?.push(lease),
    attribution: swarm.attribution,
    peers: swarm.here,
    selectOnly: core.magnet?.selectOnly,
    get isOver() {
      return core.isOver;
    },
    recordOf: (peer) => swarm.recordOf(peer),
    tell: (name, ...args) => core.tell(name, ...args),
    warn: (text) => core.warn(text),
    ban: (record, piece) =>
      swarm.ban(record, new PeerError("PEER_BAD_PIECE", `sent piece ${piece} with a wrong digest`)),
    gotAll: () => core.gotAll(),
    pieceHere: (piece) => core.waiters.here(piece),
    fail: (error) => core.fail(error),
    broke: (error) => core.broke(error),
    leaseReleased: () => {
      // At whatever time: whoever waits for memory is woken at the end of a turn, and there may be none.
      if (room.pool.waiterCount > 0) room.reactor.atTurnEnd(NOTHING);
    },
  };
}

export function searchingOf(core: TorrentCore): SearchingTorrent {
  const { trackers, webSeeds = true, resume, readOnly, storage = "file" } = core.options;
  const isKept = resume !== false && readOnly !== true && !KEEPS_NOTHING.has(storage);
  return {
    infoHash: core.infoHash,
    trackers,
    webSeeds,
    get keepsTotalsIn() {
      return isKept && core.opened !== undefined ? core.options.directory : undefined;
    },
    get bytesLeft() {
      const { opened } = core;
      return opened === undefined ? undefined : opened.layout.totalLength - opened.bytesGot;
    },
    get wantsBlocks() {
      return core.state === "downloading" || core.state === "metadata";
    },
    get isPrivate() {
      return core.content?.metainfo.private;
    },
    get peerCount() {
      return core.swarm.here.size;
    },
    get content() {
      const { opened } = core;
      if (opened === undefined) return undefined;
      const { layout, metainfo, got } = opened;
      return { layout, have: got, isSingleFile: metainfo.isSingleFile };
    },
    get isPartialSeed() {
      return core.state === "seeding" && core.opened?.got.isFull === false;
    },
    join: (host, make, ended) => !core.isOver && core.swarm.join(host, make, ended),
    tellWebSeed: (status) => core.tell("webSeed", status),
    counters: () => core.swarm.counters(),
    bring: (source, addresses) => core.swarm.bring(source, addresses),
    tellTracker: (status) => core.tell("tracker", status),
    warn: (text) => core.warn(text),
  };
}
