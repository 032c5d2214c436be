// What a person says of a download on the command line: which files, in which order, how fast, for how long it seeds; and a file that is
// read while it comes, from standard output or over HTTP.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createTorrentFile, parseMetainfo } from "../../src/index.js";
import { bytesOf, difference, temporaryFolder } from "../support/data.js";
import { CLI, freePort, Program } from "../support/program.js";
import { required } from "../support/required.js";

const PIECE = 16_384;
const FILES: Readonly<Record<string, Buffer>> = {
  "a.bin": bytesOf(1, 6 * PIECE),
  // More than a pipe and its buffers hold.
  "film.mp4": bytesOf(2, 200 * PIECE + 5),
  "extras/one.txt": Buffer.from(bytesOf(3, 100_000).toString("hex")),
  "extras/deep/two.bin": bytesOf(4, 3 * PIECE),
};

/** The command line as it is published: it has download a second time, with compiled code that is kept. */

describe("A download on the command line", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "album.torrent");
  let magnet = "";
  let seeder: Program;
  let peer: string[];

  before(async () => {
    for (const [path, bytes] of Object.entries(FILES)) {
      const file = join(folder, "album", path);
      mkdirSync(join(file, ".."), { recursive: true });
      writeFileSync(file, bytes);
    }
    // Each file begins with a piece of its own, so that none is made for another.
    const bytes = await createTorrentFile(join(folder, "album"), { pieceLength: PIECE, padding: true });
    writeFileSync(torrent, bytes);
    magnet = `magnet:?xt=urn:btih:${parseMetainfo(bytes).infoHashHex}`;
    const port = await freePort();
    seeder = Program.cli("seed", torrent, folder, "--listen", `127.0.0.1:${port}`, "--json");
    await seeder.line("port");
    peer = ["--peer", `127.0.0.1:${port}`];
  });

  after(() => seeder.stop("SIGINT"));

  const has = (output: string): string[] =>
    Object.keys(FILES).filter((path) => existsSync(join(output, "album", path)));

  const selections: [string[], string[]][] = [
    [
      ["--select", "*.bin"],
      ["a.bin", "extras/deep/two.bin"],
    ],
    [
      ["--select", "extras"],
      ["extras/one.txt", "extras/deep/two.bin"],
    ],
    [["--select", "extras/*"], ["extras/one.txt"]],
    [
      ["--select", "**/t?o.bin", "--select", "a.bin"],
      ["a.bin", "extras/deep/two.bin"],
    ],
  ];
  for (const [index, [args, expected]] of selections.entries())
    for (const source of ["file", "magnet"] as const)
      it(`fetches what is selected of a ${source}, and makes nothing else: ${args.join(" ")}`, async () => {
        const output = join(folder, `selected-${source}-${index}`);
        const named = source === "file" ? torrent : magnet;
        const program = Program.cli("download", named, "-o", output, ...peer, ...args, "--sequential");
        const { status, errors } = await program.result();
        assert.equal(status, 0, errors);
        assert.deepEqual(has(output), expected);
        for (const path of expected)
          assert.equal(difference(join(folder, "album", path), join(output, "album", path)), undefined);
      });

  it("takes indices as info lists them", async () => {
    const output = join(folder, "by-index");
    const info = Program.cli("info", torrent);
    await info.result();
    // Padding, which is not listed, has indices as well.
    const index = /^ +(\d+) +\d+ {2}album\/film\.mp4$/m.exec(info.output)?.[1];
    const program = Program.cli("download", torrent, "-o", output, ...peer, "--select", `${index}`);
    const { status, errors } = await program.result();
    assert.equal(status, 0, errors);
    assert.deepEqual(has(output), ["film.mp4"]);
  });

  it("tells how far it is of what is selected, and says what that was", async () => {
    const output = join(folder, "of-selected");
    const args = ["download", torrent, "-o", output, ...peer, "--select", "a.bin"];
    const first = Program.cli(...args, "--max-download", "50K", "--json");
    const { status, last, errors } = await first.result();
    assert.equal(status, 0, errors);
    const told = first.lines.filter((line) => line["doing"] === "downloading");
    assert.ok(told.length > 0);
    for (const { bytes, totalBytes } of told)
      assert.ok(Number(bytes) <= 6 * PIECE && totalBytes === 6 * PIECE, `${bytes} of ${totalBytes}`);
    assert.equal(last["selectedBytes"], 6 * PIECE);
    assert.ok(Number(last["totalBytes"]) > 6 * PIECE);
    const again = Program.cli(...args);
    await again.result();
    assert.match(again.output, /^album: 98\.3 kB selected of [\d.]+ [kM]B, all of it was there already\n$/);
  });

  for (const named of ["file", "magnet"] as const)
    it(`says where nothing is called so, and ends: ${named}`, async () => {
      const args = ["-o", join(folder, `nothing-${named}`), ...peer, "--select", "*.flac"];
      const { status, errors } = await Program.cli(
        ...["download", named === "file" ? torrent : magnet, ...args],
      ).result();
      assert.equal(status, 2, errors);
      assert.match(
        errors,
        /--select \*\.flac: the torrent has no such file; `scatterwire info` lists its \d+ files/,
      );
    });

  const wrong: [string[], RegExp][] = [
    [["--max-download", "fast"], /--max-download takes a number of bytes/],
    [["--max-upload", "0"], /--max-upload takes a number of bytes such as .* from 1 to/],
    [["--seed-ratio", "much"], /--seed-ratio takes a number above 0, such as 1\.5, not "much"/],
    [["--stream-http", "127.0.0.1:0"], /--stream-http needs --stream FILE/],
    [["--stream", "film.mp4", "--json"], /--stream writes the file to standard output, and so does --json/],
    [["--stream", "*.bin", "--stream-http", "127.0.0.1:0"], /--stream \*\.bin: 2 files match/],
  ];
  for (const [args, message] of wrong)
    it(`refuses ${args.join(" ")}`, async () => {
      const output = join(folder, "refused");
      const { status, errors } = await Program.cli(
        "download",
        torrent,
        "-o",
        output,
        ...peer,
        ...args,
      ).result();
      assert.equal(status, 2, errors);
      assert.match(errors, message);
    });

  it("is no faster than --max-download, and the seeder no faster than --max-upload", async () => {
    const output = join(folder, "slow");
    const args = ["--select", "a.bin", "--max-download", "50K", "--json"];
    const program = Program.cli("download", torrent, "-o", output, ...peer, ...args);
    const { status, last, errors } = await program.result();
    assert.equal(status, 0, errors);
    const { bytes, bytesPerSecond } = last as unknown as { bytes: number; bytesPerSecond: number };
    assert.equal(bytes, 6 * PIECE);
    // It takes almost two seconds, and an event comes each second.
    const told = program.lines.filter((line) => line["doing"] === "downloading");
    assert.ok(told.length > 0);
    for (const { pieceCount, piecesVerified, peersBySource, uploadBytesPerSecond } of told) {
      assert.ok(Number(piecesVerified) <= Number(pieceCount) && uploadBytesPerSecond === 0);
      assert.ok(["{}", '{"user":1}'].includes(JSON.stringify(peersBySource)), JSON.stringify(peersBySource));
    }
    assert.ok(bytesPerSecond <= 1.25 * 50 * 1024, `${bytesPerSecond}`);
  });

  it("seeds until --seed-ratio, and ends then", async () => {
    const port = await freePort();
    const all = ["--listen", `127.0.0.1:${port}`, "--seed-ratio", "1", "--json"];
    const first = Program.cli("download", torrent, "-o", join(folder, "first"), ...peer, ...all);
    await first.line("cpuSeconds", 60_000);
    const second = Program.cli(
      ...["download", torrent, "-o", join(folder, "second"), "--peer", `127.0.0.1:${port}`],
    );
    const taken = await second.result();
    assert.equal(taken.status, 0, taken.errors);
    const { status, errors } = await first.result();
    assert.equal(status, 0, errors);
  });

  for (const named of ["file", "magnet"] as const)
    it(`writes a file to standard output while it comes, and nothing else: ${named}`, async () => {
      const output = join(folder, `streamed-${named}`);
      const source = named === "file" ? torrent : magnet;
      const program = Program.cli("download", source, "-o", output, ...peer, "--stream", "one.txt");
      const { status, errors } = await program.result();
      assert.equal(status, 0, errors);
      assert.equal(program.output, required(FILES["extras/one.txt"], "extras/one.txt").toString());
      assert.deepEqual(has(output), ["extras/one.txt"]);
    });

  /** A download that streams to whatever `stdout` is. */
  const streaming = (
    name: string,
    stdout: "pipe" | number,
    more: readonly string[] = [],
  ): { child: ChildProcess; ended: Promise<{ status: number | null; errors: string }> } => {
    const args = ["download", torrent, "-o", join(folder, name), ...peer, "--stream", "film.mp4", ...more];
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", stdout, "pipe"] });
    let errors = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    return { child, ended: once(child, "close").then(([status]) => ({ status, errors })) };
  };

  for (const isRead of [true, false])
    it(`ends with 130 on Ctrl-C while a file is streamed, ${isRead ? "and read" : "and nobody reads it"}`, async () => {
      const slow = isRead ? ["--max-download", "50K"] : [];
      const { child, ended } = streaming(`stopped-${isRead}`, "pipe", slow);
      assert.ok(child.stdout !== null);
      const output = child.stdout;
      await new Promise<void>((resolve) => output.once("readable", () => resolve()));
      if (isRead) output.resume();
      const gone = once(child, "exit");
      child.kill("SIGINT");
      // A pipe that nobody reads is open for as long as we hold it.
      if (!isRead) {
        await gone;
        output.destroy();
      }
      const { status, errors } = await ended;
      assert.equal(status, 130, errors);
      // A slow machine has told how far it is.
      assert.match(
        errors,
        /^(downloading: .*\n)*scatterwire: stopped; the same command goes on with the download\n$/,
      );
    });

  it("says that nobody reads the stream any more, or that it cannot be written", async () => {
    const left = streaming("left", "pipe", ["--max-download", "50K"]);
    left.child.stdout?.once("data", () => left.child.stdout?.destroy());
    const gone = await left.ended;
    assert.equal(gone.status, 1, gone.errors);
    assert.match(
      gone.errors,
      /^(downloading: .*\n)*scatterwire: nobody reads the stream any more; the same command/,
    );
    const full = openSync("/dev/full", "w");
    const refused = await streaming("refused-by-disk", full).ended;
    closeSync(full);
    assert.equal(refused.status, 1, refused.errors);
    assert.match(
      refused.errors,
      /scatterwire: cannot write to standard output: ENOSPC: .*; the same command/,
    );
  });

  it("serves a file over HTTP with ranges, for a player to seek in, until Ctrl-C", async () => {
    const args = ["--stream", "film.mp4", "--stream-http", "127.0.0.1:0", "--json"];
    const program = Program.cli("download", torrent, "-o", join(folder, "served"), ...peer, ...args);
    const { url } = (await program.line("url", 60_000)) as unknown as { url: string };
    const film = required(FILES["film.mp4"], "film.mp4");
    const get = async (range?: string, method = "GET"): Promise<{ response: Response; bytes: Buffer }> => {
      const response = await fetch(url, { method, headers: range === undefined ? {} : { range } });
      return { response, bytes: Buffer.from(await response.arrayBuffer()) };
    };
    const whole = await get();
    assert.equal(whole.response.status, 200);
    assert.equal(whole.response.headers.get("content-type"), "video/mp4");
    assert.equal(whole.response.headers.get("accept-ranges"), "bytes");
    assert.ok(whole.bytes.equals(film));
    const parts: [string, number, number][] = [
      ["bytes=100000-100099", 100_000, 100_100],
      [`bytes=${film.length - 7}-`, film.length - 7, film.length],
      ["bytes=-300", film.length - 300, film.length],
      ["bytes=0-999999999", 0, film.length],
    ];
    for (const [range, from, to] of parts) {
      const { response, bytes } = await get(range);
      assert.equal(response.status, 206, range);
      assert.equal(response.headers.get("content-range"), `bytes ${from}-${to - 1}/${film.length}`);
      assert.ok(bytes.equals(film.subarray(from, to)), range);
    }
    const { response } = await get(`bytes=${film.length}-`);
    assert.deepEqual(
      [response.status, response.headers.get("content-range")],
      [416, `bytes */${film.length}`],
    );
    const head = await get(undefined, "HEAD");
    assert.deepEqual([head.bytes.length, head.response.headers.get("content-length")], [0, `${film.length}`]);
    assert.equal((await get(undefined, "POST")).response.status, 405);
    program.child.kill("SIGINT");
    assert.equal(await program.ended, 130);
  });

  it("teaches each of them in its help", async () => {
    const help = Program.cli("download", "--help");
    assert.equal(await help.ended, 0);
    for (const option of [
      "select",
      "sequential",
      "max-download",
      "max-upload",
      "seed-ratio",
      "stream",
      "stream-http",
    ])
      assert.match(help.output, new RegExp(`--${option}\\b`));
  });
});
