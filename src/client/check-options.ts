// What programs hand to a session and its parts, where that is more than a table of options says (base/option-check.ts).

import type { Duplex } from "node:stream";
import { UsageError } from "../base/errors.js";
import { check, checkAddress, checkOption, checkOptions } from "../base/option-check.js";
import { PEER_CONNECT_OPTIONS, SESSION_OPTIONS, TORRENT_OPTIONS } from "./option-table.js";

/** Throws UsageError `USAGE_OPTION`. */
export function checkReceiveMode(mode: unknown): void {
  checkOption("receiveMode", SESSION_OPTIONS.receiveMode, mode);
}

/** Throws UsageError `USAGE_OPTION`. */
export function checkPeer(address: unknown, options: unknown): void {
  checkAddress("a peer", address, 1);
  checkOptions(PEER_CONNECT_OPTIONS, options, "a peer");
}

/** Throws UsageError `USAGE_OPTION` for what is not a Duplex of bytes. */
export function checkStream(duplex: Duplex): void {
  const isDuplex =
    typeof duplex === "object" &&
    duplex !== null &&
    typeof duplex.read === "function" &&
    typeof duplex.write === "function" &&
    typeof duplex.destroy === "function";
  check(isDuplex, "a stream of bytes is a Duplex of node:stream", duplex);
  const isOfBytes =
    !duplex.readableObjectMode && !duplex.writableObjectMode && duplex.readableEncoding === null;
  check(isOfBytes, "the Duplex brings bytes: no objects, and no text of an encoding", duplex);
}

/** Throws UsageError `USAGE_OPTION`, also for a kind of storage that needs a folder and has none. */
export function checkTorrentOptions(options: {
  readonly storage?: string;
  readonly directory?: string;
  readonly lendBlocks?: boolean;
  readonly onBlock?: unknown;
  readonly customStorage?: unknown;
}): void {
  checkOptions(TORRENT_OPTIONS, options, "a torrent");
  if (options.lendBlocks === true && options.onBlock !== undefined)
    refuse("onBlock and lendBlocks both take the blocks: give one of them");
  if (options.customStorage !== undefined) {
    if (options.storage !== undefined || options.directory !== undefined)
      refuse("customStorage keeps the pieces: leave out storage and directory");
    return;
  }
  const storage = options.storage ?? TORRENT_OPTIONS.storage.default;
  if (options.directory === undefined && storage !== "memory" && storage !== "null")
    refuse(`storage "${storage}" needs a directory; only "memory" and "null" need none`);
}

function refuse(text: string): never {
  throw new UsageError("USAGE_OPTION", text);
}
