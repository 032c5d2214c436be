// The README's example of embedding, as it stands there: compiled with type checks, and run against a seeder.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { createTorrentFile } from "../../src/index.js";
import { bytesOf, difference, temporaryFolder } from "../support/data.js";
import { Program } from "../support/program.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

describe("the README's embedding example", { timeout: 600_000 }, () => {
  it("compiles, and downloads a torrent", async () => {
    const folder = temporaryFolder(after);
    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    const example = /## Embedding\n[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)?.[1];
    assert.ok(example !== undefined, "the README has a ts block under Embedding");
    assert.ok(example.split("\n").length <= 31, "it has 30 lines at most");

    // Inside the package, so that its own name resolves.
    const place = mkdtempSync(join(ROOT, "dist", "embedding-"));
    after(() => rmSync(place, { recursive: true, force: true }));
    writeFileSync(join(place, "example.mts"), example);
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    const options = [
      "--strict",
      "--skipLibCheck",
      "--module",
      "nodenext",
      "--target",
      "es2022",
      "--lib",
      "es2023,esnext.disposable",
      "--types",
      "node",
    ];
    const compiled = spawnSync(
      process.execPath,
      [compiler, "--ignoreConfig", ...options, join(place, "example.mts")],
      { cwd: ROOT, encoding: "utf8" },
    );
    assert.equal(compiled.status, 0, compiled.stdout);

    writeFileSync(join(folder, "data.bin"), bytesOf(11, 3_000_000));
    const torrent = join(folder, "data.torrent");
    writeFileSync(torrent, await createTorrentFile(join(folder, "data.bin")));
    const seeder = Program.cli("seed", torrent, folder, "--listen", "127.0.0.1:0", "--json");
    after(() => seeder.stop("SIGINT"));
    const { host, port } = await seeder.line("event");

    const output = join(folder, "copy");
    const run = new Program(process.execPath, [
      join(place, "example.mjs"),
      torrent,
      output,
      `${host}:${port}`,
    ]);
    const { status, errors } = await run.result();
    assert.equal(status, 0, errors);
    assert.match(run.output, /done: 184 blocks in \d+ receives, \d+ bytes copied/);
    assert.equal(difference(join(folder, "data.bin"), join(output, "data.bin")), undefined);
  });
});
