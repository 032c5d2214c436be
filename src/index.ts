// The public API: re-exports only. What is not exported here may change without notice.

export { AddressRanges } from "./base/address-ranges.js";
export {
  MetainfoError,
  type MetainfoErrorCode,
  PeerError,
  type PeerErrorCode,
  ScatterwireError,
  StorageError,
  type StorageErrorCode,
  TrackerError,
  type TrackerErrorCode,
  UsageError,
  type UsageErrorCode,
} from "./base/errors.js";
export type { CreateOptions } from "./client/metainfo/create.js";
export { describeMetainfo } from "./client/metainfo/describe.js";
export { type Magnet, parseMagnet } from "./client/metainfo/magnet.js";
export { parseMetainfo } from "./client/metainfo/parse.js";
export { torrentFileOf } from "./client/metainfo/torrent-bytes.js";
export type { Metainfo, MetainfoFile } from "./client/metainfo/types.js";
export { SESSION_OPTIONS, TORRENT_OPTIONS } from "./client/option-table.js";
export type * from "./client/options.js";
export { ENCRYPTION_POLICIES, RECEIVE_MODES, SEND_MODES } from "./client/options.js";
export type { OverStreamOptions } from "./client/over-stream/options.js";
export { PeerConnection } from "./client/over-stream/peer-connection.js";
export type { ReadBlock } from "./client/over-stream/program-source.js";
export type {
  ReplayEvent,
  ReplayedConnection,
  ReplayOptions,
  ReplayResult,
} from "./client/recording/replay.js";
export { replayRecording } from "./client/recording/replay-file.js";
export type { ReplayedBlock } from "./client/recording/replay-swarm.js";
export type { PeerDump, SessionDump, TorrentDump, TrackerDump } from "./client/session/dump.js";
export { Session } from "./client/session/session.js";
export {
  type CheckOptions,
  type CheckResult,
  checkTorrent,
  createTorrent,
  createTorrentFile,
  type FetchOptions,
  fetchMetainfo,
  readMetainfo,
} from "./client/session/torrent-files.js";
export { STORAGE_KINDS, type StorageCounters, type StorageKind } from "./client/storage/storage.js";
export type { Torrent } from "./client/torrent/torrent.js";
export type { TorrentFile } from "./client/torrent/torrent-file.js";
