// What every store of an index must do, whatever keeps it. Each test gets an empty store, and may open more on the same data.
//
// One file, because a contract is read as a whole.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { StoreError, UsageError } from "../../../../src/base/errors.js";
import {
  type FoundTorrent,
  HISTORY_MS_MAX,
  type IndexedTorrent,
  type IndexStore,
  type Outcome,
  type SearchQuery,
  type StoreOptions,
} from "../../../../src/indexer/store/store.js";
import { makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

export interface StoreMaker {
  /** A place for an index that is empty. */
  newPlace(context: TestContext): string;
  open(place: string, options?: StoreOptions): Promise<IndexStore>;
}

export const FIRST = new Uint8Array(20);
const LEASE_MS = 60_000;
const HOUR_MS = 3_600_000;
const OURS = "ours";

export function hashOf(n: number): Uint8Array {
  return Uint8Array.from(createHash("sha1").update(String(n)).digest());
}

/** The first byte says where it lies. */
export function hashAt(first: number, last = 0): Uint8Array {
  const hash = new Uint8Array(20);
  hash[0] = first;
  hash[19] = last;
  return hash;
}

export function torrentOf(
  infoHash: Uint8Array,
  name: string,
  more: Partial<FoundTorrent> = {},
): FoundTorrent {
  const files = more.files ?? [{ path: name, bytes: 1000 }];
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return {
    infoHash,
    name,
    bytes,
    pieceBytes: 16_384,
    isPrivate: false,
    fileCount: files.length,
    files,
    ...more,
  };
}

const fetched = (torrent: FoundTorrent): Outcome => ({ kind: "fetched", torrent });
const failed = (infoHash: Uint8Array, retryMs = HOUR_MS): Outcome => ({ kind: "failed", infoHash, retryMs });
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Puts torrents in as an indexer does. */
export async function fill(store: IndexStore, torrents: readonly FoundTorrent[]): Promise<void> {
  await store.see(torrents.map(({ infoHash }) => ({ infoHash, hits: 1 })));
  await store.finish(OURS, torrents.map(fetched));
}

export function testStore(name: string, maker: StoreMaker): void {
  describe(name, () => {
    /** A store whose clock a test moves on. */
    async function setUp(context: TestContext): Promise<{
      store: IndexStore;
      clock: { nowMs: number };
      another: () => Promise<IndexStore>;
    }> {
      const clock = { nowMs: 1_700_000_000_000 };
      const place = maker.newPlace(context);
      const another = async (): Promise<IndexStore> => {
        const store = await maker.open(place, { nowMs: () => clock.nowMs });
        context.after(() => store.close());
        return store;
      };
      return { store: await another(), clock, another };
    }

    async function claimed(
      store: IndexStore,
      owner = OURS,
      count = 100,
      from: Uint8Array = FIRST,
    ): Promise<string[]> {
      const claims = await store.claim({ owner, from, count, leaseMs: LEASE_MS });
      return claims.map(({ infoHash }) => hexOf(infoHash));
    }

    async function namesOf(store: IndexStore, query: SearchQuery): Promise<string[]> {
      const { torrents, isWhole } = await store.search(query);
      assert.ok(isWhole);
      return torrents.map(({ name: found }) => found);
    }

    it("counts what is new, and claims it in order of the hashes, each once", async (t) => {
      const { store, another } = await setUp(t);
      const hashes = Array.from({ length: 50 }, (_, n) => hashOf(n));
      const twice = [...hashes, ...hashes.slice(0, 5)];
      assert.equal(await store.see(twice.map((infoHash) => ({ infoHash, hits: 2 }))), 50);
      assert.equal(await store.see([{ infoHash: entryOf(hashes, 0), hits: 1 }]), 0);
      const other = await another();
      const sorted = hashes.map(hexOf).sort();
      assert.deepEqual(await claimed(store, OURS, 10), sorted.slice(0, 10));
      assert.deepEqual(
        await claimed(other, "theirs", 10),
        sorted.slice(10, 20),
        "what is claimed is passed over",
      );
      const middle = Buffer.from(entryOf(sorted, 40), "hex");
      assert.deepEqual(await claimed(store, OURS, 100, middle), sorted.slice(40));
      assert.deepEqual(await claimed(other, "theirs"), sorted.slice(20, 40));
      assert.deepEqual(await claimed(other, "theirs"), []);
    });

    it("claims of a stretch of the key space only", async (t) => {
      const { store } = await setUp(t);
      await store.see([1, 2, 3, 255].map((n) => ({ infoHash: hashAt(n), hits: 1 })));
      const claims = await store.claim({
        owner: OURS,
        from: hashAt(2),
        to: hashAt(3),
        count: 9,
        leaseMs: LEASE_MS,
      });
      assert.deepEqual(
        claims.map(({ infoHash }) => hexOf(infoHash)),
        [hexOf(hashAt(2))],
      );
      assert.deepEqual(await claimed(store, OURS, 9, hashAt(3)), [hashAt(3), hashAt(255)].map(hexOf));
    });

    it("gives work back when a lease ends, and lets a late owner change nothing", async (t) => {
      const { store, clock, another } = await setUp(t);
      const [a, b] = [hashAt(1), hashAt(2)];
      await store.see([a, b].map((infoHash) => ({ infoHash, hits: 1 })));
      assert.equal((await claimed(store, "dead")).length, 2);
      clock.nowMs += LEASE_MS - 1;
      const other = await another();
      assert.deepEqual(await claimed(other, "theirs"), []);
      clock.nowMs += 2000;
      assert.deepEqual(await claimed(other, "theirs"), [a, b].map(hexOf));
      const late = await store.finish("dead", [failed(a), fetched(torrentOf(b, "late"))]);
      assert.deepEqual(late, [false, false]);
      const good = await other.finish("theirs", [fetched(torrentOf(a, "in time")), failed(b)]);
      assert.deepEqual(good, [true, true]);
      assert.deepEqual(await namesOf(store, {}), ["in time"]);
    });

    it("gives back at once what an owner releases, and nothing of another's", async (t) => {
      const { store } = await setUp(t);
      await store.see([1, 2, 3].map((n) => ({ infoHash: hashAt(n), hits: 1 })));
      await claimed(store, "ours", 2);
      await claimed(store, "theirs", 1);
      assert.equal(await store.release("ours"), 2);
      assert.deepEqual(await claimed(store, "others"), [hashAt(1), hashAt(2)].map(hexOf));
    });

    it("lets what failed rest until its time has come, and counts attempts", async (t) => {
      const { store, clock } = await setUp(t);
      const infoHash = hashAt(7);
      await store.see([{ infoHash, hits: 8 }]);
      await claimed(store);
      assert.deepEqual(await store.finish(OURS, [failed(infoHash)]), [true]);
      assert.deepEqual(await store.finish(OURS, [failed(infoHash)]), [false], "it has no claim any more");
      assert.equal(await store.see([{ infoHash, hits: 1 }]), 0);
      clock.nowMs += HOUR_MS - 1000;
      assert.deepEqual(await claimed(store), []);
      clock.nowMs += 3000;
      const claims = await store.claim({ owner: OURS, from: FIRST, count: 5, leaseMs: LEASE_MS });
      assert.deepEqual(
        claims.map(({ infoHash: found, attempts }) => [hexOf(found), attempts]),
        [[hexOf(infoHash), 1]],
      );
    });

    it("keeps a torrent with its files, once, and counts how often its hash is seen", async (t) => {
      const { store, clock } = await setUp(t);
      const infoHash = hashAt(9);
      const files = [
        { path: "album/01 größe.flac", bytes: 5_000_000_000 },
        { path: "album/cover.jpg", bytes: 70_000 },
      ];
      const torrent = torrentOf(infoHash, "album", {
        files,
        fileCount: 3,
        isPrivate: true,
        pieceBytes: 2 ** 22,
      });
      await store.see([{ infoHash, hits: 4 }]);
      await claimed(store);
      assert.deepEqual(await store.finish(OURS, [fetched(torrent), fetched(torrent)]), [true, false]);
      clock.nowMs += 5000;
      await store.see([{ infoHash, hits: 3 }]);
      assert.deepEqual(await store.finish(OURS, [fetched(torrent)]), [false]);
      assert.deepEqual(await store.get(infoHash), {
        infoHash: hexOf(infoHash),
        name: "album",
        bytes: 5_000_070_000,
        pieceBytes: 2 ** 22,
        isPrivate: true,
        fileCount: 3,
        discoveredMs: clock.nowMs - 5000,
        seenMs: clock.nowMs,
        hits: 7,
        files,
      });
      assert.equal(await store.get(hashAt(10)), undefined);
      clock.nowMs += 100 * HOUR_MS;
      assert.deepEqual(await claimed(store), [], "what was found is not looked for again");
    });

    it("counts no farther than it can, and takes what is told with it all the same", async (t) => {
      const { store } = await setUp(t);
      const [loud, quiet] = [hashAt(1), hashAt(2)];
      const most = 2 ** 31 - 1;
      for (const hits of [most, most, 2 * most])
        await store.see([
          { infoHash: loud, hits },
          { infoHash: quiet, hits: 1 },
        ]);
      await store.finish(
        OURS,
        [loud, quiet].map((infoHash, n) => fetched(torrentOf(infoHash, `t${n}`))),
      );
      assert.ok(((await store.get(loud))?.hits ?? 0) >= most);
      assert.equal((await store.get(quiet))?.hits, 3);
    });

    it("takes what a peer brought by itself, unless another works on it", async (t) => {
      const { store, another } = await setUp(t);
      const [fresh, resting, taken] = [hashAt(1), hashAt(2), hashAt(3)];
      await store.see([resting, taken].map((infoHash) => ({ infoHash, hits: 1 })));
      await claimed(store, OURS, 1);
      await store.finish(OURS, [failed(resting)]);
      await claimed(await another(), "theirs");
      const outcomes = [fresh, resting, taken].map((infoHash, n) => fetched(torrentOf(infoHash, `t${n}`)));
      assert.deepEqual(await store.finish(OURS, outcomes), [true, true, false]);
      assert.deepEqual((await namesOf(store, {})).sort(), ["t0", "t1"]);
    });

    it("leaves out for good what was removed, seen before or not", async (t) => {
      const { store, clock } = await setUp(t);
      const [known, unknown, claimedOne] = [hashAt(1), hashAt(2), hashAt(3)];
      await fill(store, [torrentOf(known, "gone soon")]);
      await store.see([{ infoHash: claimedOne, hits: 1 }]);
      await claimed(store);
      assert.equal(await store.remove([known, unknown, claimedOne, known]), 1);
      assert.deepEqual(await namesOf(store, { text: "gone" }), []);
      assert.equal(await store.get(known), undefined);
      assert.equal(
        await store.see([known, unknown, claimedOne].map((infoHash) => ({ infoHash, hits: 1 }))),
        0,
      );
      clock.nowMs += 1000 * HOUR_MS;
      assert.deepEqual(await claimed(store), []);
      const outcomes = [known, unknown, claimedOne].map((infoHash) => fetched(torrentOf(infoHash, "back")));
      assert.deepEqual(await store.finish(OURS, outcomes), [false, false, false]);
      assert.equal((await store.stats()).torrents, 0);
    });

    it("goes on as before after each torrent that was removed", async (t) => {
      const { store } = await setUp(t);
      const hashes = Array.from({ length: 20 }, (_, n) => hashAt(n));
      await fill(
        store,
        hashes.map((infoHash, n) => torrentOf(infoHash, `word number${n}`)),
      );
      for (const [n, infoHash] of hashes.entries()) {
        assert.equal(await store.remove([infoHash]), 1);
        await store.prune({ torrentsMax: 1000 });
        await store.see([{ infoHash: hashAt(100 + n), hits: 1 }]);
        await store.finish(OURS, [fetched(torrentOf(hashAt(200, n), `word later${n}`))]);
        assert.deepEqual(await namesOf(store, { text: `later${n}` }), [`word later${n}`]);
      }
      assert.equal((await store.stats()).torrents, hashes.length);
    });

    it("keeps statistics of all indexers", async (t) => {
      const { store, clock, another } = await setUp(t);
      const other = await another();
      await fill(store, [torrentOf(hashAt(1), "one"), torrentOf(hashAt(2), "two")]);
      await store.see([{ infoHash: hashAt(3), hits: 1 }]);
      await claimed(other, "theirs");
      await other.finish("theirs", [{ kind: "unusable", infoHash: hashAt(3) }]);
      await store.worked({ owner: OURS, lookups: 3, queries: 50, fetches: 4 });
      clock.nowMs += 11 * 60_000;
      await other.worked({ owner: "theirs", lookups: 1, queries: 10, fetches: 2 });
      await store.remove([hashAt(1)]);
      const { storeBytes, indexers, ...sums } = await store.stats();
      const all = { fetched: 2, failed: 0, unusable: 1, removed: 1, lookups: 4, queries: 60, fetches: 6 };
      assert.deepEqual(sums, { hashes: 3, torrents: 1, ...all });
      assert.ok(storeBytes > 0);
      assert.deepEqual(
        indexers.map(({ owner }) => owner),
        ["theirs", OURS],
      );
      const steps = await store.history(0, 100);
      assert.deepEqual(
        steps.map(({ lookups, removed }) => [lookups, removed]),
        [
          [3, 0],
          [1, 1],
        ],
      );
      assert.equal((await store.history(entryOf(steps, 1).atMs, 100)).length, 1);
    });

    it("prunes the oldest torrents by number and age, and hashes seen longest ago", async (t) => {
      const { store, clock } = await setUp(t);
      for (let n = 1; n <= 5; n++) {
        await fill(store, [torrentOf(hashAt(n), `t${n}`)]);
        clock.nowMs += HOUR_MS;
      }
      assert.deepEqual(await store.prune({ torrentsMax: 4 }), { torrents: 1, hashes: 0, isOver: true });
      assert.deepEqual(await store.prune({ ageMsMax: 3.5 * HOUR_MS }), {
        torrents: 1,
        hashes: 0,
        isOver: true,
      });
      assert.deepEqual(await namesOf(store, {}), ["t5", "t4", "t3"]);
      assert.equal(await store.see([{ infoHash: hashAt(1), hits: 1 }]), 0, "what was pruned stays away");
      for (let n = 10; n < 15; n++) {
        await store.see([{ infoHash: hashAt(n), hits: 1 }]);
        clock.nowMs += 1000;
      }
      assert.deepEqual(await store.prune({ hashesMax: 2 }), { torrents: 0, hashes: 3, isOver: true });
      assert.deepEqual(await claimed(store), [hashAt(13), hashAt(14)].map(hexOf));
      assert.deepEqual(await store.prune({ hashesMax: 2, torrentsMax: 4, ageMsMax: 1000 * HOUR_MS }), {
        torrents: 0,
        hashes: 0,
        isOver: true,
      });
    });

    it("forgets settled hashes that are too many, those seen longest ago, and never what was removed by hand", async (t) => {
      const { store, clock } = await setUp(t);
      const [byHand, again] = [hashAt(100), hashAt(1)];
      await store.remove([byHand]);
      for (let n = 1; n <= 6; n++) {
        await fill(store, [torrentOf(hashAt(n), `t${n}`)]);
        clock.nowMs += 1000;
      }
      await store.see([{ infoHash: hashAt(50), hits: 1 }]);
      assert.equal((await claimed(store)).length, 1);
      await store.finish(OURS, [{ kind: "unusable", infoHash: hashAt(50) }]);
      await store.prune({ torrentsMax: 0 });
      clock.nowMs += 1000;
      // Somebody still asks for the first: it stays known.
      assert.equal(await store.see([{ infoHash: again, hits: 1 }]), 0);
      const pruned = await store.prune({ torrentsMax: 0, settledMax: 3 });
      assert.deepEqual(pruned, { torrents: 0, hashes: 4, isOver: true });
      const all = [byHand, hashAt(50), ...[1, 2, 3, 4, 5, 6].map((n) => hashAt(n))];
      const isNew = await Promise.all(all.map((infoHash) => store.see([{ infoHash, hits: 1 }])));
      assert.deepEqual(isNew, [0, 0, 0, 1, 1, 1, 1, 0]);
      assert.equal((await store.prune({ settledMax: 3 })).hashes, 0);
    });

    it("keeps sums for good, and of statistics a bounded time", async (t) => {
      const { store, clock } = await setUp(t);
      const days = HISTORY_MS_MAX / (24 * HOUR_MS);
      for (let day = 0; day < days + 10; day++) {
        for (const indexer of ["one", "two"])
          await store.worked({ owner: `${indexer} of day ${day}`, lookups: 5, queries: 7, fetches: 1 });
        clock.nowMs += 24 * HOUR_MS;
        if (day % 3 === 0) await store.prune({});
      }
      await store.prune({});
      await store.prune({});
      const steps = await store.history(0, 10_000);
      // The day that is 90 days ago began before that.
      assert.equal(steps.length, days - 1);
      assert.ok(steps.every(({ lookups, queries }) => lookups === 10 && queries === 14));
      const { lookups, queries, fetches, indexers } = await store.stats();
      assert.deepEqual(
        [lookups, queries, fetches],
        [5, 7, 1].map((each) => 2 * each * (days + 10)),
      );
      assert.ok(indexers.length <= 2, "who has not been heard of for a day is not told");
    });

    it("prunes until the whole fits", async (t) => {
      const { store } = await setUp(t);
      const torrents = Array.from({ length: 300 }, (_, n) => {
        const files = Array.from({ length: 40 }, (_, file) => ({
          path: `word${n} ${file}/${hexOf(hashOf(file))}`,
          bytes: 1,
        }));
        return torrentOf(hashOf(n), `torrent ${n}`, { files });
      });
      const { storeBytes: emptyBytes } = await store.stats();
      await fill(store, torrents);
      const { storeBytes } = await store.stats();
      const storeBytesMax = Math.floor((emptyBytes + storeBytes) / 2);
      let gone = 0;
      for (let call = 0; call < 50; call++) gone += (await store.prune({ storeBytesMax })).torrents;
      // What was deleted may leave the store's files as long as they were: that is no reason to delete more.
      assert.ok(gone > 0 && gone < 300, `${gone} of 300 went`);
      assert.equal((await store.stats()).torrents, 300 - gone);
    });

    it("finds words of names and paths, without case, accents and punctuation", async (t) => {
      const { store } = await setUp(t);
      await fill(store, [
        torrentOf(hashAt(1), "Some.Film_2019.1080p", {
          files: [{ path: "Some.Film_2019.1080p/Üntertitel.srt", bytes: 9 }],
        }),
        torrentOf(hashAt(2), "some other film (2020)"),
        torrentOf(hashAt(3), "沙丘 第二部"),
        torrentOf(hashAt(4), "film's end: it's over"),
      ]);
      const found = (text: string): Promise<string[]> => namesOf(store, { text });
      assert.equal((await found("FILM")).length, 3);
      assert.deepEqual(await found("film 2019"), ["Some.Film_2019.1080p"]);
      assert.deepEqual(await found("untertitel"), ["Some.Film_2019.1080p"]);
      assert.deepEqual(await found("som* 20*"), ["some other film (2020)", "Some.Film_2019.1080p"]);
      assert.deepEqual(await found('"other film"'), ["some other film (2020)"]);
      assert.deepEqual(await found('"film other"'), []);
      assert.deepEqual(await found("film -2019 -over"), ["some other film (2020)"]);
      assert.deepEqual(await found("沙丘"), ["沙丘 第二部"]);
      assert.deepEqual(await found("丘沙"), []);
      assert.deepEqual(await found("1080p"), ["Some.Film_2019.1080p"]);
      assert.equal((await found("' \" ) ( * : -")).length, 4, "no word at all: everything");
      for (const text of [
        "'); drop table torrent --",
        "film OR near(",
        '"',
        "a:b:c",
        "\\ & | ! <->",
        "-film",
        "\0",
      ])
        await store.search({ text });
    });

    it("finds beginnings of any length, alone, in a phrase and left out, and pages through many", async (t) => {
      const { store } = await setUp(t);
      const torrents = Array.from({ length: 300 }, (_, n) =>
        torrentOf(
          hashOf(n),
          `alpha beta${n % 3} ${n % 100 === 7 ? "zebra" : "gnu"} 沙${n % 2 === 0 ? "丘" : "漠"} n${n}`,
        ),
      );
      await fill(store, torrents);
      const count = async (text: string): Promise<number> => {
        let cursor: string | undefined;
        const found = new Set<string>();
        do {
          const page = await store.search({ text, limit: 37, ...(cursor === undefined ? {} : { cursor }) });
          for (const { infoHash } of page.torrents) {
            assert.ok(!found.has(infoHash), "each once");
            found.add(infoHash);
          }
          cursor = page.cursor;
        } while (cursor !== undefined);
        return found.size;
      };
      const counts: readonly [string, number][] = [
        ["a*", 300],
        ["al*", 300],
        ["z*", 3],
        ["ze*", 3],
        ["zeb*", 3],
        ["zebr*", 3],
        ["zebra*", 3],
        ["zx*", 0],
        ["z* g*", 0],
        ["alpha -z*", 297],
        ["alpha -ze*", 297],
        ["beta1 z*", 1],
        ['"beta1 z"', 0],
        ["alpha.be*", 300],
        ["beta2.z*", 1],
        ["beta2.g*", 99],
        ["alpha -beta2.g*", 201],
        ["beta.z*", 0],
        ["沙*", 300],
        ["丘*", 150],
        ["n29*", 11],
      ];
      for (const [text, wanted] of counts) assert.equal(await count(text), wanted, text);
    });

    it("bears any question and any cursor: an answer comes, or what is wrong with it is said", async (t) => {
      const { store } = await setUp(t);
      const names = ["alpha beta", "沙丘 第二部", "e\u0301 ﷺ ½ ǆ", "x".repeat(255), "a ".repeat(120)];
      await fill(
        store,
        names.map((each, n) => torrentOf(hashOf(n), each)),
      );
      const seed = Math.floor(Math.random() * 2 ** 32);
      const random = makeRandom(seed);
      const pick = <Value>(values: readonly Value[]): Value =>
        entryOf(values, Math.floor(random() * values.length));
      const parts = [
        "a",
        "b*",
        "*",
        "-",
        '"',
        "'",
        "\\",
        "\0",
        "(",
        ")",
        "&",
        "|",
        "!",
        "<->",
        ":",
        "#12:0",
        "^a",
        "沙",
        "ﷺ",
        "½",
      ];
      const more = [
        "\ud800",
        "\u202e",
        "\u{1f426}",
        "NOT",
        "OR",
        "NEAR(",
        "words:",
        "--",
        ";",
        "$1",
        "%s",
        " ",
        "\u0301",
        "\n",
        "é",
      ];
      const cursors = [
        "0,1",
        "1.5,3",
        "-7,2",
        "1e300,5",
        "9e15,9999999999999999",
        "0.000001,0",
        "2,",
        ",",
        "1e400,1",
        "nan,1",
        "\0",
      ];
      const orders = ["newest", "largest", "smallest", "relevance"] as const;
      let answered = 0;
      for (let round = 0; round < 250; round++) {
        const text = Array.from({ length: Math.floor(12 * random()) }, () =>
          pick(random() < 0.6 ? parts : more),
        ).join(random() < 0.5 ? "" : " ");
        const query = {
          text: random() < 0.05 ? text.repeat(400) : text,
          order: pick(orders),
          limit: 1 + Math.floor(9 * random()),
          ...(random() < 0.5 ? { cursor: pick(cursors) } : {}),
        };
        await store.search(query).then(
          () => answered++,
          (error: unknown) =>
            assert.ok(
              error instanceof UsageError,
              `${String(error)} of ${JSON.stringify(query)} (SEED=${seed})`,
            ),
        );
      }
      assert.ok(answered > 50, `${answered} questions were answered`);
      for (const text of [
        "ﷺ".repeat(400),
        '"'.repeat(400),
        `"${"a ".repeat(199)}"`,
        "a* ".repeat(133),
        "-a ".repeat(133),
        "é".repeat(400),
      ])
        await store.search({ text, order: "relevance" });
    });

    it("filters by size and age, orders, and pages through", async (t) => {
      const { store, clock } = await setUp(t);
      const start = clock.nowMs;
      for (let n = 0; n < 30; n++) {
        const files = [{ path: "f", bytes: 1000 * ((n * 7) % 30) }];
        await fill(store, [torrentOf(hashOf(n), `film number ${n}`, { files })]);
        clock.nowMs += 1000;
      }
      const all = async (query: SearchQuery): Promise<IndexedTorrent[]> => {
        const found: IndexedTorrent[] = [];
        let cursor: string | undefined;
        do {
          const page = await store.search({
            ...query,
            limit: 7,
            ...(cursor === undefined ? {} : { cursor }),
          });
          assert.ok(page.torrents.length <= 7);
          found.push(...page.torrents);
          cursor = page.cursor;
        } while (cursor !== undefined);
        return found;
      };
      const numbers = (torrents: readonly IndexedTorrent[]): number[] =>
        torrents.map(({ name: n }) => Number(n.split(" ")[2]));
      const sizes = (torrents: readonly IndexedTorrent[]): number[] =>
        torrents.map(({ bytes }) => bytes / 1000);
      const upTo = (n: number): number[] => Array.from({ length: n }, (_, index) => index);
      for (const text of ["", "film"]) {
        assert.deepEqual(numbers(await all({ text })), upTo(30).reverse());
        assert.deepEqual(sizes(await all({ text, order: "smallest" })), upTo(30));
        assert.deepEqual(sizes(await all({ text, order: "largest" })), upTo(30).reverse());
        const middle = { text, bytesMin: 10_000, bytesMax: 19_999 };
        assert.deepEqual(sizes(await all({ ...middle, order: "smallest" })), upTo(20).slice(10));
        assert.equal((await all(middle)).length, 10);
        const late = { text, discoveredFromMs: start + 5000, discoveredToMs: start + 9000 };
        assert.deepEqual(numbers(await all(late)), [9, 8, 7, 6, 5]);
        assert.equal((await all({ ...late, order: "largest" })).length, 5);
      }
      assert.equal((await all({ text: "film", order: "relevance" })).length, 30);
      await assert.rejects(store.search({ cursor: "nonsense" }), UsageError);
      await assert.rejects(store.search({ limit: 0 }), UsageError);
      await assert.rejects(store.search({ order: "best" as "newest" }), UsageError);
    });

    it("puts what fits a text best first, where that is asked for", async (t) => {
      const { store } = await setUp(t);
      await fill(store, [
        torrentOf(hashAt(1), "needle needle"),
        torrentOf(hashAt(2), `needle ${Array.from({ length: 60 }, (_, n) => `word${n}`).join(" ")}`),
      ]);
      const [best] = await namesOf(store, { text: "needle", order: "relevance" });
      assert.equal(best, "needle needle");
    });

    it("is found again by who opens it later, and says so when it is closed", async (t) => {
      const { store, another } = await setUp(t);
      await fill(store, [torrentOf(hashAt(1), "kept")]);
      await store.close();
      await store.close();
      await assert.rejects(
        store.stats(),
        (error) => error instanceof StoreError && error.code === "STORE_CLOSED",
      );
      assert.deepEqual(await namesOf(await another(), {}), ["kept"]);
    });
  });
}
