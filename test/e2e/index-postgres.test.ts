// An index in PostgreSQL, the real server: the contract; four writers at once; a server that goes and comes back.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { StoreError } from "../../src/base/errors.js";
import { openStore } from "../../src/indexer/store/open-store.js";
import type { Claim, IndexStore, Outcome } from "../../src/indexer/store/store.js";
import { until } from "../support/index-network.js";
import { PostgresServer } from "../support/postgres.js";
import { makeRandom } from "../support/property.js";
import { FIRST, hashOf, testStore, torrentOf } from "../unit/indexer/store/contract.js";

/** SCATTERWIRE_INDEX_SECONDS=3600 is an hour of it. */
const SECONDS = Number(process.env["SCATTERWIRE_INDEX_SECONDS"] ?? 20);
const WRITERS = 4;
const HASHES = 20_000;
const LEASE_MS = 3000;
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
    const finished = new Set<string>();
    /** Live claims by hash: whose, and until when at the least. */
    const held = new Map<string, { owner: string; untilMs: number }>();
    const calls = new Array<number>(WRITERS).fill(0);
    const end = performance.now() + 1000 * SECONDS;

    const note = (claims: readonly Claim[], owner: string, sentMs: number): void => {
      for (const { infoHash } of claims) {
        const key = hex(infoHash);
        const other = held.get(key);
        // The server gave the lease after we asked for it.
        const isLive = other !== undefined && other.owner !== owner && performance.now() < other.untilMs;
        assert.ok(!isLive, `${key} is claimed by ${owner}, and by ${other?.owner} (SEED=${seed})`);
        held.set(key, { owner, untilMs: sentMs + LEASE_MS });
      }
    };

    const write = async (store: IndexStore, writer: number): Promise<void> => {
      const random = makeRandom(seed + writer);
      const pick = (): Uint8Array => hashOf(Math.floor(random() ** 2 * HASHES));
      for (let life = 0; performance.now() < end; life++) {
        // Now and then one dies with what it has: another name goes on.
        const owner = `writer ${writer} life ${life}`;
        for (let round = 0; round < 20 && performance.now() < end; round++) {
          await store.see(Array.from({ length: 100 }, () => ({ infoHash: pick(), hits: 1 })));
          const from = Uint8Array.from(FIRST);
          from[0] = Math.floor(256 * random());
          const sentMs = performance.now();
          const claims = await store.claim({ owner, from, count: 20, leaseMs: LEASE_MS });
          note(claims, owner, sentMs);
          if (round === 19) break;
          const outcomes = claims.map(
            ({ infoHash }): Outcome =>
              random() < 0.5
                ? { kind: "fetched", torrent: torrentOf(infoHash, `torrent ${hex(infoHash)}`) }
                : { kind: "failed", infoHash, retryMs: Math.floor(2000 * random()) },
          );
          // In any order: the store sees to it that nobody waits in a circle.
          outcomes.sort(() => random() - 0.5);
          const counts = await store.finish(owner, outcomes);
          for (const [index, outcome] of outcomes.entries()) {
            const { infoHash } = outcome.kind === "fetched" ? outcome.torrent : outcome;
            if (held.get(hex(infoHash))?.owner === owner) held.delete(hex(infoHash));
            if (outcome.kind !== "fetched" || counts[index] !== true) continue;
            assert.ok(!finished.has(hex(infoHash)), "found once");
            finished.add(hex(infoHash));
          }
          await store.worked({ owner, lookups: claims.length, queries: 0, fetches: 0 });
          if (round % 7 === 0) await store.prune({ hashesMax: HASHES / 2 });
          calls[writer]!++;
        }
      }
    };

    const stores = await Promise.all(Array.from({ length: WRITERS }, () => openStore(place)));
    t.after(() => Promise.all(stores.map((store) => store.close())));
    await Promise.all(stores.map(write));
    const [store] = stores;
    assert.ok(store !== undefined);
    const { torrents, fetched } = await store.stats();
    assert.deepEqual([torrents, fetched], [finished.size, finished.size]);
    assert.ok(
      calls.every((count) => count > 0),
      `rounds of each: ${calls}`,
    );
    t.diagnostic(`rounds of each writer: ${calls.join(", ")}; ${finished.size} torrents`);
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
