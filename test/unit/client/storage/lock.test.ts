// Locks of downloads: two users of one are kept apart, be they sessions, threads or processes, and all of a folder cost one descriptor.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ScatterwireError } from "../../../../src/base/errors.js";
import { DownloadLock } from "../../../../src/client/storage/lock.js";
import { temporaryFolder } from "../../../support/data.js";
import { entryOf, required } from "../../../support/required.js";

const HOLDER = fileURLToPath(new URL("./lock-holder.js", import.meta.url));
const hashOf = (index: number): string => index.toString(16).padStart(40, "0").split("").reverse().join("");

function folderToLock(): { folder: string; file: string } {
  const folder = temporaryFolder(after);
  mkdirSync(join(folder, ".scatterwire"));
  return { folder, file: join(folder, ".scatterwire", "lock") };
}

function take(folder: string, hash: string): DownloadLock | string {
  try {
    const lock = DownloadLock.take(folder, hash, (text) => assert.fail(text));
    assert.ok(lock !== undefined);
    return lock;
  } catch (error) {
    assert.ok(error instanceof ScatterwireError);
    return error.code;
  }
}

function taken(folder: string, hash: string): DownloadLock {
  const lock = take(folder, hash);
  assert.ok(typeof lock !== "string", `taken, and not ${String(lock)}`);
  return lock;
}

function descriptorsOf(path: string): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  }).length;
}

class OtherProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(folder: string) {
    this.#child = spawn(process.execPath, [HOLDER, folder], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: required(this.#child.stdout, "stdout") })[Symbol.asyncIterator]();
    after(() => this.#child.kill("SIGKILL"));
  }

  async ask(line: string): Promise<string> {
    required(this.#child.stdin, "stdin").write(`${line}\n`);
    return (await this.#lines.next()).value as string;
  }

  async kill(): Promise<void> {
    const gone = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await gone;
  }
}

describe("the lock of a download", { timeout: 120_000 }, () => {
  it("is one descriptor for all downloads of a folder, and no file when they are over", () => {
    const { folder, file } = folderToLock();
    const locks = Array.from({ length: 300 }, (_, index) => taken(folder, hashOf(index)));
    assert.equal(descriptorsOf(file), 1);
    for (const lock of locks.slice(1)) lock.release();
    assert.equal(descriptorsOf(file), 1);
    assert.equal(take(folder, hashOf(0)), "STORAGE_LOCKED");
    entryOf(locks, 0).release();
    assert.equal(descriptorsOf(file), 0);
    assert.equal(existsSync(file), false);
    taken(folder, hashOf(0)).release();
  });

  it("keeps two of one thread apart, by whatever path they come, and only those of one download", () => {
    const { folder } = folderToLock();
    const elsewhere = join(temporaryFolder(after), "link");
    symlinkSync(folder, elsewhere);
    const lock = taken(folder, hashOf(1));
    assert.equal(take(folder, hashOf(1)), "STORAGE_LOCKED");
    assert.equal(take(elsewhere, hashOf(1)), "STORAGE_LOCKED");
    const other = taken(elsewhere, hashOf(2));
    assert.equal(take(folder, hashOf(2)), "STORAGE_LOCKED");
    lock.release();
    taken(elsewhere, hashOf(1)).release();
    other.release();
    taken(folder, hashOf(2)).release();
  });

  it("is for each of two downloads whose info hashes begin alike", () => {
    const { folder } = folderToLock();
    const [one, two] = ["a".repeat(40), `${"a".repeat(39)}b`];
    const [first, second] = [taken(folder, one), taken(folder, two)];
    first.release();
    assert.equal(take(folder, two), "STORAGE_LOCKED");
    second.release();
    taken(folder, two).release();
  });

  it("keeps processes apart, until one lets go or is killed", async () => {
    const { folder, file } = folderToLock();
    const other = new OtherProcess(folder);
    const [hash, another] = [hashOf(3), hashOf(4)];
    assert.equal(await other.ask(`take ${hash}`), "taken");
    assert.equal(take(folder, hash), "STORAGE_LOCKED");
    const lock = taken(folder, another);
    assert.equal(await other.ask(`take ${another}`), "STORAGE_LOCKED");
    assert.equal(await other.ask(`release ${hash}`), "released");
    taken(folder, hash).release();
    assert.equal(await other.ask(`take ${hash}`), "taken");
    lock.release();
    assert.equal(existsSync(file), true, "the other one uses the file");
    assert.equal(take(folder, hash), "STORAGE_LOCKED");
    await other.kill();
    taken(folder, hash).release();
    assert.equal(existsSync(file), false);
  });

  it("is taken while others remove the file, and make it again", async () => {
    const { folder, file } = folderToLock();
    const other = new OtherProcess(folder);
    const [hash, another] = [hashOf(5), hashOf(6)];
    for (let round = 0; round < 200; round++) {
      // Both sides are in the middle of it: only the download that both want may be refused.
      const answers = [other.ask(`take ${hash}`), other.ask(`release ${hash}`), other.ask(`take ${hash}`)];
      for (let tries = 0; tries < 5; tries++) taken(folder, another).release();
      assert.deepEqual(await Promise.all(answers), ["taken", "released", "taken"]);
      assert.equal(take(folder, hash), "STORAGE_LOCKED");
      assert.equal(await other.ask(`release ${hash}`), "released");
    }
    assert.equal(existsSync(file), false);
  });

  it("of a folder that was removed meanwhile is no lock of the one in its place", async () => {
    const { folder, file } = folderToLock();
    const stale = taken(folder, hashOf(7));
    rmSync(join(folder, ".scatterwire"), { recursive: true });
    mkdirSync(join(folder, ".scatterwire"));
    const other = new OtherProcess(folder);
    const lock = taken(folder, hashOf(8));
    assert.equal(await other.ask(`take ${hashOf(8)}`), "STORAGE_LOCKED");
    stale.release();
    assert.equal(existsSync(file), true);
    assert.equal(await other.ask(`take ${hashOf(8)}`), "STORAGE_LOCKED");
    lock.release();
    assert.equal(await other.ask(`take ${hashOf(8)}`), "taken");
    await other.kill();
  });
});
