// The resume log: what it claims after any death, truncation or corruption was durable and verified before.

import assert from "node:assert/strict";
import {
  appendFileSync,
  lstatSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Descriptors } from "../../../../src/client/storage/descriptors.js";
import { FileTable } from "../../../../src/client/storage/file-table.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { NullStorage } from "../../../../src/client/storage/null-storage.js";
import { makeOwnFolder, ownFileIn } from "../../../../src/client/storage/own-files.js";
import { ResumeLog, type ResumeState } from "../../../../src/client/storage/resume.js";
import { plainRecord, RECORD_WRITTEN } from "../../../../src/client/storage/resume-format.js";
import { Survey } from "../../../../src/client/storage/survey.js";
import { temporaryFolder } from "../../../support/data.js";
import { entryOf, required } from "../../../support/required.js";

const PIECES = 20;
const INFO_HASH = new Uint8Array(20).fill(0xab);
const LAYOUT = new Layout({
  pieceLength: 16_384,
  totalLength: PIECES * 16_384,
  files: [{ path: ["data.bin"], length: PIECES * 16_384, offset: 0, padding: false }],
});

/** Storage whose sync() the test holds back, to look at what is claimed meanwhile. */
class SlowStorage extends NullStorage {
  written = true;
  syncs = 0;
  release: (() => void) | undefined;
  hold = false;

  wroteSinceSync(): boolean {
    return this.written;
  }

  override sync(): Promise<void> {
    this.syncs++;
    if (!this.hold) return Promise.resolve();
    return new Promise((resolve) => {
      this.release = resolve;
    });
  }
}

const ALL = Array.from({ length: PIECES }, (_, piece) => piece);

/** Puts another file of the same size and time in the place of one. */
function replace(path: string): void {
  const { mtime } = statSync(path);
  writeFileSync(`${path}.other`, Buffer.alloc(LAYOUT.totalLength));
  utimesSync(`${path}.other`, mtime, mtime);
  renameSync(`${path}.other`, path);
}

function setUp(descriptors?: Descriptors): {
  log: ResumeLog;
  storage: SlowStorage;
  file: string;
  data: string;
  reload: (infoHash?: Uint8Array) => ResumeState;
} {
  const folder = temporaryFolder(after);
  const data = join(folder, "data.bin");
  writeFileSync(data, Buffer.alloc(LAYOUT.totalLength));
  const storage = new SlowStorage(new Uint8Array(0));
  makeOwnFolder(folder);
  const open = (infoHash: Uint8Array = INFO_HASH): ResumeLog =>
    new ResumeLog({
      folder,
      infoHash,
      pieceCount: PIECES,
      files: new FileTable(LAYOUT, folder, false, 0, descriptors),
      storage: () => storage,
    });
  const file = ownFileIn(folder, `${Buffer.from(INFO_HASH).toString("hex")}.resume`);
  const reload = (infoHash?: Uint8Array): ResumeState =>
    open(infoHash).load(new Survey(new FileTable(LAYOUT, folder, false)));
  return { log: open(), storage, file, data, reload };
}

const claimedOf = (state: ResumeState): number[] =>
  Array.from({ length: PIECES }, (_, piece) => piece).filter((piece) => state.claimed.has(piece));

describe("ResumeLog", () => {
  it("claims nothing and asks for a check where there is no file", () => {
    const { reload } = setUp();
    assert.equal(reload().checkAll, true);
  });

  it("tells durable pieces from those that are only written", async () => {
    const { log, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    log.append(3);
    log.append(7);
    await log.checkpoint();
    log.append(9);
    log.abandon();
    const state = reload();
    assert.deepEqual(claimedOf(state), [3, 7]);
    assert.deepEqual(state.candidates, [9]);
    assert.equal(state.checkAll, false);
  });

  it("gives its descriptor to whoever needs it, and records wait in their order while there is none", async () => {
    const descriptors = new Descriptors(1);
    const { log, reload } = setUp(descriptors);
    log.begin(new PieceSet(PIECES), []);
    log.append(1);
    assert.equal(descriptors.count, 1);
    assert.equal(descriptors.take(), true, "it is idle");
    log.append(3);
    log.append(7);
    assert.deepEqual(reload().candidates, [1], "no descriptor is left to say so");
    let isDurable = false;
    const checkpoint = log.checkpoint().then(() => {
      isDurable = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 120));
    assert.equal(isDurable, false);
    descriptors.give();
    await checkpoint;
    assert.deepEqual(claimedOf(reload()), [1, 3, 7]);
    log.append(9);
    assert.deepEqual(reload().candidates, [9]);
    log.close();
    assert.equal(descriptors.count, 0);
    assert.deepEqual(claimedOf(reload()), [1, 3, 7, 9]);
  });

  it("does not claim what was written while the data was being synced", async () => {
    const { log, storage, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    log.append(1);
    storage.hold = true;
    const checkpoint = log.checkpoint();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(claimedOf(reload()), [], "nothing is claimed before the sync has ended");
    log.append(2);
    required(storage.release, "release()")();
    await checkpoint;
    log.abandon();
    const state = reload();
    assert.deepEqual(claimedOf(state), [1]);
    assert.deepEqual(state.candidates, [2]);
  });

  it("keeps earlier claims as the base of the next run", async () => {
    const { log, reload } = setUp();
    const claimed = new PieceSet(PIECES);
    claimed.add(5);
    log.begin(claimed, [6]);
    log.abandon();
    const state = reload();
    assert.deepEqual(claimedOf(state), [5]);
    assert.deepEqual(state.candidates, [6]);
  });

  it("believes a clean close as long as the files are as they were", async () => {
    const { log, data, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    for (const piece of [0, 4, 19]) log.append(piece);
    await log.checkpoint();
    log.close();
    assert.deepEqual(claimedOf(reload()), [0, 4, 19]);
    utimesSync(data, new Date(), new Date(Date.now() + 5000));
    assert.deepEqual(claimedOf(reload()), [], "of a changed file nothing is claimed");
    assert.deepEqual(reload().candidates, ALL, "and all of it is checked");
  });

  it("after an unclean end, hashes again what is on record in a file that was written to since", async () => {
    const { log, data, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    for (const piece of [3, 7]) log.append(piece);
    await log.checkpoint();
    utimesSync(data, new Date(), new Date(Date.now() + 5000));
    log.append(9);
    log.abandon();
    const state = reload();
    assert.deepEqual(claimedOf(state), []);
    assert.deepEqual(state.candidates, [3, 7, 9]);
    assert.ok(state.recorded.has(3) && state.recorded.has(7) && !state.recorded.has(9));
  });

  it("after an unclean end, claims nothing of a file that has become another, and checks all of it", async () => {
    const { log, data, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    for (const piece of [3, 7]) log.append(piece);
    await log.checkpoint();
    log.abandon();
    assert.deepEqual(claimedOf(reload()), [3, 7]);
    replace(data);
    assert.deepEqual(claimedOf(reload()), []);
    assert.deepEqual(reload().candidates, ALL);
  });

  it("a file that becomes another while it is recorded is not claimed, at a checkpoint or at the end", async () => {
    for (const atEnd of [false, true]) {
      const { log, data, reload } = setUp();
      log.begin(new PieceSet(PIECES), []);
      log.append(3);
      if (atEnd) await log.checkpoint();
      replace(data);
      await log.checkpoint();
      if (atEnd) log.close();
      else log.abandon();
      assert.deepEqual(claimedOf(reload()), []);
    }
  });

  it("a file that changes when we do not write to it is not claimed after a clean end", async () => {
    const { log, data, storage, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    log.append(3);
    await log.checkpoint();
    utimesSync(data, new Date(), new Date(Date.now() + 5000));
    storage.written = false;
    log.close();
    assert.deepEqual(claimedOf(reload()), []);
    assert.deepEqual(reload().candidates, ALL);
  });

  it("writes to no link that lies where its new file goes, and reads none", async () => {
    const { log, file, data, reload } = setUp();
    const before = readFileSync(data);
    symlinkSync(data, `${file}.new`);
    log.begin(new PieceSet(PIECES), []);
    log.close();
    assert.deepEqual(readFileSync(data), before);
    assert.equal(lstatSync(file).isFile(), true);
    renameSync(file, `${file}.elsewhere`);
    symlinkSync(`${file}.elsewhere`, file);
    assert.equal(reload().checkAll, true);
  });

  it("checks everything when a file is missing or has another length, or the torrent is another", async () => {
    const { log, data, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    log.append(0);
    await log.checkpoint();
    log.abandon();
    assert.equal(reload(new Uint8Array(20)).checkAll, true);
    writeFileSync(data, "short");
    assert.deepEqual(claimedOf(reload()), []);
    assert.deepEqual(reload().candidates, ALL);
    unlinkSync(data);
    assert.deepEqual(claimedOf(reload()), []);
  });

  it("claims no more than before, wherever the file is cut or a byte of it is wrong", async () => {
    const { log, file, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    const durable = [2, 11, 5];
    for (const piece of durable) log.append(piece);
    await log.checkpoint();
    log.append(13);
    log.abandon();
    const whole = readFileSync(file);
    const check = (what: string): void => {
      const state = reload();
      for (const piece of claimedOf(state))
        assert.ok(durable.includes(piece), `${what}: piece ${piece} is claimed`);
      for (const piece of state.candidates)
        assert.ok([...durable, 13].includes(piece), `${what}: piece ${piece} is a candidate`);
    };
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      check(`cut at ${length}`);
    }
    for (let at = 0; at < whole.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const broken = Buffer.from(whole);
        broken[at] = entryOf(broken, at) ^ mask;
        writeFileSync(file, broken);
        check(`byte ${at} ^ ${mask}`);
      }
    }
  });

  it("reads no more records than we write of such a torrent, and all of those", async () => {
    const { log, file, reload } = setUp();
    log.begin(new PieceSet(PIECES), []);
    // The most: each piece is made durable by itself.
    for (const piece of ALL) {
      log.append(piece);
      await log.checkpoint();
    }
    log.abandon();
    assert.deepEqual(claimedOf(reload()), ALL);
    appendFileSync(file, Buffer.concat(new Array(100_000).fill(plainRecord(RECORD_WRITTEN, 3))));
    assert.deepEqual(claimedOf(reload()), []);
    assert.equal(reload().checkAll, true);
  });

  it("runs one checkpoint at a time, and none for nothing", async () => {
    const { log, storage } = setUp();
    log.begin(new PieceSet(PIECES), []);
    await log.checkpoint();
    assert.equal(storage.syncs, 0);
    log.append(1);
    await Promise.all([log.checkpoint(), log.checkpoint(), log.checkpoint()]);
    assert.equal(storage.syncs, 1);
    log.abandon();
  });
});
