// Whole sessions over virtual time: from one seed, whatever happens happens twice. What fails here fails again with
//
//   SEED=<n> node --test dist/test/sim/swarm.test.js

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createTorrentFile, parseMetainfo } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import {
  runSwarm,
  type SharedTorrent,
  type SwarmOptions,
  type SwarmResult,
} from "../support/simulated-swarm.js";

/** Another one each time: what a swarm may meet is more than one run can show. */
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** A disk that costs nothing, where there is one. */
const MEMORY_FOLDER = "/dev/shm";
const PEERS = 20;
/** 62 pieces, the last one short. */
const BYTES = 2_003_001;
const PIECE_BYTES = 32_768;

describe(`a swarm of ${PEERS} sessions over virtual time (SEED=${SEED})`, () => {
  const folder = temporaryFolder(after, existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir());
  let shared: SharedTorrent;

  before(async () => {
    const data = bytesOf(1, BYTES);
    writeFileSync(join(folder, "data.bin"), data);
    const file = await createTorrentFile(join(folder, "data.bin"), { pieceLength: PIECE_BYTES });
    shared = { folder, data, metainfo: parseMetainfo(file) };
  });

  let runs = 0;
  async function run(seed: number, options: SwarmOptions): Promise<SwarmResult> {
    try {
      return await runSwarm(seed, shared, join(folder, `run-${runs++}`), options);
    } catch (error) {
      if (error instanceof Error)
        error.message += `\n\nAgain: SEED=${SEED} node --test dist/test/sim/swarm.test.js`;
      throw error;
    }
  }

  /** Runs a swarm twice, and once with another seed. */
  async function runTwice(options: SwarmOptions): Promise<SwarmResult> {
    const first = await run(SEED, options);
    const second = await run(SEED, options);
    const at = first.trace.findIndex((line, index) => line !== second.trace[index]);
    assert.ok(at < 0, `line ${at}: "${first.trace[at]}", and then "${second.trace[at]}" (SEED=${SEED})`);
    assert.equal(second.digest, first.digest);
    const other = await run(SEED + 1, options);
    assert.notEqual(other.digest, first.digest, "another seed, another run");
    return first;
  }

  it("completes, with all bytes right, twice in the same way", async (context) => {
    const { digest, trace, finished, virtualMs } = await runTwice({ peers: PEERS, faults: false });
    assert.equal(finished, PEERS);
    context.diagnostic(`${trace.length} lines of trace, ${digest}, ${virtualMs} ms`);
  });

  it("survives kills, resets, slow peers and full disks, twice in the same way", async (context) => {
    const { trace, ...result } = await runTwice({ peers: PEERS, faults: true });
    assert.equal(result.finished + result.killed + result.left, PEERS);
    assert.ok(result.killed >= 2 && result.left >= 1 && result.restarted >= 1, JSON.stringify(result));
    assert.ok(result.connectionsBroken > 0);
    context.diagnostic(`${trace.length} lines of trace, ${JSON.stringify(result)}`);
  });
});
