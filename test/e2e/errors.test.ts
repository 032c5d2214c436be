// What goes wrong is said in one line, with the documented exit status.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import bencode from "bencode";
import { createTorrentFile } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { CLI, freePort, Program } from "../support/program.js";

describe("errors of the command line", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.torrent");

  before(async () => {
    writeFileSync(join(folder, "data.bin"), bytesOf(3, 8_000_000));
    writeFileSync(torrent, await createTorrentFile(join(folder, "data.bin")));
  });

  const fails = async (status: number, pattern: RegExp, ...args: string[]): Promise<void> => {
    const result = await Program.cli(...args).result();
    assert.equal(result.status, status, result.errors);
    assert.match(result.errors, pattern);
    if (status === 1 || status === 2)
      assert.equal(result.errors.trim().split("\n").length, 1, `one line: ${result.errors}`);
  };

  it("a peer that is not there", async () => {
    const peer = `127.0.0.1:${await freePort()}`;
    await fails(
      1,
      /nothing arrived for 3 s .*cannot connect to .*ECONNREFUSED/,
      "download",
      torrent,
      "-o",
      join(folder, "a"),
      "--peer",
      peer,
      "--timeout",
      "3",
    );
  });

  it("a torrent that is none, and one that is not there", async () => {
    writeFileSync(join(folder, "none.torrent"), "d8:announce3:abce");
    await fails(1, /not a torrent file/, "info", join(folder, "none.torrent"));
    await fails(1, /no such file/, "info", join(folder, "missing.torrent"));
  });

  it("a folder where nothing can be written", async () => {
    await fails(
      1,
      /cannot make the folder \/proc\/scatterwire/,
      "download",
      torrent,
      "-o",
      "/proc/scatterwire",
      "--peer",
      "127.0.0.1:1",
    );
  });

  it("a file where the download folder should be", async () => {
    await fails(
      1,
      /data\.torrent is not a folder/,
      "download",
      torrent,
      "-o",
      torrent,
      "--peer",
      "127.0.0.1:1",
    );
  });

  it("a disk that is too small, before the first byte", async () => {
    // More than any disk that a test runs on has free.
    const pieceLength = 512 * 1024 * 1024;
    const pieceCount = 200_000;
    const info = {
      length: pieceLength * pieceCount,
      name: "huge.bin",
      "piece length": pieceLength,
      pieces: Buffer.alloc(20 * pieceCount),
    };
    const huge = join(folder, "huge.torrent");
    writeFileSync(huge, bencode.encode({ info }));
    await fails(
      1,
      /not enough space in .*: 107374\.2 GB are needed and [\d.]+ [MG]B are free/,
      "download",
      huge,
      "-o",
      join(folder, "disk"),
      "--peer",
      "127.0.0.1:1",
    );
  });

  it("wrong usage", async () => {
    await fails(
      2,
      /^scatterwire: unknown option '--bogus': `scatterwire download --help` says what it takes\n$/,
      "download",
      torrent,
      "--bogus",
    );
    await fails(
      2,
      /^scatterwire: unknown option '--timout' \(did you mean --timeout\?\)\n$/,
      "download",
      "--timout",
      "5",
    );
    await fails(2, /^scatterwire: missing required argument 'torrent': `scatterwire seed --help` /, "seed");
    await fails(2, /^scatterwire: .*'info hash': `scatterwire dht lookup --help` /, "dht", "lookup");
    await fails(2, /-o takes the name of a file/, "create", torrent, "-o", "");
    await fails(2, /nobody to download from/, "download", torrent, "-o", join(folder, "b"));
    await fails(
      2,
      /--receive-mode is one of/,
      "download",
      torrent,
      "-o",
      join(folder, "b"),
      "--peer",
      "127.0.0.1:1",
      "--receive-mode",
      "fast",
    );
    await fails(2, /takes HOST:PORT/, "download", torrent, "-o", join(folder, "b"), "--peer", "nowhere");
  });

  it("data that does not fit its torrent", async () => {
    writeFileSync(join(folder, "data.bin"), bytesOf(4, 8_000_000));
    await fails(1, /pieces are wrong or missing/, "check", torrent, folder);
    await fails(1, /only complete data is seeded/, "seed", torrent, folder, "--listen", "127.0.0.1:0");
  });

  it("standard output on a full disk, whatever is written to it", async () => {
    const lines = [
      ["--help"],
      ["--version"],
      ["create", "--help"],
      ["info", torrent],
      ["info", torrent, "--json"],
    ];
    for (const args of lines) {
      const full = openSync("/dev/full", "w");
      const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", full, "pipe"] });
      closeSync(full);
      const errors = text(child.stderr as Readable);
      const [status] = (await once(child, "exit")) as [number | null];
      assert.match(
        await errors,
        /^scatterwire: cannot write to standard output: ENOSPC: [^\n]+\n$/,
        args.join(" "),
      );
      assert.equal(status, 1, args.join(" "));
    }
  });

  it("standard error on a full disk changes nothing but that nobody reads it", async () => {
    for (const [status, ...args] of [
      [2],
      [2, "nothing-of-the-kind"],
      [1, "info", join(folder, "missing.torrent")],
    ] as const) {
      const full = openSync("/dev/full", "w");
      const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "ignore", full] });
      closeSync(full);
      assert.deepEqual(await once(child, "exit"), [status, null], args.join(" "));
    }
  });
});
