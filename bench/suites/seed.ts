// The matrix of seeding: send modes, leechers, data that is cached or not, receive modes and the depth of the leechers'
// queues, each group with the limit beside: a loop that does nothing but writev from a mapping (load-seeder.ts).

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../src/base/errors.js";
import type { ReceiveModeName, SendModeName } from "../../src/index.js";
import { type LeecherResult, runLoadLeecher, startLoadSeeder } from "../load/load.js";
import { type BenchPlace, withPlace } from "../measuring/bench-place.js";
import { firstOf } from "../measuring/ends.js";
import { USAGE, usageFigures } from "../measuring/meter.js";
import type { Axes, LabFigures, LabOmission } from "../measuring/results.js";
import type { Workshop } from "../measuring/run.js";
import { type LabPlan, LIMIT, OURS, type Scenario } from "../measuring/scenario.js";
import type { SeedTrial } from "../measuring/trial-seed.js";
import { Program } from "../processes/program.js";
import { LISTENING } from "../processes/seeder.js";
import { number, object, type ValueOf } from "../processes/shape.js";
import { encryptionScenarios } from "./encryption.js";

const TRIAL = fileURLToPath(new URL("../measuring/trial-seed.js", import.meta.url));
const WARM_UP_BYTES = 128 * 1024 * 1024;
const UPLOAD_SLOTS_BESIDES = 8;
/** Of a file that was dropped from the page cache, so much may be in it at most. */
const CACHED_PART_MAX = 0.01;

/** What trial-seed.ts tells, as far as it is read here. */
const SEED_READING = object({
  counters: object({ sentPayloadBytes: number, sentBytes: number, sendCalls: number, receiveCalls: number }),
  usage: USAGE,
});
type SeedReading = ValueOf<typeof SEED_READING>;
/** What load-seeder.ts tells. */
const LIMIT_READING = object({ payloadBytes: number, sendCalls: number, sentBytes: number, usage: USAGE });

export interface SeedPoint {
  readonly sendMode: SendModeName;
  readonly leechers: number;
  readonly cached: boolean;
  readonly receiveMode: ReceiveModeName;
  /** Requests that each leecher keeps outstanding. */
  readonly queue: number;
}

export const SEED_BASE: SeedPoint = {
  sendMode: "mapped",
  leechers: 1,
  cached: true,
  receiveMode: "adaptive",
  queue: 128,
};
const SEND_MODES = ["copy", "mapped", "sendfile"] as const satisfies SendModeName[];
const RECEIVE_MODES = [
  "contiguous",
  "scatter",
  "speculative",
  "adaptive",
] as const satisfies ReceiveModeName[];

interface Group {
  readonly name: string;
  readonly points: readonly Partial<SeedPoint>[];
}

export function seedGroups(full: boolean): Group[] {
  const pick = <Item>(all: readonly Item[], some: readonly Item[]): readonly Item[] => (full ? all : some);
  const perSendMode = (
    points: readonly Partial<SeedPoint>[],
    modes: readonly SendModeName[],
  ): Partial<SeedPoint>[] => points.flatMap((point) => modes.map((sendMode) => ({ ...point, sendMode })));
  const some = pick<SendModeName>(SEND_MODES, ["copy", "mapped"]);
  const counts = [1, 4, 16, 64].map((leechers) => ({ leechers }));
  const queues = pick([1, 2, 4, 16, 64, 256, 1024], [1, 16, 256]).map((queue) => ({ queue }));
  return [
    { name: "send-mode", points: perSendMode([{ leechers: 1 }, { leechers: 4 }], SEND_MODES) },
    { name: "leechers", points: perSendMode(counts, some) },
    { name: "cached", points: perSendMode([{ cached: true }, { cached: false }], SEND_MODES) },
    { name: "receive-mode", points: RECEIVE_MODES.map((receiveMode) => ({ receiveMode })) },
    { name: "queue", points: perSendMode(queues, some) },
  ];
}

export function benchSeed(options: {
  size: number;
  signal: AbortSignal;
  full: boolean;
  disk: string | undefined;
}): Workshop {
  const { size, signal, full, disk } = options;
  const storedIn = disk === undefined ? ("disk" as const) : { folder: disk };
  return (work) =>
    withPlace({ size, signal, stored: size, storedIn }, async (place) => {
      const onDisk = join(place.target, "seeded");
      mkdirSync(onDisk);
      copyFileSync(place.data, join(onDisk, basename(place.data)));
      await work(planSeed(place, onDisk, full));
    });
}

function planSeed(place: BenchPlace, onDisk: string, full: boolean): LabPlan {
  const scenarios: Scenario[] = [];
  const omissions: LabOmission[] = [];
  const reason = reasonAgainstUncached(join(onDisk, basename(place.data)));
  for (const group of seedGroups(full)) {
    const limits = new Set<string>();
    for (const change of group.points) {
      const point = { ...SEED_BASE, ...change };
      const axes: Axes = { ...point };
      const common = { verb: "seed", group: group.name } as const;
      if (!point.cached && reason !== undefined) {
        omissions.push({ ...common, subject: OURS, axes, reason });
        continue;
      }
      const { leechers, cached, queue } = point;
      const limitAxes: Axes = { leechers, cached, queue };
      if (!limits.has(JSON.stringify(limitAxes)) && cached) {
        limits.add(JSON.stringify(limitAxes));
        scenarios.push({ ...common, subject: LIMIT, axes: limitAxes, run: () => limitOnce(place, point) });
      }
      // Cached and not differ in nothing else: both lie on the disk.
      const directory = group.name === "cached" ? onDisk : dirname(place.data);
      scenarios.push({ ...common, subject: OURS, axes, run: () => seedOnce(place, directory, point) });
    }
  }
  return { scenarios: [...scenarios, ...encryptionScenarios(place, "seed")], omissions };
}

/** Seeds the place's data, which lies in `directory`, once; the session has seeded something else before. */
export async function seedOnce(place: BenchPlace, directory: string, point: SeedPoint): Promise<LabFigures> {
  const { sendMode, receiveMode, leechers, queue, cached } = point;
  const warm = place.before.torrent;
  const trial: SeedTrial = {
    torrents: [
      { torrent: warm, directory: dirname(warm) },
      { torrent: place.torrent, directory },
    ],
    session: { sendMode, receiveMode, uploadSlots: leechers + UPLOAD_SLOTS_BESIDES },
  };
  const program = Program.node(TRIAL, [JSON.stringify(trial)]);
  const { host, port } = await program.read(LISTENING);
  const address = `${host}:${port}`;
  const work = { address, connections: leechers, queue };
  await runLoadLeecher({ ...work, torrent: warm, bytes: Math.min(place.size, WARM_UP_BYTES) });
  if (point.cached) warmFile(join(directory, basename(place.data)));
  else dropFromCache(join(directory, basename(place.data)));
  const before = await program.ask(SEED_READING);
  const load = await runLoadLeecher({ ...work, torrent: place.torrent, bytes: place.size });
  const after = await program.ask(SEED_READING);
  await program.finish(SEED_READING);
  if (!cached && after.usage.fsRead - before.usage.fsRead === 0)
    throw new Error("the file was to be read from the disk, and was not");
  return seedFigures(before, after, load);
}

function seedFigures(before: SeedReading, after: SeedReading, load: LeecherResult): LabFigures {
  const sent = (name: keyof SeedReading["counters"]): number => after.counters[name] - before.counters[name];
  const payloadBytes = sent("sentPayloadBytes");
  if (payloadBytes < load.payloadBytes)
    throw new Error(`${load.payloadBytes} bytes were received and ${payloadBytes} sent: a counter is wrong`);
  const made = { calls: sent("sendCalls"), bytes: sent("sentBytes") };
  return {
    ...usageFigures(payloadBytes, load.seconds, before.usage, after.usage, made),
    // By the leecher's clock: the seeder does not know when the work begins.
    bytesPerSecond: load.payloadBytes / load.seconds,
    requestsPerSecond: load.requests / load.seconds,
    receiveCallsPerRequest: sent("receiveCalls") / load.requests,
    loadCpuSecondsPerGB: load.cpuSeconds / (load.payloadBytes / 1e9),
  };
}

/** The load generator that seeds, as what is measured. */
async function limitOnce(place: BenchPlace, { leechers, queue }: SeedPoint): Promise<LabFigures> {
  const { torrent, data } = place;
  const seeder = await startLoadSeeder({ torrent, file: data, peers: 1 });
  const work = { torrent, address: firstOf(seeder.addresses), connections: leechers, queue };
  await runLoadLeecher({ ...work, bytes: Math.min(place.size, WARM_UP_BYTES) });
  const before = await seeder.ask(LIMIT_READING);
  const load = await runLoadLeecher({ ...work, bytes: place.size });
  const after = await seeder.ask(LIMIT_READING);
  await seeder.stop();
  const made = { calls: after.sendCalls - before.sendCalls, bytes: after.sentBytes - before.sentBytes };
  return {
    ...usageFigures(after.payloadBytes - before.payloadBytes, load.seconds, before.usage, after.usage, made),
    bytesPerSecond: load.payloadBytes / load.seconds,
    requestsPerSecond: load.requests / load.seconds,
    loadCpuSecondsPerGB: load.cpuSeconds / (load.payloadBytes / 1e9),
  };
}

/** Reads the whole file, so that all of it is in the page cache. */
function warmFile(path: string): void {
  spawnSync("dd", [`if=${path}`, "of=/dev/null", "bs=1M"], { stdio: "ignore" });
}

/** Writes back and drops the file from the page cache, and makes sure that it is gone. Throws if it is not. */
function dropFromCache(path: string): void {
  // dd asks the kernel to drop what it has of the file (posix_fadvise), which needs no privilege; pages must be clean.
  spawnSync("sync", [path], { stdio: "ignore" });
  spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0"], { stdio: "ignore" });
  const columns = ["--bytes", "--noheadings", "--output", "RES,SIZE", path];
  const { status, stdout, error } = spawnSync("fincore", columns, { encoding: "utf8" });
  if (error !== undefined || status !== 0) throw new Error("fincore (util-linux) is missing");
  const [resident, size] = stdout.trim().split(/\s+/).map(Number) as [number, number];
  if (resident > CACHED_PART_MAX * size)
    throw new Error(`${resident} of ${size} bytes stay in the page cache: no disk would be read`);
}

/** Why data cannot be dropped from the page cache here; undefined: it can. */
function reasonAgainstUncached(path: string): string | undefined {
  try {
    dropFromCache(path);
    return undefined;
  } catch (error) {
    return `data that is not cached needs dd, fincore and a disk: ${messageOf(error)}`;
  }
}
