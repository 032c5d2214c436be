// The bencher: UDP trackers side by side, each alone on its processors with the load on others, one after the other and round after
// round, in the lines of aquatic's bencher. Beside the trackers an echo of the same datagrams through the sockets that ours
// uses: what a tracker on them could reach.
//
// CPU utilization is told twice: of the time that was measured, and as others do it, over the life of the process. Memory likewise: its
// true peak (VmHWM), and what is resident at the end.

import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Population } from "../load/tracker-population.js";
import { median } from "../measuring/statistics.js";
import { Program } from "../processes/program.js";
import { number, object } from "../processes/shape.js";
import { benchTrackerLoad, TRACKER_LOAD_DEFAULTS, type TrackerLoad } from "./tracker-load.js";

const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const ECHO = fileURLToPath(new URL("../load/datagram-echo.js", import.meta.url));
const CLOCK_TICKS = 100;
/** opentracker says nothing when it is ready. */
const SILENT_START_MS = 2000;
const HEX_BYTES = 20;
const LISTENING = object({ port: number });

export const TRACKER_SUBJECTS = ["echo", "scatterwire", "opentracker"] as const;
export type TrackerSubject = (typeof TRACKER_SUBJECTS)[number];

export interface TrackerBenchOptions {
  readonly subjects: readonly TrackerSubject[];
  /** Processors of the tracker and of the load, as taskset takes them. */
  readonly trackerCpus: string;
  readonly loadCpus: string;
  readonly loadWorkers: number;
  readonly rounds: number;
  readonly durationSeconds: number;
  /** The last seconds that count: all but the beginning, in which swarms fill and code is compiled. */
  readonly summarizeLastSeconds: number;
  /** connect/announce/scrape. */
  readonly weights: readonly (readonly [number, number, number])[];
  readonly torrents: number;
  readonly peers: number;
  readonly throttle?: number;
  readonly signal?: AbortSignal;
  readonly onRun?: (run: TrackerRun) => void;
}

export interface TrackerRun {
  readonly subject: TrackerSubject;
  readonly weights: string;
  readonly round: number;
  readonly responsesPerSecond: number;
  readonly errorsPerSecond: number;
  readonly peersPerAnnounce: number;
  /** CPU seconds of the tracker per second, while measured; and over its life, as ps tells it. */
  readonly cpu: number;
  readonly cpuLifetime: number;
  readonly cpuMicrosPerResponse: number;
  readonly peakRssBytes: number;
  readonly rssBytes: number;
}

export interface TrackerBench {
  readonly runs: readonly TrackerRun[];
  /** Programs that are not installed. */
  readonly missing: readonly string[];
}

interface Running {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

export async function benchTracker(options: TrackerBenchOptions): Promise<TrackerBench> {
  const folder = mkdtempSync(join(tmpdir(), "scatterwire-trackers-"));
  // opentracker reads its list as somebody who may do nothing.
  chmodSync(folder, 0o755);
  const missing = options.subjects.filter(
    (subject) => subject === "opentracker" && spawnSync("opentracker", ["-h"]).error !== undefined,
  );
  const subjects = options.subjects.filter((subject) => !missing.includes(subject));
  const runs: TrackerRun[] = [];
  try {
    if (subjects.includes("opentracker")) writeWhitelist(join(folder, "whitelist.txt"), options);
    for (let round = 0; round < options.rounds; round++)
      for (const weights of options.weights)
        for (const subject of subjects) {
          if (options.signal?.aborted === true) return { runs, missing };
          const run = await measure(subject, weights, round, folder, options);
          runs.push(run);
          options.onRun?.(run);
        }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { runs, missing };
}

async function measure(
  subject: TrackerSubject,
  [weightConnect, weightAnnounce, weightScrape]: readonly [number, number, number],
  round: number,
  folder: string,
  options: TrackerBenchOptions,
): Promise<TrackerRun> {
  const tracker = await startTracker(subject, folder, options.trackerCpus);
  try {
    const load: TrackerLoad = {
      ...TRACKER_LOAD_DEFAULTS,
      host: "127.0.0.1",
      port: tracker.port,
      workers: options.loadWorkers,
      durationSeconds: options.durationSeconds,
      summarizeLastSeconds: options.summarizeLastSeconds,
      torrents: options.torrents,
      peers: options.peers,
      weightConnect,
      weightAnnounce,
      weightScrape,
      extraStatistics: false,
      ...(options.throttle === undefined ? {} : { throttle: options.throttle }),
      ...(subject === "echo" ? { echo: true } : {}),
    };
    const cpuAt: number[] = [];
    const result = await benchTrackerLoad(load, {
      prefix: ["taskset", "-c", options.loadCpus],
      onReady: () => cpuAt.push(cpuSecondsOf(tracker.pid)),
      reportSeconds: 1,
      onReport: () => cpuAt.push(cpuSecondsOf(tracker.pid)),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const from = Math.max(0, Math.round(options.durationSeconds - options.summarizeLastSeconds));
    const to = cpuAt.length - 1;
    const begin = Math.min(options.summarizeLastSeconds === 0 ? 0 : from, to);
    const seconds = Math.max(1, to - begin);
    const cpu = (cpuAt[to]! - cpuAt[begin]!) / seconds;
    return {
      subject,
      weights: [weightConnect, weightAnnounce, weightScrape].join("/"),
      round,
      responsesPerSecond: result.responsesPerSecond,
      errorsPerSecond: subject === "echo" ? 0 : result.errorsPerSecond,
      peersPerAnnounce: subject === "echo" ? 0 : result.peersPerAnnounce,
      cpu,
      cpuLifetime: lifetimeCpuOf(tracker.pid),
      cpuMicrosPerResponse: (cpu * 1e6) / result.responsesPerSecond,
      peakRssBytes: statusOf(tracker.pid, "VmHWM"),
      rssBytes: statusOf(tracker.pid, "VmRSS"),
    };
  } finally {
    await tracker.stop();
  }
}

async function startTracker(subject: TrackerSubject, folder: string, cpus: string): Promise<Running> {
  // taskset becomes the program: its number is the program's.
  const prefix = ["taskset", "-c", cpus];
  if (subject === "opentracker") {
    const port = await freeUdpPort();
    const at = ["-i", "127.0.0.1", "-p", String(port), "-P", String(port)];
    const program = new Program("opentracker", [...at, "-w", join(folder, "whitelist.txt")], { prefix });
    await Promise.race([new Promise((resolve) => setTimeout(resolve, SILENT_START_MS)), program.fails()]);
    return { pid: program.pid, port, stop: () => program.kill() };
  }
  const program =
    subject === "echo"
      ? Program.node(ECHO, ["127.0.0.1:0"], { prefix })
      : Program.node(CLI, ["tracker", "--udp", "127.0.0.1:0", "--peers", "30", "--json"], { prefix });
  const { port } = await program.read(LISTENING);
  return { pid: program.pid, port, stop: () => program.stop() };
}

/** Debian's opentracker answers for torrents on its list only: all that the load will announce. */
function writeWhitelist(path: string, { torrents, peers }: TrackerBenchOptions): void {
  const { scrapeTorrentsMax } = TRACKER_LOAD_DEFAULTS;
  const { hashes } = new Population({ torrents, peers, scrapeTorrentsMax, seed: 0xa0a0 });
  const bytes = Buffer.from(hashes.buffer);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_BYTES) lines.push(bytes.toString("hex", at, at + HEX_BYTES));
  writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o644 });
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

/** CPU seconds per second of a process's life, as `ps -o %cpu` has it. */
function lifetimeCpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  const startedSeconds = Number(fields[19]) / CLOCK_TICKS;
  const uptimeSeconds = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  return cpuSecondsOf(pid) / Math.max(0.01, uptimeSeconds - startedSeconds);
}

function statusOf(pid: number, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? 0) * 1024;
}

/** In the words of aquatic's bencher. */
export function runText(run: TrackerRun, options: TrackerBenchOptions): string {
  const parts =
    run.subject === "scatterwire" ? "socket workers: 1" : run.subject === "opentracker" ? "workers: 1" : "";
  return [
    `### ${run.subject} run (${parts}) (load test workers: ${options.loadWorkers}, cpus: ${options.loadCpus}) ${run.weights}`,
    `- Average responses per second: ${Math.round(run.responsesPerSecond).toLocaleString("en-US")}`,
    `- Average tracker CPU utilization: ${(100 * run.cpu).toFixed(1)}% (over its life, as others print it: ${(100 * run.cpuLifetime).toFixed(1)}%)`,
    `- Peak tracker RSS: ${(run.peakRssBytes / 2 ** 20).toFixed(1)} MiB (at the end, as others print it: ${(run.rssBytes / 2 ** 20).toFixed(1)} MiB)`,
    `- Error responses per second: ${Math.round(run.errorsPerSecond)}; peers per announce: ${run.peersPerAnnounce.toFixed(1)}`,
    `- CPU per response: ${run.cpuMicrosPerResponse.toFixed(3)} µs`,
  ].join("\n");
}

/** Medians of the rounds, and how they stand to the echo's of the same round. */
export function benchText({ runs, missing }: TrackerBench): string {
  const lines = [
    "| weights | tracker | responses/s | of the echo | CPU | µs CPU per response | of the echo | peak RSS |",
  ];
  lines.push("|---|---|---|---|---|---|---|---|");
  for (const weights of new Set(runs.map((run) => run.weights)))
    for (const subject of TRACKER_SUBJECTS) {
      const mine = runs.filter((run) => run.weights === weights && run.subject === subject);
      if (mine.length === 0) continue;
      const echo = runs.filter((run) => run.weights === weights && run.subject === "echo");
      const ratio = (of: (run: TrackerRun) => number): string =>
        echo.length === mine.length
          ? median(mine.map((run, index) => of(run) / of(echo[index]!))).toFixed(2)
          : "";
      const middle = (of: (run: TrackerRun) => number): number => median(mine.map(of));
      lines.push(
        `| ${[
          weights,
          subject,
          Math.round(middle((run) => run.responsesPerSecond)).toLocaleString("en-US"),
          ratio((run) => run.responsesPerSecond),
          `${(100 * middle((run) => run.cpu)).toFixed(0)} %`,
          middle((run) => run.cpuMicrosPerResponse).toFixed(3),
          ratio((run) => run.cpuMicrosPerResponse),
          `${(middle((run) => run.peakRssBytes) / 2 ** 20).toFixed(0)} MiB`,
        ].join(" | ")} |`,
      );
    }
  if (missing.length > 0) lines.push("", `Not installed: ${missing.join(", ")}`);
  return lines.join("\n");
}
