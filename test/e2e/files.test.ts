// The command line among odd files and with few descriptors: nothing hangs, nothing grows, nothing is destroyed, and what cannot be
// read is not called wrong.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createTorrentFile, parseMetainfo } from "../../src/index.js";
import { bytesOf, difference, temporaryFolder } from "../support/data.js";
import { CLI, freePort, Program } from "../support/program.js";

/** Our command line with so many descriptors: Node.js itself takes up to a hundred to load modules that are not bundled. */
function limited(descriptors: number, ...args: string[]): Program {
  const line = `ulimit -n ${descriptors}; exec "$@"`;
  return new Program("/bin/sh", ["-c", line, "sh", process.execPath, CLI, ...args]);
}

async function ends(program: Program, status: number, pattern?: RegExp): Promise<void> {
  const result = await program.result();
  assert.equal(result.status, status, result.errors);
  if (pattern !== undefined) assert.match(result.errors, pattern);
}

describe("few descriptors", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const FILES = 700;
  const torrent = join(folder, "many.torrent");

  before(async () => {
    mkdirSync(join(folder, "many"));
    for (let index = 0; index < FILES; index++)
      writeFileSync(join(folder, "many", `${index}`), bytesOf(index, 3000));
    writeFileSync(torrent, await createTorrentFile(join(folder, "many"), { pieceLength: 16_384 }));
  });

  it("more files than descriptors are hashed, served, fetched and checked", async () => {
    const made = join(folder, "made.torrent");
    await ends(limited(128, "create", join(folder, "many"), "-o", made, "--piece-length", "16384"), 0);
    assert.equal(
      parseMetainfo(readFileSync(made)).infoHashHex,
      parseMetainfo(readFileSync(torrent)).infoHashHex,
    );
    const seeder = limited(128, "seed", torrent, folder, "--listen", "127.0.0.1:0", "--json");
    const { port } = await seeder.line("port");
    const copy = join(folder, "copy");
    try {
      for (const storage of ["file", "direct"]) {
        const output = join(copy, storage);
        const args = ["download", torrent, "-o", output, "--peer", `127.0.0.1:${port}`, "--storage", storage];
        await ends(limited(128, ...args), 0);
        assert.equal(difference(join(folder, "many"), join(output, "many")), undefined);
        await ends(limited(128, "check", torrent, output), 0);
      }
    } finally {
      await seeder.stop();
    }
  });
});

describe("odd files on the command line", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.torrent");

  before(async () => {
    mkdirSync(join(folder, "tree"));
    writeFileSync(join(folder, "tree", "one"), bytesOf(1, 100_000));
    writeFileSync(join(folder, "tree", "two"), bytesOf(2, 100_000));
    writeFileSync(torrent, await createTorrentFile(join(folder, "tree"), { pieceLength: 32_768 }));
  });

  it("create never writes over what it is made of, nor into it", async () => {
    const source = join(folder, "tree", "one");
    const bytes = readFileSync(source);
    for (const force of [[], ["--force"]]) {
      await ends(Program.cli("create", source, "-o", source, ...force), 1);
      await ends(Program.cli("create", join(folder, "tree"), "-o", source, ...force), 1);
      const inside = join(folder, "tree", "t.torrent");
      await ends(
        Program.cli("create", join(folder, "tree"), "-o", inside, ...force),
        1,
        /would lie in what it/,
      );
    }
    const linked = join(temporaryFolder(after), "link");
    symlinkSync(join(folder, "tree"), linked);
    await ends(Program.cli("create", join(folder, "tree"), "-o", join(linked, "x"), "--force"), 1);
    assert.deepEqual(readFileSync(source), bytes);
    assert.deepEqual(readdirSync(join(folder, "tree")), ["one", "two"]);
  });

  it("create says before hashing that it cannot write, and replaces as a whole", async () => {
    await ends(
      Program.cli("create", join(folder, "tree"), "-o", join(folder, "no", "x")),
      1,
      /there is no folder/,
    );
    const output = join(temporaryFolder(after), "x.torrent");
    writeFileSync(output, "old");
    await ends(Program.cli("create", join(folder, "tree"), "-o", output), 1, /is there already/);
    assert.equal(readFileSync(output, "utf8"), "old");
    await ends(Program.cli("create", join(folder, "tree"), "-o", output, "--force"), 0);
    assert.equal(parseMetainfo(readFileSync(output)).files.length, 2);
    assert.deepEqual(readdirSync(join(output, "..")), ["x.torrent"]);
  });

  it("info reads regular files alone: no FIFO keeps it waiting, no device fills the memory", async () => {
    const fifo = join(folder, "fifo");
    execFileSync("mkfifo", [fifo]);
    await ends(Program.cli("info", fifo), 1, /fifo: not a regular file/);
    await ends(Program.cli("info", "/dev/zero"), 1, /not a regular file/);
    await ends(Program.cli("info", folder), 1);
  });

  it("FIFOs in the places of our own files keep nobody waiting", async () => {
    const announced = join(folder, "announced.torrent");
    const announce = [`udp://127.0.0.1:${await freePort()}`];
    const bytes = await createTorrentFile(join(folder, "tree"), { pieceLength: 32_768, announce });
    writeFileSync(announced, bytes);
    const copy = temporaryFolder(after);
    const own = join(copy, ".scatterwire");
    mkdirSync(own);
    const names = ["resume", "resume.new", "totals", "totals.new"];
    const hash = parseMetainfo(bytes).infoHashHex;
    for (const name of [...names.map((ending) => `${hash}.${ending}`), "lock"])
      execFileSync("mkfifo", [join(own, name)]);
    const args = ["download", announced, "-o", copy, "--peer", "127.0.0.1:1", "--timeout", "1"];
    // Whoever waits for the writer of a FIFO hears no other signal.
    const prefix = ["timeout", "--signal", "KILL", "60"];
    const download = new Program(process.execPath, [CLI, ...args], { prefix });
    await ends(download, 1, /nothing arrived for 1 s/);
  });

  it("check tells what cannot be read from what is wrong, with the file and the error", async () => {
    const copy = temporaryFolder(after);
    execFileSync("cp", ["-r", join(folder, "tree"), copy]);
    renameSync(join(copy, "tree", "two"), join(copy, "two"));
    execFileSync("mkfifo", [join(copy, "tree", "two")]);
    await ends(Program.cli("check", torrent, copy), 3, /cannot be read.*tree\/two is not a regular file/);
    const seed = ["seed", torrent, copy, "--listen", "127.0.0.1:0"];
    for (const trust of [[], ["--no-check"]])
      await ends(
        Program.cli(...seed, ...trust),
        3,
        /not a regular file: tree\/two; only complete data is seeded/,
      );
    const download = ["download", torrent, "-o", copy, "--listen", "127.0.0.1:0", "--timeout", "20"];
    await ends(Program.cli(...download), 3, /tree\/two is not a regular file/);
    rmSync(join(copy, "tree", "two"));
    mkdirSync(join(copy, "tree", "two"));
    await ends(Program.cli(...download), 3, /tree\/two is not a regular file/);
    await ends(Program.cli("check", torrent, copy), 3, /tree\/two is not a regular file/);
    const json = Program.cli("check", torrent, copy, "--json");
    const { status, last } = await json.result();
    assert.equal(status, 3);
    assert.deepEqual([last["badPieces"], last["unreadablePieces"]], [[], [3, 4, 5, 6]]);
    assert.match(String(last["readErrors"]), /two/);
  });

  it("a file without permission is named, by check, seed and download, with a status of its own", async () => {
    const copy = temporaryFolder(after);
    execFileSync("cp", ["-r", join(folder, "tree"), copy]);
    chmodSync(join(copy, "tree", "two"), 0);
    writeFileSync(join(copy, "data.torrent"), readFileSync(torrent));
    const asNobody = (...args: string[]): Program =>
      process.geteuid?.() === 0
        ? new Program("setpriv", ["--reuid=65534", "--clear-groups", process.execPath, CLI, ...args])
        : Program.cli(...args);
    if (process.geteuid?.() === 0) execFileSync("chown", ["-R", "65534:65534", copy]);
    const own = join(copy, "data.torrent");
    const reason = /tree\/two: EACCES/;
    await ends(asNobody("check", own, copy), 3, reason);
    await ends(asNobody("seed", own, copy, "--listen", "127.0.0.1:0"), 3, reason);
    await ends(asNobody("download", own, "-o", copy, "--peer", "127.0.0.1:1"), 3, reason);
  });
});
