// The command line downloads from web servers that know nothing of torrents (BEP 19): Python's own, which serves whole files only, and the
// same with ranges; lighttpd, from which libtorrent and aria2 have the same torrent; and from libtorrent beside one.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import bencode from "bencode";
import { NEEDED, PYTHON, requireInstalled } from "../../bench/rivals/installed.js";
import { createTorrentFile } from "../../src/index.js";
import { aria2, libtorrent, until } from "../support/clients.js";
import { freePort, Program } from "../support/program.js";

const TIMEOUT = { timeout: 120_000 };
const SERVER = fileURLToPath(new URL("../../../test/support/range_server.py", import.meta.url));

async function place(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "scatterwire-web-seeds-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function serve(t: TestContext, folder: string, ...more: string[]): Promise<string> {
  const program = new Program(PYTHON, [SERVER, folder, ...more]);
  t.after(() => program.stop());
  const { port } = await program.line("port");
  return `http://127.0.0.1:${port}/`;
}

async function serveWithLighttpd(t: TestContext, folder: string): Promise<string> {
  requireInstalled(NEEDED.lighttpd);
  const port = await freePort();
  const configuration = join(folder, "lighttpd.conf");
  const lines = [`server.document-root = "${folder}"`, `server.port = ${port}`, 'server.bind = "127.0.0.1"'];
  await writeFile(configuration, `${lines.join("\n")}\n`);
  const program = new Program(NEEDED.lighttpd.command, ["-D", "-f", configuration]);
  t.after(() => program.kill());
  const url = `http://127.0.0.1:${port}/`;
  await until(async () => {
    if (program.over) await program.fails();
    await fetch(url);
    return true;
  }, 60_000);
  return url;
}

async function writeTorrent(path: string, source: string, urls: readonly string[]): Promise<void> {
  const made = bencode.decode(Buffer.from(await createTorrentFile(source))) as Record<string, unknown>;
  await writeFile(path, bencode.encode({ ...made, "url-list": urls }));
}

async function download(torrent: string, output: string, ...more: string[]): Promise<string> {
  const { status, errors } = await Program.cli(
    ...["download", torrent, "-o", output, "--timeout", "60", ...more],
  ).result();
  assert.equal(status, 0, errors);
  return errors;
}

describe("web seeds from the command line", () => {
  it("a folder from Python's server with ranges", TIMEOUT, async (t) => {
    const folder = await place(t);
    await mkdir(join(folder, "album", "sub dir"), { recursive: true });
    const files = {
      "a.bin": randomBytes(5_000_000),
      "sub dir/b.bin": randomBytes(700_001),
      "c.bin": randomBytes(3),
    };
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, "album", name), bytes);
    const torrent = join(folder, "album.torrent");
    await writeTorrent(torrent, join(folder, "album"), [await serve(t, folder)]);
    const output = join(folder, "copy");
    await download(torrent, output);
    for (const [name, bytes] of Object.entries(files))
      assert.ok((await readFile(join(output, "album", name))).equals(bytes), name);
  });

  it("a file from Python's own server, which serves no ranges", TIMEOUT, async (t) => {
    const folder = await place(t);
    const data = randomBytes(3_000_000);
    await writeFile(join(folder, "data.bin"), data);
    const torrent = join(folder, "data.torrent");
    await writeTorrent(torrent, join(folder, "data.bin"), [await serve(t, folder, "plain")]);
    const output = join(folder, "copy");
    await download(torrent, output);
    assert.ok((await readFile(join(output, "data.bin"))).equals(data));
  });

  it("a folder from lighttpd, with libtorrent and aria2 at it as well", TIMEOUT, async (t) => {
    const folder = await place(t);
    await mkdir(join(folder, "album", "sub dir"), { recursive: true });
    const files = { "a.bin": randomBytes(3_000_000), "sub dir/b +%.bin": randomBytes(1_700_001) };
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, "album", name), bytes);
    const torrent = join(folder, "album.torrent");
    await writeTorrent(torrent, join(folder, "album"), [await serveWithLighttpd(t, folder)]);
    const isThere = async (copy: string): Promise<boolean> => {
      for (const [name, bytes] of Object.entries(files))
        if (!(await readFile(join(copy, "album", name))).equals(bytes)) return false;
      return true;
    };
    const ours = join(folder, "copy");
    await download(torrent, ours);
    assert.ok(await isThere(ours));
    for (const kind of [libtorrent, aria2]) {
      kind.require();
      const theirs = join(folder, kind.name);
      await mkdir(theirs);
      const client = await kind.start("download", torrent, theirs);
      t.after(() => client.stop());
      await until(() => isThere(theirs), 60_000);
    }
  });

  it("beside libtorrent, and beside one that lies and one that is not there", TIMEOUT, async (t) => {
    libtorrent.require();
    const folder = await place(t);
    const data = randomBytes(8_000_000);
    await writeFile(join(folder, "data.bin"), data);
    const wrong = join(folder, "wrong");
    await mkdir(wrong);
    await writeFile(join(wrong, "data.bin"), randomBytes(8_000_000));
    const empty = join(folder, "empty");
    await mkdir(empty);
    const torrent = join(folder, "data.torrent");
    const urls = [await serve(t, wrong), await serve(t, empty), await serve(t, folder)];
    await writeTorrent(torrent, join(folder, "data.bin"), urls);
    const seed = await libtorrent.start("seed", torrent, folder);
    t.after(() => seed.stop());
    const output = join(folder, "copy");
    await download(torrent, output, "--peer", `127.0.0.1:${seed.port}`);
    assert.ok((await readFile(join(output, "data.bin"))).equals(data));
  });
});
