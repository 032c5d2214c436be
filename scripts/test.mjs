// Runs the compiled tests: all of them, or those of the folders that are named (npm test -- unit differential).
//
// Node 20's test runner expands no globs, so the files are found here. Tests with real clients run one file after the
// other: they measure time-outs, and machines are small.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const FOLDERS = ["unit", "native", "differential", "fuzz", "sim", "e2e"];
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const options = process.argv.slice(2).filter((argument) => argument.startsWith("-"));

for (const name of wanted) {
  if (FOLDERS.includes(name) || existsSync(join(root, "dist/test", name))) continue;
  console.error(`scatterwire: no tests called "${name}"; there are ${FOLDERS.join(", ")}`);
  process.exit(2);
}

function findTests(folder) {
  if (!existsSync(folder)) return [];
  return (
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith(".test.js"))
      .map((name) => join(folder, name))
      // A compiled test whose source is gone is not a test any more.
      .filter((file) => existsSync(file.replace(`${root}/dist/`, `${root}/`).replace(/\.js$/, ".ts")))
      .sort()
  );
}

function run(files, concurrency) {
  if (files.length === 0) return 0;
  const args = ["--test", `--test-concurrency=${concurrency}`, ...options, ...files];
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
process.exit(Math.max(run(together, 2), run(alone, 1)));
