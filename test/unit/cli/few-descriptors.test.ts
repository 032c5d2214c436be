// The command line in a process that may have 64 descriptors: every verb does its work, from loading its own code on.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { bytesOf, temporaryFolder } from "../../support/data.js";
import { Program } from "../../support/program.js";
import { knock, manyHosts } from "../client/session/raw-peers.js";

/** What the package installs: loaded file by file, the sources alone would need more descriptors than these. */
const INSTALLED = fileURLToPath(new URL("../../../bundle/main.js", import.meta.url));

function start(...args: string[]): Program {
  const program = new Program("sh", [
    "-c",
    'ulimit -n 64; exec "$0" "$@"',
    process.execPath,
    INSTALLED,
    ...args,
  ]);
  after(() => program.child.kill());
  return program;
}

describe("scatterwire with 64 descriptors", { timeout: 60_000 }, () => {
  it("makes, checks, seeds to a crowd, and downloads 40 files", async () => {
    const folder = temporaryFolder(after);
    mkdirSync(join(folder, "files"));
    for (let file = 0; file < 40; file++)
      writeFileSync(join(folder, "files", `${file}`), bytesOf(file, 30_000));
    const torrent = join(folder, "files.torrent");
    const made = start("create", join(folder, "files"), "-o", torrent);
    assert.equal(await made.ended, 0, made.errors);
    const seeder = start("seed", torrent, folder, "--listen", "127.0.0.1:0", "--json");
    const { port } = (await seeder.line("port")) as { port: number };
    for (const from of manyHosts(100)) await knock({ host: "127.0.0.1", port }, from);
    const leecher = start("download", torrent, "-o", join(folder, "copy"), "--peer", `127.0.0.1:${port}`);
    assert.equal(await leecher.ended, 0, leecher.errors);
    const checked = start("check", torrent, join(folder, "copy"));
    assert.equal(await checked.ended, 0, checked.errors + checked.output);
    seeder.child.kill("SIGINT");
    await seeder.ended;
    assert.doesNotMatch(seeder.errors, /^ +at /m, "no stack trace");
  });
});
