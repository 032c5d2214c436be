// Runs the compiled tests under other lines of Node.js, one after the other:
//
//   npm run lines                                    22, 24 and 26; the folders that continuous integration runs there
//   npm run lines -- 26 unit native                  one line, and the folders that scripts/test.mjs is to run
//   npm run lines -- /opt/node-26/bin/node sim       the Node.js that lies there
//
// A line is taken from the package `node`, which npm keeps in its cache. The addon is the one that was built: Node-API is the same
// for all lines, and that it is, is a part of what is tested.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const LINES = ["22", "24", "26"];
const FOLDERS = ["unit", "native", "differential"];

/** @param {string} argument */
const namesNode = (argument) => /^\d+(\.\d+)*$/.test(argument) || /[/\\]node$/.test(argument);

/**
 * Where the newest Node.js of a line lies, or of a version, or the one that is named by its place.
 * @param {string} wanted
 */
function findNode(wanted) {
  if (existsSync(wanted)) return resolve(wanted);
  const packaged = [`--package=node@${wanted}`, "--", "node", "-p", "process.execPath"];
  const { stdout, status } = spawnSync("npm", ["exec", "--yes", ...packaged], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const path = stdout?.trim() ?? "";
  if (status === 0 && existsSync(path)) return path;
  console.error(`test-lines: there is no Node.js ${wanted}`);
  process.exit(2);
}

const wanted = process.argv.slice(2);
if (wanted.includes("--help") || wanted.includes("-h")) {
  console.log("npm run lines -- [LINE | VERSION | NODE]... [what npm test takes]");
  process.exit(0);
}
const lines = wanted.filter(namesNode);
const rest = wanted.filter((argument) => !namesNode(argument));
/** @type {string[]} */
const results = [];
for (const path of (lines.length > 0 ? lines : LINES).map(findNode)) {
  // Programs that tests start by name find this Node.js, too.
  const env = { ...process.env, PATH: `${dirname(path)}${delimiter}${process.env.PATH ?? ""}` };
  const version = spawnSync(path, ["--version"], { encoding: "utf8" }).stdout?.trim();
  console.log(`test-lines: Node.js ${version}`);
  const args = [
    "scripts/test.mjs",
    ...(rest.some((name) => !name.startsWith("-")) ? rest : [...FOLDERS, ...rest]),
  ];
  const { status } = spawnSync(path, args, { cwd: root, stdio: "inherit", env });
  if (status !== 0) process.exitCode = 1;
  results.push(`${version} ${status === 0 ? "passed" : "FAILED"}`);
}
console.log(`test-lines: ${results.join(", ")}`);
