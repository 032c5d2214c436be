// A real download from libtorrent, recorded by the command line, and replayed by it in each receive mode: the same blocks each time, and the
// same output.

import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { RECEIVE_MODES, type ReplayedConnection } from "../../src/index.js";
import { type Client, createWithLibtorrent, libtorrent } from "../support/clients.js";
import { difference, temporaryFolder, writeFiles } from "../support/data.js";
import { Program } from "../support/program.js";
import { entryOf } from "../support/required.js";

const BYTES = 3_000_017;

describe("a recorded download from libtorrent", { timeout: 400_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.bin.torrent");
  const recording = join(folder, "download.recording");
  let seeder: Client;

  const run = async (
    ...args: string[]
  ): Promise<{ status: number | null; stdout: string; stderr: string }> => {
    const program = Program.cli(...args);
    const status = await program.ended;
    return { status, stdout: program.output, stderr: program.errors };
  };

  before(async () => {
    libtorrent.require();
    writeFiles(folder, { "data.bin": BYTES });
    await createWithLibtorrent(join(folder, "data.bin"), torrent, 65_536, false);
    seeder = await libtorrent.start("seed", torrent, folder);
    after(() => seeder.stop());
    const copy = join(folder, "copy");
    const { status, stderr } = await run(
      ...["download", torrent, "-o", copy, "--no-trackers", "--peer", `127.0.0.1:${seeder.port}`],
      ...["--record", recording],
    );
    assert.equal(status, 0, stderr);
    assert.equal(difference(join(folder, "data.bin"), join(copy, "data.bin")), undefined);
  });

  it("is replayed in all modes to the same blocks, twice to the same output", async () => {
    const digests = new Set<string>();
    for (const mode of RECEIVE_MODES) {
      const first = await run("replay", recording, "--receive-mode", mode, "--json");
      assert.equal(first.status, 0, first.stderr);
      const second = await run("replay", recording, "--receive-mode", mode, "--json");
      assert.equal(second.stdout, first.stdout);
      const lines = first.stdout.trim().split("\n");
      const { connections, whole } = JSON.parse(entryOf(lines, -1)) as {
        connections: ReplayedConnection[];
        whole: boolean;
      };
      assert.equal(whole, true);
      const bytes = connections.reduce((sum, { blockBytes }) => sum + blockBytes, 0);
      assert.equal(bytes, BYTES, "each block comes once");
      digests.add(connections.map(({ blocksDigest }) => blocksDigest).join());
    }
    assert.equal(digests.size, 1);
  });

  it("is told of in words, and so is what is wrong with it", async () => {
    const { status, stdout } = await run("replay", recording, "--events");
    assert.equal(status, 0);
    assert.match(
      stdout,
      /handshaking[\s\S]*open[\s\S]*unchoke[\s\S]*block \d+, \d+, 16384 bytes[\s\S]*digest [0-9a-f]{40}/,
    );
    const cut = join(folder, "cut.recording");
    const bytes = readFileSync(recording);
    writeFileSync(cut, bytes);
    truncateSync(cut, Math.trunc(bytes.length / 2));
    const { status: failed, stderr, stdout: told } = await run("replay", cut);
    assert.equal(failed, 1);
    assert.match(stderr, /is cut/);
    assert.match(told, /blocks \d+/);
    const none = await run("replay", torrent);
    assert.equal(none.status, 1);
    assert.match(none.stderr, /no recording of scatterwire/);
  });
});
