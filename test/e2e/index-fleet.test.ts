// An index of a swarm of simulated and real torrents, in SQLite and in PostgreSQL, by three indexers of which one is killed on the way. The DHT is
// one of our nodes on addresses of this machine; the real torrents are seeded by our session and by libtorrent.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { MetadataSeeder } from "../../bench/load/metadata-seeder.js";
import { PYTHON } from "../../bench/rivals/installed.js";
import { Dht } from "../../src/dht/index.js";
import { createTorrentFile, Session } from "../../src/index.js";
import { openStore } from "../../src/indexer/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { temporaryIndex, until } from "../support/index-network.js";
import { PostgresServer } from "../support/postgres.js";
import { Program } from "../support/program.js";
import { entryOf } from "../support/required.js";

const LIBTORRENT = fileURLToPath(new URL("../../../test/support/libtorrent_dht.py", import.meta.url));
/** SCATTERWIRE_INDEX_TORRENTS=2000 is the length at which it was last seen to pass; of the real ones that is 45 and 5. */
const SIMULATED = Number(process.env["SCATTERWIRE_INDEX_TORRENTS"] ?? 300);
const REAL = Math.max(10, Math.ceil(SIMULATED / 45));
const LIBTORRENTS = 5;
/** Each at an address of its own: one address may bring a node a hundred torrents in a minute. */
const NODES = 32;
const AT_ONCE = 32;
const INDEXERS = 3;
const ROUNDS_MAX = 30;

interface Network {
  readonly nodes: readonly Dht[];
  readonly hashes: readonly Uint8Array[];
}

/** Calls `work` for each, some at once. */
async function forEach<Item>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      await work(entryOf(items, index), index);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
}

async function makeNetwork(later: (close: () => unknown) => void): Promise<Network> {
  const nodes: Dht[] = [];
  const seeders: MetadataSeeder[] = [];
  for (let index = 0; index < NODES; index++) {
    const host = `127.0.1.${index + 1}`;
    const node = new Dht({ listen: [{ host, port: 0 }], bootstrap: nodes[0]?.addresses ?? [] });
    later(() => node.close());
    nodes.push(node);
    const seeder = await MetadataSeeder.start(host);
    later(() => seeder.close());
    seeders.push(seeder);
  }
  await until(() => nodes.every((node) => node.stats().contacts >= 8), "nodes know each other");
  const numbers = Array.from({ length: SIMULATED }, (_, number) => number);
  const hashes: Uint8Array[] = numbers.map((number) => entryOf(seeders, number % NODES).add(number));
  await forEach(hashes, async (hash, number) => {
    await entryOf(nodes, number % NODES).announce(hash, { port: entryOf(seeders, number % NODES).port });
  });
  hashes.push(...(await seedReal(nodes, later)));
  return { nodes, hashes };
}

/** Torrents with content, which sessions of ours and of libtorrent announce by themselves. */
async function seedReal(nodes: readonly Dht[], later: (close: () => unknown) => void): Promise<Uint8Array[]> {
  const folder = temporaryFolder(later);
  const session = new Session({ dht: entryOf(nodes, 1) });
  later(() => session.close());
  // At the address that its node announces from, which is where peers look for it.
  await session.listen({ host: entryOf(entryOf(nodes, 1).addresses, 0).host, port: 0 });
  const libtorrent = new Program(PYTHON, [
    LIBTORRENT,
    `${entryOf(entryOf(nodes, 0).addresses, 0).host}:${entryOf(entryOf(nodes, 0).addresses, 0).port}`,
  ]);
  later(() => libtorrent.stop());
  await libtorrent.line("nodes");
  const hashes: Uint8Array[] = [];
  for (let index = 0; index < REAL + LIBTORRENTS; index++) {
    const name = `real ${index}`;
    writeFileSync(join(folder, name), bytesOf(index, 20_000 + index));
    const bytes = await createTorrentFile(join(folder, name), { pieceLength: 16_384 });
    if (index < REAL) hashes.push((await session.add(bytes, { directory: folder, readOnly: true })).infoHash);
    else {
      const file = join(folder, `${index}.torrent`);
      writeFileSync(file, bytes);
      libtorrent.say(`seed ${file} ${folder}`);
      const magnet = await session.add(bytes, { directory: folder, readOnly: true });
      hashes.push(magnet.infoHash);
      await magnet.close();
    }
  }
  return hashes;
}

async function indexAll(
  context: TestContext,
  { nodes, hashes }: Network,
  place: string,
  third: number,
): Promise<void> {
  const store = await openStore(place);
  context.after(() => store.close());
  const entrance = entryOf(entryOf(nodes, 0).addresses, 0);
  const indexers = Array.from({ length: INDEXERS }, (_, index) => {
    const addresses = [1, 2].flatMap((node) => ["--listen", `127.0.${third}.${2 * index + node}:0`]);
    const options = [
      "--bootstrap",
      `${entrance.host}:${entrance.port}`,
      "--lease",
      "10",
      // On a busy machine a peer may not answer in time, and the rounds of this test are shorter than the hour that a hash rests by default.
      "--retry",
      "5",
      "--lookups",
      "24",
      "--json",
    ];
    const program = Program.cli("index", "--store", place, ...addresses, ...options);
    context.after(() => program.stop());
    return program;
  });
  for (const indexer of indexers) await indexer.line("event");
  const missing = async (): Promise<Uint8Array[]> => {
    const known = new Set<string>();
    let cursor: string | undefined;
    do {
      const page = await store.search({ limit: 200, ...(cursor === undefined ? {} : { cursor }) });
      for (const { infoHash } of page.torrents) known.add(infoHash);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return hashes.filter((hash) => !known.has(Buffer.from(hash).toString("hex")));
  };
  let left = await missing();
  for (let round = 0; left.length > 0; round++) {
    assert.ok(round < ROUNDS_MAX, `${left.length} torrents are not in the index`);
    // Others look for torrents, and indexers hear of them.
    await forEach(left, async (hash, index) => {
      for await (const _ of entryOf(nodes, (index + 7 * round + 1) % NODES).lookup(hash));
    });
    if (round === 0) {
      await until(async () => {
        const { torrents, indexers: known } = await store.stats();
        return torrents >= SIMULATED / 8 && known.length >= INDEXERS;
      }, "the index grows, and knows its indexers");
      await entryOf(indexers, 0).kill();
    }
    // Until nothing more comes of this round: hashes that were heard of, claims of the dead one included, are done in the end.
    let before = -1;
    await until(async () => {
      const { torrents } = await store.stats();
      const isStill = torrents === before || torrents === hashes.length;
      before = torrents;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return isStill;
    }, "a round ends");
    left = await missing();
  }
  const { torrents, fetched, indexers: heard } = await store.stats();
  assert.equal(torrents, hashes.length);
  assert.equal(fetched, hashes.length, "each was stored once");
  assert.ok(heard.length >= INDEXERS, `${heard.length} indexers`);
  const real = await store.search({ text: "real", limit: 200 });
  assert.equal(real.torrents.length, REAL + LIBTORRENTS);
}

describe("an index of a swarm by three indexers, one killed on the way", {
  timeout: 600_000 + 600 * SIMULATED,
}, () => {
  const closes: (() => unknown)[] = [];
  let network: Network;
  before(async () => {
    network = await makeNetwork((close) => closes.push(close));
  });
  after(async () => {
    for (const close of closes.reverse()) await close();
  });

  it("is complete in SQLite", async (t) => {
    await indexAll(t, network, temporaryIndex(t), 2);
  });

  it("is complete in PostgreSQL", async (t) => {
    const server = await PostgresServer.start();
    t.after(() => server.stop());
    await indexAll(t, network, server.makeDatabase("torrents"), 3);
  });
});
