// A file that is written beside everything else, on a disk that takes nothing, or not all.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { BoundedFile } from "../../../src/base/bounded-file.js";
import { temporaryFolder } from "../../support/data.js";
import { systemError, withFs } from "../../support/full-disk.js";

type Writing = (fd: number, buffers: Buffer[], done: (error: Error | null, written: number) => void) => void;

describe("a file that is written beside everything else", () => {
  const folder = temporaryFolder(after);

  /** Writes two lines to a disk that takes the first `bytes` of them. What was told of its end. */
  const writeTo = async (path: string, bytes: number, flags: "wx" | "w" = "wx"): Promise<string[]> => {
    const told: string[] = [];
    const file = new BoundedFile(
      path,
      1000,
      { ends: (why, reason) => void told.push(reason, why) as undefined },
      flags,
    );
    let left = bytes;
    const take = (real: Writing): Writing => {
      return (fd, buffers, done) => {
        const all = Buffer.concat(buffers);
        const fits = Math.min(left, all.length);
        left -= fits;
        if (fits === 0) setImmediate(() => done(systemError("ENOSPC"), 0));
        else real(fd, [all.subarray(0, fits)], done);
      };
    };
    await withFs(
      "writev",
      (real) => take(real as Writing) as (...args: unknown[]) => unknown,
      async () => {
        file.add(Buffer.from("one\n"));
        file.add(Buffer.from("two\n"));
        await file.close(Buffer.from("end\n"));
      },
    );
    assert.equal(file.isOpen, false);
    return told;
  };

  it("has all that was added to it, and its last bytes, once it is closed", async () => {
    const path = join(folder, "whole");
    assert.deepEqual(await writeTo(path, 1000), []);
    assert.equal(readFileSync(path, "utf8"), "one\ntwo\nend\n");
  });

  it("keeps what the disk took, where that was not all", async () => {
    const path = join(folder, "cut");
    const [reason, why] = await writeTo(path, 6);
    assert.equal(reason, "failed");
    assert.match(why ?? "", /^cannot be written to \(ENOSPC/);
    assert.equal(readFileSync(path, "utf8"), "one\ntw");
  });

  it("is gone where the disk took nothing, so that it can be tried again", async () => {
    const path = join(folder, "empty");
    const [reason] = await writeTo(path, 0);
    assert.equal(reason, "empty");
    assert.equal(existsSync(path), false);
    assert.deepEqual(await writeTo(path, 1000), []);
  });

  it("that was there before stays, whatever the disk takes", async () => {
    const path = join(folder, "before");
    writeFileSync(path, "");
    const [reason] = await writeTo(path, 0, "w");
    assert.equal(reason, "failed");
    assert.equal(existsSync(path), true);
  });
});
