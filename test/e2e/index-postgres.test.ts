// An index in PostgreSQL, the real server: the contract; four writers at once; a server that goes and comes back.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MetadataSeeder } from "../../bench/load/metadata-seeder.js";
import { StoreError } from "../../src/base/errors.js";
import { Indexer } from "../../src/indexer/index.js";
import { openStore } from "../../src/indexer/store/open-store.js";
import type { Claim, IndexStore, Outcome } from "../../src/indexer/store/store.js";
import { makeDhtNodes, until } from "../support/index-network.js";
import { PostgresServer } from "../support/postgres.js";
import { Program } from "../support/program.js";
import { makeRandom } from "../support/property.js";
import { entryOf } from "../support/required.js";
import { FIRST, hashOf, testStore, torrentOf } from "../unit/indexer/store/contract.js";

/** SCATTERWIRE_INDEX_SECONDS=3600 SCATTERWIRE_INDEX_PAUSE_MS=100 is an hour of it, beside other work. */
const SECONDS = Number(process.env["SCATTERWIRE_INDEX_SECONDS"] ?? 60);
const PAUSE_MS = Number(process.env["SCATTERWIRE_INDEX_PAUSE_MS"] ?? 5);
const WRITERS = 4;
/** That are in use at once; whenever one is found, another becomes known. */
const HASHES = 20_000;
const LEASE_MS = 3000;
/** Nobody waits longer than the watchdog for one call. */
const STALL_MS = 60_000;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("index on PostgreSQL", () => {
  let server: PostgresServer;
  let databases = 0;
  before(async () => {
    server = await PostgresServer.start();
  });
  after(() => server.stop());

  testStore("the store", {
    newPlace: () => server.makeDatabase(`index${databases++}`),
    open: openStore,
  });

  it("has four writers at once: nobody is stopped, nothing is claimed twice, and each hash is finished once", {
    timeout: (SECONDS + 180) * 1000,
  }, async (t) => {
    const place = server.makeDatabase("writers");
    const seed = Math.floor(Math.random() * 2 ** 32);
    const claims = new LiveClaims(seed);
    const writers = await Promise.all(
      Array.from(
        { length: WRITERS },
        async (_, index) => new Writer(await openStore(place), index, seed, claims),
      ),
    );
    t.after(() => Promise.all(writers.map(({ store }) => store.close())));
    const end = performance.now() + 1000 * SECONDS;
    let told = performance.now();
    const report = setInterval(() => {
      if (performance.now() - told < 60_000) return;
      told = performance.now();
      t.diagnostic(`${summaryOf(writers, claims)}`);
    }, 1000);
    t.after(() => clearInterval(report));
    await Promise.all(writers.map((writer) => writer.workUntil(end)));
    const { torrents, fetched } = await entryOf(writers, 0).store.stats();
    assert.deepEqual([torrents, fetched], [claims.found.size, claims.found.size]);
    for (const { rounds, longestMs } of writers)
      assert.ok(rounds > 0 && longestMs < STALL_MS, summaryOf(writers, claims));
    const [row] = server.ask(
      "writers",
      "SELECT deadlocks, xact_commit, xact_rollback FROM pg_stat_database WHERE datname = 'writers'",
    );
    t.diagnostic(`${summaryOf(writers, claims)}; deadlocks, commits, rollbacks: ${row}`);
    assert.equal(row?.split("|")[0], "0", "nobody waits in a circle");
  });

  it("lets a hash fail more often than it can count", async (t) => {
    const place = server.makeDatabase("failures");
    const store = await openStore(place);
    t.after(() => store.close());
    await store.see([{ infoHash: hashOf(1), hits: 1 }]);
    server.ask("failures", "UPDATE hash SET attempts = 32767");
    const [claim] = await store.claim({ owner: "one", from: FIRST, count: 1, leaseMs: LEASE_MS });
    assert.equal(claim?.attempts, 32_767);
    assert.deepEqual(await store.finish("one", [{ kind: "failed", infoHash: hashOf(1), retryMs: 1 }]), [
      true,
    ]);
  });

  it("has the work of an indexer that was killed when its leases end, and not before", {
    timeout: 240_000,
  }, async (t) => {
    const nodes = await makeDhtNodes(t, 8);
    const place = server.makeDatabase("killed");
    const [entrance] = nodes[0]?.addresses ?? [];
    const hashes = Array.from({ length: 20 }, (_, n) => hex(hashOf(n)));
    const indexer = Program.cli(
      ...["index", "--store", place, "--listen", "127.0.0.1:0", "--nodes", "2", "--json", "--lease", "5"],
      ...["--bootstrap", `127.0.0.1:${entrance?.port}`],
      ...hashes.flatMap((hash) => ["--add", hash]),
    );
    t.after(() => indexer.stop());
    const claimed = (): [string, number][] =>
      server
        .ask("killed", "SELECT encode(info_hash, 'hex'), due_ms FROM hash WHERE state = 1")
        .map((row): [string, number] => [row.slice(0, 40), Number(row.slice(41))]);
    await indexer.line("event");
    await until(() => indexer.over || claimed().length > 0, "it has claimed something");
    await indexer.kill();
    const sessions =
      "SELECT 1 FROM pg_stat_activity WHERE datname = 'killed' AND application_name = 'scatterwire index'";
    await until(() => server.ask("killed", sessions).length === 0, "the server has seen that it is gone");
    const left = new Map(claimed());
    const store = await openStore(place);
    t.after(() => store.close());
    assert.ok(left.size > 0, "it died with what it had");
    const back = new Set<string>();
    await until(async () => {
      const claims = await store.claim({ owner: "heir", from: FIRST, count: 100, leaseMs: 600_000 });
      const nowMs = Number(server.ask("killed", "SELECT extract(epoch FROM clock_timestamp()) * 1000")[0]);
      for (const key of claims.map(({ infoHash }) => hex(infoHash))) {
        const due = left.get(key);
        if (due === undefined) continue;
        assert.ok(nowMs >= due, `${key} came back ${due - nowMs} ms before its lease ended`);
        back.add(key);
      }
      return back.size === left.size;
    }, "all of it comes back");
    t.diagnostic(`${left.size} hashes came back`);
  });

  it("loses nothing of an indexer at work when the server goes, and has all when it is back", {
    timeout: 300_000,
  }, async (t) => {
    const other = await PostgresServer.start();
    t.after(() => other.stop());
    const nodes = await makeDhtNodes(t, 8);
    const seeder = await MetadataSeeder.start("127.0.0.1");
    t.after(() => seeder.close());
    const hashes = Array.from({ length: 12 }, (_, number) => seeder.add(number));
    await Promise.all(hashes.map((hash, n) => nodes[n % 8]?.announce(hash, { port: seeder.port })));
    const store = await openStore(other.makeDatabase("away"));
    t.after(() => store.close());
    const here = { host: "127.0.0.1", port: 0 };
    const bootstrap = nodes[0]?.addresses ?? [];
    const indexer = new Indexer({
      store,
      samples: false,
      leaseMs: 5000,
      dht: { listen: [here, here], bootstrap },
    });
    t.after(() => indexer.close());
    const warnings: string[] = [];
    indexer.on("warning", (text) => warnings.push(text));
    indexer.add(hashes.slice(0, 6));
    await until(() => indexer.stats().counters.stored >= 2, "some are stored");
    await other.kill();
    indexer.add(hashes);
    await until(() => indexer.stats().counters.storeFailures >= 2, "it has found that the server is gone");
    await other.startAgain();
    await until(async () => (await store.stats().catch(() => undefined))?.torrents === 12, "all are stored");
    assert.equal((await store.stats()).fetched, 12, "each once");
    assert.ok(
      warnings.some((text) => /cannot be reached.*waits/.test(text)),
      warnings.join("\n"),
    );
    await until(() => warnings.some((text) => /works again/.test(text)), "it says that it is well");
  });

  it("says when the server is gone, and goes on when it is back", { timeout: 180_000 }, async (t) => {
    const other = await PostgresServer.start();
    t.after(() => other.stop());
    const store = await openStore(other.makeDatabase("gone"));
    t.after(() => store.close());
    await store.see([{ infoHash: hashOf(1), hits: 1 }]);
    await other.kill();
    await assert.rejects(
      store.see([{ infoHash: hashOf(2), hits: 1 }]),
      (error) => error instanceof StoreError && error.code === "STORE_UNREACHABLE",
    );
    await other.startAgain();
    await until(async () => {
      const added = await store.see([{ infoHash: hashOf(2), hits: 1 }]).catch(() => undefined);
      return added === 1;
    }, "the store works again");
    assert.equal((await store.claim({ owner: "me", from: FIRST, count: 9, leaseMs: 1000 })).length, 2);
  });
});

/** Which claims are live, as the writers know: no two of them may be of one hash. */
class LiveClaims {
  readonly found = new Set<string>();
  claimed = 0;
  /** Of those, claims of a hash that another had and let lie until its lease ended. */
  inherited = 0;
  readonly #held = new Map<string, { owner: string; untilMs: number }>();
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** `sentMs`: when they were asked for; the server gave the leases after that. */
  add(claims: readonly Claim[], owner: string, sentMs: number): void {
    for (const { infoHash } of claims) {
      const key = hex(infoHash);
      const other = this.#held.get(key);
      const isLive = other !== undefined && other.owner !== owner && performance.now() < other.untilMs;
      assert.ok(!isLive, `${key} is claimed by ${owner}, and by ${other?.owner} (SEED=${this.#seed})`);
      assert.ok(!this.found.has(key), `${key} was found, and is claimed again (SEED=${this.#seed})`);
      this.#held.set(key, { owner, untilMs: sentMs + LEASE_MS });
      this.claimed++;
      if (other !== undefined) this.inherited++;
    }
  }

  /** What is about to be told to the store: a failure may be anybody's from now on, since prune() forgets it before its time, too. */
  finishing(outcomes: readonly Outcome[], owner: string): void {
    for (const outcome of outcomes) {
      const key = hex(hashOfOutcome(outcome));
      if (outcome.kind === "failed" && this.#held.get(key)?.owner === owner) this.#held.delete(key);
    }
  }

  finished(outcomes: readonly Outcome[], counts: readonly boolean[]): void {
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.kind !== "fetched" || counts[index] !== true) continue;
      const key = hex(outcome.torrent.infoHash);
      assert.ok(!this.found.has(key), `${key} was found twice (SEED=${this.#seed})`);
      this.found.add(key);
      this.#held.delete(key);
    }
  }
}

/** What an indexer does with its store, without the network: it sees, claims, finishes, prunes, and now and then dies with what it has. */
class Writer {
  readonly store: IndexStore;
  rounds = 0;
  longestMs = 0;
  readonly #random: () => number;
  readonly #claims: LiveClaims;
  readonly #index: number;
  #life = 0;

  constructor(store: IndexStore, index: number, seed: number, claims: LiveClaims) {
    this.store = store;
    this.#index = index;
    this.#random = makeRandom(seed + index);
    this.#claims = claims;
  }

  async workUntil(endMs: number): Promise<void> {
    for (; performance.now() < endMs; this.#life++) {
      for (let round = 0; round < 20 && performance.now() < endMs; round++) {
        await this.#round(round === 19);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  async #round(dies: boolean): Promise<void> {
    const random = this.#random;
    // Another name after each death.
    const owner = `writer ${this.#index} life ${this.#life}`;
    const pick = (): Uint8Array => hashOf(this.#claims.found.size + Math.floor(random() ** 2 * HASHES));
    const sightings = Array.from({ length: 100 }, () => ({ infoHash: pick(), hits: 1 }));
    await this.#call((store) => store.see(sightings));
    const from = Uint8Array.from(FIRST);
    from[0] = Math.floor(256 * random());
    const sentMs = performance.now();
    const claims = await this.#call((store) => store.claim({ owner, from, count: 20, leaseMs: LEASE_MS }));
    this.#claims.add(claims, owner, sentMs);
    if (dies) return;
    const outcomes = claims.map(
      ({ infoHash }): Outcome =>
        random() < 0.5
          ? { kind: "fetched", torrent: torrentOf(infoHash, `torrent ${hex(infoHash)}`) }
          : { kind: "failed", infoHash, retryMs: Math.floor(2000 * random()) },
    );
    // In any order: the store sees to it that nobody waits in a circle.
    outcomes.sort(() => random() - 0.5);
    this.#claims.finishing(outcomes, owner);
    const counts = await this.#call((store) => store.finish(owner, outcomes));
    this.#claims.finished(outcomes, counts);
    await this.#call((store) => store.worked({ owner, lookups: claims.length, queries: 0, fetches: 0 }));
    if (this.rounds % 7 === 0) await this.#call((store) => store.prune({ hashesMax: HASHES / 2 }));
    this.rounds++;
  }

  async #call<Value>(work: (store: IndexStore) => Promise<Value>): Promise<Value> {
    const startedMs = performance.now();
    const value = await work(this.store);
    this.longestMs = Math.max(this.longestMs, performance.now() - startedMs);
    return value;
  }
}

function hashOfOutcome(outcome: Outcome): Uint8Array {
  return outcome.kind === "fetched" ? outcome.torrent.infoHash : outcome.infoHash;
}

function summaryOf(writers: readonly Writer[], { claimed, inherited, found }: LiveClaims): string {
  const rounds = writers.map((writer) => writer.rounds).join(", ");
  const longestMs = Math.max(...writers.map((writer) => writer.longestMs)).toFixed(0);
  return `rounds ${rounds}; ${claimed} claims, ${inherited} of what a dead writer had; ${found.size} torrents; longest call ${longestMs} ms`;
}
