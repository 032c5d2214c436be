// Programs that call whatever there is to call, in any state and order, also from listeners: over virtual time, from a seed. Nothing is thrown
// or rejected that is not meant for them, all counts are right after every turn, everything that was promised settles, and what can be complete in
// the end is.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createTorrentFile, parseMetainfo } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { CALLS, type SharedFiles, SimulatedProgram } from "../support/simulated-program.js";

/** The same programs each time, and others with another seed. */
const SEED = Number(process.env["SEED"] ?? 1);
const RUNS = 12;
const PIECE = 32_768;
/** Bytes of the files of each torrent. */
const TORRENTS: readonly (readonly number[])[] = [
  [1],
  [700_000],
  [100_000, 0, 400_001, 16_384],
  [20 * PIECE, 20 * PIECE],
];

describe(`programs that call anything at any time (SEED=${SEED})`, { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const shareds: SharedFiles[] = [];

  before(async () => {
    for (const [number, lengths] of TORRENTS.entries()) {
      const root = join(folder, `torrent-${number}`);
      mkdirSync(root);
      const contents = lengths.map((length, file) => bytesOf(10 * number + file, length));
      for (const [file, content] of contents.entries()) writeFileSync(join(root, `file-${file}`), content);
      const bytes = await createTorrentFile(root, { pieceLength: PIECE });
      shareds.push({ bytes, metainfo: parseMetainfo(bytes), contents });
    }
  });

  it(`have ${RUNS} runs of ${CALLS} calls end well`, async (context) => {
    let completed = 0;
    for (let run = 0; run < RUNS; run++) {
      const program = new SimulatedProgram(SEED + run, shareds, folder, join(folder, `run-${run}`));
      try {
        await program.run();
      } catch (error) {
        if (error instanceof Error)
          error.message += `\n${program.describe()}\n\nAgain: SEED=${SEED + run} node --test dist/test/sim/program-calls.test.js`;
        throw error;
      }
      completed += program.completed;
    }
    context.diagnostic(`${completed} downloads were complete in the end`);
    assert.ok(completed > 0, "some were downloaded");
    for (const [number, { contents }] of shareds.entries())
      for (const [file, content] of contents.entries())
        assert.ok(
          content.equals(readFileSync(join(folder, `torrent-${number}`, `file-${file}`))),
          "the seed's data stays",
        );
  });
});
