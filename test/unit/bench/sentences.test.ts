// Every sentence that the report, the loopback benchmark and the comparison can say stands here with data for which it is right, and
// with data for which something else must be said. The last test reads their sources: what can be said, and is not said here, fails.
// It is long because much can be said.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { LabTrial } from "../../../bench/measuring/results.js";
import { compareFiles } from "../../../bench/report/against.js";
import type { TrialNotes } from "../../../bench/report/caveats.js";
import { type Group, groupsOf } from "../../../bench/report/cells.js";
import { crossingData } from "../../../bench/report/crossing.js";
import { groupVerdict } from "../../../bench/report/group-verdict.js";
import { labTables } from "../../../bench/report/run-tables.js";
import { storageAnswer } from "../../../bench/report/storage-answer.js";
import { judge } from "../../../bench/report/verdict.js";
import type { CompareResults, IdleTrial } from "../../../bench/rivals/compare.js";
import { compareReport } from "../../../bench/rivals/table.js";
import { verdictOf as allocationsVerdict } from "../../../bench/suites/allocations.js";
import { literalsOf } from "../../support/literals.js";
import { costs, type Made, makeResults, makeTrials } from "./made-results.js";

const MIB = 2 ** 20;
/** Downloads as people make them. */
const REAL = { storage: "file", verify: true };
const CALM = [1, 1, 1];
const WILD = [1, 0.5, 1.4];

function groups(works: readonly Made[], rounds = 3): Group[] {
  return groupsOf([{ path: "made.json", results: makeResults(makeTrials(works, rounds)) }]);
}

/** Cells of one group that differ in one axis: a cost for each of its values. */
function over(
  axis: string,
  costsOf: readonly (readonly [value: string | number, cost: number, more?: Partial<Made>])[],
  axes: Made["axes"] = REAL,
  group = axis,
): Made[] {
  return costsOf.map(([value, cost, more = {}]) => ({
    group,
    cost,
    axes: { ...axes, [axis]: value },
    ...more,
  }));
}

const verdict = (works: readonly Made[], rounds = 3, notes: TrialNotes = {}): ReturnType<typeof judge> =>
  judge(groups(works, rounds), notes);
const lead = (works: readonly Made[], rounds = 3): string => verdict(works, rounds).lead;
const why = (works: readonly Made[], rounds = 3): string =>
  verdict(works, rounds)
    .choices.map((choice) => choice.why)
    .join(" ");
const found = (works: readonly Made[], rounds = 3): string => verdict(works, rounds).findings.join(" ");
const caveats = (works: readonly Made[], rounds = 3, notes: TrialNotes = {}): string =>
  verdict(works, rounds, notes).caveats.join(" ");
const said = (works: readonly Made[], rounds = 3): string =>
  groups(works, rounds).flatMap(groupVerdict).join(" ");
const crossed = (works: readonly Made[], rounds = 3): string =>
  crossingData(groups(works, rounds))?.sentences.join(" ") ?? "";
const stored = (works: readonly Made[], rounds = 3): string => storageAnswer(groups(works, rounds)).join(" ");
const against = (after: readonly Made[], before: readonly Made[], rounds = 3, machine?: string): string =>
  compareFiles(groups(after, rounds), groups(before, rounds), "old.json", machine).sentences.join(" ");
const table = (works: readonly Made[], verbose = false): string =>
  unfolded(labTables(makeResults(makeTrials(works)), { verbose }));
const unfolded = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ");

function compared(
  works: readonly Made[],
  { rounds = 3, idle = [] as IdleTrial[], omissions = [] as CompareResults["omissions"] } = {},
): string {
  const trials: LabTrial[] = makeTrials(
    works.map((work) => ({ verb: "compare", ...work })),
    rounds,
  );
  return unfolded(
    compareReport({ ...makeResults(trials, { omissions }), settings: {}, idle } as CompareResults),
  );
}

const MODES = over("mode", [
  ["contiguous", 0.2],
  ["speculative", 0.1],
]);
const NOISY_MODES = over("mode", [
  ["speculative", 0.1],
  ["contiguous", 0.13, { noise: WILD }],
]);
const POOLS = over("poolBytes", [
  [2 * MIB, 0.1],
  [8 * MIB, 0.2],
]);
const NOISY_POOLS = over("poolBytes", [
  [2 * MIB, 0.1],
  [8 * MIB, 0.13, { noise: WILD }],
]);
const sized = (works: readonly Made[], payloadBytes: number, bytesBefore?: number): Made[] =>
  works.map((work) => ({
    ...work,
    figures: { ...work.figures, payloadBytes, ...(bytesBefore === undefined ? {} : { bytesBefore }) },
  }));
const point = (
  mode: string,
  bytesPerSystemCall: number,
  cost: number,
  noise: readonly number[] = CALM,
): Made => ({
  group: "buffer",
  axes: { mode, contiguousBufferBytes: bytesPerSystemCall, peers: 1 },
  cost,
  figures: { bytesPerSystemCall },
  noise,
});
/** Points of a line: its costs at 16, 64, 256 KiB per call. */
const line = (mode: string, costsOf: readonly number[], noise: readonly number[] = CALM): Made[] =>
  costsOf.map((cost, index) => point(mode, 16_384 * 4 ** index, cost, noise));
const FALLING = line("contiguous", [0.3, 0.2, 0.1]);
const kind = (
  storage: string,
  cost: number,
  gigabytesPerSecond: number,
  noise: readonly number[] = CALM,
): Made => ({
  ...{ group: "storage", axes: { storage, verify: true }, cost, noise },
  bytesPerSecond: gigabytesPerSecond * 1e9,
});
const client = (subject: string, cost: number, more: Partial<Made> = {}): Made => ({
  ...{ verb: "compare", group: "seed", axes: { peers: 1 }, subject, cost },
  ...more,
});
const way = (name: string, cost: number, where = "memory", more: Partial<Made> = {}): Made => ({
  ...{ verb: "storage", group: `mapped-${where}`, cost },
  axes: {
    ...{ way: name, where, file: "sparse", verify: true },
    ...{ mode: name.startsWith("contiguous") ? "contiguous" : "speculative" },
    ...{ storage: name.includes("mapping") ? "mapped" : "file" },
  },
  ...more,
});
/** The pool at a cost of 0.5 and the mapping at `cost`, under each of those conditions. */
const bothWays = (cost: number, ...conditions: string[]): Made[] =>
  conditions.flatMap((where) => [way("pool, pwritev", 0.5, where), way("into the mapping", cost, where)]);
const runs = (
  bytes: number,
  gigabytesPerSecond: number,
  storage = "direct",
  noise: readonly number[] = CALM,
): Made => ({
  ...{ verb: "storage", group: "runs", cost: 0.3, bytesPerSecond: gigabytesPerSecond * 1e9 },
  axes: { storage, writeRunBytes: bytes },
  figures: {},
  noise,
});
const idleTrial = (bytes: number, cpuShare: number): IdleTrial => ({
  ...{ verb: "idle", subject: "scatterwire (idle)", round: 0 },
  figures: { peers: 5000, residentBytesPerPeer: bytes, cpuShare },
});
const allocating = (heapBytesPerBlock: number, collections: number) => ({
  ...{ mode: "scatter" as const, verify: true, blocks: 1000, heapBytes: 1000 * heapBytesPerBlock },
  ...{ heapBytesPerBlock, collections, sites: [] },
});

type Says = readonly [what: RegExp, right: string, otherwise: string, instead: RegExp];

/** A sentence; data for which it is right; data for which it would be false; and what is said of those instead. */
const SENTENCES: Readonly<Record<string, readonly Says[]>> = {
  "the lead": [
    [
      /^Nothing here lets one setting be held against another/,
      lead(over("mode", [["scatter", 1]])),
      lead(MODES),
      /^Receive with speculative\.$/,
    ],
    [
      /^Too few rounds to recommend anything\. What was cheapest: receive with speculative/,
      lead(MODES, 1),
      lead(MODES),
      /^Receive with/,
    ],
    // Five rounds that disagree are not too few.
    [
      /^The rounds differ too much to recommend anything\./,
      lead(NOISY_MODES),
      lead(MODES, 2),
      /^Too few rounds/,
    ],
    [
      /^Too few bytes moved to recommend anything\. What was cheapest: receive with speculative/,
      lead(sized(MODES, 64 * MIB)),
      lead(sized(MODES, 1024 * MIB)),
      /^Receive with speculative\.$/,
    ],
    [
      /^The machine was busy with something else: measure again before believing this\. Receive with speculative\.$/,
      verdict(MODES, 3, { busy: { trials: 5, of: 9, most: 1 } }).lead,
      verdict(MODES, 3, { busy: { trials: 2, of: 9, most: 1 } }).lead,
      /^Receive with speculative\.$/,
    ],
    [
      /Receive with speculative\. Not certain yet: give it a pool of 2 MiB\.$/,
      lead([...MODES, ...NOISY_POOLS]),
      lead([...MODES, ...POOLS]),
      /Receive with speculative and give it a pool of 2 MiB\.$/,
    ],
    [
      /guess 1 block ahead/i,
      lead(
        over("depth", [
          [1, 0.1],
          [16, 0.2],
        ]),
      ),
      lead(
        over("depth", [
          [1, 0.2],
          [16, 0.1],
        ]),
      ),
      /guess 16 blocks ahead/i,
    ],
    [
      /let socket buffers have the kernel's own size/i,
      lead(
        over("receiveBufferBytes", [
          [0, 0.1],
          [MIB, 0.2],
        ]),
      ),
      lead(
        over("receiveBufferBytes", [
          [0, 0.2],
          [MIB, 0.1],
        ]),
      ),
      /let socket buffers have 1 MiB/i,
    ],
    [
      /take up to 64 KiB where it receives contiguously/i,
      lead(
        over("contiguousBufferBytes", [
          [16_384, 0.4],
          [65_536, 0.3],
        ]),
      ),
      lead(
        over("contiguousBufferBytes", [
          [16_384, 0.3],
          [65_536, 0.4],
        ]),
      ),
      /take up to 16 KiB/i,
    ],
    [
      /Write with file/,
      lead([kind("file", 0.1, 1), kind("direct", 0.2, 1)]),
      lead([kind("file", 0.2, 1), kind("direct", 0.1, 1)]),
      /Write with direct/,
    ],
    [
      /Send with mapped/,
      lead(
        over(
          "sendMode",
          [
            ["mapped", 0.1],
            ["copy", 0.2],
          ],
          {},
        ).map((work) => ({ ...work, verb: "seed" })),
      ),
      lead(
        over(
          "sendMode",
          [
            ["mapped", 0.2],
            ["copy", 0.1],
          ],
          {},
        ).map((work) => ({ ...work, verb: "seed" })),
      ),
      /Send with copy/,
    ],
  ],
  "why a value was taken": [
    [
      /^Cheapest in the one round measured, 0\.100 CPU s\/GB, which cannot be told from noise/,
      why(MODES, 1),
      why(MODES),
      /^Cheapest in every round: 0\.100 CPU s\/GB/,
    ],
    // The cheapest of two rounds need not be the cheapest in both.
    [
      /^Cheapest by the median of the 2 rounds measured/,
      why(MODES, 2),
      why(MODES),
      /^Cheapest in every round/,
    ],
    [
      /^Cheapest in every round: .* Contiguous costs 2\.00 × as much\.$/,
      why(MODES),
      why(NOISY_MODES),
      /^Cheapest by its median: .* wanders too much between rounds to be told from it: measure more rounds/,
    ],
    [
      /Scatter costs 50 % more, and the dearest, contiguous, 2\.00 × as much/,
      why([...MODES, ...over("mode", [["scatter", 0.15]])]),
      why([...MODES, ...over("mode", [["scatter", 0.25]])]),
      /Contiguous costs 2\.00 × as much, and the dearest, scatter, 2\.50 × as much/,
    ],
    [
      /Speculative costs the same within noise or 3 %; the choice falls on the one that suits every kind of traffic/,
      why(
        over("mode", [
          ["speculative", 0.1],
          ["adaptive", 0.101],
        ]),
      ),
      why(
        over("mode", [
          ["speculative", 0.1],
          ["contiguous", 0.101],
        ]),
      ),
      /Contiguous costs the same within noise or 3 %; the choice falls on the one with the cheapest median/,
    ],
    [
      /the choice falls on the smallest, since it holds the least memory/,
      why(
        over("poolBytes", [
          [2 * MIB, 0.101],
          [8 * MIB, 0.1],
        ]),
      ),
      why(POOLS),
      /^Cheapest in every round/,
    ],
    // 0 is no size: the kernel takes what it needs, which is more than the smallest.
    [
      /the choice falls on the kernel's own, which fits itself to each connection/,
      why(
        over("receiveBufferBytes", [
          [0, 0.101],
          [MIB, 0.1],
        ]),
      ),
      why(
        over("receiveBufferBytes", [
          [65_536, 0.101],
          [MIB, 0.1],
        ]),
      ),
      /the choice falls on the one with the cheapest median/,
    ],
    [
      /the choice falls on the simplest/,
      why([kind("file", 0.101, 1), kind("direct", 0.1, 1)]),
      why([kind("file", 0.101, 1), kind("direct", 0.1, 3)]),
      /the choice falls on the faster one/,
    ],
    [
      /the choice falls on the one that makes the fewest system calls/,
      why(
        over(
          "sendMode",
          [
            ["mapped", 0.101],
            ["copy", 0.1],
          ],
          {},
        ).map((work) => ({ ...work, verb: "seed" })),
      ),
      why(
        over(
          "sendMode",
          [
            ["sendfile", 0.101],
            ["copy", 0.1],
          ],
          {},
        ).map((work) => ({ ...work, verb: "seed" })),
      ),
      /the choice falls on the one with the cheapest median/,
    ],
    [
      /Faster, at 50 % more CPU, is file: 3\.00 GB\/s against 1\.00 GB\/s/,
      why([kind("direct", 0.2, 1), kind("file", 0.3, 3)]),
      why([kind("direct", 0.2, 1), kind("file", 0.5, 3)]),
      /Faster, at 2\.50 × the CPU, is file/,
    ],
    [
      /Faster, at about the same CPU, is scatter/,
      why(
        over("mode", [
          ["adaptive", 0.1, { bytesPerSecond: 1e9 }],
          ["scatter", 0.101, { bytesPerSecond: 2e9 }],
        ]),
      ),
      why(
        over("mode", [
          ["adaptive", 0.1, { bytesPerSecond: 2e9 }],
          ["scatter", 0.101, { bytesPerSecond: 1e9 }],
        ]),
      ),
      /^0\.100 CPU s\/GB\. Scatter costs the same within noise or 3 %; the choice falls on the one that suits every kind of traffic\.$/,
    ],
    [
      /Faster, at a CPU that the rounds do not agree about, is contiguous/,
      why(
        over("mode", [
          ["speculative", 0.1],
          ["contiguous", 0.13, { noise: WILD, bytesPerSecond: 3e9 }],
        ]),
      ),
      why(
        over("mode", [
          ["speculative", 0.1],
          ["contiguous", 0.13, { bytesPerSecond: 3e9 }],
        ]),
      ),
      /Faster, at 30 % more CPU, is contiguous/,
    ],
    [
      /Elsewhere another is cheaper: contiguous with 64 peers, where speculative takes 1\.50 × \(1\.50 to 1\.50\) its CPU\./,
      why([
        ...over(
          "mode",
          [
            ["contiguous", 0.2],
            ["speculative", 0.1],
          ],
          { ...REAL, peers: 8 },
        ),
        ...over(
          "mode",
          [
            ["contiguous", 0.2],
            ["speculative", 0.3],
          ],
          { ...REAL, peers: 64 },
          "peers",
        ),
      ]),
      why([
        ...over(
          "mode",
          [
            ["contiguous", 0.2],
            ["speculative", 0.1],
          ],
          { ...REAL, peers: 8 },
        ),
        ...over(
          "mode",
          [
            ["contiguous", 0.3],
            ["speculative", 0.2],
          ],
          { ...REAL, peers: 64 },
          "peers",
        ),
      ]),
      /^Cheapest in every round: 0\.100 CPU s\/GB\. Contiguous costs 2\.00 × as much\.$/,
    ],
    [
      /and 1 more, in the tables/,
      why(
        [1, 2, 4, 16, 64].flatMap((peers) =>
          over(
            "mode",
            [
              ["contiguous", 0.2],
              ["speculative", peers === 1 ? 0.1 : 0.3],
            ],
            { ...REAL, peers },
            peers === 1 ? "mode" : "peers",
          ),
        ),
      ),
      why(
        [1, 2, 4, 16].flatMap((peers) =>
          over(
            "mode",
            [
              ["contiguous", 0.2],
              ["speculative", peers === 1 ? 0.1 : 0.3],
            ],
            { ...REAL, peers },
            peers === 1 ? "mode" : "peers",
          ),
        ),
      ),
      /Elsewhere another is cheaper: .* its CPU\.$/,
    ],
  ],
  caveats: [
    [
      /^Each figure comes from a single round\. Fewer than 3 tell no difference from noise: measure more rounds\./,
      caveats(MODES, 1),
      caveats(MODES),
      /^Each figure is the median of 3 rounds\. From/,
    ],
    [
      /the median of 2 rounds\. Fewer than 3/,
      caveats(MODES, 2),
      caveats(MODES, 4),
      /the median of 4 rounds\. From/,
    ],
    [
      /From round to round a CPU figure typically wanders by ± \d+\.\d %\. 1 of 2 wanders by more than 15 %: read it with care/,
      caveats(NOISY_MODES),
      caveats(MODES),
      /typically wanders by ± 4\.\d %\.$/,
    ],
    [
      /2 of 3 wander by more than 15 %: read those with care/,
      caveats([...NOISY_MODES, ...over("mode", [["scatter", 0.1, { noise: WILD }]])]),
      caveats(NOISY_MODES),
      /1 of 2 wanders/,
    ],
    [
      /The trials moved no more than 64 MiB each: of so little, most is starting up, while V8 compiles\. Costs per GB are those of --size 1G and more\./,
      caveats(sized(MODES, 64 * MIB)),
      caveats(sized(MODES, 1024 * MIB)),
      /± 4\.\d %\.$/,
    ],
    // A process that has moved 3 GiB before is not starting up.
    [
      /The trials moved no more than 64 MiB each: the process was warm, but of so little, a large part is how a download begins and ends/,
      caveats(sized(MODES, 64 * MIB, 3072 * MIB)),
      caveats(sized(MODES, 64 * MIB, 64 * MIB)),
      /most is starting up, while V8 compiles/,
    ],
    [
      /1 of 2 kinds of work moved no more than 32 MiB each/,
      caveats([...sized(MODES.slice(0, 1), 32 * MIB), ...MODES.slice(1)]),
      caveats([...sized(MODES.slice(0, 1), 32 * MIB), ...sized(MODES.slice(1), 64 * MIB)]),
      /The trials moved no more than 32 MiB to 64 MiB each/,
    ],
    [
      /No trial of our own engine is among them/,
      caveats([client("aria2", 1)]),
      caveats([client("aria2", 1), client("scatterwire (mapped)", 1)]),
      /^Each figure/,
    ],
    [
      /1 trial stands in more than one place of these files, and counts once/,
      caveats(MODES, 3, { repeated: 1 }),
      caveats(MODES, 3, { repeated: 2 }),
      /2 trials stand in more than one place of these files, and count once/,
    ],
    [
      /The machine was busy with something else just before 2 of 9 trials \(up to 50 % of its processors\): measure again when it is idle/,
      caveats(MODES, 3, { busy: { trials: 2, of: 9, most: 0.5 } }),
      caveats(MODES, 3, { busy: { trials: 0, of: 9, most: 0.05 } }),
      /^Each figure/,
    ],
  ],
  "a group, as loopback says it": [
    [
      /^mode: cheapest is speculative with 0\.100 CPU s\/GB\. Dearer: contiguous by 100 % \(2\.00 to 2\.00 ×\)\.$/,
      said(MODES),
      said(NOISY_MODES),
      /^mode: cheapest is speculative with 0\.100 CPU s\/GB\. Not told apart from it by 3 rounds: contiguous\.$/,
    ],
    [/Not told apart from it by 1 round: contiguous/, said(MODES, 1), said(MODES, 3), /Dearer: contiguous/],
    // Surely dearer, if by little, is not "not told apart".
    [
      /Dearer by less than 3 %: adaptive\.$/,
      said(
        over("mode", [
          ["speculative", 0.1],
          ["adaptive", 0.102],
        ]),
      ),
      said(
        over("mode", [
          ["speculative", 0.1],
          ["adaptive", 0.104],
        ]),
      ),
      /Dearer: adaptive by 4 %/,
    ],
    [/^mode: scatterwire costs 0\.200 CPU s\/GB\.$/, said(MODES.slice(0, 1)), said(MODES), /cheapest is/],
    [
      /Not measured in the same rounds: contiguous\.$/,
      saidOfFiles([MODES.slice(0, 1), MODES.slice(1)]),
      said(MODES),
      /Dearer: contiguous/,
    ],
    [
      // A pool is chosen for as many peers as there are, and not beside others.
      /^stored-pool, 1 peer: cheapest is pool 2 MiB .* Dearer: pool 8 MiB by 100 % .* stored-pool, 8 peers: cheapest is pool 8 MiB/,
      said([
        ...over(
          "poolBytes",
          [
            [2 * MIB, 0.1],
            [8 * MIB, 0.2],
          ],
          { ...REAL, peers: 1 },
          "stored-pool",
        ),
        ...over(
          "poolBytes",
          [
            [2 * MIB, 0.4],
            [8 * MIB, 0.3],
          ],
          { ...REAL, peers: 8 },
          "stored-pool",
        ),
      ]),
      said(
        over(
          "poolBytes",
          [
            [2 * MIB, 0.1],
            [8 * MIB, 0.2],
          ],
          { ...REAL, peers: 1 },
          "stored-pool",
        ),
      ),
      /^stored-pool: cheapest is pool 2 MiB/,
    ],
    [
      /1\.25 × the limit/,
      said([
        { group: "mode", subject: "limit", axes: {}, cost: 0.08 },
        ...over(
          "mode",
          [
            ["speculative", 0.1],
            ["contiguous", 0.2],
          ],
          { storage: "null", verify: false },
        ),
      ]),
      said([
        { group: "mode", subject: "limit", axes: {}, cost: 0.08 },
        ...over(
          "mode",
          [
            ["speculative", 0.1],
            ["contiguous", 0.2],
          ],
          { storage: "null", verify: true },
        ),
      ]),
      /0\.100 CPU s\/GB\. Dearer/,
    ],
    [
      /of the link, scatterwire 93 % and libtorrent \(posix\) unknown/,
      said([
        { verb: "wan", group: "far", axes: { rttMs: 100 }, cost: 1, figures: { linkShare: 0.93 } },
        { verb: "wan", group: "far", subject: "libtorrent (posix)", axes: { rttMs: 100 }, cost: 1 },
      ]),
      said([
        { verb: "wan", group: "far", axes: { rttMs: 100 }, cost: 1, figures: { linkShare: 0.5 } },
        {
          verb: "wan",
          group: "far",
          subject: "libtorrent (posix)",
          axes: { rttMs: 100 },
          cost: 1,
          figures: { linkShare: 0.88 },
        },
      ]),
      /scatterwire 50 % and libtorrent \(posix\) 88 %/,
    ],
  ],
  "tables of a run": [
    [
      /first is the CPU s\/GB of the first download of the same process, while V8 compiles/,
      table(MODES.map((work) => ({ ...work, figures: { firstCpuSecondsPerGB: 1 } }))),
      table(MODES),
      /Medians of the rounds/,
    ],
    [
      /The limit of seeding is a plain loop that sends from a mapping/,
      table(
        besideLimit(CALM).map(({ axes: { mode = "none" } = {}, ...work }) => ({
          ...work,
          axes: { mode },
          verb: "seed" as const,
        })),
      ),
      table(besideLimit(CALM)),
      /The limit of receiving receives and ignores; what is hashed or stored has no such limit, and no ratio/,
    ],
    [
      /× limit is the median of the rounds' own ratios, figures that ran side by side being divided/,
      table([
        { group: "mode", subject: "limit", axes: {}, cost: 0.08 },
        ...over("mode", [["speculative", 0.1]], { storage: "null" }),
      ]),
      table(MODES),
      /Medians of the rounds\. Calls, faults, switches/,
    ],
    [
      /Left out, for want of room: .*guesses missed.*\(--verbose\)/,
      table(wide()),
      table(wide(), true),
      /guesses missed/,
    ],
  ],
  "the storage question": [
    [
      /Is receiving straight into a mapped file cheaper\?.*Than receiving into the pool and pwritev: in 1 condition, cheaper in 1, dearer in 0, not told apart in 0\..*memory file system, .*: 0\.400 beside 0\.500 CPU s\/GB, 20 % cheaper \(0\.80 to 0\.80 ×\)\./,
      stored([way("pool, pwritev", 0.5), way("into the mapping", 0.4)]),
      stored([way("pool, pwritev", 0.4), way("into the mapping", 0.5)]),
      /cheaper in 0, dearer in 1.*25 % dearer/,
    ],
    [
      /not told apart in 1\..*not told apart: the ratio goes from/,
      stored([way("pool, pwritev", 0.5, "disk"), way("into the mapping", 0.5, "disk", { noise: WILD })]),
      stored([way("pool, pwritev", 0.5, "disk"), way("into the mapping", 0.4, "disk")]),
      /disk, durable.*20 % cheaper/,
    ],
    [
      /Than receiving contiguously and copying into the mapping: in 2 conditions, cheaper in 2/,
      stored(
        ["memory", "disk"].flatMap((where) => [
          way("contiguous, copied to the mapping", 0.6, where),
          way("into the mapping", 0.4, where),
        ]),
      ),
      stored([way("contiguous, copied to the mapping", 0.3), way("into the mapping", 0.4)]),
      /in 1 condition, cheaper in 0, dearer in 1/,
    ],
    [
      /CPU is that of the process: what the kernel's own threads spend on writing pages back to a disk later is not in it/,
      stored([way("pool, pwritev", 0.5), way("into the mapping", 0.4)]),
      stored([way("pool, pwritev", 0.5)]),
      /^$/,
    ],
    [
      /not told apart: 2 runs cannot tell a difference from noise/,
      stored([way("pool, pwritev", 0.5), way("into the mapping", 0.4)], 2),
      stored([way("pool, pwritev", 0.5), way("into the mapping", 0.4)], 3),
      /20 % cheaper/,
    ],
  ],
  "where copying and system calls cross": [
    [
      /Contiguous and scatter cross at 64 KiB per call \(64 KiB to 64 KiB over the rounds\): with more bytes per call, contiguous is the cheaper/,
      crossed([...FALLING, point("scatter", 8192, 0.2)]),
      crossed([...line("contiguous", [0.1, 0.2, 0.3]), point("scatter", 8192, 0.2)]),
      /cross at 64 KiB .* with more bytes per call, scatter is the cheaper/,
    ],
    [
      /do not cross on this machine: between 16 KiB and 256 KiB per call, contiguous costs more than speculative in every round/,
      crossed([...line("contiguous", [0.2, 0.2, 0.2]), ...line("speculative", [0.1, 0.1, 0.1])]),
      crossed([...line("contiguous", [0.1, 0.1, 0.1]), ...line("speculative", [0.2, 0.2, 0.2])]),
      /speculative costs more than contiguous in every round/,
    ],
    [
      /in the one round, which proves little/,
      crossed([...line("contiguous", [0.2, 0.2, 0.2]), ...line("speculative", [0.1, 0.1, 0.1])], 1),
      crossed([...line("contiguous", [0.2, 0.2, 0.2]), ...line("speculative", [0.1, 0.1, 0.1])], 2),
      /in both rounds, which proves little/,
    ],
    // Rounds that agree are not said to disagree because they are few, or because lines cross twice.
    [
      /Contiguous and scatter cross between .* per call, but one round proves little: measure more/,
      crossed([...FALLING, point("scatter", 8192, 0.2)], 1),
      crossed([...FALLING, point("scatter", 8192, 0.2)], 2),
      /but two rounds prove little: measure more/,
    ],
    [
      /Contiguous and speculative cross 2 times between 16 KiB and 256 KiB per call: neither is the cheaper throughout/,
      crossed([...line("contiguous", [0.3, 0.1, 0.3]), ...line("speculative", [0.2, 0.2, 0.2])]),
      crossed([...line("contiguous", [0.3, 0.1, 0.1]), ...line("speculative", [0.2, 0.2, 0.2])]),
      /cross at \d/,
    ],
    [
      /Whether contiguous and scatter cross cannot be told: the rounds disagree between/,
      crossed([...line("contiguous", [0.2, 0.2, 0.2], [1, 0.4, 1]), point("scatter", 8192, 0.15)]),
      crossed([...line("contiguous", [0.2, 0.2, 0.2]), point("scatter", 8192, 0.15)]),
      /do not cross/,
    ],
    [
      /Contiguous and scatter were never measured in the same round: whether they cross cannot be told/,
      apartRounds(),
      crossed([...FALLING, point("scatter", 8192, 0.2)]),
      /cross at/,
    ],
    [
      /No bytes per call were measured for both contiguous and speculative/,
      crossed([...FALLING, ...[2 ** 20, 2 ** 22].map((bytes) => point("speculative", bytes, 0.1))]),
      crossed([...FALLING, ...line("speculative", [0.05, 0.05, 0.05])]),
      /do not cross/,
    ],
  ],
  findings: [
    [
      /Receiving into one buffer and copying costs 2\.00 × as much as speculative, which copies nothing \(storage file, hashed\): 2\.00 × \(2\.00 to 2\.00\) its CPU/,
      found(MODES),
      found(
        over("mode", [
          ["contiguous", 0.12],
          ["speculative", 0.1],
        ]),
      ),
      /costs 20 % more than speculative/,
    ],
    [
      /copying costs 20 % less than scatter, which copies nothing/,
      found(
        over("mode", [
          ["contiguous", 0.08],
          ["scatter", 0.1],
        ]),
      ),
      found(
        over("mode", [
          ["contiguous", 0.12],
          ["scatter", 0.1],
        ]),
      ),
      /copying costs 20 % more than scatter/,
    ],
    [
      /which copies 12 % of its bytes/,
      found(
        over("mode", [
          ["contiguous", 0.2],
          ["speculative", 0.1, { figures: { copiedBytesPerByte: 0.12 } }],
        ]),
      ),
      found(
        over("mode", [
          ["contiguous", 0.2],
          ["speculative", 0.1, { figures: { copiedBytesPerByte: 0.001 } }],
        ]),
      ),
      /which copies nothing/,
    ],
    [
      /Receiving into one buffer and copying cannot be told from speculative, which copies nothing.*: the ratio goes from/,
      found(NOISY_MODES),
      found(MODES),
      /copying costs 2\.00 × as much/,
    ],
    [
      /Of the 0\.100 CPU s\/GB that receiving costs with speculative, 75 % is the kernel's receive calls, 0 % copying and 25 % TypeScript, V8 and libuv/,
      found(
        over(
          "mode",
          [
            ["contiguous", 0.2],
            ["speculative", 0.1, { figures: { costs: costs(0.06, 0, 0.02) } }],
          ],
          { storage: "null" },
        ),
      ),
      found(
        over(
          "mode",
          [
            ["contiguous", 0.2],
            ["speculative", 0.1, { figures: { costs: costs(0.02, 0.06, 0.02) } }],
          ],
          { storage: "null" },
        ),
      ),
      /20 % is the kernel's receive calls, 60 % copying and 20 % TypeScript/,
    ],
    [
      /Speculative costs 1\.25 × \(1\.25 to 1\.25\) the limit, which receives the same stream into one buffer and ignores it/,
      found(besideLimit(CALM)),
      found(besideLimit(WILD)),
      /Speculative cannot be told from the limit: the ratio goes from/,
    ],
    [
      /Receiving straight into a mapped file, against the pool and pwritev: cheaper under the one set of conditions that was measured, .*\(0\.80 ×\)\./,
      found([way("pool, pwritev", 0.5), way("into the mapping", 0.4)]),
      found([way("pool, pwritev", 0.4), way("into the mapping", 0.5)]),
      /: dearer under the one set of conditions that was measured, .*\(1\.25 ×\)/,
    ],
    [
      /: no difference beyond noise or 3 % under 2 of 2 sets of conditions that were measured, /,
      found(bothWays(0.505, "memory", "disk")),
      found(bothWays(0.4, "memory", "disk")),
      /cheaper under 2 of 2/,
    ],
    [
      /against the pool and pwritev.*the group "mapped memory"/,
      found([way("pool, pwritev", 0.5), way("into the mapping", 0.4)]),
      found(bothWays(0.4, "memory", "disk")),
      /cheaper under 2 of 2 sets of conditions that were measured, memory \(0\.80 ×\) and disk/,
    ],
    [
      /cheaper under 3 of 3 sets of conditions that were measured, such as memory \(0\.80 ×\) and disk \(0\.80 ×\)\./,
      found(bothWays(0.4, "memory", "disk", "another disk")),
      found(bothWays(0.4, "memory", "disk")),
      /were measured, memory \(0\.80 ×\) and disk/,
    ],
    [
      /Run length decides how fast O_DIRECT is: runs of 64 KiB 0\.50 GB\/s, runs of 1 MiB 2\.00 GB\/s/,
      found([runs(65_536, 0.5), runs(MIB, 2)]),
      found([runs(65_536, 1), runs(MIB, 1.01)]),
      /Among the run lengths measured, no difference in the speed of O_DIRECT is beyond noise and 3 %/,
    ],
    // Runs of ordinary writes say nothing of O_DIRECT.
    [
      /O_DIRECT/,
      found([runs(65_536, 0.5), runs(MIB, 2)]),
      found([runs(65_536, 0.5, "file"), runs(MIB, 2, "file")]),
      /^$/,
    ],
    [
      /^Seed: scatterwire \(mapped\) takes 0\.20 × the CPU of libtorrent \(posix\), the cheapest of the others, at 2\.00 × the speed of aria2, the fastest of them\.$/,
      found([
        client("scatterwire (mapped)", 0.2, { bytesPerSecond: 4e9 }),
        client("libtorrent (posix)", 1),
        client("aria2", 2, { bytesPerSecond: 2e9 }),
      ]),
      found([client("scatterwire (mapped)", 3), client("aria2", 1, { bytesPerSecond: 2e9 })]),
      /takes 3\.00 × the CPU of aria2, both the cheapest and the fastest of the others, at 0\.50 × its speed/,
    ],
    [
      / × its speed\. Neither ratio can be told from noise by the 2 rounds measured\.$/,
      found([client("scatterwire (mapped)", 0.2), client("aria2", 1)], 2),
      found([client("scatterwire (mapped)", 0.2, { bytesPerSecond: 2e9 }), client("aria2", 1)]),
      /both the cheapest and the fastest of the others, at 2\.00 × its speed\.$/,
    ],
    [
      / × its speed\. Neither ratio can be told from noise by the one round measured\.$/,
      found([client("scatterwire (mapped)", 0.2, { bytesPerSecond: 5e9 }), client("aria2", 1)], 1),
      found([client("scatterwire (mapped)", 0.2), client("aria2", 1)]),
      / × its speed\. The ratio of speed cannot be told from noise by the \d+ rounds measured\.$/,
    ],
    [
      / × its speed\. The ratio of CPU cannot be told from noise by the \d+ rounds measured\.$/,
      found([client("scatterwire (mapped)", 1, { bytesPerSecond: 2e9 }), client("aria2", 1)]),
      found([client("scatterwire (mapped)", 0.2, { bytesPerSecond: 2e9 }), client("aria2", 1)]),
      / × its speed\.$/,
    ],
  ],
  "one file against another": [
    [
      /^Nothing was measured both here and in old\.json\.$/,
      against(MODES, POOLS),
      against(MODES, MODES),
      /^Of 2 kinds of work that can be compared, 0 got cheaper in CPU, 0 got dearer, and 2 did not change beyond noise or 3 %\.$/,
    ],
    [
      /Of 1 kind of work that can be compared, 1 got cheaper in CPU, 0 got dearer, and 0 did not change.*Cheaper: receive mode \(0\.50 ×\)\.$/,
      against(over("mode", [["scatter", 0.1]]), over("mode", [["scatter", 0.2]])),
      against(over("mode", [["scatter", 0.2]]), over("mode", [["scatter", 0.1]])),
      /0 got cheaper in CPU, 1 got dearer.*Dearer: receive mode \(2\.00 ×\)/,
    ],
    // One round on a side does not say that nothing changed.
    [
      /and 0 did not change beyond noise or 3 %\. All have fewer than 3 rounds on one side, from which nothing can be told/,
      against(MODES, MODES, 2),
      against(MODES, MODES),
      /and 2 did not change beyond noise or 3 %\.$/,
    ],
    [
      /It has fewer than 3 rounds on one side/,
      against(MODES.slice(1), MODES.slice(1), 1),
      against(MODES.slice(1), MODES.slice(1)),
      /1 did not change/,
    ],
    [
      /The limit itself costs 50 % more than before: the machine or its system changed, so read the ratios in limits/,
      against([limitOnly(0.3), ...MODES], [limitOnly(0.2), ...MODES]),
      against([limitOnly(0.2), ...MODES], [limitOnly(0.2), ...MODES]),
      /2 did not change beyond noise or 3 %\.$/,
    ],
    // What was measured by both, with other amounts of bytes, was measured by both.
    [
      /^1 kind of work moved another amount of bytes in the two files \(1 GiB before and 64 MiB now, for instance\) and is not compared: what a process pays once is a larger part of less\. Measure both with the same --size\.$/,
      against(sized(MODES.slice(1), 64 * MIB), sized(MODES.slice(1), 1024 * MIB)),
      against(sized(MODES, 64 * MIB), sized(MODES, 1024 * MIB)),
      /^2 kinds of work .* and are not compared/,
    ],
    [
      /old\.json was made on another machine \(Old CPU, 4 cores\): what got cheaper or dearer may be the machine, and only ratios in limits speak of the program/,
      against(MODES, MODES, 3, "Old CPU, 4 cores"),
      against(MODES, MODES),
      /^Of 2 kinds/,
    ],
    [
      /^Only the limit can be compared\.$/,
      against([limitOnly(0.2)], [limitOnly(0.2)]),
      against([limitOnly(0.2), ...MODES], [limitOnly(0.2), ...MODES]),
      /^Of 2 kinds/,
    ],
    [
      /1 more in the table/,
      against(many(0.1), many(0.2)),
      against(many(0.1).slice(1), many(0.2).slice(1)),
      /Cheaper: /,
    ],
  ],
  "the comparison": [
    [
      /Too little was measured for a verdict\.$/,
      compared([]),
      compared([client("scatterwire (mapped)", 1), client("aria2", 2)]),
      /takes 0\.50 × the CPU/,
    ],
    [
      /1 of the 2 targets that this project set itself is met on this machine/,
      compared([], { idle: [idleTrial(4000, 0.5)] }),
      compared([], { idle: [idleTrial(4000, 0.001)] }),
      /2 of the 2 targets that this project set itself are met/,
    ],
    [
      /× ours: the median of the rounds' own ratios to our cheapest way, so not always the ratio of the medians/,
      compared([client("scatterwire (mapped)", 1), client("aria2", 2)]),
      compared([]),
      /Too little/,
    ],
    [
      /what this project set itself to reach/,
      compared([], { idle: [idleTrial(4000, 0.001)] }),
      compared([client("aria2", 2)]),
      /seed/,
    ],
    [
      /rounds differ/,
      compared([], { idle: [idleTrial(4000, 0.001), idleTrial(5000, 0.001), idleTrial(4000, 0.001)] }),
      compared([], { idle: [idleTrial(4000, 0.001)] }),
      /5000 idle peers: memory of each ≤ 4096 bytes/,
    ],
    [
      /not measured aria2 \(16 peers\): no room/,
      compared([], {
        omissions: [{ verb: "compare", subject: "aria2", axes: { peers: 16 }, reason: "no room" }],
      }),
      compared([], { omissions: [{ verb: "compare", subject: "aria2", reason: "no room" }] }),
      /not measured aria2: no room/,
    ],
  ],
  allocations: [
    [
      /^Nothing is allocated per block: less than the smallest object \(16 bytes\) for each, and nothing was collected\.$/,
      allocationsVerdict([allocating(15, 0)]),
      allocationsVerdict([allocating(16, 0)]),
      /^Something is allocated per block, 16 bytes or more: scatter \(verified\)\.$/,
    ],
    // What a collection hid is not known to be allocated per block.
    [
      /^Garbage was collected meanwhile, so that nothing can be told: scatter \(verified\)\.$/,
      allocationsVerdict([allocating(20, 1)]),
      allocationsVerdict([allocating(20, 0)]),
      /^Something is allocated/,
    ],
  ],
};

/** More columns than a terminal has. */
function wide(): Made[] {
  const figures = {
    ...{ systemCallsPerBlock: 1, copiedBytesPerByte: 1, predictionHits: 1, predictionMisses: 1 },
    ...{ minorFaultsPerBlock: 1, voluntarySwitchesPerBlock: 1, bytesPerSystemCall: 1 },
  };
  return MODES.map((work) => ({ ...work, figures }));
}

/** Each file's rounds are its own. */
function filesOf(works: readonly (readonly Made[])[]): Group[] {
  return groupsOf(works.map((some, index) => ({ path: `${index}`, results: makeResults(makeTrials(some)) })));
}

function apartRounds(): string {
  return crossingData(filesOf([FALLING, [point("scatter", 8192, 0.2)]]))?.sentences.join(" ") ?? "";
}

function saidOfFiles(works: readonly (readonly Made[])[]): string {
  return filesOf(works).flatMap(groupVerdict).join(" ");
}

function besideLimit(noise: readonly number[]): Made[] {
  return [
    { group: "mode", subject: "limit", axes: {}, cost: 0.08, noise },
    ...over(
      "mode",
      [
        ["speculative", 0.1],
        ["contiguous", 0.2],
      ],
      { storage: "null" },
    ),
  ];
}

function limitOnly(cost: number): Made {
  return { group: "mode", subject: "limit", axes: {}, cost };
}

/** Seven kinds of work. */
function many(cost: number): Made[] {
  return over(
    "peers",
    [1, 2, 3, 4, 5, 6, 7].map((peers) => [peers, cost] as const),
  );
}

for (const [subject, sentences] of Object.entries(SENTENCES))
  describe(`sentences: ${subject}`, () => {
    for (const [what, right, otherwise, instead] of sentences)
      it(String(what), () => {
        assert.match(right, what);
        assert.doesNotMatch(otherwise, what);
        assert.match(otherwise, instead);
      });
  });

describe("what can be said", () => {
  const SOURCES = [
    ...[
      "verdict",
      "caveats",
      "group-verdict",
      "storage-answer",
      "crossing",
      "findings",
      "against",
      "run-tables",
    ].map((name) => `bench/report/${name}.ts`),
    "bench/measuring/statistics.ts",
    "bench/rivals/table.ts",
  ];
  const everything = Object.values(SENTENCES)
    .flat()
    .flatMap(([, right, otherwise]) => [right, otherwise])
    .join("\n");

  for (const source of SOURCES)
    it(`by ${source} is said above`, () => {
      const text = readFileSync(fileURLToPath(new URL(`../../../../${source}`, import.meta.url)), "utf8");
      // Three words or more: names stand for themselves, and so do values of axes.
      const values = ["contiguous, copied to the mapping"];
      const parts = literalsOf(text).filter(
        (part) => /[a-z]+ [a-z]+ [a-z]+/i.test(part) && !values.includes(part),
      );
      for (const part of parts)
        assert.ok(
          everything.toLowerCase().includes(unfolded(part).toLowerCase().trim()),
          `never said: ${part}`,
        );
    });

  it("is read from literals, nested in each other and beside comments", () => {
    const nested = ["one ", "{b ? `two ", "{c} three` : 'four'} five"].join("$");
    const source = `const a = \`${nested}\`; // "no"\n/* \`no\` */ const d = /"no/g; e("six");`;
    assert.deepEqual(literalsOf(source), ["one ", "two ", " three", "four", " five", "six"]);
  });
});
