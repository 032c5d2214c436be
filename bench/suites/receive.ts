// The matrix of receiving: which modes, peers, pools, buffers, traffic and storages are measured. Not all that the axes
// span: groups of scenarios that vary one or two axes around a base, each with the limit beside.

import { dirname } from "node:path";
import type { ReceiveModeName, StorageKind } from "../../src/index.js";
import {
  type BenchPlace,
  freshFolder,
  limitOnce,
  receiveOnce,
  type Sender,
} from "../measuring/bench-place.js";
import type { NetworkPath } from "../measuring/network.js";
import type { Axes, LabFigures, LabOmission } from "../measuring/results.js";
import { type LabPlan, LIMIT, OURS, type Scenario } from "../measuring/scenario.js";
import { encryptionScenarios } from "./encryption.js";
import { SEED_BASE, seedOnce } from "./seed.js";

const MIB = 1024 * 1024;
const SLOT_BYTES = 16_384;

/** "segments": mtu 1500, through a network namespace; "delayed": the same with a delay. */
export type Traffic = "blocks" | "haves" | "shuffled" | "segments" | "delayed";

/** One point of the matrix. What is left out of a scenario is as here. */
interface Point {
  readonly mode: ReceiveModeName;
  readonly depth: number;
  readonly peers: number;
  readonly poolBytes: number;
  /** SO_RCVBUF; 0 leaves it to the kernel, which lets it grow. */
  readonly receiveBufferBytes: number;
  /** What one contiguous receive takes. */
  readonly contiguousBufferBytes: number;
  readonly traffic: Traffic;
  readonly storage: StorageKind;
  readonly verify: boolean;
}

/** The engine's own defaults, with nothing hashed and nothing stored. */
const BASE: Point = {
  mode: "speculative",
  depth: 16,
  peers: 1,
  poolBytes: 32 * MIB,
  receiveBufferBytes: 0,
  contiguousBufferBytes: 256 * 1024,
  traffic: "blocks",
  storage: "null",
  verify: false,
};

/** A download as people make them: hashed, written to files, from several peers. Advice about settings rests on these. */
const REAL: Partial<Point> = { storage: "file", verify: true, peers: 8 };

const MODES = ["contiguous", "scatter", "speculative", "adaptive"] as const satisfies ReceiveModeName[];
/** One that copies and two that do not: they show what an axis does. */
const CONTRASTS = ["contiguous", "scatter", "speculative"] as const satisfies ReceiveModeName[];
const HAVE_EVERY = 4;
const REQUESTS_GROUP = "requests";
const BUFFER_GROUPS: readonly string[] = ["contiguous-buffer", "stored-contiguous-buffer"];

/** What a group changes, and what belongs to it beyond the point itself. */
interface Group {
  readonly name: string;
  readonly points: readonly Partial<Point>[];
  /** Goes through the whole pool before a slot is used again, as storage that is slow would. */
  readonly cyclesPool?: boolean;
  /** Looks at clocks around calls, to split the costs. */
  readonly clockCosts?: boolean;
}

export function receiveGroups(full: boolean): Group[] {
  const pick = <Item>(all: readonly Item[], some: readonly Item[]): readonly Item[] => (full ? all : some);
  const cross = (modes: readonly ReceiveModeName[], points: readonly Partial<Point>[]): Partial<Point>[] =>
    points.flatMap((point) => modes.map((mode) => ({ ...point, mode })));
  const peers = pick([1, 4, 16, 64, 256], [1, 16, 64]);
  const pools = pick([1, 2, 4, 8, 32, 128, 512], [2, 32, 512]);
  const sockets = pick([16, 64, 256, 1024, 4096], [64, 512, 4096]);
  const buffers = pick([16, 32, 64, 128, 256, 512, 1024, 4096], [16, 64, 256, 1024]);
  // Segments of a real network bring some 45 MB/s on two cores: a trial of them takes as long as ten others.
  const traffics = pick<Traffic>(
    ["blocks", "haves", "shuffled", "segments", "delayed"],
    ["haves", "shuffled"],
  );
  const kinds = ["null", "memory", "file", "direct", "mapped"] as const;
  const real = (points: readonly Partial<Point>[]): Partial<Point>[] =>
    points.map((point) => ({ ...REAL, ...point }));
  return [
    { name: "mode", points: MODES.map((mode) => ({ mode })) },
    { name: "depth", points: pick([1, 2, 4, 8, 16, 32, 64], [1, 4, 16, 64]).map((depth) => ({ depth })) },
    {
      name: "peers",
      points: cross(
        pick(MODES, ["contiguous", "speculative"]),
        peers.map((each) => ({ peers: each })),
      ),
    },
    {
      name: "pool",
      points: cross(
        pick(CONTRASTS, ["contiguous", "speculative"]),
        pools.map((mib) => ({ poolBytes: mib * MIB })),
      ),
      cyclesPool: true,
    },
    {
      name: "buffer",
      points: cross(
        pick(CONTRASTS, ["contiguous", "speculative"]),
        sockets.map((kib) => ({ receiveBufferBytes: kib * 1024 })),
      ),
    },
    {
      name: "contiguous-buffer",
      points: buffers.map((kib) => ({ mode: "contiguous", contiguousBufferBytes: kib * 1024 })),
    },
    {
      name: "traffic",
      points: cross(
        MODES,
        traffics.map((traffic) => ({ traffic })),
      ),
    },
    {
      name: "storage",
      points: cross(
        pick(CONTRASTS, ["contiguous", "speculative"]),
        kinds.map((storage) => ({ storage, verify: true })),
      ),
    },
    {
      name: "stored-mode",
      points: cross(
        MODES,
        pick([1, 8, 64], [1, 8]).map((each) => ({ ...REAL, peers: each })),
      ),
    },
    {
      name: "stored-pool",
      points: pick([1, 8, 64], [1, 8]).flatMap((each) =>
        pick([2, 4, 8, 16, 32, 64, 128], [2, 8, 32, 128]).map((mib) => ({
          ...REAL,
          peers: each,
          poolBytes: mib * MIB,
        })),
      ),
    },
    {
      name: "stored-depth",
      points: real(pick([1, 4, 8, 16, 32, 64], [4, 16, 64]).map((depth) => ({ depth }))),
    },
    {
      name: "stored-buffer",
      points: real([
        ...sockets.map((kib) => ({ receiveBufferBytes: kib * 1024 })),
        { receiveBufferBytes: 0 },
      ]),
    },
    {
      name: "stored-contiguous-buffer",
      points: real(
        buffers.map((kib) => ({ mode: "contiguous" as const, contiguousBufferBytes: kib * 1024 })),
      ),
    },
    {
      name: "hashing",
      points: cross(
        pick(CONTRASTS, ["speculative"]),
        [false, true].map((verify) => ({ verify })),
      ),
    },
    {
      name: "costs",
      points: [
        ...cross(MODES, [{}]),
        ...cross(
          ["contiguous", "speculative"],
          [
            { storage: "file", verify: true },
            { storage: "mapped", verify: true },
          ],
        ),
      ],
      clockCosts: true,
    },
  ];
}

/** `direct` needs a folder that takes O_DIRECT: `directPlace`. Without a network path its trials are left out. */
export function planReceive(
  place: BenchPlace,
  full: boolean,
  network: NetworkPath | string,
  directReason: string | undefined,
): LabPlan {
  const scenarios: Scenario[] = [];
  const omissions: LabOmission[] = [];
  for (const group of receiveGroups(full)) {
    const limits = new Set<string>();
    for (const change of group.points) {
      const point = { ...BASE, ...change };
      const axes = axesOf(point, group);
      const reason = point.storage === "direct" ? directReason : reasonAgainst(point.traffic, network);
      if (reason !== undefined) {
        omissions.push({ verb: "receive", group: group.name, subject: OURS, axes, reason });
        continue;
      }
      const sender = senderOf(point, network);
      const limitAxes = limitAxesOf(point);
      if (!limits.has(JSON.stringify(limitAxes))) {
        limits.add(JSON.stringify(limitAxes));
        scenarios.push({
          ...{ verb: "receive", group: group.name, subject: LIMIT, axes: limitAxes },
          run: () => {
            setPath(point.traffic, network);
            return limitOnce(place, sender, point.receiveBufferBytes);
          },
        });
      }
      scenarios.push({
        ...{ verb: "receive", group: group.name, subject: OURS, axes },
        run: () => {
          setPath(point.traffic, network);
          return measure(place, sender, point, group);
        },
      });
    }
  }
  return {
    scenarios: [...scenarios, ...requestScenarios(place), ...encryptionScenarios(place, "receive")],
    omissions,
  };
}

/** What a seeder receives is requests only, 17 bytes each: its blocks go the other way, and are what is counted per GB. */
function requestScenarios(place: BenchPlace): Scenario[] {
  return MODES.map((mode) => ({
    ...{ verb: "receive", group: REQUESTS_GROUP, subject: OURS },
    axes: { mode, peers: 1, traffic: "requests", sendMode: SEED_BASE.sendMode, queue: SEED_BASE.queue },
    run: () => seedOnce(place, dirname(place.data), { ...SEED_BASE, receiveMode: mode }),
  }));
}

function usesNetwork(traffic: Traffic): boolean {
  return traffic === "segments" || traffic === "delayed";
}

/** Why that traffic cannot be had; undefined: it can. */
function reasonAgainst(traffic: Traffic, network: NetworkPath | string): string | undefined {
  if (!usesNetwork(traffic)) return undefined;
  return typeof network === "string" ? network : network.setDelay(traffic === "delayed");
}

function setPath(traffic: Traffic, network: NetworkPath | string): void {
  if (!usesNetwork(traffic) || typeof network === "string") return;
  const error = network.setDelay(traffic === "delayed");
  if (error !== undefined) throw new Error(error);
}

function measure(place: BenchPlace, sender: Sender, point: Point, group: Group): Promise<LabFigures> {
  const onDisk = point.storage !== "null" && point.storage !== "memory";
  const { mode, depth, poolBytes, receiveBufferBytes, contiguousBufferBytes, storage, verify } = point;
  return receiveOnce(place, sender, {
    session: {
      ...{ receiveMode: mode, speculationDepth: depth, poolBytes, receiveBufferBytes, contiguousBufferBytes },
      ...(group.clockCosts === true ? { clockCosts: true } : {}),
    },
    storage,
    options: { verify, ...(onDisk ? { directory: freshFolder(place, "download") } : {}) },
    ...(group.cyclesPool === true ? { blocksHeld: blocksToHold(point) } : {}),
  });
}

/** All slots but those that the deepest receive needs, and some for turns in which several come. */
function blocksToHold({ poolBytes, depth, contiguousBufferBytes }: Point): number {
  const scratch = contiguousBufferBytes + 8 * SLOT_BYTES;
  const slots = Math.floor((poolBytes - scratch) / SLOT_BYTES);
  return Math.max(1, slots - 2 * depth);
}

/** All axes of the matrix, but those that mean nothing to the point. */
function axesOf(point: Point, group: Group): Axes {
  const { depth, contiguousBufferBytes, ...axes } = point;
  const guesses = point.mode === "speculative" || point.mode === "adaptive";
  return {
    ...axes,
    ...(guesses ? { depth } : {}),
    ...(BUFFER_GROUPS.includes(group.name) ? { contiguousBufferBytes } : {}),
    ...(group.cyclesPool === true ? { poolCycled: true } : {}),
  };
}

/** What the limit depends on, too. */
function limitAxesOf({ peers, receiveBufferBytes, traffic }: Point): Axes {
  return { peers, receiveBufferBytes, traffic };
}

function senderOf({ peers, traffic }: Point, network: NetworkPath | string): Sender {
  if (traffic === "haves") return { peers, haveEvery: HAVE_EVERY };
  if (traffic === "shuffled") return { peers, shuffle: true };
  if (usesNetwork(traffic) && typeof network !== "string")
    return { peers, host: network.host, prefix: network.prefix };
  return { peers };
}
