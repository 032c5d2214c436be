// Gives the native code, and the C++ of the lab, its form (.clang-format). With --check it only says what has another one, and fails.
//
// Where clang-format is not installed it says so and does nothing; with SCATTERWIRE_REQUIRE_CLIENTS=1, as in .ci/run, it fails.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const files = ["native", "bench"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  )
  .filter((name) => /\.(cc|h)$/.test(name))
  .sort();
const how = process.argv.includes("--check") ? ["--dry-run", "-Werror"] : ["-i"];
const { error, status } = spawnSync("clang-format", [...how, ...files], { cwd: root, stdio: "inherit" });
if (error !== undefined) {
  console.error(
    'scatterwire: native code is neither formatted nor checked: install it with "apt-get install clang-format"',
  );
  process.exit(process.env.SCATTERWIRE_REQUIRE_CLIENTS === "1" ? 1 : 0);
}
if (status !== 0) console.error("scatterwire: run `npm run format`");
process.exit(status ?? 1);
