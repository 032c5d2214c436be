// The lab's load generators speak to real clients in both directions: what is measured with them was BitTorrent.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { createTorrentFile } from "../../src/index.js";
import { aria2, libtorrent, rtorrent, transmission, until } from "../support/clients.js";
import { bytesOf, difference, temporaryFolder } from "../support/data.js";
import { CLI, Program } from "../support/program.js";
import { entryOf } from "../support/required.js";

const SEEDER = fileURLToPath(new URL("../../bench/load/load-seeder.js", import.meta.url));
const LEECHER = fileURLToPath(new URL("../../bench/load/load-leecher.js", import.meta.url));
const KINDS = [libtorrent, transmission, aria2, rtorrent];
const MIB = 1024 * 1024;
/** The last block and the last piece are short. */
const BYTES = 6 * MIB + 12_345;
const BLOCKS = Math.ceil(BYTES / 16_384);

describe("load generators", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const data = join(folder, "data.bin");
  const torrent = join(folder, "data.torrent");
  const seeder = (...args: string[]): Program =>
    new Program(process.execPath, [SEEDER, torrent, data, ...args]);
  const leecher = (...args: string[]): Program => new Program(process.execPath, [LEECHER, torrent, ...args]);

  before(async () => {
    writeFileSync(data, bytesOf(11, BYTES));
    writeFileSync(torrent, await createTorrentFile(data, { pieceLength: 65_536 }));
    for (const kind of KINDS) kind.require();
  });

  for (const kind of KINDS) {
    it(`${kind.name} downloads from the seeder`, async () => {
      const target = join(folder, `to-${kind.name}`);
      mkdirSync(target);
      const client = await kind.start("download", torrent, target);
      const load = seeder("--connect", `127.0.0.1:${client.port}`, "--shuffle");
      try {
        await until(async () => difference(data, join(target, "data.bin")) === undefined, 60_000);
      } finally {
        await client.stop();
        await load.stop("SIGINT");
      }
      const { status, last, errors } = await load.result();
      assert.equal(status, 0, errors);
      const sent = Number(last["payloadBytes"]);
      assert.ok(sent >= BYTES, `${sent} of ${BYTES} bytes went over the wire`);
    });

    it(`${kind.name} seeds to the leecher, and its pieces are right`, async () => {
      const client = await kind.start("seed", torrent, folder);
      try {
        const address = `127.0.0.1:${client.port}`;
        const asked = 3 * MIB;
        const load = leecher(
          "--connect",
          address,
          "--verify-first",
          "9",
          "--bytes",
          String(asked),
          "--queue",
          "16",
        );
        const { status, last, errors } = await load.result();
        assert.equal(status, 0, errors);
        const got = Number(last["payloadBytes"]);
        assert.ok(got >= asked && got < asked + MIB, `${got} bytes`);
      } finally {
        await client.stop();
      }
    });
  }

  it("both count what went over the wire, with every kind of traffic and many connections", async () => {
    const load = seeder(
      "--have-every",
      "3",
      "--shuffle",
      "--segment",
      "5000",
      "--host",
      "127.0.0.1",
      "--host",
      "127.0.0.2",
    );
    await until(async () => load.lines.length === 2, 10_000);
    const addresses = load.lines.map(({ host, port }) => `${host}:${port}`);
    assert.match(entryOf(addresses, 1), /^127\.0\.0\.2:\d+$/);
    const asked = 4 * BYTES;
    const args = addresses.flatMap((address) => ["--connect", address]);
    const { status, last, errors } = await leecher(
      ...args,
      ...["--connections", "3", "--random", "--verify-first", "97", "--bytes", String(asked)],
    ).result();
    assert.equal(status, 0, errors);
    assert.equal(last["connections"], 6);
    const got = Number(last["payloadBytes"]);
    assert.ok(got >= asked && got < asked + MIB, `${got} of ${asked} bytes`);
    await load.stop("SIGINT");
    const { last: sent } = await load.result();
    assert.equal(sent["connections"], 6);
    // What was checked first is not in the leecher's sum; what was on its way at the end is not either.
    const more = Number(sent["payloadBytes"]) - got;
    assert.ok(more >= BYTES && more < BYTES + 6 * 128 * 16_384, `${more} bytes more were sent than counted`);
  });

  it("our engine gets each block once, shuffled and with haves between", async () => {
    const load = seeder("--have-every", "2", "--shuffle");
    const { host, port } = await load.line("event");
    const target = join(folder, "to-us");
    const download = new Program(process.execPath, [
      ...[CLI, "download", torrent, "-o", target, "--peer", `${host}:${port}`, "--json"],
    ]);
    const { status, last, errors } = await download.result();
    assert.equal(status, 0, errors);
    assert.equal(difference(data, join(target, "data.bin")), undefined);
    assert.equal(last["blocksReceived"], BLOCKS);
    await load.stop("SIGINT");
    assert.equal((await load.result()).last["payloadBytes"], BYTES);
  });

  it("the leecher finds out a seeder that sends rubbish", async () => {
    const rubbish = join(folder, "rubbish.bin");
    writeFileSync(rubbish, bytesOf(12, BYTES));
    const load = new Program(process.execPath, [SEEDER, torrent, rubbish]);
    const { host, port } = await load.line("event");
    const { status, errors } = await leecher("--connect", `${host}:${port}`, "--verify-first", "1").result();
    assert.equal(status, 1);
    assert.match(errors, /rubbish/);
    await load.stop("SIGINT");
  });
});
