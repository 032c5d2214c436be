// Puts the addon for this machine into prebuilds/, as the package brings it: compiled unless it is newer than its sources, without symbols,
// under the name by which src/native/addon-file.ts looks for it. Then loads it from there, and says which libraries it needs.
//
//   npm run build:prebuilt                       what this machine can build
//   node scripts/build-prebuilt.mjs --complete   builds nothing, and fails unless there is one for each platform that package.json names
//
// What the release workflow builds on other machines comes into the same folder, and with SCATTERWIRE_PREBUILDS=given it is left as it is:
// the tests of the package then try what is released. Nothing of it is committed.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** @type {typeof import("../src/native/addon-file.ts")} */
const { prebuiltFile, prebuiltName } = await import(
  pathToFileURL(join(root, "dist/src/native/addon-file.js")).href
).catch(() => fail("run `npm run build:ts` first"));

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(`scatterwire: ${message}`);
  process.exit(1);
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function run(command, args, env = process.env) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: "utf8", env });
  if (error) fail(`cannot run ${command}: ${error.message}`);
  if (status !== 0) fail(`${command} ${args.join(" ")} failed\n${stderr}`);
  return stdout;
}

/** Fails unless each platform that package.json names is there, on Linux with both C libraries. */
function requireAll() {
  /** @type {{ os: string[], cpu: string[] }} */
  const { os, cpu } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const names = os.flatMap((platform) =>
    cpu.flatMap((arch) =>
      platform === "linux"
        ? [prebuiltName(platform, arch, "glibc"), prebuiltName(platform, arch, "musl")]
        : [prebuiltName(platform, arch, undefined)],
    ),
  );
  const missing = names.filter((name) => !existsSync(join(root, "prebuilds", name)));
  if (missing.length > 0)
    fail(`package.json names platforms without a prebuilt addon: ${missing.join(", ")}`);
  console.log(`all are there: ${names.join(", ")}`);
}

function build() {
  run(process.execPath, [join(root, "scripts/build-addon.mjs"), "--if-needed"]);
  const target = prebuiltFile();
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join(root, "build/Release/scatterwire.node"), target);
  run("strip", ["--strip-unneeded", target]);
  const load = `import(${JSON.stringify(pathToFileURL(join(root, "dist/src/native/binding.js")).href)}).then((module) => module.loadBinding())`;
  run(process.execPath, ["-e", load], { ...process.env, SCATTERWIRE_ADDON: target });
  const needs = run("objdump", ["-T", target]).match(/\b(?:GLIBC|GLIBCXX)_[\d.]+/g) ?? [];
  const newest = ["GLIBC", "GLIBCXX"].flatMap(
    (library) =>
      needs
        .filter((name) => name.startsWith(`${library}_`))
        .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
        .at(-1) ?? [],
  );
  const needed = newest.length > 0 ? `, needs ${newest.join(" and ")}` : "";
  console.log(`prebuilds/${basename(target)}: ${Math.ceil(statSync(target).size / 1024)} KiB${needed}`);
}

if (process.argv.includes("--complete")) requireAll();
else if (process.env.SCATTERWIRE_PREBUILDS !== "given") build();
