// Our DHT among those of others, on this machine: each finds what another announced. The packet that ends processes which trust types ends
// nobody of ours.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import BittorrentDht from "bittorrent-dht";
import { NEEDED, PYTHON, requireInstalled } from "../../bench/rivals/installed.js";
import { Dht } from "../../src/dht/index.js";
import { createTorrentFile, parseMetainfo } from "../../src/index.js";
import { until } from "../support/clients.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { Program } from "../support/program.js";
import { entryOf } from "../support/required.js";

const LIBTORRENT = fileURLToPath(new URL("../../../test/support/libtorrent_dht.py", import.meta.url));
const TIMEOUT_MS = 90_000;
const NODES = 8;

/** Some nodes of ours that know each other. */
async function makeNodes(t: TestContext): Promise<Dht[]> {
  const nodes: Dht[] = [];
  for (let index = 0; index < NODES; index++) {
    const bootstrap = nodes[0] === undefined ? [] : nodes[0].addresses;
    const node = new Dht({ listen: [{ host: "127.0.0.1", port: 0 }], bootstrap });
    t.after(() => node.close());
    nodes.push(node);
  }
  await until(() => Promise.resolve(nodes.every((node) => node.stats().contacts >= NODES / 2)), TIMEOUT_MS);
  return nodes;
}

/** What nodes know of a torrent: "host:port" each. */
async function lookUp(node: Dht, infoHash: Uint8Array): Promise<string[]> {
  const found: string[] = [];
  for await (const { host, port } of node.lookup(infoHash)) found.push(`${host}:${port}`);
  return found;
}

/** Looks up until somebody is known. */
async function found(node: Dht, infoHash: Uint8Array): Promise<string[]> {
  let peers: string[] = [];
  await until(async () => {
    peers = await lookUp(node, infoHash);
    return peers.length > 0;
  }, TIMEOUT_MS);
  return peers;
}

describe("the DHT beside others", { timeout: 5 * TIMEOUT_MS }, () => {
  it("finds what libtorrent announced, and is found by it", { timeout: TIMEOUT_MS }, async (t) => {
    requireInstalled(NEEDED.libtorrentForPython);
    const nodes = await makeNodes(t);
    const entrance = `127.0.0.1:${entryOf(entryOf(nodes, 1).addresses, 0).port}`;
    const libtorrent = new Program(PYTHON, [LIBTORRENT, entrance]);
    t.after(() => libtorrent.stop());
    const { port } = await libtorrent.line("port");
    await libtorrent.line("nodes");
    const theirs = randomBytes(20);
    libtorrent.say(`announce ${theirs.toString("hex")}`);
    assert.deepEqual(await found(entryOf(nodes, 5), theirs), [`127.0.0.1:${port}`]);
    const ours = randomBytes(20);
    assert.ok((await entryOf(nodes, 3).announce(ours, { port: 4242 })) >= 4);
    libtorrent.say(`get ${ours.toString("hex")}`);
    const { peers } = await libtorrent.line("peers");
    assert.deepEqual(peers, [["127.0.0.1", 4242]]);
  });

  it("finds what bittorrent-dht announced, and is found by it", { timeout: TIMEOUT_MS }, async (t) => {
    const nodes = await makeNodes(t);
    const theirs = new BittorrentDht({
      bootstrap: [`127.0.0.1:${entryOf(entryOf(nodes, 0).addresses, 0).port}`],
      host: "127.0.0.1",
    });
    t.after(() => new Promise((resolve) => theirs.destroy(() => resolve(undefined))));
    await new Promise<void>((resolve) => theirs.listen(0, "127.0.0.1", resolve));
    await new Promise<void>((resolve) => theirs.once("ready", resolve));
    const infoHash = randomBytes(20);
    await new Promise((resolve) => theirs.announce(infoHash, 5151, resolve));
    assert.deepEqual(await found(entryOf(nodes, 6), infoHash), ["127.0.0.1:5151"]);
    const ours = randomBytes(20);
    await entryOf(nodes, 2).announce(ours, { port: 6161 });
    const seen = new Promise((resolve) => {
      theirs.on("peer", (peer: { host: string; port: number }) => resolve(`${peer.host}:${peer.port}`));
    });
    theirs.lookup(ours);
    assert.equal(await seen, "127.0.0.1:6161");
  });

  it("is asked by aria2, which connects to the peer that it is told of", {
    timeout: TIMEOUT_MS,
  }, async (t) => {
    requireInstalled(NEEDED.aria2);
    const nodes = await makeNodes(t);
    const infoHash = randomBytes(20);
    const server = createServer((socket) => socket.destroy());
    const connected = new Promise<void>((resolve) => server.once("connection", () => resolve()));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    await entryOf(nodes, 4).announce(infoHash, { port: address.port });
    const home = await mkdtemp(join(tmpdir(), "scatterwire-aria2-dht-"));
    const aria2 = new Program("aria2c", [
      "--no-conf",
      "--enable-dht=true",
      "--enable-dht6=false",
      `--dht-file-path=${join(home, "dht")}`,
      `--dht-entry-point=127.0.0.1:${entryOf(entryOf(nodes, 0).addresses, 0).port}`,
      "--bt-enable-lpd=false",
      `--dir=${home}`,
      `magnet:?xt=urn:btih:${infoHash.toString("hex")}`,
    ]);
    t.after(() => aria2.stop().finally(() => rm(home, { recursive: true, force: true })));
    await connected;
  });

  for (const seeder of ["ours", "libtorrent"] as const)
    it(`completes a magnet link with nothing but its hash, from ${seeder}`, {
      timeout: TIMEOUT_MS,
    }, async (t) => {
      const nodes = await makeNodes(t);
      const entrance = entryOf(entryOf(nodes, 1).addresses, 0);
      const folder = temporaryFolder(t.after.bind(t));
      const data = join(folder, "data.bin");
      writeFileSync(data, bytesOf(77, 3_000_000));
      const file = await createTorrentFile(data, { pieceLength: 32_768 });
      const metainfo = parseMetainfo(file);
      const hex = Buffer.from(metainfo.infoHash).toString("hex");
      if (seeder === "ours") {
        const torrent = join(folder, "data.torrent");
        writeFileSync(torrent, file);
        const seed = Program.cli(
          ...["seed", torrent, folder, "--listen", "127.0.0.1:0", "--json"],
          ...["--dht-node", `127.0.0.1:${entrance.port}`],
        );
        t.after(() => seed.stop());
        await seed.line("port");
      } else {
        requireInstalled(NEEDED.libtorrentForPython);
        const torrent = join(folder, "data.torrent");
        writeFileSync(torrent, file);
        const libtorrent = new Program(PYTHON, [LIBTORRENT, `127.0.0.1:${entrance.port}`]);
        t.after(() => libtorrent.stop());
        await libtorrent.line("nodes");
        libtorrent.say(`seed ${torrent} ${folder}`);
      }
      await found(entryOf(nodes, 6), metainfo.infoHash);
      const copy = join(folder, "copy");
      const download = Program.cli(
        ...["download", `magnet:?xt=urn:btih:${hex}`, "-o", copy, "--listen", "127.0.0.1:0"],
        ...["--dht-node", `127.0.0.1:${entrance.port}`],
      );
      t.after(() => download.stop());
      const { status, errors } = await download.result();
      assert.equal(status, 0, errors);
      assert.ok(readFileSync(join(copy, "data.bin")).equals(readFileSync(data)));
    });

  it("hears of torrents from ours and from libtorrent, and prints them", {
    timeout: TIMEOUT_MS,
  }, async (t) => {
    requireInstalled(NEEDED.libtorrentForPython);
    const nodes = await makeNodes(t);
    const entrance = `127.0.0.1:${entryOf(entryOf(nodes, 0).addresses, 0).port}`;
    const libtorrent = new Program(PYTHON, [LIBTORRENT, entrance]);
    t.after(() => libtorrent.stop());
    const { port } = await libtorrent.line("port");
    await libtorrent.line("nodes");
    const infoHash = randomBytes(20);
    // libtorrent keeps what is announced to it, once we have heard of it. Whoever has asked it does not do so again for hours: each time another does.
    const tellers = new Set<number>();
    let asker = 0;
    await until(async () => {
      await entryOf(nodes, 2).announce(infoHash, { port: 4242, seed: true });
      for await (const { node, infoHashes } of entryOf(nodes, asker++ % NODES).sample({ sweeps: 1 }))
        if (infoHashes.some((hash) => infoHash.equals(hash))) tellers.add(node.port);
      return tellers.has(Number(port));
    }, TIMEOUT_MS);
    const { seeds, peers, nodes: told } = await entryOf(nodes, 4).scrape(infoHash);
    assert.deepEqual([seeds, peers], [1, 0]);
    assert.ok(told >= 4);
    const dht = ["--listen", "127.0.0.1:0", "--bootstrap", entrance];
    // Whoever announces is told of those that did before.
    const announce = Program.cli(
      "dht",
      "announce",
      infoHash.toString("hex"),
      ...dht,
      "--port",
      "4343",
      "--json",
    );
    t.after(() => announce.stop());
    const announced = await announce.result();
    assert.equal(announced.status, 0, announced.errors);
    assert.ok(announce.lines.some((line) => line["event"] === "peer" && line["port"] === 4242));
    assert.equal(announced.last["event"], "done");
    const scrape = Program.cli("dht", "scrape", infoHash.toString("hex"), ...dht, "--json");
    t.after(() => scrape.stop());
    const { status: scraped, last, errors: wrong } = await scrape.result();
    assert.equal(scraped, 0, wrong);
    assert.equal(last["event"], "done");
    // Both are at one address, which counts once as a seed, and once as another peer.
    assert.deepEqual([last["seeds"], last["peers"]], [1, 1]);
    assert.ok(Number(last["nodes"]) >= 4);
    const sample = Program.cli("dht", "sample", ...dht, "--count", "1", "--json");
    t.after(() => sample.stop());
    assert.equal((await sample.line("infoHash"))["infoHash"], infoHash.toString("hex"));
    const { status, errors } = await sample.result();
    assert.equal(status, 0, errors);
  });

  it("asks a network of two nodes and of some that are gone, without waiting for more of them", {
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const infoHash = randomBytes(20);
    const first = new Dht({ listen: [{ host: "127.0.0.1", port: 0 }] });
    t.after(() => first.close());
    const second = new Dht({ listen: [{ host: "127.0.0.1", port: 0 }], bootstrap: first.addresses });
    t.after(() => second.close());
    await until(() => Promise.resolve(first.stats().contacts > 0 && second.stats().contacts > 0), TIMEOUT_MS);
    await second.announce(infoHash, { port: 4242 });
    const entrance = `127.0.0.1:${entryOf(first.addresses, 0).port}`;
    // With all the time in the world, each goes on as soon as it knows who is nearest. Whoever has run is one of the nodes that are gone.
    for (let round = 0; round < 3; round++) {
      const verb = ["dht", "lookup", infoHash.toString("hex"), "--listen", "127.0.0.1:0", "--wait", "3600"];
      const program = Program.cli(...verb, "--bootstrap", entrance, "--json");
      t.after(() => program.stop());
      const { port } = await program.line("port");
      assert.equal(port, 4242);
      const { status, errors } = await program.result();
      assert.equal(status, 0, errors);
    }
  });

  it("is measured: bench dht, tiny, and what answers cost", { timeout: TIMEOUT_MS }, async (t) => {
    const small = ["--nodes", "2000", "--torrents", "1000", "--lookups", "20", "--virtual-nodes", "2"];
    const simulated = Program.cli("bench", "dht", ...small, "--json");
    const answering = Program.cli("bench", "dht", "--answers", "1", "--json");
    for (const program of [simulated, answering]) t.after(() => program.stop());
    const { status, last, errors } = await simulated.result();
    assert.equal(status, 0, errors);
    const { rows } = last["found"] as { rows: { queriesPerLookup: number; peers: number }[] };
    assert.equal(rows.length, 7);
    for (const { queriesPerLookup, peers } of rows) assert.ok(queriesPerLookup >= 8 && peers >= 20);
    const answers = await answering.result();
    assert.equal(answers.status, 0, answers.errors);
    const { answers: count, bytesPerAnswer } = answers.last as { answers: number; bytesPerAnswer: number };
    assert.ok(count > 100, `${count} answers`);
    assert.ok(bytesPerAnswer > 26 * 8 && bytesPerAnswer < 400, "eight nodes and a token");
  });

  it("does not keep a command alive that fails", { timeout: TIMEOUT_MS }, async (t) => {
    const node = entryOf(await makeNodes(t), 0);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    t.after(() => taken.close());
    const address = taken.address();
    assert.ok(address !== null && typeof address === "object");
    const entrance = `127.0.0.1:${entryOf(node.addresses, 0).port}`;
    const listen = `127.0.0.1:${address.port}`;
    const magnet = `magnet:?xt=urn:btih:${"ab".repeat(20)}`;
    const place = await mkdtemp(join(tmpdir(), "scatterwire-dht-fails-"));
    t.after(() => rm(place, { recursive: true, force: true }));
    const download = Program.cli("download", magnet, "-o", place, "--listen", listen, "--dht-node", entrance);
    t.after(() => download.stop());
    const { status, errors } = await download.result();
    assert.equal(status, 1, errors);
    assert.match(errors, /EADDRINUSE/);
  });

  it("begins with nodes that are named behind --no-bootstrap, and says which state cannot be read", {
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const node = entryOf(await makeNodes(t), 0);
    const place = await mkdtemp(join(tmpdir(), "scatterwire-dht-state-"));
    t.after(() => rm(place, { recursive: true, force: true }));
    const hash = "ab".repeat(20);
    const shared = ["--no-bootstrap", "--bootstrap", `127.0.0.1:${entryOf(node.addresses, 0).port}`];
    const lookup = Program.cli("dht", "lookup", hash, "--listen", "127.0.0.1:0", ...shared);
    t.after(() => lookup.stop());
    const found = await lookup.result();
    assert.equal(found.status, 0, found.errors);
    const refused = Program.cli(
      "dht",
      "lookup",
      hash,
      "--listen",
      "127.0.0.1:0",
      "--state",
      place,
      ...shared,
    );
    t.after(() => refused.stop());
    const { status, errors } = await refused.result();
    assert.equal(status, 1, errors);
    assert.ok(errors.includes(`cannot read ${place}: `), errors);
  });

  it("ends at once where a FIFO lies in the place of the state that it writes", {
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const place = await mkdtemp(join(tmpdir(), "scatterwire-dht-fifo-"));
    t.after(() => rm(place, { recursive: true, force: true }));
    const state = join(place, "state");
    execFileSync("mkfifo", [`${state}.new`]);
    const node = Program.cli("dht", "node", "--listen", "127.0.0.1:0", "--no-bootstrap", "--state", state);
    t.after(() => node.stop("SIGKILL"));
    await until(() => Promise.resolve(`${node.output}${node.errors}`.includes("receiving")), TIMEOUT_MS);
    // Whoever waits for the reader of a FIFO is ended by no signal but the one that comes then.
    await node.stop("SIGTERM");
    assert.equal(await node.ended, 0, node.errors);
    assert.ok(readFileSync(state).toString("latin1").startsWith("scatterwire dht"));
  });

  it("goes on after packets that end other programs", { timeout: TIMEOUT_MS }, async (t) => {
    const nodes = await makeNodes(t);
    const target = entryOf(entryOf(nodes, 0).addresses, 0);
    const socket = createSocket("udp4");
    t.after(() => socket.close());
    const before = entryOf(nodes, 0).stats().counters.malformed;
    const packets = [
      "d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa6:targeti5ee1:q9:find_node1:t2:aa1:y1:qe",
      `d1:ad2:id20:${"a".repeat(20)}9:info_hashlee1:q9:get_peers1:t2:aa1:y1:qe`,
      `d${"l".repeat(1200)}`,
      "d1:t-5:aa1:y1:qe0000",
      `d1:rd2:id20:${"b".repeat(20)}6:valuesl${"3:abc".repeat(200)}ee1:t4:zzzz1:y1:re`,
    ];
    for (const packet of packets) socket.send(packet, target.port, target.host);
    await until(
      () => Promise.resolve(entryOf(nodes, 0).stats().counters.malformed >= before + 4),
      TIMEOUT_MS,
    );
    const infoHash = randomBytes(20);
    await entryOf(nodes, 0).announce(infoHash, { port: 777 });
    assert.deepEqual(await lookUp(entryOf(nodes, 7), infoHash), ["127.0.0.1:777"]);
  });
});
