// Builds the addon with node-gyp into build/Release, as `npm install` does for a user.
//
// node-gyp compiles against Node's headers. Most installations have them beside the node binary; then nothing has to be
// downloaded. A folder that npm was told to use (nodedir) goes first, and without either node-gyp downloads them.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** The node-gyp that npm brings, wherever npm lies. */
function findNodeGyp() {
  const prefix = resolve(process.execPath, "../..");
  const candidates = [
    process.env.npm_config_node_gyp,
    process.env.npm_execpath && join(dirname(process.env.npm_execpath), "../node_modules/node-gyp/bin/node-gyp.js"),
    join(prefix, "lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js"),
    join(prefix, "share/nodejs/npm/node_modules/node-gyp/bin/node-gyp.js"),
  ];
  for (const candidate of candidates) if (candidate && existsSync(candidate)) return candidate;
  try {
    return createRequire(join(root, "package.json")).resolve("node-gyp/bin/node-gyp.js");
  } catch {
    return undefined;
  }
}

/** Headers beside the node binary, if they are of the version that runs. */
function findHeaders() {
  const prefix = resolve(process.execPath, "../..");
  const file = join(prefix, "include/node/node_version.h");
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, "utf8");
  const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
  const version = `${part("MAJOR")}.${part("MINOR")}.${part("PATCH")}`;
  return version === process.versions.node ? prefix : undefined;
}

/** When the newest of the addon's sources changed. */
function newestSourceMs() {
  const files = [join(root, "binding.gyp"), ...readdirSync(join(root, "native")).map((name) => join(root, "native", name))];
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

function isFresh() {
  const built = join(root, "build/Release/scatterwire.node");
  return existsSync(built) && statSync(built).mtimeMs > newestSourceMs();
}

if (process.argv.includes("--if-needed") && isFresh()) process.exit(0);

const nodeGyp = findNodeGyp();
if (nodeGyp === undefined) {
  console.error("scatterwire: node-gyp was not found beside npm; install it with `npm install --global node-gyp`");
  process.exit(1);
}
const configured = process.env.npm_config_nodedir ?? process.env.npm_package_config_node_gyp_nodedir;
const headers = configured ?? findHeaders();
const args = [nodeGyp, "rebuild", "--silent", ...(headers === undefined ? [] : [`--nodedir=${headers}`])];
const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
if (status !== 0) {
  const reason = error === undefined ? "see above" : error.message;
  console.error(`scatterwire: the addon could not be built (${reason}). It needs python3, make and a C++20 compiler (g++ 11, clang 14).`);
  process.exit(1);
}
