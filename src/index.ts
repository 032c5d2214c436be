// The public API: re-exports only. What is not exported here may change without notice.

export {
  type MetainfoErrorCode,
  MetainfoError,
  type PeerErrorCode,
  PeerError,
  ScatterwireError,
  type StorageErrorCode,
  StorageError,
  type UsageErrorCode,
  UsageError,
} from "./errors.js";
export { describeMetainfo } from "./metainfo/describe.js";
export { parseMetainfo } from "./metainfo/parse.js";
export type { Metainfo, MetainfoFile } from "./metainfo/types.js";
export type * from "./options.js";
export { RECEIVE_MODES, SEND_MODES } from "./options.js";
export type { PeerConnection } from "./peer/peer-connection.js";
export { Session } from "./session/session.js";
export { checkTorrent, type CheckResult, createTorrentFile, readMetainfo } from "./session/torrent-files.js";
export { STORAGE_KINDS, type StorageCounters, type StorageKind } from "./storage/storage.js";
export type { Torrent } from "./torrent/torrent.js";
