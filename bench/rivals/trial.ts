// One trial: one program does one piece of work once, and is measured from outside while it does. Ready programs wait, so
// starting up is counted for none: CPU and seconds run from the moment before the first connection to the moment when the
// work is done. Every trial begins with an empty folder, and what it stored is compared with what was sent.

import { mkdir, open, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { figuresOf, runFigures } from "../measuring/answers.js";
import type { LabFigures } from "../measuring/results.js";
import { Program } from "../processes/program.js";
import { number, object } from "../processes/shape.js";
import { harness, runTool } from "./compile.js";
import { type CpuReading, type ProcessClock, residentBytes } from "./process-clock.js";
import type { Job, Running, Subject, Work } from "./subject.js";
import { READY, startWritevSeeder } from "./subjects.js";

const LIMIT = fileURLToPath(new URL("../measuring/limit.js", import.meta.url));
const LOAD_LEECHER = fileURLToPath(new URL("../load/load-leecher.js", import.meta.url));
const LEECHER_QUEUE = 500;
const LONG_MS = 600_000;
const IDLE_WATCH_MS = 5000;
/** Collectors give memory back when they see that nothing happens; V8's takes up to 20 s, and a client is idle for hours. */
const IDLE_SETTLE_MS = 30_000;
const IDLE_SETTLE_MS_FEW = 2000;
const IDLE_FEW_PEERS = 1000;
const IDLE_WARM_UP_PART = 5;
const IDLE_OPEN_MS = 60_000;
const BYTES_PER_GB = 1e9;

/** What the leechers say on their way, and at their end. */
const LEECHERS_BEGUN = object({ received: number });
const LEECHERS_DONE = object({ payloadBytes: number, seconds: number, cpuSeconds: number });

/** What all trials of a comparison share. */
export interface Bench {
  readonly clock: ProcessClock;
  /** Holds data.bin, and nothing else that matters. */
  readonly data: string;
  readonly torrent: string;
  readonly infoHash: string;
  readonly pieceLength: number;
  readonly size: number;
  /** Work is measured from here on: what a process that runs costs. 0: from its beginning. */
  readonly skippedBytes: number;
  /** Where a trial's folders are made. */
  readonly scratch: string;
}

export interface Reading {
  readonly timeMs: number;
  readonly cpu: CpuReading;
}

/** Downloads the torrent from one load generator with `peers` connections; `sync`: until the disk has it. */
export async function measureDownload(
  bench: Bench,
  subject: Subject,
  work: Work,
  peers: number,
  scratch: string,
  sync: boolean,
): Promise<LabFigures> {
  return withTrial(bench, subject, work, peers, scratch, "download", async (running, job, load) => {
    const failure = Promise.race([running.program.fails(), load.fails()]);
    const { skippedBytes } = bench;
    const bytes = bench.size - skippedBytes;
    await forgetPeak(running);
    let loadBefore = await bench.clock.read(load.pid);
    let before = await begin(bench, running);
    load.say(`127.0.0.1 ${running.port} ${peers} seed ${skippedBytes}`);
    if (skippedBytes > 0) {
      await Promise.race([load.line("sent", LONG_MS), failure]);
      before = await begin(bench, running);
      loadBefore = await bench.clock.read(load.pid);
    }
    await Promise.race([running.complete(), failure]);
    if (sync) await syncAll(job.directory);
    const figures = await end(bench, running, before, bytes);
    const loadAfter = await bench.clock.read(load.pid);
    await running.program.kill();
    if (work !== "download") await requireSame(join(bench.data, "data.bin"), join(job.directory, "data.bin"));
    return {
      ...figures,
      loadCpuSecondsPerGB: (loadAfter.seconds - loadBefore.seconds) / (bytes / BYTES_PER_GB),
    };
  });
}

/** Seeds to one load generator, which asks for every byte once, over `leechers` connections. */
export async function measureSeed(bench: Bench, subject: Subject, leechers: number): Promise<LabFigures> {
  return withTrial(bench, subject, "seed", leechers, bench.scratch, "seed", async (running) => {
    await forgetPeak(running);
    let before = await begin(bench, running);
    const load = Program.node(
      LOAD_LEECHER,
      [
        bench.torrent,
        ...["--connect", `127.0.0.1:${running.port}`, "--connections", String(leechers)],
        ...["--bytes", String(bench.size), "--queue", String(LEECHER_QUEUE), "--verify-first", "1"],
        ...["--tell-at", String(bench.skippedBytes)],
      ],
      { name: "the leechers" },
    );
    try {
      // The piece that is checked beforehand costs the seeder as much as any other.
      let skippedBytes = -Math.min(bench.pieceLength, bench.size);
      const begun = await load.read(LEECHERS_BEGUN, LONG_MS);
      if (bench.skippedBytes > 0) {
        before = await begin(bench, running);
        skippedBytes = begun.received;
      }
      const { payloadBytes, seconds, cpuSeconds } = await load.read(LEECHERS_DONE, LONG_MS);
      if (payloadBytes < bench.size) throw new Error(`${subject.name} sent ${payloadBytes} bytes`);
      const figures = await end(bench, running, before, payloadBytes - skippedBytes);
      const loadCpuSecondsPerGB = cpuSeconds / (payloadBytes / BYTES_PER_GB);
      if (bench.skippedBytes > 0) return { ...figures, loadCpuSecondsPerGB };
      return {
        ...figures,
        payloadBytes,
        seconds,
        bytesPerSecond: payloadBytes / seconds,
        loadCpuSecondsPerGB,
      };
    } finally {
      await load.kill();
    }
  });
}

export interface IdleFigures {
  readonly peers: number;
  readonly residentBytesPerPeer: number;
  /** Of one core, while nothing happens. */
  readonly cpuShare: number;
}

/** Holds `peers` connections that shake hands and say no more. */
export async function measureIdle(bench: Bench, subject: Subject, peers: number): Promise<IdleFigures> {
  return withTrial(bench, subject, "idle", peers, bench.scratch, "seed", async (running, _job, load) => {
    const connect = async (count: number): Promise<void> => {
      load.say(`127.0.0.1 ${running.port} ${count} idle`);
      await load.line("open", IDLE_OPEN_MS);
      await pause(peers < IDLE_FEW_PEERS ? IDLE_SETTLE_MS_FEW : IDLE_SETTLE_MS);
    };
    // What the first connections make a program fetch (young garbage, tables that double) is not what one more costs.
    await connect(Math.ceil(peers / IDLE_WARM_UP_PART));
    const before = await residentBytes(running.program.pid);
    await connect(peers);
    const first = await bench.clock.read(running.program.pid);
    const beganMs = performance.now();
    await pause(IDLE_WATCH_MS);
    const last = await bench.clock.read(running.program.pid);
    const after = await residentBytes(running.program.pid);
    return {
      peers,
      residentBytesPerPeer: (after.now - before.now) / peers,
      cpuShare: (1000 * (last.seconds - first.seconds)) / (performance.now() - beganMs),
    };
  });
}

/** The limit: the same stream received into one buffer and ignored. It measures itself, in the same span. */
export async function measureLimit(bench: Bench, peers: number): Promise<LabFigures> {
  const load = await startWritevSeeder(join(bench.data, "data.bin"), bench);
  try {
    const { port } = await load.read(READY);
    const addresses = Array<string>(peers).fill(`127.0.0.1:${port}`);
    return await runFigures(LIMIT, [bench.torrent, ...addresses, "--skip", String(bench.skippedBytes)]);
  } finally {
    await load.kill();
  }
}

/** Storage alone: as many bytes, written with O_DIRECT or through the page cache. It measures itself. */
export async function measureStorage(
  bench: Bench,
  folder: string,
  way: "direct" | "buffered",
): Promise<LabFigures> {
  const file = join(folder, "written.bin");
  const program = new Program(await harness("storage-writer"), [file, String(bench.size), way]);
  try {
    return figuresOf(await program.line("payloadBytes"), "what the storage writer said");
  } finally {
    await program.kill();
    await rm(file, { force: true });
  }
}

/** Starts what a trial needs, and leaves nothing of it. */
async function withTrial<Result>(
  bench: Bench,
  subject: Subject,
  work: Work,
  peers: number,
  scratch: string,
  role: "download" | "seed",
  measure: (running: Running, job: Job, load: Program) => Promise<Result>,
): Promise<Result> {
  const output = join(scratch, "output");
  const home = join(bench.scratch, "home");
  for (const folder of [output, home]) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
  }
  const { torrent, infoHash, pieceLength } = bench;
  const directory = role === "seed" ? bench.data : output;
  const job: Job = { work, torrent, directory, infoHash, pieceLength, peers, home };
  const load = await startWritevSeeder(join(bench.data, "data.bin"), bench);
  let running: Running | undefined;
  try {
    await load.read(READY);
    running = await subject.start(job);
    return await measure(running, job, load);
  } finally {
    await running?.program.kill();
    await load.kill();
    for (const folder of [output, home]) await rm(folder, { recursive: true, force: true });
  }
}

/**
 * From here on the peak of the resident memory counts, not what starting up took. A kernel that cannot forget the peak counts
 * it from the start, for all programs alike.
 */
async function forgetPeak(running: Running): Promise<void> {
  await writeFile(`/proc/${running.program.pid}/clear_refs`, "5").catch(() => {});
}

export async function begin(bench: Bench, running: Running): Promise<Reading> {
  const cpu = await bench.clock.read(running.program.pid);
  return { timeMs: performance.now(), cpu };
}

export async function end(
  bench: Bench,
  running: Running,
  before: Reading,
  bytes: number,
): Promise<LabFigures> {
  const seconds = (performance.now() - before.timeMs) / 1000;
  const cpu = await bench.clock.read(running.program.pid);
  const { peak } = await residentBytes(running.program.pid);
  const cpuSeconds = cpu.seconds - before.cpu.seconds;
  const user = cpu.userSeconds - before.cpu.userSeconds;
  const system = cpu.systemSeconds - before.cpu.systemSeconds;
  const userShare = user + system > 0 ? user / (user + system) : 0;
  const perGB = cpuSeconds / (bytes / BYTES_PER_GB);
  return {
    payloadBytes: bytes,
    seconds,
    bytesPerSecond: bytes / seconds,
    cpuSecondsPerGB: perGB,
    userSecondsPerGB: userShare * perGB,
    systemSecondsPerGB: (1 - userShare) * perGB,
    peakRssBytes: peak,
  };
}

/** Until the disk has every file below `folder`, whoever wrote it and however. */
async function syncAll(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await open(join(entry.parentPath, entry.name), "r");
    await file.datasync().finally(() => file.close());
  }
}

async function requireSame(expected: string, actual: string): Promise<void> {
  const { status, output } = await runTool("cmp", [expected, actual]);
  if (status !== 0) throw new Error(`what was stored is not what was sent: ${output.trim()}`);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
