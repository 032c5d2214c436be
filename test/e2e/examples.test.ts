// The examples as whoever reads them runs them: each as a program of its own, with peers on this machine. A file in examples/ that no test
// here runs is one that rots.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { Dht } from "../../src/dht/index.js";
import { createTorrentFile, type Metainfo, parseMetainfo, RECEIVE_MODES, Session } from "../../src/index.js";
import { scrapeTrackers } from "../../src/tracker/index.js";
import { CERTIFICATE, CERTIFICATE_KEY } from "../support/certificate.js";
import { bytesOf, difference, temporaryFolder } from "../support/data.js";
import { ROOT } from "../support/installed-package.js";
import { Program } from "../support/program.js";

const HOST = "127.0.0.1";
const EXAMPLES = join(ROOT, "examples");

describe("the examples", { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const programs: Program[] = [];
  const ran = new Set<string>();
  const session = new Session({ listen: { host: HOST, port: 0 }, trackers: false });
  let peer = "";
  let film: Metainfo;
  let album: Metainfo;

  before(async () => {
    writeFileSync(join(folder, "film.bin"), bytesOf(1, 3_000_017));
    mkdirSync(join(folder, "album"));
    for (const [name, length] of [
      ["one.ogg", 500_000],
      ["two.ogg", 400_000],
      ["cover.jpg", 90_000],
    ] as const)
      writeFileSync(join(folder, "album", name), bytesOf(length, length));
    [film, album] = (await Promise.all(
      ["film.bin", "album"].map(async (name) => {
        const bytes = await createTorrentFile(join(folder, name), { pieceLength: 65_536 });
        writeFileSync(join(folder, `${name}.torrent`), bytes);
        return parseMetainfo(bytes);
      }),
    )) as [Metainfo, Metainfo];
    for (const metainfo of [film, album]) await session.add(metainfo, { directory: folder, readOnly: true });
    const { port } = await session.listen();
    peer = `${HOST}:${port}`;
  });
  after(async () => {
    await Promise.all(programs.map((program) => program.stop()));
    await session.close();
  });

  const start = (name: string, ...args: string[]): Program => {
    ran.add(name);
    const program = new Program(process.execPath, [join(EXAMPLES, name), ...args], { cwd: folder });
    programs.push(program);
    return program;
  };
  /** Runs one to its end, which must be a good one. */
  const run = async (name: string, ...args: string[]): Promise<string> => {
    const program = start(name, ...args);
    assert.equal(await program.ended, 0, program.errors);
    return program.output;
  };
  /** Ends one as Ctrl-C does, which must be a good end. */
  const interrupt = async (program: Program): Promise<void> => {
    program.child.kill("SIGINT");
    assert.equal(await program.ended, 0, program.errors);
  };
  const same = (name: string, copy: string): void =>
    assert.equal(difference(join(folder, name), join(folder, copy)), undefined);

  it("download", async () => {
    assert.equal(await run("download.mjs", "film.bin.torrent", "downloaded", peer), "film.bin is complete\n");
    same("film.bin", "downloaded/film.bin");
  });

  it("seed", async () => {
    mkdirSync(join(folder, "seeded"));
    writeFileSync(join(folder, "seeded/song.bin"), bytesOf(4, 200_000));
    const seed = start("seed.mjs", "seeded/song.bin", `${HOST}:0`);
    const { magnet, port } = await seed.line("magnet");
    await run("magnet.mjs", String(magnet), "from-seed", "", `${HOST}:${port}`);
    same("seeded/song.bin", "from-seed/song.bin");
    await interrupt(seed);
    assert.match(seed.errors, /^200000 bytes sent$/m);
  });

  it("magnet, with some of its files", async () => {
    const magnet = `magnet:?xt=urn:btih:${album.infoHashHex}`;
    assert.match(
      await run("magnet.mjs", magnet, "chosen", ".jpg", peer),
      /^album: \d+ bytes wanted and here$/m,
    );
    same("album/cover.jpg", "chosen/album/cover.jpg");
    assert.ok(!existsSync(join(folder, "chosen/album/two.ogg")));
    assert.equal(
      parseMetainfo(readFileSync(join(folder, "chosen/album.torrent"))).infoHashHex,
      album.infoHashHex,
    );
  });

  it("stream, with seeking", async () => {
    const stream = start("stream.mjs", "film.bin.torrent", "streamed", peer);
    const { port } = await stream.line("port");
    const data = readFileSync(join(folder, "film.bin"));
    const get = async (range?: string): Promise<[number, string | null, Buffer]> => {
      const answer = await fetch(
        `http://${HOST}:${port}/`,
        range === undefined ? {} : { headers: { range } },
      );
      return [answer.status, answer.headers.get("content-range"), Buffer.from(await answer.arrayBuffer())];
    };
    const [partial, range, middle] = await get("bytes=2000000-2000099");
    assert.deepEqual([partial, range], [206, `bytes 2000000-2000099/${data.length}`]);
    assert.equal(Buffer.compare(middle, data.subarray(2_000_000, 2_000_100)), 0);
    const [, , end] = await get("bytes=2999000-");
    assert.equal(Buffer.compare(end, data.subarray(2_999_000)), 0);
    const [whole, , all] = await get();
    assert.equal(whole, 200);
    assert.equal(Buffer.compare(all, data), 0);
    assert.equal((await get("bytes=9999999-"))[0], 416);
    await interrupt(stream);
  });

  it("several torrents in one session", async () => {
    const output = await run("several-torrents.mjs", "several", peer, "film.bin.torrent", "album.torrent");
    assert.deepEqual(output.split("\n").sort(), ["", "album is complete", "film.bin is complete"]);
    same("film.bin", "several/film.bin");
    same("album", "several/album");
  });

  it("an extension", async () => {
    assert.equal(await run("extension.mjs", "film.bin"), "good morning\ngood morning\n");
  });

  it("pieces over TLS", async () => {
    writeFileSync(join(folder, "certificate.pem"), CERTIFICATE);
    const { port } = await session.listen();
    const proxy = createTlsServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, (socket) => {
      const inner = connect({ host: HOST, port });
      for (const each of [socket, inner]) each.on("error", () => {});
      socket.pipe(inner).pipe(socket);
    });
    await new Promise<void>((resolve) => proxy.listen(0, HOST, resolve));
    after(() => proxy.close());
    const address = proxy.address();
    assert.ok(typeof address === "object" && address !== null);
    const output = await run(
      "over-tls.mjs",
      "film.bin.torrent",
      `${HOST}:${address.port}`,
      "certificate.pem",
    );
    assert.match(output, /^3000017 bytes of scatterwire/);
  });

  it("a tracker", async () => {
    const tracker = start("tracker.mjs", film.infoHashHex);
    const urls = [await tracker.line("url"), await tracker.line("url")].map(({ url }) => String(url));
    assert.match(urls[0] ?? "", /^udp:/);
    assert.match(urls[1] ?? "", /^http:.*\/announce$/);
    const results = await scrapeTrackers(urls, [film.infoHash]);
    assert.deepEqual(
      results.map(({ error }) => error),
      [undefined, undefined],
    );
    await interrupt(tracker);
  });

  it("a lookup in the DHT", async () => {
    const nodes = [0, 1].map(() => new Dht({ listen: [{ host: HOST, port: 0 }] }));
    try {
      const [first, second] = nodes as [Dht, Dht];
      const at = first.addresses[0];
      assert.ok(at !== undefined);
      second.addNodes([at]);
      while (second.stats().contacts === 0 || second.stats().lookupsUnderWay > 0) await pass(20);
      assert.equal(await second.announce(film.infoHash, { port: 4321 }), 1);
      const output = await run("dht-lookup.mjs", film.infoHashHex, `${at.host}:${at.port}`);
      assert.equal(output, `${HOST}:4321\n`);
    } finally {
      for (const node of nodes) node.close();
    }
  });

  it("leases of blocks", async () => {
    assert.equal(
      await run("leases.mjs", "film.bin.torrent", "leased.bin", peer),
      `${Math.ceil(3_000_017 / 16_384)} blocks, 3000017 bytes\n`,
    );
    same("film.bin", "leased.bin");
  });

  it("an order of one's own", async () => {
    const output = await run("piece-strategy.mjs", "film.bin.torrent", "ordered", peer);
    assert.match(output, /^46 pieces, the first ones \d+, \d+, \d+, \d+\n$/);
    same("film.bin", "ordered/film.bin");
  });

  it("receive modes, measured", async () => {
    const output = await run("receive-modes.mjs", "film.bin.torrent", peer);
    for (const mode of RECEIVE_MODES)
      assert.match(output, new RegExp(`^${mode}: [\\d.]+ calls per block, [\\d.]+ of the bytes copied`, "m"));
  });

  it("are all run here, and listed", () => {
    const files = readdirSync(EXAMPLES).filter((name) => name.endsWith(".mjs"));
    assert.deepEqual(files.sort(), [...ran].sort());
    const list = readFileSync(join(EXAMPLES, "README.md"), "utf8");
    for (const file of files) assert.ok(list.includes(`(${file})`), `examples/README.md names ${file}`);
  });
});
