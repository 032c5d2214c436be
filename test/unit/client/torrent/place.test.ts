// The place of a torrent's data: opened, checked as far as nothing vouches for it, closed, and opened again.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { StorageError } from "../../../../src/base/errors.js";
import { MIB } from "../../../../src/base/limits.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import type { TorrentOptions } from "../../../../src/client/options.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import type { EngineRoom } from "../../../../src/client/torrent/engine-room.js";
import { openPlace, type Place } from "../../../../src/client/torrent/place.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { makeShared, type Shared } from "../session/loopback.js";

const PIECE_LENGTH = 65_536;
const PIECES = 10;
const LENGTH = PIECES * PIECE_LENGTH - 1000;

/** What a worker thread says of its opening. */
interface Answer {
  error: string | undefined;
  warnings: string[];
}

class Places {
  readonly #reactor = new Reactor(4 * MIB);
  readonly memory = new Memory(this.#reactor.engine.slab, this.#reactor.engine);
  readonly warnings: string[] = [];
  good: number[] = [];
  fractions: number[] = [];

  async open(shared: Shared, options: TorrentOptions, signal = new AbortController().signal): Promise<Place> {
    this.good = [];
    this.fractions = [];
    const room = { reactor: this.#reactor, memory: this.memory, pool: this.memory.pool };
    return openPlace(room as unknown as EngineRoom, shared.metainfo, new Layout(shared.metainfo), options, {
      checking: (fraction) => this.fractions.push(fraction),
      pieceGood: (piece) => this.good.push(piece),
      isFileWanted: () => true,
      warning: (text) => this.warnings.push(text),
      signal,
    });
  }

  /** Nothing is held and nothing under way. */
  async close(): Promise<void> {
    assert.deepEqual(this.memory.pool.heldByHolder(), {});
    await this.#reactor.idle();
    this.#reactor.close();
  }
}

function allPieces(): number[] {
  return Array.from({ length: PIECES }, (_, piece) => piece);
}

function sorted(pieces: readonly number[]): number[] {
  return [...pieces].sort((a, b) => a - b);
}

describe("openPlace", { timeout: 60_000 }, () => {
  it("makes a folder that is missing, and finds nothing good in it, without a check", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    const directory = join(temporaryFolder(after), "deep", "er");
    const place = await places.open(shared, { directory });
    assert.equal(existsSync(directory), true);
    assert.deepEqual([places.good, places.fractions], [[], []]);
    await place.close(true);
    await places.close();
  });

  it("checks data that nothing vouches for, and says how far it is", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    const bytes = readFileSync(join(shared.folder, "data.bin"));
    bytes[3 * PIECE_LENGTH] = entryOf(bytes, 3 * PIECE_LENGTH) ^ 1;
    const directory = temporaryFolder(after);
    writeFileSync(join(directory, "data.bin"), bytes);
    const place = await places.open(shared, { directory });
    assert.deepEqual(sorted(places.good), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    assert.equal(places.fractions.length, PIECES);
    assert.equal(places.fractions.at(-1), 1);
    await place.close(true);

    // What was found is on record: the second time nothing is hashed that was found good.
    const again = await places.open(shared, { directory });
    assert.deepEqual(sorted(places.good), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    assert.ok(places.fractions.length <= 1, `${places.fractions.length} pieces were hashed again`);
    await again.close(true);
    const without = await places.open(shared, { directory, resume: false });
    assert.equal(places.fractions.length, PIECES, "unless records are not wanted");
    await without.close(true);
    await places.close();
  });

  it("a file that was removed or changed since is not claimed", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    const directory = temporaryFolder(after);
    const file = join(directory, "data.bin");
    const bytes = readFileSync(join(shared.folder, "data.bin"));
    writeFileSync(file, bytes);
    await (await places.open(shared, { directory })).close(true);
    assert.equal(places.good.length, PIECES);
    unlinkSync(file);
    await (await places.open(shared, { directory })).close(true);
    assert.deepEqual(places.good, []);
    bytes.fill(0, 0, 10);
    writeFileSync(file, bytes);
    await (await places.open(shared, { directory })).close(true);
    assert.deepEqual(sorted(places.good), allPieces().slice(1));
    await places.close();
  });

  it("two of one download are not open at a time; the lock ends with the place", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    const directory = temporaryFolder(after);
    const place = await places.open(shared, { directory });
    await assert.rejects(
      places.open(shared, { directory }),
      (error) => error instanceof StorageError && error.code === "STORAGE_LOCKED",
    );
    await place.close(true);
    await (await places.open(shared, { directory })).close(true);
    await places.close();
  });

  it("the lock holds in worker threads too", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    const directory = temporaryFolder(after);
    const inWorker = async (): Promise<Answer> => {
      const worker = new Worker(new URL("./lock-worker.js", import.meta.url), {
        workerData: { folder: shared.folder, directory, pieceLength: PIECE_LENGTH },
      });
      const [answer] = (await once(worker, "message")) as [Answer];
      await worker.terminate();
      return answer;
    };
    assert.deepEqual(await inWorker(), { error: undefined, warnings: [] });
    const place = await places.open(shared, { directory });
    assert.deepEqual(await inWorker(), { error: "STORAGE_LOCKED", warnings: [] });
    await place.close(true);
    assert.deepEqual(await inWorker(), { error: undefined, warnings: [] });
    await places.close();
  });

  it("read-only leaves no trace in the folder, and takes no lock", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    const before = readdirSync(shared.folder);
    const options = { directory: shared.folder, readOnly: true };
    const [first, second] = [await places.open(shared, options), await places.open(shared, options)];
    assert.deepEqual(sorted(places.good), allPieces());
    assert.equal(first.resume, undefined);
    await first.close(true);
    await second.close(true);
    assert.deepEqual(readdirSync(shared.folder), before);
    await places.close();
  });

  it("assumeComplete checks nothing", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    const options = { directory: shared.folder, readOnly: true, assumeComplete: true };
    const place = await places.open(shared, options);
    assert.deepEqual([places.good, places.fractions], [allPieces(), []]);
    await place.close(true);
    await places.close();
  });

  it("aborted, it leaves nothing open, no lock and no slot", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    const directory = temporaryFolder(after);
    writeFileSync(join(directory, "data.bin"), readFileSync(join(shared.folder, "data.bin")));
    await assert.rejects(places.open(shared, { directory }, AbortSignal.abort()), { code: "ABORTED" });
    assert.deepEqual(places.memory.pool.heldByHolder(), {});
    await (await places.open(shared, { directory })).close(true);
    await places.close();
  });

  it("storage that keeps nothing needs no folder, and has nothing good", async () => {
    const shared = await makeShared(LENGTH);
    const places = new Places();
    for (const storage of ["null", "memory"] as const) {
      const place = await places.open(shared, { storage });
      assert.deepEqual([places.good, place.resume], [[], undefined]);
      await place.close(true);
    }
    await places.close();
  });
});
