// The metadata of a magnet, from its peers, for a verb that wants nothing else of it.

import { type Magnet, type MetadataProgress, type Metainfo, Session } from "../index.js";
import {
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_USAGE,
  ExitError,
  note,
  parseAddress,
  printJson,
} from "./output.js";

/** How far it is, in words. */
export function describeMetadata({ pieces, pieceCount, peers }: MetadataProgress): string {
  return `metadata ${pieces} of ${pieceCount} pieces from ${peers} peer${peers === 1 ? "" : "s"}`;
}

/** Rejects ExitError when nobody is named who may have it, when it does not come in time, or at Ctrl-C. */
export async function fetchMetadata(
  magnet: Magnet,
  options: { peer?: string[]; timeout?: number; json?: boolean },
  signal: AbortSignal,
): Promise<Metainfo> {
  const peers = await Promise.all((options.peer ?? []).map((peer) => parseAddress(peer, "--peer")));
  if (peers.length + magnet.peers.length + magnet.trackers.length === 0)
    throw new ExitError(EXIT_USAGE, "the magnet names no tracker and no peer to ask: give --peer HOST:PORT");
  await using session = new Session();
  const torrent = session.addInBackground(magnet, { storage: "null", peers });
  let lastError = "";
  torrent.on("warning", (text) => note(`scatterwire: ${text}`));
  torrent.on("peerDisconnected", (_address, error) => {
    if (error !== undefined) lastError = error.message;
  });
  torrent.on("metadataProgress", (progress) => {
    if (options.json === true) printJson({ event: "metadata", ...progress });
    else note(describeMetadata(progress));
  });
  return await new Promise<Metainfo>((resolve, reject) => {
    const timer = options.timeout === undefined ? undefined : setTimeout(late, 1000 * options.timeout);
    function late(): void {
      const why = lastError === "" ? "" : `; last: ${lastError}`;
      const { metadata } = torrent.progress();
      const got =
        metadata === undefined || metadata.pieceCount === 0 ? "nobody had it" : describeMetadata(metadata);
      end(() => reject(new ExitError(EXIT_FAILED, `no metadata after ${options.timeout} s (${got})${why}`)));
    }
    function end(tell: () => void): void {
      clearTimeout(timer);
      tell();
    }
    torrent.once("metadata", (metainfo) => end(() => resolve(metainfo)));
    torrent.once("failed", (error) => end(() => reject(error)));
    signal.addEventListener("abort", () => end(() => reject(new ExitError(EXIT_INTERRUPTED))));
  });
}
