// Downloads of a part of a torrent, over real sockets, bytes compared: which files are made, what is asked for, when it is done, and
// how it goes on when more is wanted.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { torrentCoreOf } from "../../../../src/client/torrent/torrent.js";
import {
  createTorrentFile,
  type Metainfo,
  parseMetainfo,
  Session,
  STORAGE_KINDS,
} from "../../../../src/index.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { required } from "../../../support/required.js";
import { closeWhole, nowhere, seed } from "./loopback.js";
import { Puppet } from "./puppet.js";

const PIECE = 65_536;
/** Pieces 0…3 (shared with b), 3…6 (shared with c), 6…9, and an empty file. */
const LENGTHS: Readonly<Record<string, number>> = {
  a: 3.5 * PIECE,
  b: 3 * PIECE,
  c: 3 * PIECE + 7,
  d: 0,
};
const NAMES = Object.keys(LENGTHS);
const TIMEOUT = { timeout: 90_000 };

interface Folder {
  readonly folder: string;
  readonly metainfo: Metainfo;
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly data: Buffer;
}

async function makeFolder(): Promise<Folder> {
  const folder = temporaryFolder(after);
  mkdirSync(join(folder, "t"));
  const contents = new Map(
    NAMES.map((name, index) => [
      name,
      Buffer.from(bytesOf(index + 1, required(LENGTHS[name], `the length of ${name}`))),
    ]),
  );
  for (const [name, bytes] of contents) writeFileSync(join(folder, "t", name), bytes);
  const metainfo = parseMetainfo(await createTorrentFile(join(folder, "t"), { pieceLength: PIECE }));
  assert.deepEqual(
    metainfo.files.map(({ path }) => path[1]),
    NAMES,
  );
  return { folder, metainfo, contents, data: Buffer.concat([...contents.values()]) };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
const read = (directory: string, name: string) => readFileSync(join(directory, "t", name));

describe("A part of a torrent", TIMEOUT, () => {
  for (const storage of STORAGE_KINDS.filter((kind) => kind !== "null" && kind !== "memory")) {
    it(`is fetched, and then the rest (${storage})`, async () => {
      const shared = await makeFolder();
      const seeder = await seed(shared);
      const session = new Session();
      const directory = temporaryFolder(after);
      const torrent = await session.add(shared.metainfo, {
        directory,
        storage,
        select: [0, 3],
        peers: [seeder.address],
      });
      const pieces: number[] = [];
      torrent.on("piece", (piece) => pieces.push(piece));
      await torrent.done;
      assert.equal(torrent.state, "seeding");
      assert.deepEqual([...pieces].sort(), [0, 1, 2, 3]);
      assert.ok(read(directory, "a").equals(required(shared.contents.get("a"), "the content of a file")));
      assert.equal(read(directory, "d").length, 0);
      // It shares a piece with what is wanted; the other is of no use to anybody.
      const half = PIECE / 2;
      assert.ok(
        read(directory, "b")
          .subarray(0, half)
          .equals(required(shared.contents.get("b"), "the content of a file").subarray(0, half)),
      );
      assert.equal(existsSync(join(directory, "t", "c")), false);
      const progress = torrent.progress();
      assert.deepEqual(
        [progress.bytesWanted, progress.bytesMissing, progress.bytesVerified],
        [4 * PIECE, 0, 4 * PIECE],
      );
      const first = torrent.done;
      torrent.select({ files: [2], priority: 7 });
      assert.notEqual(torrent.done, first);
      assert.equal(torrent.state, "downloading");
      await torrent.done;
      assert.ok(read(directory, "c").equals(required(shared.contents.get("c"), "the content of a file")));
      torrent.setPriorities([1, 1, 1, 1]);
      await torrent.done;
      for (const name of NAMES)
        assert.ok(
          read(directory, name).equals(required(shared.contents.get(name), "the content of a file")),
          name,
        );
      assert.equal(torrent.have.isFull, true);
      assert.equal(torrent.counters().payloadBytes, shared.data.length, "nothing came twice");
      await closeWhole(session);
      await closeWhole(seeder.session);
    });
  }

  it("is taken up again from resume data, whatever is wanted then", async () => {
    const shared = await makeFolder();
    const seeder = await seed(shared);
    const directory = temporaryFolder(after);
    for (const [select, expected] of [
      [[0], 4],
      [[0], 0],
      [[2], 4],
      [undefined, 2],
    ] as const) {
      const session = new Session();
      const torrent = session.addInBackground(shared.metainfo, {
        directory,
        peers: [seeder.address],
        ...(select === undefined ? {} : { select }),
      });
      let checks = 0;
      torrent.on("checking", () => checks++);
      await torrent.ready;
      assert.equal(
        checks,
        0,
        "resume data vouches for files that were made late, too: nothing is hashed again",
      );
      const warnings: string[] = [];
      torrent.on("warning", (text) => warnings.push(text));
      let pieces = 0;
      torrent.on("piece", () => pieces++);
      await torrent.done;
      assert.equal(pieces, expected, `${select}`);
      assert.deepEqual(warnings, []);
      await closeWhole(session);
    }
    for (const name of NAMES)
      assert.ok(
        read(directory, name).equals(required(shared.contents.get(name), "the content of a file")),
        name,
      );
    await closeWhole(seeder.session);
  });

  it("what is not wanted any more is dropped in the middle, and nothing of the pool is kept", async () => {
    const shared = await makeFolder();
    // It brings the first block of each piece, until it may bring all.
    let bringsAll = false;
    const puppet = await Puppet.make(shared, {
      onRequest: (request, me) => {
        if (bringsAll || request.begin === 0) me.sendBlock(request);
      },
    });
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [puppet.address] }));
    while (torrent.counters().blocksReceived < 4) await nextTurn();
    torrent.select({ files: [0, 1, 2], priority: 0 });
    sessionCoreOf(session).checkInvariants();
    await torrent.done;
    assert.deepEqual([torrent.state, torrent.progress().bytesMissing], ["seeding", 0]);
    assert.equal(torrent.peers()[0]?.requestsOutstanding, 0);
    while (Object.keys(sessionCoreOf(session).memory.pool.heldByHolder()).length > 0) await nextTurn();
    bringsAll = true;
    torrent.select({ pieces: [2] });
    await torrent.done;
    assert.deepEqual([torrent.have.count, torrent.have.has(2)], [1, true]);
    sessionCoreOf(session).checkInvariants();
    await closeWhole(session);
  });

  it("nothing at all is done at once, and connects when something is wanted", async () => {
    const shared = await makeFolder();
    const seeder = await seed(shared);
    const session = new Session();
    const directory = temporaryFolder(after);
    const torrent = await session.add(shared.metainfo, { directory, select: [] });
    await torrent.done;
    assert.equal(torrent.progress().bytesWanted, 0);
    assert.deepEqual(
      readdirSync(directory).filter((name) => name !== ".scatterwire"),
      [],
    );
    torrent.select({ pieces: [5] });
    torrent.addPeer(seeder.address);
    await torrent.done;
    assert.equal(torrent.have.has(5), true);
    assert.equal(torrent.have.count, 1);
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("a magnet's own selection counts, and a late one while it waits is refused", async () => {
    const shared = await makeFolder();
    const session = new Session();
    const link = `magnet:?xt=urn:btih:${shared.metainfo.infoHashHex}&so=1,77`;
    const torrent = session.addInBackground(link, nowhere());
    assert.throws(() => torrent.select({ files: [0] }), { code: "USAGE_STATE" });
    torrentCoreOf(torrent).metadataArrived(shared.metainfo.info);
    await torrent.ready;
    assert.equal(torrent.progress().bytesWanted, 4 * PIECE);
    assert.throws(() => torrent.select({ files: [4] }), { code: "USAGE_OPTION" });
    await closeWhole(session);
    const other = new Session();
    const failing = other.addInBackground(
      `magnet:?xt=urn:btih:${shared.metainfo.infoHashHex}`,
      nowhere({ select: [9] }),
    );
    torrentCoreOf(failing).metadataArrived(shared.metainfo.info);
    await assert.rejects(failing.ready, { code: "USAGE_OPTION" });
    await closeWhole(other);
  });
});
