// The public API: re-exports only. What is not exported here may change without notice.

export {
  MetainfoError,
  type MetainfoErrorCode,
  PeerError,
  type PeerErrorCode,
  ScatterwireError,
  StorageError,
  type StorageErrorCode,
  UsageError,
  type UsageErrorCode,
} from "./errors.js";
export { describeMetainfo } from "./metainfo/describe.js";
export { parseMetainfo } from "./metainfo/parse.js";
export type { Metainfo, MetainfoFile } from "./metainfo/types.js";
export type * from "./options.js";
export { RECEIVE_MODES, SEND_MODES } from "./options.js";
export { Session } from "./session/session.js";
export { type CheckResult, checkTorrent, createTorrentFile, readMetainfo } from "./session/torrent-files.js";
export { STORAGE_KINDS, type StorageCounters, type StorageKind } from "./storage/storage.js";
export type { Torrent } from "./torrent/torrent.js";
