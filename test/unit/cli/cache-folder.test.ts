// The command line's folder for what it can do without: where there is none, or none can be made, everything else goes on.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { cacheFolder, makeFolders } from "../../../src/cli/cache-folder.js";
import { temporaryFolder } from "../../support/data.js";

const CODE_CACHE = fileURLToPath(new URL("../../../src/cli/code-cache.js", import.meta.url));
/** A download or seed that ends well keeps what V8 compiled. */
const RUN = `
  const { runCompiled, codeCacheFolder } = await import(process.argv[1]);
  process.exitCode = await runCompiled(process.argv[2], "verb", [], codeCacheFolder(), { fromMs: 0, afterMs: 60_000 });`;

describe("the folder for what can be done without", { timeout: 120_000 }, () => {
  it("is the user's, or where the environment says with an absolute path", (test) => {
    const before = { ...process.env };
    test.after(() => {
      process.env = before;
    });
    process.env = { XDG_CACHE_HOME: "/cache" };
    assert.equal(cacheFolder(), "/cache/scatterwire");
    for (const said of ["", "relative", "./relative"]) {
      process.env = { XDG_CACHE_HOME: said };
      assert.equal(cacheFolder(), join(os.homedir(), ".cache/scatterwire"));
    }
  });

  it("is none for a user that the system does not know", (test) => {
    const before = { ...process.env };
    const { homedir } = os;
    test.after(() => {
      process.env = before;
      os.homedir = homedir;
      syncBuiltinESMExports();
    });
    process.env = {};
    os.homedir = () => {
      throw new Error("uv_os_homedir returned ENOENT");
    };
    syncBuiltinESMExports();
    assert.equal(cacheFolder(), undefined);
  });

  it("is made with all that it lies in, once", () => {
    const folder = join(temporaryFolder(after), "a/b/c");
    for (let time = 0; time < 2; time++) makeFolders(folder, { mode: 0o700 });
    assert.equal(statSync(folder).mode & 0o777, 0o700);
  });

  it("is given up behind a link to what is gone, and in a file", () => {
    const home = temporaryFolder(after);
    symlinkSync(join(home, "gone/away"), join(home, "link"));
    writeFileSync(join(home, "file"), "");
    assert.throws(() => makeFolders(join(home, "link/scatterwire")), { code: "EEXIST" });
    assert.throws(() => makeFolders(join(home, "file/scatterwire")), { code: "ENOTDIR" });
  });

  it("does not hold up the end of a verb where it cannot be made", () => {
    const home = temporaryFolder(after);
    symlinkSync(join(home, "gone/away"), join(home, ".cache"));
    const verbs = join(home, "verbs-0123456789abcdef.cjs");
    writeFileSync(verbs, "exports.verb = async () => 0;");
    const places = [home, ...(existsSync("/proc/self") ? ["/proc"] : [])];
    for (const place of places) {
      const env = { PATH: process.env["PATH"], HOME: place };
      const args = ["--input-type=module", "--eval", RUN, CODE_CACHE, verbs];
      const { status, signal } = spawnSync(process.execPath, args, {
        env,
        timeout: 60_000,
        killSignal: "SIGKILL",
      });
      assert.deepEqual({ status, signal }, { status: 0, signal: null }, place);
    }
  });
});
