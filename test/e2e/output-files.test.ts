// Files that verbs write: nothing is written over unless somebody says so, and what cannot be written is said before the work, not after it.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createTorrentFile, parseMetainfo } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { Program } from "../support/program.js";
import { makeResults, makeTrials } from "../unit/bench/made-results.js";

describe("files that verbs write", { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.torrent");
  const results = join(folder, "results.json");

  before(async () => {
    writeFileSync(join(folder, "data.bin"), bytesOf(3, 100_000));
    writeFileSync(torrent, await createTorrentFile(join(folder, "data.bin")));
    const trials = makeTrials([{ group: "depth", axes: { depth: 1 }, cost: 0.2 }]);
    writeFileSync(results, JSON.stringify(makeResults(trials)));
  });

  const fails = async (status: number, pattern: RegExp, ...args: string[]): Promise<void> => {
    const result = await Program.cli(...args).result();
    assert.equal(result.status, status, result.errors);
    assert.match(result.errors, pattern);
  };

  it("bench report writes over an earlier page with --force only", async () => {
    const page = join(folder, "page.html");
    writeFileSync(page, "of before");
    await fails(1, /page\.html is there already: give --force/, "bench", "report", results, "-o", page);
    assert.equal(readFileSync(page, "utf8"), "of before");
    const made = Program.cli("bench", "report", results, "-o", page, "--force");
    assert.equal(await made.ended, 0, made.errors);
    assert.match(readFileSync(page, "utf8"), /^<!doctype html>/i);
    const nowhere = join(folder, "no", "page.html");
    await fails(1, /there is no folder .*no$/m, "bench", "report", results, "-o", nowhere);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes("page")),
      ["page.html"],
    );
  });

  it("the lab keeps finished results, and says before it measures that it cannot write", async () => {
    const before = readFileSync(results, "utf8");
    const lab = ["bench", "receive", "--size", "1M", "--runs", "1", "--only", "depth:depth=4"];
    await fails(1, /results\.json holds 3 trials of a finished run: .*--force/, ...lab, "-o", results);
    assert.equal(readFileSync(results, "utf8"), before);
    for (const verb of [lab, ["bench", "compare"], ["bench", "loopback"]]) {
      await fails(2, /-o takes the name of a file/, ...verb, "-o", "");
      await fails(1, /there is no folder/, ...verb, "-o", join(folder, "no", "results.json"));
      await fails(1, /is a folder: give the name of a file/, ...verb, "-o", folder, "--force");
    }
    const replaced = Program.cli(...lab, "-o", results, "--force");
    assert.equal(await replaced.ended, 0, replaced.errors);
    assert.notEqual(readFileSync(results, "utf8"), before);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith("results")),
      ["results.json"],
    );
  });

  it("recordings, traces and saved torrent files go over none that is there", async () => {
    const kept = join(folder, "kept");
    writeFileSync(kept, "of before");
    const download = ["download", torrent, "--storage", "memory", "--peer", "127.0.0.1:9", "--timeout", "1"];
    for (const option of ["--record", "--trace"])
      await fails(2, /kept is there already: name another file\n/, ...download, option, kept);
    await fails(1, /kept is there already: name another file\n/, ...download, "--save-torrent", kept);
    await fails(1, /kept is there already: name another file\n/, "info", torrent, "--save-torrent", kept);
    assert.equal(readFileSync(kept, "utf8"), "of before");
  });

  it("download writes the torrent file of what it downloads", async () => {
    const seeder = Program.cli("seed", torrent, folder, "--listen", "127.0.0.1:0", "--json");
    try {
      const { port } = (await seeder.line("port")) as { port: number };
      const { infoHash, info } = parseMetainfo(readFileSync(torrent));
      const magnet = `magnet:?xt=urn:btih:${Buffer.from(infoHash).toString("hex")}`;
      const saved = join(folder, "saved.torrent");
      const some = ["--storage", "memory", "--peer", `127.0.0.1:${port}`, "--save-torrent", saved];
      await fails(
        2,
        /--save-torrent takes one torrent, and 2 are given/,
        "download",
        magnet,
        torrent,
        ...some,
      );
      assert.equal(existsSync(saved), false);
      const download = Program.cli("download", magnet, ...some);
      assert.equal(await download.ended, 0, download.errors);
      const bytes = readFileSync(saved);
      assert.deepEqual(parseMetainfo(bytes).info, info);
      const again = Program.cli("download", magnet, ...some);
      assert.equal(await again.ended, 0, again.errors);
      assert.deepEqual(readFileSync(saved), bytes, "who goes on with the same command finds it there");
    } finally {
      await seeder.stop("SIGINT");
    }
  });
});
