// A file that is replaced as a whole, whatever lies beside it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { replaceFile } from "../../../src/base/replaced-file.js";
import { temporaryFolder } from "../../support/data.js";

describe("a file that is replaced", () => {
  const folder = temporaryFolder(after);
  const text = (path: string): string => readFileSync(path, "utf8");

  it("has all parts, and what was there before is gone", async () => {
    const path = join(await folder, "plain");
    await replaceFile(path, [Buffer.from("old and long")]);
    await replaceFile(path, [Buffer.from("ne"), Buffer.alloc(0), Buffer.from("w")]);
    assert.equal(text(path), "new");
    assert.ok(!existsSync(`${path}.new`));
  });

  it("neither waits for a FIFO beside it, nor follows a link there, nor takes over a leftover", async () => {
    const other = join(await folder, "somebody-else's");
    writeFileSync(other, "theirs");
    const put: Record<string, (beside: string) => void> = {
      fifo: (beside) => execFileSync("mkfifo", [beside]),
      link: (beside) => symlinkSync(other, beside),
      leftover: (beside) => writeFileSync(beside, "longer than what is written now"),
    };
    for (const [what, make] of Object.entries(put)) {
      const path = join(await folder, what);
      make(`${path}.new`);
      await replaceFile(path, [Buffer.from("ours")]);
      assert.equal(text(path), "ours", what);
    }
    assert.equal(text(other), "theirs");
  });

  it("is as it was where the new one cannot be put in its place, and nothing is left beside it", async () => {
    const path = join(await folder, "folder");
    mkdirSync(path);
    await assert.rejects(replaceFile(path, [Buffer.from("new")]), { code: "EISDIR" });
    assert.ok(!existsSync(`${path}.new`));
    mkdirSync(`${path}.new`);
    await assert.rejects(replaceFile(path, [Buffer.from("new")]), { syscall: "unlink" });
  });
});
