// npm run profile:receive, profile:seed, profile:verify and profile:tracker: where the processor's time goes.
//
//   node scripts/profile.mjs receive|seed|verify|tracker [--seconds 5] [--output profiles] [--no-perf] [--no-callgrind]
//
// The work runs alone in a process (scripts/profile/work.mjs) under `perf record -e cpu-clock`, which sees JavaScript, the
// addon and the kernel; where perf may not be used, under `node --cpu-prof`, which sees JavaScript only, and the text says
// so. It writes a flame graph and a list of the dearest frames, and prints the list. Then callgrind counts the instructions
// of one block: twice the work less the work once, so that starting Node is not in it.

import { spawn, spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { flameGraph } from "./profile/flame-graph.mjs";
import { foldCpuProfile, foldPerf, kindShares, topList } from "./profile/fold.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const WORK = join(root, "scripts/profile/work.mjs");
const WORKS = ["receive", "seed", "verify", "tracker"];
const MIB = 1024 * 1024;
const DATA_BYTES = 256 * MIB;
/** Under callgrind everything is fifty times slower. */
const COUNTED_BYTES = 64 * MIB;
const BLOCK_BYTES = 16_384;
/** A seeder is asked for so much per second of profile: more than it can do, and the leecher ends when it has it. */
const SEED_BYTES_PER_SECOND = 3e9;
/** Announces, with some scrapes, of a swarm population that is known after a second or two. */
const TRACKER_LOAD = {
  host: "127.0.0.1",
  worker: 0,
  workers: 1,
  multipleClientIpv4s: true,
  socketsPerWorker: 4,
  receiveBufferBytes: 8_000_000,
  torrents: 200_000,
  peers: 400_000,
  scrapeTorrentsMax: 10,
  peersWanted: 30,
  weightConnect: 0,
  weightAnnounce: 100,
  weightScrape: 1,
  seederProbability: 0.75,
  window: 4096,
  extraStatistics: false,
};
const SAMPLES_PER_SECOND = 997;
const TOP_FRAMES = 25;
const KIND_NAMES = { k: "kernel", a: "addon", j: "JavaScript", n: "Node, V8, libuv", l: "libraries" };

const { values: flags, positionals } = readArguments();
const work = positionals[0];
const scratch = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "scatterwire-profile-"));
const children = new Set();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

try {
  const output = resolve(flags.output);
  mkdirSync(output, { recursive: true });
  await profile(output);
  if (flags.callgrind) await countInstructions();
} catch (error) {
  console.error(`scatterwire: ${error.message}`);
  // What runs beside the work that failed would go on for ever.
  process.exit(1);
}

function readArguments() {
  try {
    const parsed = parseArgs({
      allowPositionals: true,
      allowNegative: true,
      options: {
        seconds: { type: "string", default: "5" },
        output: { type: "string", default: "profiles" },
        perf: { type: "boolean", default: true },
        callgrind: { type: "boolean", default: true },
      },
    });
    const seconds = Number(parsed.values.seconds);
    if (
      parsed.positionals.length === 1 &&
      WORKS.includes(parsed.positionals[0]) &&
      seconds > 0 &&
      seconds <= 600
    )
      return parsed;
    throw new Error(`one of ${WORKS.join(", ")} is expected, and --seconds from 1 to 600`);
  } catch (error) {
    console.error(`scatterwire: ${error.message}`);
    process.exit(2);
  }
}

async function profile(output) {
  const why = flags.perf ? whyNoPerf() : "--no-perf";
  const recorded = join(scratch, "perf.data");
  const wrapper =
    why === undefined
      ? ["perf", "record", "-q", "-F", `${SAMPLES_PER_SECOND}`, "-e", "cpu-clock", "-g", "-o", recorded, "--"]
      : [];
  const options =
    why === undefined
      ? ["--perf-basic-prof", "--interpreted-frames-native-stack"]
      : ["--cpu-prof", `--cpu-prof-dir=${scratch}`];
  const torrent =
    work === "tracker" ? { torrent: "", folder: scratch, data: "" } : await makeTorrent(DATA_BYTES);
  const { bytes, pid } = await run(
    [...wrapper, process.execPath, ...options],
    torrent,
    Number(flags.seconds),
  );
  const stacks = why === undefined ? readPerf(recorded, pid) : readCpuProfile();
  const how =
    why === undefined
      ? `perf, ${SAMPLES_PER_SECOND} samples per CPU second`
      : `node --cpu-prof: JavaScript only, the addon and the kernel are not told apart (perf: ${why})`;
  const done =
    work === "tracker"
      ? `${(bytes / 1e6).toFixed(2)} million answers`
      : `${(bytes / 1e9).toFixed(2)} GB of payload`;
  const subtitle = `${done}, Node ${process.version}; ${how}`;
  const file = join(output, `${work}.html`);
  writeFileSync(file, flameGraph(stacks, { title: `scatterwire: profile of ${work}`, subtitle }));
  const text = listText(stacks, subtitle);
  writeFileSync(join(output, `${work}.txt`), text);
  process.stdout.write(text);
  console.log(`\nThe flame graph is in ${file}`);
}

function whyNoPerf() {
  const tried = spawnSync(
    "perf",
    ["record", "-q", "-e", "cpu-clock", "-o", join(scratch, "tried"), "--", "true"],
    {
      encoding: "utf8",
    },
  );
  if (tried.error !== undefined) return "not installed; Debian's package is linux-perf";
  if (tried.status !== 0) return "not permitted; try: sysctl kernel.perf_event_paranoid=1";
  return undefined;
}

function readPerf(recorded, pid) {
  const { stdout, status, stderr } = spawnSync("perf", ["script", "-i", recorded, "-F", "comm,ip,sym,dso"], {
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  if (status !== 0) throw new Error(`perf script failed: ${stderr.trim().split("\n")[0]}`);
  // The map of compiled functions, which V8 leaves for perf to find.
  rmSync(`/tmp/perf-${pid}.map`, { force: true });
  return foldPerf(stdout, root);
}

function readCpuProfile() {
  const file = readdirSync(scratch).find((name) => name.endsWith(".cpuprofile"));
  if (file === undefined) throw new Error("node --cpu-prof wrote no profile");
  return foldCpuProfile(JSON.parse(readFileSync(join(scratch, file), "utf8")), root);
}

function listText(stacks, subtitle) {
  const shares = Object.entries(kindShares(stacks))
    .sort(([, left], [, right]) => right - left)
    .map(([kind, share]) => `${KIND_NAMES[kind]} ${percent(share)}`);
  const rows = topList(stacks)
    .slice(0, TOP_FRAMES)
    .map(
      ({ frame, self, total }) =>
        `${percent(self).padStart(8)} ${percent(total).padStart(8)}  ${frame.slice(2)}`,
    );
  return [subtitle, shares.join(", "), "", "    self    total  frame", ...rows, ""].join("\n");
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

async function makeTorrent(bytes) {
  const { createTorrentFile } = await import(pathToFileURL(join(root, "dist/src/index.js")).href);
  const folder = join(scratch, String(bytes));
  mkdirSync(folder);
  const data = join(folder, "data.bin");
  writeFileSync(data, randomFillSync(Buffer.allocUnsafe(bytes)));
  const torrent = join(folder, "data.torrent");
  writeFileSync(torrent, await createTorrentFile(data));
  return { torrent, folder, data };
}

/**
 * Runs the work below `command`, with the load that it needs beside it, and returns its last line.
 * @param {string[]} command
 * @param {{ torrent: string, folder: string, data: string }} place
 * @param {number} seconds
 */
async function run(command, { torrent, folder, data }, seconds, seedBytes = seconds * SEED_BYTES_PER_SECOND) {
  const generator = (name) => join(root, `dist/bench/load/load-${name}.js`);
  if (work === "verify") return start([...command, WORK, "verify", torrent, folder, `${seconds}`]).ended;
  if (work === "receive") {
    const seeder = start([process.execPath, generator("seeder"), torrent, data]);
    const { host, port } = await seeder.firstLine;
    const result = await start([...command, WORK, "receive", torrent, `${host}:${port}`, `${seconds}`]).ended;
    seeder.child.stdin.end();
    await seeder.ended;
    return result;
  }
  if (work === "tracker") {
    const tracker = start([...command, WORK, "tracker"]);
    const { port } = await tracker.firstLine;
    const load = { ...TRACKER_LOAD, port, durationSeconds: seconds };
    await start([process.execPath, join(root, "dist/bench/load/tracker-load.js"), JSON.stringify(load)])
      .ended;
    tracker.child.stdin.end();
    return tracker.ended;
  }
  const seeding = start([...command, WORK, "seed", torrent, folder]);
  const { port } = await seeding.firstLine;
  const connect = ["--connect", `127.0.0.1:${port}`, "--bytes", `${seedBytes}`];
  await start([process.execPath, generator("leecher"), torrent, ...connect]).ended;
  seeding.child.stdin.end();
  return seeding.ended;
}

/**
 * A program of JSON lines; fails with what it says on standard error.
 * @param {string[]} command
 */
function start([program, ...args]) {
  const child = spawn(program, args, { cwd: scratch, stdio: ["pipe", "pipe", "pipe"] });
  children.add(child);
  let output = "";
  let errors = "";
  let gotLine;
  let failed;
  const firstLine = new Promise((resolve, reject) => {
    gotLine = resolve;
    failed = reject;
  });
  firstLine.catch(() => {});
  child.stdin.on("error", () => {});
  child.stdout.on("data", (chunk) => {
    output += chunk;
    if (output.includes("\n")) gotLine(JSON.parse(output.slice(0, output.indexOf("\n"))));
  });
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => {
      children.delete(child);
      const said = errors.split("\n").filter((line) => /^\S*Error\b|^scatterwire:/.test(line));
      const error = new Error(said[0] ?? `${program} ended with status ${status}`);
      failed(error);
      if (status !== 0) reject(error);
      else resolve(JSON.parse(output.slice(output.trimEnd().lastIndexOf("\n") + 1)));
    });
  });
  return { child, firstLine, ended };
}

async function countInstructions() {
  if (work === "tracker") {
    console.log(
      "Instructions are not counted: under callgrind the load waits for the tracker, and nothing is the same.",
    );
    return;
  }
  if (spawnSync("valgrind", ["--version"]).error !== undefined) {
    console.log("No instructions were counted: valgrind is not installed; Debian's package is valgrind");
    return;
  }
  console.log("Counting the instructions of a block with callgrind: a minute or two …");
  const once = await countOf(COUNTED_BYTES);
  const twice = await countOf(2 * COUNTED_BYTES);
  const perBlock = (twice - once) / (COUNTED_BYTES / BLOCK_BYTES);
  console.log(
    `${Math.round(perBlock).toLocaleString("en-US")} instructions in user space per block of 16 KiB`,
  );
}

async function countOf(bytes) {
  const counted = join(scratch, `callgrind.${bytes}`);
  const valgrind = [
    "valgrind",
    "--tool=callgrind",
    `--callgrind-out-file=${counted}`,
    "--smc-check=all-non-file",
  ];
  await run([...valgrind, process.execPath], await makeTorrent(bytes), 0, bytes);
  const match = /^(?:summary|totals): (\d+)/m.exec(readFileSync(counted, "utf8"));
  if (match === null) throw new Error("callgrind wrote no sum");
  return Number(match[1]);
}
