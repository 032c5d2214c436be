// Super seeding (BEP 16) from the command line, to libtorrents that know each other: all get everything, and the seed sends less than each of
// them would ask it for.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createWithLibtorrent, libtorrent, startLibtorrent } from "../support/clients.js";
import { difference, temporaryFolder, writeFiles } from "../support/data.js";
import { Program } from "../support/program.js";

const HOST = "127.0.0.1";
const BYTES = 4_000_017;
const LEECHERS = 3;

describe("super seeding to real clients", { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.bin.torrent");
  const programs: Program[] = [];

  before(async () => {
    libtorrent.require();
    writeFiles(folder, { "data.bin": BYTES });
    await createWithLibtorrent(join(folder, "data.bin"), torrent, 65_536, false);
  });
  after(() => Promise.all(programs.map((program) => program.stop())));

  it("brings all of a torrent to three libtorrents", async (t) => {
    const peers: string[] = [];
    const leechers: { program: Program; directory: string }[] = [];
    for (let index = 0; index < LEECHERS; index++) {
      const directory = join(folder, `leecher-${index}`);
      mkdirSync(directory);
      const program = startLibtorrent("download", torrent, directory, {}, peers);
      programs.push(program);
      const { port } = await program.line("port");
      peers.push(`${HOST}:${port}`);
      leechers.push({ program, directory });
    }
    const seeder = Program.cli(
      ...["seed", torrent, folder, "--listen", `${HOST}:0`, "--super-seeding", "--no-dht", "--json"],
      ...peers.flatMap((peer) => ["--peer", peer]),
    );
    programs.push(seeder);
    await seeder.line("event");
    for (const { program, directory } of leechers) {
      await program.line("done");
      assert.equal(difference(join(folder, "data.bin"), join(directory, "data.bin")), undefined);
    }
    await seeder.stop("SIGINT");
    const { last } = await seeder.result();
    const copies = Number(last["sentPayloadBytes"]) / BYTES;
    t.diagnostic(`${copies.toFixed(2)} copies sent`);
    assert.ok(
      copies < LEECHERS,
      `${copies} copies: what peers can give each other they need not get from us`,
    );
  });
});
