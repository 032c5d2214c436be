// Runs the tests that reach native code against an addon with AddressSanitizer, UndefinedBehaviorSanitizer and
// assertions, and fails on any report, also one from a worker or a child process. For Linux and GCC; the TypeScript
// must be compiled. Files of tests may be named; else all of test/native and test/differential run.
//
// Node itself is not instrumented and leaks on purpose at its end, so leaks are looked for in a second run, of the
// teardown cases, and count if it was the addon that asked for the memory.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
const buildFolder = join(packageRoot, "build-cmake/sanitized");
const addon = join(buildFolder, "Debug/scatterwire.node");

/** @param {string} message */
function fail(message) {
  console.error(`test-sanitized: ${message}`);
  process.exit(1);
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function run(command, args, env = {}) {
  return spawnSync(command, args, { cwd: packageRoot, stdio: "inherit", env: { ...process.env, ...env } })
    .status;
}

function build() {
  const cmakeJs = join(packageRoot, "node_modules/cmake-js/bin/cmake-js");
  const options = [
    "-d",
    "native",
    "-O",
    buildFolder,
    "--debug",
    "--CDSCATTERWIRE_SANITIZE=ON",
    "--log-level=warn",
  ];
  if (run(process.execPath, [cmakeJs, "compile", ...options]) !== 0) fail("the addon did not build");
}

function findTests() {
  if (process.argv.length > 2) return process.argv.slice(2);
  const folders = ["native", "differential"].map((name) => join(packageRoot, "dist/test", name));
  return folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((file) => file.endsWith(".test.js"));
}

/** Where the compiler keeps the library that must be loaded before all others. */
function findAsan() {
  const asked = spawnSync(process.env.CXX ?? "c++", ["-print-file-name=libasan.so"], { encoding: "utf8" });
  const path = asked.stdout?.trim() ?? "";
  // A compiler that has none answers the bare name.
  if (!path.includes("/")) fail("the compiler has no libasan.so (this script knows GCC on Linux)");
  return path;
}

/**
 * Runs tests; answers their status and what the sanitizers wrote, process by process.
 * @param {string[]} tests
 * @param {boolean} leaks
 */
function runSanitized(tests, leaks) {
  const reports = mkdtempSync(join(tmpdir(), "scatterwire-sanitized-"));
  const log = `log_path=${join(reports, "report")}`;
  const status = run(
    process.execPath,
    ["--test", "--test-reporter=dot", "--test-timeout=1200000", ...tests],
    {
      SCATTERWIRE_ADDON: addon,
      LD_PRELOAD: findAsan(),
      // Where leaks are looked for, finding Node's own must not look like a failed test.
      // Frames are found without frame pointers only by the slow way; a leak's stack passes through Node's code.
      ASAN_OPTIONS: `${log}:detect_leaks=${leaks ? 1 : 0}:fast_unwind_on_malloc=${leaks ? 0 : 1}`,
      LSAN_OPTIONS: `exitcode=0`,
      UBSAN_OPTIONS: `${log}:print_stacktrace=1:halt_on_error=1`,
    },
  );
  const texts = readdirSync(reports).map((name) => readFileSync(join(reports, name), "utf8"));
  rmSync(reports, { recursive: true });
  return { status, texts };
}

/**
 * The leaks in LeakSanitizer's reports whose memory the addon asked for; V8's on its behalf are V8's.
 * @param {string[]} texts
 */
function ownLeaks(texts) {
  const node = realpathSync(process.execPath);
  return texts
    .flatMap((text) => text.split(/\n(?=(?:Direct|Indirect) leak of)/))
    .filter((leak) => /^(Direct|Indirect) leak of/.test(leak) && leak.includes("scatterwire"))
    .filter((leak) => !leak.match(/^ *#1 .*$/m)?.[0].includes(node));
}

const tests = findTests();
if (tests.length === 0) fail("no compiled tests: run `npm run build:ts` first");
build();

const { status, texts } = runSanitized(tests, false);
for (const text of texts) console.error(text);
if (texts.length > 0) fail(`${texts.length} process(es) reported an error`);
if (status !== 0) fail("tests failed");

const teardown = tests.filter((file) => file.endsWith("teardown.test.js"));
if (teardown.length > 0) {
  const second = runSanitized(teardown, true);
  const errors = second.texts.filter((text) => /ERROR: AddressSanitizer|runtime error/.test(text));
  const found = [...errors, ...ownLeaks(second.texts)];
  for (const text of found) console.error(text);
  if (found.length > 0) fail(`${found.length} error(s) or leak(s) when environments end`);
  if (second.status !== 0) fail("tests failed while leaks were looked for");
}
console.log("\ntest-sanitized: no reports");
