// Runs the compiled tests: all of them, or those of the folders and files that are named (npm test -- unit e2e/crowd.test.js).
//
// Tests that need a program which is not installed are left out, file by file, and it says so, with the package that
// brings it, before and after. With SCATTERWIRE_REQUIRE_CLIENTS=1, as in .ci/run, nothing is left out: they fail.
//
// Node 20's test runner expands no globs, so the files are found here. Tests with real clients run one file after the
// other: they measure time-outs, and machines are small.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

// Tests talk to this machine only.
process.env["SCATTERWIRE_DHT"] = "off";
// The command line keeps compiled code from one test to the next as it does for a user, but not in the user's own folder.
const codeCache = mkdtempSync(join(tmpdir(), "scatterwire-code-"));
process.env["SCATTERWIRE_CODE_CACHE"] = codeCache;
process.on("exit", () => rmSync(codeCache, { recursive: true, force: true }));
const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
/** A test that was given up may still wait for what never happens: its file is ended then, and the others are run. */
const FILE_MS_MAX = 20 * 60_000;
const FOLDERS = ["unit", "native", "differential", "fuzz", "sim", "e2e"];
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const options = process.argv.slice(2).filter((argument) => argument.startsWith("-"));

if (options.includes("--help") || options.includes("-h")) {
  console.log(`npm test -- [${FOLDERS.join(" | ")} | FOLDER/NAME.test.js]... [options of node --test]`);
  process.exit(0);
}
for (const name of wanted) {
  if (FOLDERS.includes(name) || existsSync(join(root, "dist/test", name))) continue;
  console.error(`scatterwire: no tests called "${name}"; there are ${FOLDERS.join(", ")}`);
  process.exit(2);
}

/**
 * @param {string} place a folder, or a file
 * @returns {string[]}
 */
function findTests(place) {
  if (!existsSync(place)) return [];
  const files = statSync(place).isDirectory()
    ? readdirSync(place, { recursive: true, encoding: "utf8" }).map((name) => join(place, name))
    : [place];
  return (
    files
      .filter((file) => file.endsWith(".test.js"))
      // A compiled test whose source is gone is not a test any more.
      .filter((file) => existsSync(file.replace(`${root}/dist/`, `${root}/`).replace(/\.js$/, ".ts")))
      .sort()
  );
}

/** Packages that are not installed, and the tests that need them. */
async function findMissing() {
  /** @type {typeof import("../bench/rivals/installed.ts")} */
  const { NEEDED, isInstalled } = await import(join(root, "dist/bench/rivals/installed.js"));
  const clients = ["clients", "lab-load", "tracker-clients"];
  /** @type {[import("../bench/rivals/installed.ts").Needed, string[]][]} */
  const needs = [
    [NEEDED.libtorrentForPython, [...clients, "index-fleet", "over-stream", "tracker"]],
    [NEEDED.transmission, clients],
    [NEEDED.aria2, clients],
    [NEEDED.rtorrent, clients],
    [NEEDED.redis, ["tracker-redis"]],
    [NEEDED.postgresql, ["index-postgres", "index-fleet"]],
    [NEEDED.libtorrentForPython, ["dht-namespace"]],
    [NEEDED.aria2, ["dht-namespace"]],
    [NEEDED.transmission, ["dht-namespace"]],
    [NEEDED.rtorrent, ["dht-namespace"]],
    [NEEDED.networkNamespace, ["dht-namespace"]],
    [NEEDED.strace, ["bench", "lab"]],
    [NEEDED.libtorrentLibrary, ["compare", "lab"]],
  ];
  const packages = [];
  const tests = new Set();
  for (const [needed, names] of needs) {
    if (isInstalled(needed)) continue;
    packages.push(needed.debianPackage);
    for (const name of names) tests.add(join(root, "dist/test/e2e", `${name}.test.js`));
  }
  return { packages, tests };
}

/**
 * @param {string[]} files
 * @param {number} concurrency
 */
function run(files, concurrency) {
  if (files.length === 0) return 0;
  const args = [
    "--test",
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${FILE_MS_MAX}`,
    ...options,
    ...files,
  ];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  return status ?? 1;
}

const folders = wanted.length > 0 ? wanted : FOLDERS;
const together = folders
  .filter((name) => !name.startsWith("e2e"))
  .flatMap((name) => findTests(join(root, "dist/test", name)));
const alone = folders
  .filter((name) => name.startsWith("e2e"))
  .flatMap((name) => findTests(join(root, "dist/test", name)));
if (together.length + alone.length === 0) {
  console.error("scatterwire: no compiled tests were found; run `npm run build:ts`");
  process.exit(1);
}
const missing =
  process.env.SCATTERWIRE_REQUIRE_CLIENTS === "1" ? { packages: [], tests: new Set() } : await findMissing();
const leftOut = alone.filter((file) => missing.tests.has(file));
const tell = () => {
  if (leftOut.length === 0) return;
  const names = leftOut.map((file) => basename(file, ".test.js")).join(", ");
  console.error(
    `scatterwire: tests LEFT OUT: ${names}. They need: apt-get install ${missing.packages.join(" ")}`,
  );
};
tell();
const status = Math.max(
  run(together, 2),
  run(
    alone.filter((file) => !missing.tests.has(file)),
    1,
  ),
);
tell();
process.exit(status);
