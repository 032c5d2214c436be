// The matrix of storing, for the question that has been open since 2011: is receiving straight into a memory-mapped file
// cheaper than receiving into a pool and writing, or than receiving contiguously and copying into the mapping? And what the
// page-aligned pool is for: O_DIRECT, over run lengths and runs in flight.
//
// Always: opening the storage is within what is measured, and on a disk so is making the file durable. What a file went
// through before is not.

import { spawnSync } from "node:child_process";
import { basename, join } from "node:path";
import type { ReceiveModeName, StorageKind } from "../../src/index.js";
import {
  type BenchPlace,
  freshFolder,
  limitOnce,
  receiveOnce,
  withPlace,
  withTarget,
} from "../measuring/bench-place.js";
import { firstOf } from "../measuring/ends.js";
import type { Axes, LabFigures, LabOmission } from "../measuring/results.js";
import type { Workshop } from "../measuring/run.js";
import { type LabPlan, LIMIT, OURS, type Scenario } from "../measuring/scenario.js";
import { directReason } from "./bench-receive.js";

/** From the socket to the file. */
export const WAYS = {
  "pool, pwritev": { mode: "speculative", storage: "file" },
  "into the mapping": { mode: "speculative", storage: "mapped" },
  "contiguous, copied to the mapping": { mode: "contiguous", storage: "mapped" },
  "contiguous, pwritev": { mode: "contiguous", storage: "file" },
  "pool, O_DIRECT": { mode: "speculative", storage: "direct" },
} as const satisfies Record<string, { mode: ReceiveModeName; storage: StorageKind }>;
export type Way = keyof typeof WAYS;

/**
 * What the file is before: "sparse" is a length without space; "reserved" gets its space at the start, within what is
 * measured; "preallocated" has had its space before; "cached" was written once, and its pages are in the page cache.
 */
export type FileState = "sparse" | "reserved" | "preallocated" | "cached";
export type Where = "memory" | "disk";

interface Point {
  readonly way: Way;
  readonly where: Where;
  readonly file: FileState;
  readonly verify: boolean;
  /** MAP_POPULATE; means something to mappings. */
  readonly populate: boolean;
  readonly writeRunBytes: number;
  /** Threads of the pool that writes: so many writes are in flight at the most. */
  readonly runsInFlight: number;
}

const MIB = 1024 * 1024;
const BASE: Point = {
  way: "pool, pwritev",
  where: "memory",
  file: "preallocated",
  verify: false,
  populate: false,
  writeRunBytes: MIB,
  runsInFlight: 4,
};
const COMPARED: readonly Way[] = [
  "pool, pwritev",
  "into the mapping",
  "contiguous, copied to the mapping",
  "contiguous, pwritev",
];
const MAPPING_WAYS: readonly Way[] = ["into the mapping", "contiguous, copied to the mapping"];

interface Group {
  readonly name: string;
  readonly points: readonly Partial<Point>[];
}

export function storageGroups(full: boolean): Group[] {
  const pick = <Item>(all: readonly Item[], some: readonly Item[]): readonly Item[] => (full ? all : some);
  const states = pick<FileState>(
    ["sparse", "reserved", "preallocated", "cached"],
    ["sparse", "preallocated", "cached"],
  );
  const ways = pick(COMPARED, COMPARED.slice(0, 3));
  const places = ["memory", "disk"] as const;
  const cross = (some: readonly Way[], points: readonly Partial<Point>[]): Partial<Point>[] =>
    points.flatMap((point) => some.map((way) => ({ ...point, way })));
  const runs = pick([16, 64, 256, 512, 1024], [16, 256, 1024]).map((kib) => kib * 1024);
  const direct: Partial<Point> = { way: "pool, O_DIRECT", where: "disk" };
  return [
    ...places.map((where) => ({
      name: `mapped-${where}`,
      points: cross(
        ways,
        states.map((file) => ({ where, file })),
      ),
    })),
    {
      name: "mapped-hashed",
      points: cross(
        ways,
        pick<Where>(places, ["memory"]).map((where) => ({ where, verify: true })),
      ),
    },
    {
      // As downloads are: hashed, on a disk, durable at the end. Advice about the kind of storage rests on this.
      name: "kinds-disk",
      points: cross(
        ["pool, pwritev", "into the mapping", "pool, O_DIRECT"],
        pick<FileState>(["sparse", "preallocated"], ["sparse"]).map((file) => ({
          where: "disk",
          file,
          verify: true,
        })),
      ),
    },
    {
      name: "populate",
      points: pick<Where>(places, ["memory"]).flatMap((where) =>
        cross(pick(MAPPING_WAYS, ["into the mapping"]), [
          { where, populate: false },
          { where, populate: true },
        ]),
      ),
    },
    {
      name: "direct-run-length",
      points: [
        ...runs.map((writeRunBytes) => ({ ...direct, writeRunBytes })),
        { ...direct, way: "pool, pwritev" },
      ],
    },
    {
      name: "direct-runs-in-flight",
      points: pick([1, 2, 4, 8], [1, 2, 4]).map((runsInFlight) => ({ ...direct, runsInFlight })),
    },
  ];
}

export interface StorageBenchOptions {
  readonly size: number;
  readonly signal: AbortSignal;
  readonly full: boolean;
  /** A folder on the disk; undefined: the one for temporary files. */
  readonly disk: string | undefined;
}

export function benchStorageWays({ size, signal, full, disk }: StorageBenchOptions): Workshop {
  const onDisk = disk === undefined ? ("disk" as const) : { folder: disk };
  return (work) =>
    withPlace({ size, signal, stored: size, storedIn: "memory" }, (memory) =>
      withTarget({ signal, stored: size, storedIn: onDisk }, memory.target, (target) =>
        work(planStorage({ memory, disk: { ...memory, target } }, full)),
      ),
    );
}

function planStorage(places: Record<Where, BenchPlace>, full: boolean): LabPlan {
  const scenarios: Scenario[] = [];
  const omissions: LabOmission[] = [];
  const noDirect = directReason(places.disk);
  for (const { name, points } of storageGroups(full)) {
    const common = { verb: "storage", group: name } as const;
    scenarios.push({
      ...common,
      subject: LIMIT,
      axes: {},
      run: () => limitOnce(places.memory, { peers: 1 }),
    });
    for (const change of points) {
      const point = { ...BASE, ...change };
      const axes = axesOf(point);
      if (point.way === "pool, O_DIRECT" && noDirect !== undefined) {
        omissions.push({ ...common, subject: OURS, axes, reason: noDirect });
        continue;
      }
      scenarios.push({ ...common, subject: OURS, axes, run: () => measure(places[point.where], point) });
    }
  }
  return { scenarios, omissions };
}

function axesOf(point: Point): Axes {
  const { populate, writeRunBytes, ...axes } = point;
  const mapped = WAYS[point.way].storage === "mapped";
  const { mode, storage } = WAYS[point.way];
  return { ...axes, mode, storage, ...(mapped ? { populate } : { writeRunBytes }) };
}

async function measure(place: BenchPlace, point: Point): Promise<LabFigures> {
  const { mode, storage } = WAYS[point.way];
  const directory = freshFolder(place, "download");
  prepare(join(directory, basename(place.data)), place.size, point.file);
  return receiveOnce(
    place,
    { peers: 1 },
    {
      session: { receiveMode: mode },
      storage,
      options: {
        directory,
        assumeEmpty: true,
        verify: point.verify,
        preallocate: point.file === "reserved",
        writeRunBytes: point.writeRunBytes,
        ...(storage === "mapped" ? { populate: point.populate } : {}),
      },
      opening: true,
      sync: point.where === "disk",
    },
    { environment: { SCATTERWIRE_FILE_CALLS: String(point.runsInFlight) } },
  );
}

/** Brings the file into its state. Throws if that cannot be done here. */
function prepare(path: string, size: number, state: FileState): void {
  if (state === "sparse" || state === "reserved") return;
  const command =
    state === "preallocated"
      ? ["fallocate", "-l", String(size), path]
      : ["dd", "if=/dev/zero", `of=${path}`, "bs=1M", `count=${size}`, "iflag=count_bytes", "conv=fsync"];
  const { status, stderr, error } = spawnSync(firstOf(command), command.slice(1), { encoding: "utf8" });
  if (error !== undefined || status !== 0)
    throw new Error(`cannot prepare a file that is ${state}: ${error?.message ?? stderr.trim()}`);
}
