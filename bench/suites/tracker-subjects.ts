// The trackers that are measured: how each is started on its processors, and how it is set for so many cores.

import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Population } from "../load/tracker-population.js";
import { commandLine } from "../processes/command-line.js";
import { Program } from "../processes/program.js";
import { number, object } from "../processes/shape.js";
import { TRACKER_LOAD_DEFAULTS } from "./tracker-load.js";

const ECHO = fileURLToPath(new URL("../load/datagram-echo.js", import.meta.url));
const NPM_TRACKER = fileURLToPath(new URL("../load/npm-tracker.js", import.meta.url));
const LISTENING = object({ port: number });
/** opentracker says nothing when it is ready. */
const SILENT_START_MS = 2000;
const HEX_BYTES = 20;
/** As many as all of them are asked for. */
const PEERS_MAX = 30;

export const TRACKER_SUBJECTS = [
  "echo",
  "scatterwire",
  "scatterwire-redis",
  "opentracker",
  "bittorrent-tracker",
] as const;
export type TrackerSubject = (typeof TRACKER_SUBJECTS)[number];

export const PRIORITIES = ["low", "medium", "high"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** One way to set a tracker. */
export interface Setting {
  /** As aquatic's bencher prints it: "socket workers: 1". */
  readonly keys: string;
  readonly workers: number;
  readonly priority: Priority;
}

export interface RunningTracker {
  readonly pid: number;
  /** Of the Redis that serves it. */
  readonly redisPid: number | undefined;
  readonly port: number;
  stop(): Promise<void>;
}

/** What is measured of a tracker on so many cores; nothing, where it has one thread and there are more. */
export function settingsOf(subject: TrackerSubject, cores: number): Setting[] {
  if (subject === "opentracker") {
    const settings: Setting[] = [
      { keys: `workers: ${cores}`, workers: cores, priority: "high" },
      { keys: `workers: ${2 * cores}`, workers: 2 * cores, priority: "low" },
    ];
    // In its event loop, without workers.
    return cores === 1 ? [{ keys: "workers: 0", workers: 0, priority: "medium" }, ...settings] : settings;
  }
  if (subject === "scatterwire")
    return [{ keys: `socket workers: ${cores}`, workers: cores, priority: "high" }];
  if (cores > 1) return [];
  return [{ keys: subject === "scatterwire-redis" ? "socket workers: 1" : "", workers: 1, priority: "high" }];
}

/** What is not there, of those that are not ours: by name. */
export function missingSubjects(subjects: readonly TrackerSubject[]): TrackerSubject[] {
  const has = (program: string, argument: string): boolean =>
    spawnSync(program, [argument], { stdio: "ignore" }).error === undefined;
  const isThere: Readonly<Record<TrackerSubject, () => boolean>> = {
    echo: () => true,
    scatterwire: () => true,
    "scatterwire-redis": () => has("redis-server", "--version") && isInstalled("@redis/client"),
    opentracker: () => has("opentracker", "-h"),
    "bittorrent-tracker": () => isInstalled("bittorrent-tracker"),
  };
  return subjects.filter((subject) => !isThere[subject]());
}

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return existsSync(fileURLToPath(import.meta.resolve(name)));
  } catch {
    return false;
  }
}

/** Debian's opentracker answers for torrents on its list only: all that the load will announce. */
export function writeWhitelist(folder: string, torrents: number, peers: number): void {
  const { scrapeTorrentsMax } = TRACKER_LOAD_DEFAULTS;
  const { hashes } = new Population({ torrents, peers, scrapeTorrentsMax, seed: 0xa0a0 });
  const bytes = Buffer.from(hashes.buffer);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_BYTES) lines.push(bytes.toString("hex", at, at + HEX_BYTES));
  writeFileSync(join(folder, "whitelist.txt"), `${lines.join("\n")}\n`, { mode: 0o644 });
}

/** Starts it on 127.0.0.1, on these processors only. */
export async function startTracker(
  subject: TrackerSubject,
  { workers }: Setting,
  folder: string,
  cpus: string,
): Promise<RunningTracker> {
  // taskset becomes the program: its number is the program's.
  const prefix = ["taskset", "-c", cpus];
  if (subject === "opentracker") return startOpentracker(workers, folder, prefix);
  if (subject === "scatterwire-redis") return startWithRedis(folder, prefix);
  const program =
    subject === "echo"
      ? Program.node(ECHO, ["127.0.0.1:0"], { prefix })
      : subject === "bittorrent-tracker"
        ? Program.node(NPM_TRACKER, [], { prefix })
        : startOurs(workers > 1 ? ["--workers", String(workers)] : [], prefix);
  const { port } = await program.read(LISTENING);
  return { pid: program.pid, redisPid: undefined, port, stop: () => program.stop() };
}

function startOurs(more: readonly string[], prefix: readonly string[]): Program {
  const args = ["tracker", "--udp", "127.0.0.1:0", "--peers", String(PEERS_MAX), "--json", ...more];
  return Program.node(commandLine(), args, { name: "scatterwire", prefix });
}

async function startOpentracker(
  workers: number,
  folder: string,
  prefix: readonly string[],
): Promise<RunningTracker> {
  const port = await freeUdpPort();
  const config = join(folder, "opentracker.conf");
  const lines = [`listen.udp.workers ${workers}`, `listen.udp 127.0.0.1:${port}`];
  writeFileSync(config, `${[...lines, `access.whitelist ${join(folder, "whitelist.txt")}`].join("\n")}\n`);
  const program = new Program("opentracker", ["-f", config], { prefix });
  await Promise.race([new Promise((resolve) => setTimeout(resolve, SILENT_START_MS)), program.fails()]);
  return { pid: program.pid, redisPid: undefined, port, stop: () => program.kill() };
}

/** Both on the tracker's processors: what sharing costs is all there. */
async function startWithRedis(folder: string, prefix: readonly string[]): Promise<RunningTracker> {
  const socket = join(folder, "redis.sock");
  const inMemory = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"];
  const redis = new Program("redis-server", [...inMemory, "--dir", folder], { prefix });
  while (!existsSync(socket)) {
    if (redis.over) await redis.fails();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const tracker = startOurs(["--redis", `unix:${socket}`], prefix);
  try {
    const { port } = await tracker.read(LISTENING);
    return {
      ...{ pid: tracker.pid, redisPid: redis.pid, port },
      stop: async () => {
        await tracker.stop();
        await redis.kill();
      },
    };
  } catch (error) {
    await redis.kill();
    throw error;
  }
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}
