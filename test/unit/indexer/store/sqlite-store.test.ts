// The store in a file: the contract, several processes' worth of writers, a file that is no index, one of a newer version, one that another
// holds, and a disk that is full.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, it } from "node:test";
import { StoreError, UsageError } from "../../../../src/base/errors.js";
import { openStore } from "../../../../src/indexer/store/open-store.js";
import { openSqlite } from "../../../../src/indexer/store/sqlite-database.js";
import { migrate } from "../../../../src/indexer/store/sqlite-schema.js";
import { sqliteError } from "../../../../src/indexer/store/sqlite-store.js";
import { SqliteWriter } from "../../../../src/indexer/store/sqlite-writer.js";
import { temporaryIndex } from "../../../support/index-network.js";
import { Program } from "../../../support/program.js";
import { FIRST, hashOf, testStore, torrentOf } from "./contract.js";

testStore("an index in SQLite", { newPlace: temporaryIndex, open: openStore });

const refusedWith =
  (code: StoreError["code"]) =>
  (error: unknown): boolean =>
    error instanceof StoreError && error.code === code;

describe("a file of SQLite", { timeout: 120_000 }, () => {
  it("is opened by Node's own SQLite where Node has it, and by the package's where not", async (t) => {
    const database = await openSqlite(temporaryIndex(t));
    t.after(() => database.close());
    const { createRequire } = await import("node:module");
    const require = createRequire(import.meta.url);
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    const has = major > 22 || (major === 22 && minor >= 13);
    const name = has ? "node:sqlite" : "@photostructure/sqlite";
    const { DatabaseSync } = require(name) as { DatabaseSync: new () => object };
    assert.ok(database instanceof DatabaseSync, name);
    t.diagnostic(`Node ${process.versions.node}: ${name}`);
  });

  it("is kept by threads that print nothing, also where Node.js takes its SQLite for an experiment", async (t) => {
    const module = JSON.stringify(
      new URL("../../../../src/indexer/store/open-store.js", import.meta.url).href,
    );
    const program = `
      const store = await (await import(${module})).openStore(process.argv[2]);
      await store.stats();
      await store.close();
      console.log("closed");`;
    const place = temporaryIndex(t);
    const script = join(dirname(place), "program.mjs");
    writeFileSync(script, program);
    const run = new Program(process.execPath, [script, place]);
    assert.deepEqual([await run.ended, run.output, run.errors], [0, "closed\n", ""]);
  });

  it("is refused when it is no database, another's database, or a newer version's", async (t) => {
    const text = temporaryIndex(t);
    writeFileSync(
      text,
      "this is no database, but a text that is long enough to be taken for one ".repeat(20),
    );
    await assert.rejects(openStore(text), refusedWith("STORE_VERSION"));
    const foreign = temporaryIndex(t);
    const database = await openSqlite(foreign);
    database.exec("CREATE TABLE customers (name TEXT)");
    database.close();
    const before = readFileSync(foreign);
    // Somebody else's file stays as it is, also where its header has another kind of journal.
    before[18] = before[19] = 1;
    writeFileSync(foreign, before);
    await assert.rejects(openStore(foreign), refusedWith("STORE_VERSION"));
    assert.deepEqual(readFileSync(foreign), before);
    assert.deepEqual(readdirSync(dirname(foreign)), [basename(foreign)]);
    const newer = temporaryIndex(t);
    await (await openStore(newer)).close();
    const changed = await openSqlite(newer);
    changed.exec("PRAGMA user_version = 1000");
    changed.close();
    await assert.rejects(openStore(newer), refusedWith("STORE_VERSION"));
    await assert.rejects(openStore("/no/such/folder/index.db"), refusedWith("STORE_UNREACHABLE"));
    for (const none of ["", ":memory:"])
      await assert.rejects(
        openStore(none),
        (error: Error) => error instanceof UsageError && /in a file/.test(error.message),
      );
  });

  it("of an older version becomes today's, with all that is in it", async (t) => {
    const place = temporaryIndex(t);
    const database = await openSqlite(place);
    migrate(database, place, 1);
    const writer = new SqliteWriter(database, () => 1_700_000_000_000);
    const outcomes = Array.from({ length: 50 }, (_, n) => ({
      kind: "fetched" as const,
      torrent: torrentOf(hashOf(n), `zebra number ${n}`),
    }));
    writer.finish("me", outcomes);
    database.close();
    const store = await openStore(place);
    t.after(() => store.close());
    assert.equal((await store.search({ text: "ze*", limit: 200 })).torrents.length, 50);
    assert.equal((await store.search({ text: '"number 31"' })).torrents.length, 1);
    await store.remove([hashOf(31)]);
    assert.equal((await store.search({ text: '"number 31"' })).torrents.length, 0);
  });

  it("says that the disk is full, has changed nothing, and goes on when there is room", async (t) => {
    const place = temporaryIndex(t);
    const database = await openSqlite(place);
    t.after(() => database.close());
    migrate(database, place);
    const writer = new SqliteWriter(database, () => 1_700_000_000_000);
    const many = Array.from({ length: 5000 }, (_, n) => ({ infoHash: hashOf(n), hits: 1 }));
    writer.see(many.slice(0, 1));
    // SQLite's own bound stands in for a disk's: it refuses as it does when there is no room.
    database.exec("PRAGMA max_page_count = 60");
    assert.throws(
      () => writer.see(many),
      (error) => {
        const { errcode, message } = error as { errcode: number; message: string };
        return refusedWith("STORE_FULL")(sqliteError({ kind: "", code: "", message, errcode }, place));
      },
    );
    assert.equal(
      writer.claim({ owner: "me", from: FIRST, count: 9, leaseMs: 1000 }).length,
      1,
      "and nothing else is there",
    );
    database.exec("PRAGMA max_page_count = 1000000");
    assert.equal(writer.see(many), 4999);
  });

  it("says that another process holds it, and may be asked again", async (t) => {
    const place = temporaryIndex(t);
    const store = await openStore(place);
    t.after(() => store.close());
    const database = await openSqlite(place);
    t.after(() => database.close());
    database.exec("BEGIN IMMEDIATE");
    await assert.rejects(store.see([{ infoHash: hashOf(1), hits: 1 }]), refusedWith("STORE_BUSY"));
    database.exec("ROLLBACK");
    assert.equal(await store.see([{ infoHash: hashOf(1), hits: 1 }]), 1);
  });

  it("has several writers, who claim nothing twice", async (t) => {
    const place = temporaryIndex(t);
    const stores = await Promise.all(Array.from({ length: 3 }, () => openStore(place)));
    t.after(() => Promise.all(stores.map((store) => store.close())));
    const hashes = Array.from({ length: 300 }, (_, n) => hashOf(n));
    await Promise.all(stores.map((store) => store.see(hashes.map((infoHash) => ({ infoHash, hits: 1 })))));
    const claimed: string[] = [];
    await Promise.all(
      stores.map(async (store, index) => {
        for (;;) {
          const claims = await store.claim({ owner: `${index}`, from: FIRST, count: 7, leaseMs: 60_000 });
          if (claims.length === 0) return;
          claimed.push(...claims.map(({ infoHash }) => Buffer.from(infoHash).toString("hex")));
          const outcomes = claims.map(({ infoHash }) => torrentOf(infoHash, "some torrent"));
          await store.finish(
            `${index}`,
            outcomes.map((torrent) => ({ kind: "fetched", torrent })),
          );
        }
      }),
    );
    assert.equal(claimed.length, 300);
    assert.equal(new Set(claimed).size, 300);
    const [store] = stores;
    assert.equal((await store?.stats())?.torrents, 300);
    assert.equal((await store?.stats())?.hashes, 300);
  });
});
