// What somebody at a terminal, a log or a script gets from the command line: progress, names of what is missing, defaults that
// do no harm, and a download that goes on when its peer comes back.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { VERBS } from "../../src/cli/verbs.js";
import { createTorrentFile, readMetainfo } from "../../src/index.js";
import { bytesOf, difference, temporaryFolder, writeFiles } from "../support/data.js";
import { CLI, freePort, Program } from "../support/program.js";
import { entryOf } from "../support/required.js";

const MIB = 1024 * 1024;

describe("the terminal", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.torrent");
  const album = join(folder, "album.torrent");

  before(async () => {
    writeFileSync(join(folder, "data.bin"), bytesOf(11, 12 * MIB));
    writeFileSync(torrent, await createTorrentFile(join(folder, "data.bin")));
    writeFiles(folder, { "album/a.bin": 100_000, "album/b.bin": 100_000, "album/sub/c.bin": 1000 });
    writeFileSync(album, await createTorrentFile(join(folder, "album")));
  });

  const seed = async (port: number): Promise<Program> => {
    const program = Program.cli("seed", torrent, folder, "--listen", `127.0.0.1:${port}`, "--json");
    await program.line("port");
    return program;
  };

  it("a download outlives its only peer, and goes on when that comes back", async () => {
    const port = await freePort();
    const output = join(folder, "patient");
    const download = Program.cli("download", torrent, "-o", output, "--peer", `127.0.0.1:${port}`, "--json");
    try {
      // Five attempts with pauses that double, after which it was given up before.
      await download.said(/no peer is left .*ECONNREFUSED.*trying again/, 60_000);
      assert.equal(download.child.exitCode, null);
      const seeder = await seed(port);
      try {
        const { status, errors } = await download.result();
        assert.equal(status, 0, errors);
        assert.equal(difference(join(folder, "data.bin"), join(output, "data.bin")), undefined);
      } finally {
        await seeder.stop("SIGINT");
      }
    } finally {
      await download.stop();
    }
  });

  it("--timeout ends a download that nothing arrives for, with the last reason", async () => {
    const peer = `127.0.0.1:${await freePort()}`;
    const { status, errors } = await Program.cli(
      ...["download", torrent, "-o", join(folder, "late"), "--peer", peer, "--timeout", "2"],
    ).result();
    assert.equal(status, 1);
    assert.match(
      errors,
      /^scatterwire: nothing arrived for 2 s \(0 of \d+ pieces\); last: .*ECONNREFUSED.*\n$/,
    );
  });

  it("with --json, progress is an event each second", async () => {
    const peer = `127.0.0.1:${await freePort()}`;
    const program = Program.cli(
      ...["download", torrent, "--storage", "memory", "--peer", peer, "--timeout", "3", "--json"],
    );
    await program.result();
    const events = program.lines.filter((line) => line["event"] === "progress");
    assert.ok(events.length >= 1, program.output);
    const { pieceCount, ...first } = entryOf(events, 0);
    assert.ok(Number(pieceCount) > 0);
    assert.deepEqual(first, {
      ...{ event: "progress", doing: "downloading", bytes: 0, totalBytes: 12 * MIB },
      ...{ bytesPerSecond: 0, secondsLeft: null, peers: 0 },
      ...{ piecesVerified: 0, uploadBytesPerSecond: 0, peersBySource: {} },
    });
  });

  it("a seed tells its peers and what it sent", async () => {
    const port = await freePort();
    const seeder = await seed(port);
    try {
      const { status } = await Program.cli(
        ...["download", torrent, "--storage", "memory", "--peer", `127.0.0.1:${port}`],
      ).result();
      assert.equal(status, 0);
      const told = (): Record<string, unknown> | undefined =>
        seeder.lines.findLast((line) => line["event"] === "progress" && Number(line["bytes"]) >= 12 * MIB);
      for (let tries = 0; told() === undefined && tries < 200; tries++)
        await new Promise((resolve) => setTimeout(resolve, 50));
      const event = told();
      assert.equal(event?.["doing"], "seeding");
      assert.equal(typeof event?.["peers"], "number");
      assert.ok(Number(event?.["bytesPerSecond"]) >= 0);
    } finally {
      await seeder.stop("SIGINT");
    }
  });

  it("the summary has time and mean rate, and CPU for whoever asks", async () => {
    const port = await freePort();
    const seeder = await seed(port);
    const args = ["download", torrent, "--storage", "memory", "--peer", `127.0.0.1:${port}`];
    try {
      const plain = Program.cli(...args);
      await plain.result();
      assert.match(plain.output, /^data\.bin: 12\.6 MB in [\d.]+ s, [\d.]+ [kMG]B\/s on average\n$/);
      const verbose = Program.cli(...args, "--verbose");
      await verbose.result();
      assert.match(
        verbose.output,
        / on average\n[\d.]+ CPU s \([\d.]+ per GB\), .* bytes copied per byte, peak RSS .*\n$/,
      );
    } finally {
      await seeder.stop("SIGINT");
    }
  });

  it("a seed keeps out whom its list names, and a download comes from the address that it is told", async () => {
    const list = join(folder, "blocked.txt");
    writeFileSync(list, "127.0.0.7/32\n");
    const seeder = Program.cli(
      ...["seed", torrent, folder, "--listen", "127.0.0.1:0", "--json"],
      ...["--ip-filter", list, "--max-upload", "100M"],
    );
    const { port } = await seeder.line("port");
    const download = (host: string, timeout: string) =>
      Program.cli(
        ...["download", torrent, "--storage", "memory", "--peer", `127.0.0.1:${port}`],
        ...["--outgoing", host, "--timeout", timeout],
      ).result();
    try {
      const refused = await download("127.0.0.7", "1");
      assert.equal(refused.status, 1, refused.errors);
      const taken = await download("127.0.0.8", "60");
      assert.equal(taken.status, 0, taken.errors);
      const nowhere = await download("192.0.2.1", "1");
      assert.equal(nowhere.status, 1);
      assert.match(nowhere.errors, /no connection can be made from 192\.0\.2\.1: this machine has no such/);
    } finally {
      await seeder.stop("SIGINT");
    }
  });

  it("check and seed of a wrong folder say what is not there", async () => {
    const said = async (...args: string[]): Promise<string> => {
      const { status, errors } = await Program.cli(...args).result();
      assert.equal(status, 1, errors);
      return errors;
    };
    const none = join(folder, "nowhere");
    assert.equal(await said("check", album, none), `scatterwire: there is no folder ${none}\n`);
    const wrong = `scatterwire: there is no folder album in ${join(folder, "album")}: did you mean ${folder}?`;
    assert.equal(await said("check", album, join(folder, "album")), `${wrong}\n`);
    assert.match(await said("seed", album, join(folder, "album"), "--listen", "127.0.0.1:0"), /did you mean/);
    const trusting = await said("seed", album, none, "--no-check", "--listen", "127.0.0.1:0");
    assert.match(trusting, /there is no folder .*nowhere/);
    const partly = join(folder, "partly");
    writeFiles(partly, { "album/a.bin": 100_000 });
    assert.match(
      await said("check", album, partly),
      /2 of 3 files are missing: album\/b\.bin, album\/sub\/c\.bin\n$/,
    );
  });

  it("check names the files that are not what they should be, apart from those that are missing", async () => {
    const place = join(folder, "spoilt");
    writeFiles(place, {
      "four/a.bin": 65_536,
      "four/b.bin": 98_304,
      "four/c.bin": 32_768,
      "four/d.bin": 65_536,
    });
    const torrent = join(place, "four.torrent");
    writeFileSync(torrent, await createTorrentFile(join(place, "four"), { pieceLength: 65_536 }));
    const check = (...more: string[]): ReturnType<Program["result"]> =>
      Program.cli("check", torrent, place, ...more).result();
    const spoil = (name: string): void => {
      const path = join(place, "four", name);
      const bytes = readFileSync(path);
      bytes.writeUInt8(bytes.readUInt8(7) ^ 1, 7);
      writeFileSync(path, bytes);
    };
    spoil("a.bin");
    assert.equal(
      (await check()).errors,
      `scatterwire: 1 of 4 pieces is wrong or missing in ${place}: four/a.bin is not what it should be\n`,
    );
    // It shares its piece with the end of b.bin.
    spoil("c.bin");
    assert.match(
      (await check()).errors,
      /: four\/a\.bin, four\/b\.bin, four\/c\.bin are not what they should be\n$/,
    );
    // What is missing explains the piece that it shares.
    rmSync(join(place, "four", "c.bin"));
    const partly = await check("--json");
    assert.match(
      partly.errors,
      /: 1 of 4 files is missing: four\/c\.bin; four\/a\.bin is not what it should be\n$/,
    );
    const { missing, wrong } = partly.last;
    assert.deepEqual({ missing, wrong }, { missing: ["four/c.bin"], wrong: ["four/a.bin"] });
  });

  it("create names its output, takes 256K, and writes over nothing unless told to", async () => {
    const place = join(folder, "made");
    mkdirSync(place);
    const create = (...more: string[]): Program =>
      new Program(process.execPath, [CLI, "create", join(folder, "album"), ...more], { cwd: place });
    const { status, errors } = await create("--piece-length", "256K").result();
    assert.equal(status, 0, errors);
    const made = join(place, "album.torrent");
    assert.equal((await readMetainfo(made)).pieceLength, 256 * 1024);
    const bytes = readFileSync(made);
    const again = await create().result();
    assert.equal(again.status, 1);
    assert.match(again.errors, /album\.torrent is there already: give --force/);
    assert.deepEqual(readFileSync(made), bytes);
    assert.equal((await create("--force", "--piece-length", "1M").result()).status, 0);
    assert.equal((await readMetainfo(made)).pieceLength, MIB);
    rmSync(made);
    const wrong = await create("--piece-length", "1T").result();
    assert.equal(wrong.status, 2);
    assert.match(wrong.errors, /--piece-length takes a number of bytes such as/);
    assert.equal(existsSync(made), false);
  });

  it("names the file that cannot be written, once, and leaves nothing of it", async () => {
    // Files of this many bytes: as a disk that is full.
    const limited = (bytes: number, ...args: string[]): Program =>
      new Program(process.execPath, [CLI, ...args], { prefix: ["prlimit", `--fsize=${bytes}`], cwd: folder });
    const failed = async (expected: RegExp, ...args: string[]): Promise<void> => {
      const { status, errors } = await limited(20, ...args).result();
      assert.equal(status, 1, errors);
      assert.match(errors, expected);
    };
    await failed(/^scatterwire: cannot write few\.torrent: EFBIG/m, "create", "album", "-o", "few.torrent");
    await failed(
      /^scatterwire: cannot write saved\.torrent: EFBIG/m,
      ...["info", album, "--save-torrent", "saved.torrent"],
    );
    const dht = limited(
      20,
      "dht",
      "node",
      "--listen",
      "127.0.0.1:0",
      "--no-bootstrap",
      "--state",
      "few.state",
    );
    await dht.said(/receiving at/, 60_000);
    await dht.stop("SIGINT");
    assert.match(dht.errors, /^scatterwire: cannot write few\.state: EFBIG/m);
    const seeder = limited(
      20,
      ...["seed", album, folder, "--listen", "127.0.0.1:0", "--record", "few.record"],
    );
    await seeder.said(/the recording ends/, 60_000);
    await seeder.stop("SIGINT");
    assert.equal(seeder.errors.match(/the recording ends/g)?.length, 1, seeder.errors);
    assert.deepEqual(
      readdirSync(folder).filter((name) => /few|saved/.test(name)),
      ["few.record"],
    );
  });

  it("help and verbs", async () => {
    const help = Program.cli("--help");
    assert.equal((await help.result()).status, 0);
    assert.match(help.output, /^Usage: scatterwire <verb>/);
    for (const { name } of VERBS) {
      assert.ok(help.output.includes(`\n  ${name} `), name);
      const own = Program.cli(name, "--help");
      assert.equal((await own.result()).status, 0);
      assert.match(own.output, name === "bench" ? /\nCommands:\n/ : /\nExamples?:\n {2}scatterwire /, name);
    }
    const misspelt = await Program.cli("dowload").result();
    assert.deepEqual(
      [misspelt.status, misspelt.errors],
      [2, 'scatterwire: unknown verb "dowload": did you mean download?\n'],
    );
    const verb = Program.cli("help", "download");
    assert.equal((await verb.result()).status, 0);
    assert.match(verb.output, /--timeout <seconds>/);
  });
});
