// npm run profile:receive, profile:seed, profile:verify and profile:tracker: where the processor's time goes.
//
//   node scripts/profile.mjs receive|seed|verify|tracker [SECONDS, or --seconds 5] [--output profiles] [--no-perf] [--no-callgrind]
//
// The work runs alone in a process (scripts/profile/work.mjs) under `perf record -e cpu-clock`, which sees JavaScript, the
// addon and the kernel; where perf may not be used, under `node --cpu-prof`, which sees JavaScript only, and the text says
// so. It writes a flame graph and a list of the dearest frames, and prints the list. Then callgrind counts the instructions
// of one block, or of one answer of a tracker: twice the work less the work once, so that starting Node is not in it.

import { spawnSync } from "node:child_process";
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
import { Program } from "../dist/bench/processes/program.js";
import { stopAll } from "../dist/bench/processes/running.js";
import { number, object, string } from "../dist/bench/processes/shape.js";
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
const COUNTED_ANSWERS = 192_000;
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
};
const SAMPLES_PER_SECOND = 997;
const TOP_FRAMES = 25;
/** @type {Record<string, string>} */
const KIND_NAMES = { k: "kernel", a: "addon", j: "JavaScript", n: "Node, V8, libuv", l: "libraries" };

/** What programs say: where they listen, and how much of their work was done by which process. */
const PORT = object({ port: number });
const LISTENING = object({ port: number, host: string });
const DONE = object({ bytes: number, pid: number });

const { values: flags, positionals } = readArguments();
const work = positionals[0];
const scratch = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "scatterwire-profile-"));
process.on("exit", () => {
  stopAll();
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

try {
  const output = resolve(flags.output);
  mkdirSync(output, { recursive: true });
  await profile(output);
  if (flags.callgrind) await countInstructions();
} catch (error) {
  console.error(`scatterwire: ${error instanceof Error ? error.message : error}`);
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
    const seconds = Number(parsed.positionals[1] ?? parsed.values.seconds);
    parsed.values.seconds = String(seconds);
    if (
      parsed.positionals.length <= 2 &&
      WORKS.includes(parsed.positionals[0] ?? "") &&
      seconds > 0 &&
      seconds <= 600
    )
      return parsed;
    throw new Error(`one of ${WORKS.join(", ")} is expected, and --seconds from 1 to 600`);
  } catch (error) {
    console.error(`scatterwire: ${error instanceof Error ? error.message : error}`);
    process.exit(2);
  }
}

/** @param {string} output */
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

/**
 * @param {string} recorded
 * @param {number} pid
 */
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

/**
 * @param {import("./profile/fold.mjs").Stacks} stacks
 * @param {string} subtitle
 */
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

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** @param {number} bytes */
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
  const generator = (/** @type {string} */ name) => join(root, `dist/bench/load/load-${name}.js`);
  if (work === "verify") return doneBy(start([...command, WORK, "verify", torrent, folder, `${seconds}`]));
  if (work === "receive") {
    const seeder = start([process.execPath, generator("seeder"), torrent, data]);
    const { host, port } = await seeder.read(LISTENING);
    const result = await doneBy(
      start([...command, WORK, "receive", torrent, `${host}:${port}`, `${seconds}`]),
    );
    await seeder.stop();
    return result;
  }
  if (work === "tracker") {
    const tracker = start([...command, WORK, "tracker"]);
    const { port } = await tracker.read(PORT);
    const load = { ...TRACKER_LOAD, port, durationSeconds: seconds };
    await start([
      process.execPath,
      join(root, "dist/bench/load/tracker-load.js"),
      JSON.stringify(load),
    ]).answer(object({}));
    return tracker.finish(DONE);
  }
  const seeding = start([...command, WORK, "seed", torrent, folder]);
  const { port } = await seeding.read(PORT);
  const connect = ["--connect", `127.0.0.1:${port}`, "--bytes", `${seedBytes}`];
  await start([process.execPath, generator("leecher"), torrent, ...connect]).answer(object({}));
  return seeding.finish(DONE);
}

/**
 * A program of JSON lines; fails with what it says on standard error.
 * @param {string[]} command
 */
function start([program = "", ...args]) {
  return new Program(program, args, { cwd: scratch });
}

/**
 * How much of it was done, and by which process: the last line of what is profiled.
 * @param {Program} program
 */
function doneBy(program) {
  return program.answer(DONE);
}

async function countInstructions() {
  if (spawnSync("valgrind", ["--version"]).error !== undefined) {
    console.log("No instructions were counted: valgrind is not installed; Debian's package is valgrind");
    return;
  }
  if (work === "tracker") {
    await countAnswers();
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

/**
 * Under callgrind a load would wait for a tracker that is fifty times slower, and batches would not be what they are: so answers are made
 * from memory to memory, in batches of 64. System calls are not in this count; the flame graph has them.
 */
async function countAnswers() {
  console.log("Counting the instructions of an answer with callgrind: a minute or two …");
  const countOne = async (/** @type {number} */ answers) => {
    const counted = join(scratch, `callgrind.${answers}`);
    await doneBy(start([...callgrind(counted), process.execPath, WORK, "answers", `${answers}`]));
    return sumOf(counted);
  };
  const once = await countOne(COUNTED_ANSWERS);
  const twice = await countOne(2 * COUNTED_ANSWERS);
  const each = (twice - once) / COUNTED_ANSWERS;
  console.log(
    `${Math.round(each).toLocaleString("en-US")} instructions in user space per announce, from datagram to datagram`,
  );
}

/** @param {string} counted */
function callgrind(counted) {
  return ["valgrind", "--tool=callgrind", `--callgrind-out-file=${counted}`, "--smc-check=all-non-file"];
}

/** @param {number} bytes */
async function countOf(bytes) {
  const counted = join(scratch, `callgrind.${bytes}`);
  await run([...callgrind(counted), process.execPath], await makeTorrent(bytes), 0, bytes);
  return sumOf(counted);
}

/** @param {string} counted */
function sumOf(counted) {
  const match = /^(?:summary|totals): (\d+)/m.exec(readFileSync(counted, "utf8"));
  if (match === null) throw new Error("callgrind wrote no sum");
  return Number(match[1]);
}
