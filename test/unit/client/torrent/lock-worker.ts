// Opens a download in a worker thread and closes it again: answers which error there was, if any, and the warnings.

import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { createTorrentFile, parseMetainfo, ScatterwireError, Session } from "../../../../src/index.js";
import { required } from "../../../support/required.js";

const { folder, directory, pieceLength } = workerData as {
  folder: string;
  directory: string;
  pieceLength: number;
};
const warnings: string[] = [];
const session = new Session();
let error: string | undefined;
try {
  const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data.bin"), { pieceLength }));
  const torrent = session.addInBackground(metainfo, { directory });
  torrent.on("warning", (text) => warnings.push(text));
  torrent.done.catch(() => {});
  await torrent.ready;
} catch (caught) {
  error = caught instanceof ScatterwireError ? caught.code : String(caught);
}
await session.close();
required(parentPort, "parent port").postMessage({ error, warnings });
