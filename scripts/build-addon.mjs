// Builds the addon into build/Release/scatterwire.node with node-gyp: what `npm install` runs, and `npm run build:addon`.
//
// With --unless-prebuilt, as `npm install` calls it, nothing is compiled where the package has an addon that loads. That is asked of
// the package itself, and only of an unpacked one: in a clone the sources count, and not what was made of them before.
//
// Node's headers come from the folder that npm was told to use (nodedir), else from beside the running binary if they
// are of its version, else node-gyp downloads them. With --if-needed nothing is done when no source is newer than the
// addon. Other options go to node-gyp, for example --debug.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
/** Options of this script; all others are node-gyp's. */
const OURS = ["--if-needed", "--unless-prebuilt"];
const nodePrefix = dirname(dirname(realpathSync(process.execPath)));

/** node-gyp's script: the one npm names, else the one that npm carries. */
function findNodeGyp() {
  const npmRoots = [
    // npm tells its scripts where it is itself.
    ...(process.env.npm_execpath ? [dirname(dirname(process.env.npm_execpath))] : []),
    join(nodePrefix, "lib/node_modules/npm"),
    join(nodePrefix, "share/nodejs/npm"),
  ];
  const candidates = [
    process.env.npm_config_node_gyp,
    ...npmRoots.map((root) => join(root, "node_modules/node-gyp/bin/node-gyp.js")),
    join(nodePrefix, "share/nodejs/node-gyp/bin/node-gyp.js"),
  ];
  return candidates.find((path) => path && existsSync(path));
}

/** The folder whose include/node has the headers of this very version, if there is one. */
function findNodeHeaders() {
  const header = join(nodePrefix, "include/node/node_version.h");
  if (!existsSync(header)) return undefined;
  const text = readFileSync(header, "utf8");
  const part = (/** @type {string} */ name) =>
    text.match(new RegExp(`#define NODE_${name}_VERSION (\\d+)`))?.[1];
  const version = [part("MAJOR"), part("MINOR"), part("PATCH")].join(".");
  return version === process.versions.node ? nodePrefix : undefined;
}

/** True if the addon is there and newer than all that it is made of. */
function isFresh() {
  const built = join(packageRoot, "build/Release/scatterwire.node");
  if (!existsSync(built)) return false;
  const native = join(packageRoot, "native");
  const sources = [
    join(packageRoot, "binding.gyp"),
    ...readdirSync(native, { recursive: true, encoding: "utf8" }).map((name) => join(native, name)),
  ];
  return sources.every((file) => statSync(file).mtimeMs < statSync(built).mtimeMs);
}

/** True if this is an unpacked package, and it loads an addon on this machine without anything being compiled. */
function hasFittingAddon() {
  const binding = join(packageRoot, "dist/src/native/binding.js");
  if (existsSync(join(packageRoot, "tsconfig.json")) || !existsSync(binding)) return false;
  // In a process of its own: an addon that does not suit this machine may end whoever loads it.
  const load = `import(${JSON.stringify(pathToFileURL(binding).href)}).then((module) => module.loadBinding())`;
  return spawnSync(process.execPath, ["-e", load], { stdio: "ignore" }).status === 0;
}

function hasCompiler() {
  const compiler = process.env.CXX ?? "c++";
  // CXX may carry options or a launcher ("ccache g++"), so the shell takes it apart.
  return spawnSync(`${compiler} --version`, { shell: true, stdio: "ignore" }).status === 0;
}

/** @param {string} message */
function fail(message) {
  console.error(`scatterwire: ${message}`);
  process.exit(1);
}

const options = process.argv.slice(2);
if (options.includes("--if-needed") && isFresh()) process.exit(0);
if (options.includes("--unless-prebuilt") && hasFittingAddon()) process.exit(0);
if (!hasCompiler()) {
  fail(
    "no C++ compiler found: install one that knows C++20 and make (Debian: apt install g++ make; macOS: xcode-select --install), or set CXX",
  );
}
const nodeGyp = findNodeGyp();
const [command, ...first] = nodeGyp ? [process.execPath, nodeGyp] : ["npx", "--yes", "node-gyp"];
const configured = process.env.npm_config_nodedir ?? process.env.npm_package_config_node_gyp_nodedir;
const headers = configured ?? findNodeHeaders();
const env = headers ? { ...process.env, npm_package_config_node_gyp_nodedir: headers } : process.env;
const result = spawnSync(
  command,
  [...first, "rebuild", "--loglevel=error", ...options.filter((option) => !OURS.includes(option))],
  {
    cwd: packageRoot,
    env,
    stdio: "inherit",
  },
);
if (result.error) fail(`cannot run ${command}: ${result.error.message}`);
if (result.status !== 0) fail("the addon did not build; the compiler says why above");
