// Options of a torrent that came from a caller who may have no type checker: what is wrong is said before anything is
// opened, and not by an assertion when the first peer comes.

import { UsageError } from "../../base/errors.js";
import {
  type PeerAddress,
  RECEIVE_MODES,
  type ReceiveModeName,
  SEND_MODES,
  type TorrentOptions,
} from "../options.js";
import { STORAGE_KINDS } from "../storage/storage.js";

/** Throws UsageError `USAGE_OPTION`, which names the option. */
export function checkTorrentOptions(options: TorrentOptions): void {
  if (options.receiveMode !== undefined) checkReceiveMode(options.receiveMode);
  if (options.sendMode !== undefined) checkName("sendMode", options.sendMode, SEND_MODES);
  const storage = options.storage ?? "file";
  checkName("storage", storage, STORAGE_KINDS);
  for (const peer of options.peers ?? []) checkPort(peer);
  if (options.directory === undefined && storage !== "memory" && storage !== "null")
    throw new UsageError("USAGE_OPTION", `storage ${storage} needs a directory`);
}

/** Throws UsageError `USAGE_OPTION`. */
export function checkReceiveMode(mode: ReceiveModeName): void {
  checkName("receiveMode", mode, RECEIVE_MODES);
}

/** Throws UsageError `USAGE_OPTION`. Whether the host is one shows when it is connected to, as for every peer. */
export function checkPort({ host, port }: PeerAddress): void {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return;
  throw new UsageError(
    "USAGE_OPTION",
    `a peer's port is a whole number from 1 to 65535, not ${host}:${port}`,
  );
}

function checkName(option: string, value: string, names: readonly string[]): void {
  if (!names.includes(value))
    throw new UsageError("USAGE_OPTION", `${option} is one of ${names.join(", ")}, not ${value}`);
}
