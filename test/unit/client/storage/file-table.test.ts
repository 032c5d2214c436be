// Descriptors of files: as many as there may be, the longest unused closed first, and jobs that wait for one in their order.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { StorageError } from "../../../../src/base/errors.js";
import { MIB } from "../../../../src/base/limits.js";
import { Descriptors } from "../../../../src/client/storage/descriptors.js";
import { FileStorage } from "../../../../src/client/storage/file-storage.js";
import { FileTable, NO_DESCRIPTOR } from "../../../../src/client/storage/file-table.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";

const FILE_BYTES = 1000;

function layoutOf(count: number): Layout {
  const files = Array.from({ length: count }, (_, index) => ({
    path: ["t", `${index % 3}`, `${index}`],
    length: FILE_BYTES,
    offset: index * FILE_BYTES,
    padding: false,
  }));
  return new Layout({ pieceLength: 16_384, totalLength: count * FILE_BYTES, files });
}

describe("FileTable", { timeout: 60_000 }, () => {
  it("closes the file that was not used for the longest time, and none that is held", () => {
    const descriptors = new Descriptors(3);
    const table = new FileTable(layoutOf(6), temporaryFolder(after), false, 0, descriptors);
    const held = table.acquire(0);
    for (const file of [1, 2]) {
      table.acquire(file);
      table.release(file);
    }
    table.acquire(3);
    table.release(3);
    assert.equal(descriptors.count, 3);
    table.acquire(2);
    table.acquire(4);
    assert.equal(table.acquire(5), NO_DESCRIPTOR);
    assert.throws(() => table.acquireNow(5), /no file descriptor is left/);
    assert.equal(table.acquire(0), held, "it is open still");
    for (const file of [0, 0, 2, 4]) table.release(file);
    table.close();
    assert.equal(descriptors.count, 0);
  });

  it("two tables share their descriptors, and who waits is told when one is let go", async () => {
    const descriptors = new Descriptors(1);
    const [one, two] = [0, 1].map(
      () => new FileTable(layoutOf(2), temporaryFolder(after), false, 0, descriptors),
    ) as [FileTable, FileTable];
    one.acquire(0);
    assert.equal(two.acquire(0), NO_DESCRIPTOR);
    const told = new Promise<void>((resolve) => descriptors.wait(resolve));
    one.release(0);
    await told;
    assert.notEqual(two.acquire(0), NO_DESCRIPTOR);
    two.release(0);
    one.close();
    two.close();
    assert.equal(descriptors.count, 0);
  });

  it("opens for reading alone what may not be written to, and refuses to write to it", () => {
    const folder = temporaryFolder(after);
    mkdirSync(join(folder, "t", "0"), { recursive: true });
    writeFileSync(join(folder, "target"), Buffer.alloc(FILE_BYTES));
    symlinkSync("../../target", join(folder, "t", "0", "0"));
    const table = new FileTable(layoutOf(1), folder, false);
    assert.notEqual(table.acquire(0, false), NO_DESCRIPTOR);
    assert.throws(() => table.acquire(0, true), { code: "STORAGE_READ_ONLY" });
    table.release(0);
    assert.throws(() => table.acquire(0, true), /ELOOP/);
    table.close();
  });
});

describe("storage with few descriptors", { timeout: 60_000 }, () => {
  it("many writes and reads at once wait for each other, and all are done", async () => {
    const count = 500;
    const folder = temporaryFolder(after);
    const layout = layoutOf(count);
    const reactor = new Reactor(MIB);
    const descriptors = new Descriptors(2);
    const files = new FileTable(layout, folder, false, 0, descriptors);
    const storage = new FileStorage({ engine: reactor.engine, jobs: reactor.jobs, files });
    const data = bytesOf(1, layout.totalLength);
    const { slab } = reactor.engine;
    slab.set(data.subarray(0, slab.length));
    const list = { addresses: new Float64Array(2), lengths: new Float64Array(2), count: 2 };
    let openMax = 0;
    const call = (kind: "write" | "read", offset: number, from: number): Promise<StorageError | undefined> =>
      new Promise((resolve) => {
        // The list is used again at once: whoever waits has a copy of it.
        list.addresses.set([from, from + 300]);
        list.lengths.set([300, FILE_BYTES]);
        const owner = {
          storageDone: (_tag: number, error: StorageError | undefined) => {
            openMax = Math.max(openMax, descriptors.count);
            storage.checkInvariants();
            resolve(error);
          },
        };
        storage[kind](offset, list, owner, 0);
        storage.checkInvariants();
      });
    const calls: Promise<StorageError | undefined>[] = [];
    for (let at = 0; at + 1300 <= layout.totalLength; at += 1300) calls.push(call("write", at, at));
    for (const error of await Promise.all(calls)) assert.equal(error, undefined);
    assert.ok(openMax <= 2, `${openMax} files were open`);
    await storage.sync();
    const whole = Math.floor(layout.totalLength / 1300) * 1300;
    const stored = Buffer.concat(layout.files.map((file) => readFileSync(files.pathOf(file))));
    assert.equal(Buffer.compare(stored.subarray(0, whole), data.subarray(0, whole)), 0);
    slab.fill(0);
    const reads: Promise<StorageError | undefined>[] = [];
    for (let at = 0; at + 1300 <= layout.totalLength; at += 1300) reads.push(call("read", at, at));
    for (const error of await Promise.all(reads)) assert.equal(error, undefined);
    assert.equal(Buffer.compare(slab.subarray(0, whole), data.subarray(0, whole)), 0);
    await storage.close();
    assert.equal(descriptors.count, 0);
    await reactor.idle();
    reactor.close();
  });
});
