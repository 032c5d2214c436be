// The torrent file that `info` and `download` write of what they were given, mostly of a magnet: whoever has it needs no peer for the metadata.
//
// Always: a file that is there stays as it is. One of the same torrent is what was asked for: a download that goes on writes it no second time.

import { type Metainfo, readMetainfo, torrentFileOf } from "../index.js";
import { checkOutput, type OutputFile, writeOutput } from "./output-file.js";

/** Writes it where no file is. Rejects ExitError, which names the file. */
export async function saveTorrent(path: string, metainfo: Metainfo): Promise<void> {
  if (await isOf(path, metainfo.infoHash)) return;
  await writeOutput(placeOf(path), torrentFileOf(metainfo));
}

/** Before anything is downloaded: rejects ExitError if there is another file already, or none can be written there. */
export async function checkSavedTorrent(path: string, infoHash: Uint8Array): Promise<void> {
  if (!(await isOf(path, infoHash))) await checkOutput(placeOf(path));
}

async function isOf(path: string, infoHash: Uint8Array): Promise<boolean> {
  const there = await readMetainfo(path).catch(() => undefined);
  return there !== undefined && Buffer.compare(there.infoHash, infoHash) === 0;
}

function placeOf(path: string): OutputFile {
  return { path, flag: "--save-torrent" };
}
