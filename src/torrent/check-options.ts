// Options of a torrent that came from a caller who may have no type checker: what is wrong is said before anything is
// opened, and not by an assertion when the first peer comes.

import { UsageError } from "../errors.js";
import { RECEIVE_MODES, type ReceiveModeName, SEND_MODES, type TorrentOptions } from "../options.js";
import { STORAGE_KINDS } from "../storage/storage.js";

/** Throws UsageError `USAGE_OPTION`, which names the option. */
export function checkTorrentOptions(options: TorrentOptions): void {
  if (options.receiveMode !== undefined) checkReceiveMode(options.receiveMode);
  if (options.sendMode !== undefined) checkName("sendMode", options.sendMode, SEND_MODES);
  const storage = options.storage ?? "file";
  checkName("storage", storage, STORAGE_KINDS);
  if (options.directory === undefined && storage !== "memory" && storage !== "null")
    throw new UsageError("USAGE_OPTION", `storage ${storage} needs a directory`);
}

/** Throws UsageError `USAGE_OPTION`. */
export function checkReceiveMode(mode: ReceiveModeName): void {
  checkName("receiveMode", mode, RECEIVE_MODES);
}

function checkName(option: string, value: string, names: readonly string[]): void {
  if (!names.includes(value))
    throw new UsageError("USAGE_OPTION", `${option} is one of ${names.join(", ")}, not ${value}`);
}
