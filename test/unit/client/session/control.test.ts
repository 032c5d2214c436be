// What a program does with a torrent while it runs: holds it, looks at its data again, removes it, reads from it while it comes.

import assert from "node:assert/strict";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, describe, it } from "node:test";
import { StorageError } from "../../../../src/base/errors.js";
import { torrentCoreOf } from "../../../../src/client/torrent/torrent.js";
import { createTorrentFile, parseMetainfo, Session } from "../../../../src/index.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { required } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, seed } from "./loopback.js";
import { Puppet } from "./puppet.js";

const TIMEOUT = { timeout: 90_000 };
const PIECE = 65_536;
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

async function bytesFrom(stream: Readable): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

describe("Torrent: control", TIMEOUT, () => {
  it("is found by its info hash, and its figures with all others", async () => {
    const shared = await makeShared(500_000);
    const seeder = await seed(shared);
    const session = new Session();
    const { infoHash, infoHashHex } = shared.metainfo;
    assert.equal(session.get(infoHash), undefined);
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    assert.equal(session.get(infoHash), torrent);
    assert.equal(session.get(infoHashHex.toUpperCase()), torrent);
    await torrent.done;
    const { downloadedBytes, bytesMissing, secondsLeft } = torrent.stats();
    assert.deepEqual([downloadedBytes, bytesMissing, secondsLeft], [500_000, 0, 0]);
    const stats = session.stats();
    assert.deepEqual([stats.torrents, stats.downloadedBytes], [1, 500_000]);
    assert.equal(seeder.session.stats().uploadedBytes, 500_000);
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("pauses without connections, and goes on where it was", async () => {
    const shared = await makeShared(3_000_000);
    const seeder = await seed(shared);
    // So that a machine on which nobody else works does not have all of it before the first piece is heard of.
    const session = new Session({ maxDownloadBytesPerSecond: 1_000_000 });
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, { directory, peers: [seeder.address] });
    await once(torrent, "piece");
    torrent.pause();
    torrent.pause();
    assert.equal(torrent.state, "paused");
    assert.equal(session.connectionCount, 0);
    const before = torrent.progress().piecesVerified;
    torrent.addPeer(seeder.address);
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    assert.equal(session.connectionCount, 0, "nobody is connected to");
    torrent.resume();
    assert.equal(torrent.state, "downloading");
    session.setRateLimits({ maxDownloadBytesPerSecond: 0 });
    torrent.addPeer(seeder.address);
    await torrent.done;
    assert.ok(before < torrent.progress().pieceCount);
    assert.ok(readFileSync(join(directory, "data.bin")).equals(shared.data));
    torrent.pause();
    assert.equal(torrent.state, "paused");
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("checks its data again, and fetches what was changed meanwhile", async () => {
    const shared = await makeShared(2_000_000);
    const seeder = await seed(shared);
    const session = new Session();
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, { directory, peers: [seeder.address] });
    await torrent.done;
    const file = openSync(join(directory, "data.bin"), "r+");
    writeSync(file, "changed", 5 * PIECE + 3);
    const pieces: number[] = [];
    torrent.on("piece", (piece) => pieces.push(piece));
    const rechecked = torrent.recheck();
    await assert.rejects(torrent.recheck(), { code: "USAGE_STATE" });
    await rechecked;
    torrent.addPeer(seeder.address);
    await torrent.done;
    assert.deepEqual(pieces, [5]);
    assert.ok(readFileSync(join(directory, "data.bin")).equals(shared.data));
    await closeWhole(session);
    const memory = new Session();
    const kept = await memory.add(shared.metainfo, { storage: "memory" });
    await assert.rejects(kept.recheck(), { code: "USAGE_STATE" });
    await closeWhole(memory);
    await closeWhole(seeder.session);
  });

  it("fails when a check again cannot begin, and says why", async () => {
    const shared = await makeShared(500_000);
    const seeder = await seed(shared);
    const session = new Session();
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, { directory, peers: [seeder.address] });
    await torrent.done;
    const content = torrentCoreOf(torrent).content;
    assert.ok(content !== undefined);
    const full = new StorageError("STORAGE_NO_SPACE", "no space left");
    const close = content.close.bind(content);
    content.close = async (isWell) => {
      await close(isWell);
      throw full;
    };
    const failed = once(torrent, "failed");
    await assert.rejects(torrent.recheck(), full);
    assert.deepEqual(await failed, [full]);
    assert.equal(torrent.state, "failed");
    content.close = close;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("is not done while a check is under way that began as the last piece came", async () => {
    const shared = await makeShared(2_000_000);
    const seeder = await seed(shared);
    const session = new Session();
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, { directory, peers: [seeder.address] });
    const { done } = torrent;
    const told: string[] = [];
    torrent.on("done", () => told.push(`done, ${torrent.state}`));
    torrent.on("ready", () => told.push("ready"));
    const rechecked = new Promise<void>((resolve, reject) => {
      torrent.on("piece", () => {
        if (torrent.progress().bytesMissing > 0 || told.includes("asked")) return;
        told.push("asked");
        torrent.recheck().then(resolve, reject);
      });
    });
    await rechecked;
    await Promise.all([done, torrent.done]);
    assert.deepEqual(told.slice(told.indexOf("asked")), ["asked", "ready", "done, seeding"]);
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("checks read-only data without touching what is on record of it", async () => {
    const shared = await makeShared(300_000);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { directory: shared.folder });
    await closeWhole(session);
    const record = join(shared.folder, ".scatterwire", `${shared.metainfo.infoHashHex}.resume`);
    assert.equal(torrent.state, "closed");
    assert.ok(existsSync(record));
    const reader = new Session();
    const reading = await reader.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    let checks = 0;
    reading.on("checking", () => checks++);
    await reading.recheck();
    assert.ok(checks > 0 && reading.state === "seeding");
    assert.ok(existsSync(record));
    await closeWhole(reader);
  });

  it("closes well in the middle of such a check", async () => {
    const shared = await makeShared(2_000_000);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { directory: shared.folder });
    const rechecked = torrent.recheck();
    await Promise.all([assert.rejects(rechecked, { code: "ABORTED" }), closeWhole(session)]);
    const again = new Session();
    const seeding = await again.add(shared.metainfo, { directory: shared.folder });
    assert.equal(seeding.state, "seeding");
    await closeWhole(again);
  });

  it("is removed with its data, and leaves what is not its own", async () => {
    const source = temporaryFolder(after);
    mkdirSync(join(source, "t", "deep", "er"), { recursive: true });
    mkdirSync(join(source, "t", "other"));
    for (const name of ["a", "deep/er/b", "other/c"])
      writeFileSync(join(source, "t", name), bytesOf(3, 70_000));
    const metainfo = parseMetainfo(await createTorrentFile(join(source, "t")));
    writeFileSync(join(source, "t", "other", "mine"), "mine");
    const session = new Session();
    const torrent = await session.add(metainfo, { directory: source });
    await torrent.remove();
    assert.deepEqual(readdirSync(source), ["t"]);
    assert.equal(session.torrents.size, 0);
    const again = await session.add(metainfo, { directory: source });
    assert.equal(again.state, "seeding");
    await again.remove({ data: true });
    assert.deepEqual(readdirSync(join(source, "t"), { recursive: true }).sort(), ["other", "other/mine"]);
    assert.equal(existsSync(join(source, ".scatterwire")), false);
    await closeWhole(session);
  });
});

describe("Torrent.remove(), of what is somebody else's by then", TIMEOUT, () => {
  const left = (folder: string): string[] => readdirSync(folder, { recursive: true }).map(String).sort();

  it("deletes nothing while the download is open again, whether it was closed before or never opened", async () => {
    const shared = await makeShared(100_000);
    const [session, other] = [new Session(), new Session()];
    const options = { directory: shared.folder };
    const former = await session.add(shared.metainfo, options);
    await former.close();
    const now = await session.add(shared.metainfo, options);
    const locked = other.addInBackground(shared.metainfo, options);
    await assert.rejects(locked.ready, { code: "STORAGE_LOCKED" });
    const before = left(shared.folder);
    for (const torrent of [former, locked])
      await assert.rejects(torrent.remove({ data: true }), { code: "STORAGE_LOCKED" });
    assert.deepEqual(left(shared.folder), before);
    await now.recheck();
    assert.equal(now.state, "seeding");
    await now.close();
    await former.remove({ data: true });
    assert.deepEqual(left(shared.folder), []);
    for (const each of [session, other]) await closeWhole(each);
  });

  it("deletes nothing where its own data never lay", async () => {
    const shared = await makeShared(100_000);
    const session = new Session();
    for (const storage of ["memory", "null"] as const) {
      const torrent = await session.add(shared.metainfo, { directory: shared.folder, storage });
      await torrent.remove({ data: true });
      assert.deepEqual(left(shared.folder), ["data.bin"]);
    }
    await closeWhole(session);
  });
});

describe("Torrent.createReadStream()", TIMEOUT, () => {
  it("gives the bytes of a file while they come, from any place on", async () => {
    const shared = await makeShared(3_000_000);
    const seeder = await seed(shared);
    const session = new Session();
    // Nothing is wanted but what is read.
    const torrent = await session.add(shared.metainfo, {
      storage: "memory",
      select: [],
      peers: [seeder.address],
    });
    const part = torrent.createReadStream(0, { start: 1_234_567, end: 1_500_000 });
    assert.ok((await bytesFrom(part)).equals(shared.data.subarray(1_234_567, 1_500_001)));
    assert.ok(torrent.progress().piecesVerified < torrent.progress().pieceCount, "the rest was not fetched");
    assert.ok((await bytesFrom(torrent.createReadStream(0))).equals(shared.data));
    assert.equal((await bytesFrom(torrent.createReadStream(0, { start: 5, end: 4 }))).length, 0);
    for (const wrong of [{ start: -1 }, { end: 3_000_000 }, { start: 9, end: 7 }])
      assert.throws(() => torrent.createReadStream(0, wrong), { code: "USAGE_OPTION" });
    assert.throws(() => torrent.createReadStream(1), { code: "USAGE_OPTION" });
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("has what it needs asked for before all else, and after a seek what it needs then", async () => {
    const shared = await makeShared(60 * PIECE);
    const asked: number[] = [];
    let brings = true;
    const puppet = await Puppet.make(shared, {
      onRequest: (request, me) => {
        if (!asked.includes(request.piece)) asked.push(request.piece);
        if (brings) me.sendBlock(request);
      },
    });
    const session = new Session({ maxRequests: 4 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const stream = torrent.createReadStream(0, { start: 40 * PIECE, aheadBytes: 2 * PIECE });
    // Storage that keeps nothing has nothing to read: what counts is what is asked for.
    stream.on("error", () => {});
    torrent.addPeer(puppet.address);
    while (asked.length < 3) await nextTurn();
    assert.deepEqual(asked.slice(0, 2), [40, 41]);
    stream.destroy();
    asked.length = 0;
    const other = torrent.createReadStream(0, { start: 20 * PIECE, aheadBytes: 2 * PIECE });
    other.on("error", () => {});
    while (!asked.includes(20)) await nextTurn();
    // What was under way comes to its end first: pieces that were begun.
    assert.ok(asked.indexOf(20) <= 3, `${asked}`);
    brings = false;
    other.destroy();
    await closeWhole(session);
  });

  it("ends with what ended the torrent, whenever that is", async () => {
    const shared = await makeShared(1_000_000);
    const failure = new StorageError("STORAGE_IO", "made by a test");
    for (const end of ["closed", "failed"] as const) {
      const { session, torrent } = await seed(shared);
      const reading = torrent.createReadStream(0);
      await once(reading, "readable");
      const waiting = torrent.createReadStream(0, { start: 500_000 });
      const rest = [bytesFrom(reading), bytesFrom(waiting)];
      if (end === "closed") void torrent.close();
      else torrentCoreOf(torrent).fail(failure);
      const expected = end === "closed" ? { code: "ABORTED" } : failure;
      await Promise.all(rest.map((each) => assert.rejects(each, expected)));
      assert.throws(() => torrent.createReadStream(0), { code: "USAGE_STATE" });
      await closeWhole(session);
    }
  });

  it("begins before the data that is there was looked at", async () => {
    const shared = await makeShared(3_000_000);
    const session = new Session();
    const torrent = session.addInBackground(shared.metainfo, { directory: shared.folder });
    const early = bytesFrom(torrent.createReadStream(0));
    const [checking] = (await once(torrent, "checking")) as [number];
    assert.ok(checking > 0);
    const midst = bytesFrom(torrent.createReadStream(0));
    for (const read of [early, midst]) assert.ok((await read).equals(shared.data));
    await closeWhole(session);
  });

  it("waits while the data is looked at again, whatever it was doing, and goes on with what is there then", async () => {
    const shared = await makeShared(40 * PIECE);
    const seeder = await seed(shared);
    const session = new Session();
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, { directory, peers: [seeder.address] });
    await torrent.done;
    const file = openSync(join(directory, "data.bin"), "r+");
    for (let round = 0; round < 3; round++) {
      // Its first bytes are read, and some others are not what they were.
      const stream = torrent.createReadStream(0);
      const slow = torrent.createReadStream(0, { start: 30 * PIECE });
      await Promise.all([once(stream, "readable"), once(slow, "readable")]);
      writeSync(file, "changed", (10 + round) * PIECE);
      const rechecked = torrent.recheck();
      const during = torrent.createReadStream(0);
      const reads = [stream, slow, during].map((each) => bytesFrom(each));
      await rechecked;
      torrent.addPeer(seeder.address);
      const [whole, rest, other] = await Promise.all(reads);
      assert.ok(required(whole, "whole").equals(shared.data));
      assert.ok(required(rest, "rest").equals(shared.data.subarray(30 * PIECE)));
      assert.ok(required(other, "other").equals(shared.data));
      await torrent.done;
    }
    closeSync(file);
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("ends with an error when the torrent does, and leaves nothing urgent", async () => {
    const shared = await makeShared(500_000);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, { storage: "memory" });
    const stream = torrent.createReadStream(0);
    const read = bytesFrom(stream);
    await nextTurn();
    await Promise.all([assert.rejects(read, { code: "ABORTED" }), torrent.close()]);
    assert.throws(() => torrent.createReadStream(0), { code: "USAGE_STATE" });
    await closeWhole(session);
  });
});
