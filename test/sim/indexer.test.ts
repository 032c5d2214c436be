// The whole indexer in virtual time: nodes of the DHT over datagrams in memory, sessions that seed over streams in memory, and two indexers
// with one store, of which one dies with what it had claimed. Hashes are heard of by sampling and by others' lookups; what nobody has fails.
//
// Always: what happens, and when, follows from the seed: two runs of one seed are the same to the millisecond.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { addressOf, DhtNetwork } from "../../bench/load/dht-network.js";
import { Dht } from "../../src/dht/index.js";
import { createTorrentFile, type Metainfo, parseMetainfo, Session } from "../../src/index.js";
import { Indexer } from "../../src/indexer/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { InlineStore } from "../support/inline-store.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const WIRE = { delayMs: 30, bytesPerMs: 1000, windowBytes: 65_536 };
const STEP_MS = 20;
const PORT = 6881;
const NODES = 32;
const SEEDERS = 8;
const TORRENTS = 24;
const NOBODYS = 5;
const LEASE_MS = 60_000;
const EPOCH_MS = 1_700_000_000_000;
/** Virtual time in which all is to be found. */
const MS_MAX = 30 * 60_000;

interface Ending {
  readonly trace: readonly string[];
  readonly digest: string;
  readonly found: number;
  readonly foundByFirst: number;
  readonly inherited: number;
}

describe(`an indexer in virtual time (SEED=${SEED})`, { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const shared: Metainfo[] = [];
  before(async () => {
    for (let number = 0; number < TORRENTS; number++) {
      writeFileSync(join(folder, `data ${number}`), bytesOf(number, 20_000 + number));
      shared.push(
        parseMetainfo(await createTorrentFile(join(folder, `data ${number}`), { pieceLength: 16_384 })),
      );
    }
  });

  it("has every torrent once, though one of two indexers dies, and does the same again with the same seed", async (t) => {
    const first = await index(SEED, folder, shared);
    t.diagnostic(
      `${first.found} torrents, ${first.foundByFirst} by the one that died, ${first.inherited} hashes came back when its leases ended; ${first.trace.at(-1)}`,
    );
    const again = await index(SEED, folder, shared);
    assert.deepEqual(again.trace, first.trace);
    assert.equal(again.digest, first.digest);
  });
});

async function index(seed: number, folder: string, shared: readonly Metainfo[]): Promise<Ending> {
  const datagrams = new DhtNetwork({ seed, loss: 0.02, medianDelayMs: 60 });
  const streams = new SimulatedNetwork(seed);
  const nowMs = (): number => datagrams.ground.nowMs();
  const run = async (ms: number): Promise<void> => {
    for (const end = nowMs() + ms; nowMs() < end; ) {
      await datagrams.run(STEP_MS);
      streams.later(nowMs() - streams.nowMs, () => {});
      await streams.run(() => streams.nowMs >= nowMs(), 2 * STEP_MS, "both networks have one time");
    }
  };
  const closes: (() => unknown)[] = [];
  const nodes: Dht[] = [];
  for (let number = 0; number < NODES; number++) {
    const id = new Uint8Array(20);
    datagrams.ground.fillRandom(id, 0);
    const listen = [{ host: addressOf(0x0b000001 + 0x10000 * number), port: PORT }];
    const node = new Dht({ listen, id, bootstrap: nodes[0]?.addresses ?? [] }, datagrams.world());
    closes.push(() => node.close());
    nodes.push(node);
    await run(100);
  }
  await run(30_000);
  await seedAll(nodes, streams, folder, shared, run, closes);

  const store = await InlineStore.open(() => EPOCH_MS + nowMs());
  const trace: string[] = [];
  const stored = new Set<string>();
  const begin = (owner: string, mine: InlineStore, at: number): Indexer => {
    const hosts = [0, 1].map((node) => addressOf(0x0c000001 + 0x10000 * (2 * at + node)));
    const indexer = new Indexer(
      {
        owner,
        store: mine,
        leaseMs: LEASE_MS,
        dht: {
          listen: hosts.map((host) => ({ host, port: PORT })),
          bootstrap: nodes[0]?.addresses ?? [],
          limitsNetworks: true,
        },
      },
      { dht: datagrams.world(), peers: streams.addMachine(hosts[0] ?? "", WIRE) },
    );
    indexer.on("torrent", ({ infoHash }) => {
      trace.push(`${nowMs().toFixed(3)} ${owner} ${infoHash}`);
      assert.ok(!stored.has(infoHash), `${infoHash} is stored once (SEED=${seed})`);
      stored.add(infoHash);
    });
    return indexer;
  };
  const end = nowMs() + MS_MAX;
  const runUntil = async (done: () => Promise<boolean> | boolean, what: string): Promise<void> => {
    while (!(await done())) {
      assert.ok(nowMs() < end, `did not happen in virtual time: ${what} (SEED=${seed})\n${trace.join("\n")}`);
      await run(100);
    }
  };

  // One is told of what nobody has and of every second torrent, the rest is heard of. In the middle of its work it dies, and another begins.
  const deadStore = store.another();
  const mortal = begin("first", deadStore, 0);
  mortal.add(Array.from({ length: NOBODYS }, (_, n) => createHash("sha1").update(`${seed} ${n}`).digest()));
  mortal.add(shared.flatMap(({ infoHash }, at) => (at % 2 === 0 ? [infoHash] : [])));
  await runUntil(
    () => stored.size > 0 && mortal.stats().lookupsUnderWay > 0,
    "the first has found something, and works on more",
  );
  deadStore.isDead = true;
  const foundByFirst = stored.size;
  const { lookupsUnderWay: inherited } = mortal.stats();
  const other = begin("second", store, 1);
  await runUntil(async () => {
    const { torrents, failed } = await store.stats();
    return torrents === TORRENTS && failed >= NOBODYS;
  }, "all is found, what the dead one had claimed included, and what nobody has is given up");

  const { torrents, fetched, hashes } = await store.stats();
  assert.deepEqual([torrents, fetched], [TORRENTS, TORRENTS]);
  for (const { infoHash, name } of shared) assert.equal((await store.get(infoHash))?.name, name);
  trace.push(`${nowMs().toFixed(3)} ms: ${hashes} hashes; ${JSON.stringify(other.stats().counters)}`);
  const closed = Promise.all([other.close(), mortal.close()]);
  closes.push(() => closed);
  for (const close of closes.reverse()) {
    let isOver = false;
    void Promise.resolve(close()).then(() => {
      isOver = true;
    });
    while (!isOver) await run(500);
  }
  assert.equal(await store.release("second"), 0, "what was claimed is given back");
  await store.close();
  const digest = createHash("sha1").update(trace.join("\n")).digest("hex");
  return { trace, digest, found: torrents, foundByFirst, inherited };
}

/** Sessions at the addresses of nodes, which announce what they have. */
async function seedAll(
  nodes: readonly Dht[],
  streams: SimulatedNetwork,
  folder: string,
  shared: readonly Metainfo[],
  run: (ms: number) => Promise<void>,
  closes: (() => unknown)[],
): Promise<void> {
  for (let number = 0; number < SEEDERS; number++) {
    const node = nodes[number];
    const host = node?.addresses[0]?.host ?? "";
    const session = new Session({}, streams.addMachine(host, WIRE));
    closes.push(() => session.close());
    const starting = [session.listen({ host, port: PORT })] as Promise<unknown>[];
    for (let at = number; at < shared.length; at += SEEDERS) {
      const metainfo = shared[at];
      if (node === undefined || metainfo === undefined) continue;
      starting.push(session.addInBackground(metainfo, { directory: folder, readOnly: true }).ready);
      starting.push(node.announce(metainfo.infoHash, { port: PORT }));
    }
    let isOver = false;
    void Promise.all(starting).then(() => {
      isOver = true;
    });
    while (!isOver) await run(200);
  }
}
