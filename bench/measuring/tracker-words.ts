// What was found of trackers, in the words of those who measured it first: lines that can be compared with published ones.

import { PUBLISHED_OPTMEM } from "./tracker-published.js";
import type { MemoryRow, PeerStoreBenchmark, RepositoryResult } from "./tracker-results.js";

/** As Torrust's benchmark prints it, and what it leaves unsaid. */
export function repositoryText(results: readonly RepositoryResult[]): string {
  const found = results.map(({ name, scenarios }) =>
    [
      name,
      ...Object.entries(scenarios).map(
        ([scenario, { averageNs, adjustedNs }]) =>
          `${scenario}: Avg/AdjAvg: (${rustDuration(averageNs)}, ${rustDuration(adjustedNs)})`,
      ),
    ].join("\n"),
  );
  return [...found, "AdjAvg: of the samples within a tenth of the Avg; 0ns: they are fewer than two"].join(
    "\n\n",
  );
}

/** As Rust prints durations: the largest unit that leaves a whole part, and no zeros at the end. */
export function rustDuration(ns: number): string {
  const whole = Math.floor(ns);
  for (const [unit, size] of [
    ["s", 1e9],
    ["ms", 1e6],
    ["µs", 1e3],
  ] as const)
    if (whole >= size) return `${whole / size}${unit}`;
  return `${whole}ns`;
}

export interface OldAndNew {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  readonly delta: string;
}

const UNKNOWN = "?";

/**
 * The tables of Go's benchcmp: optmem's published figures, ours, and how they differ. V8 counts no allocations: where it took no memory
 * there were none, and elsewhere nobody knows.
 */
export function peerStoreTables(
  results: readonly PeerStoreBenchmark[],
): { readonly title: string; readonly unit: string; readonly rows: readonly OldAndNew[] }[] {
  const rows = (
    column: 0 | 1 | 2,
    of: (result: PeerStoreBenchmark) => number | undefined,
    text: (value: number) => string,
  ): OldAndNew[] =>
    results.map((result) => {
      const before = PUBLISHED_OPTMEM[result.name.replace(/^Benchmark/, "")]?.[column];
      const after = of(result);
      return {
        name: result.name,
        before: before === undefined ? UNKNOWN : text(before),
        after: after === undefined ? UNKNOWN : text(after),
        delta: before === undefined || after === undefined ? UNKNOWN : deltaText(before, after),
      };
    });
  const bytesOf = ({ heapBytesPerOp }: PeerStoreBenchmark): number => Math.round(heapBytesPerOp);
  const whole = (value: number): string => value.toFixed(0);
  return [
    { title: "time", unit: "ns/op", rows: rows(0, ({ nsPerOp }) => nsPerOp, goDigits) },
    {
      title: "allocations",
      unit: "allocs",
      rows: rows(1, (result) => (bytesOf(result) === 0 ? 0 : undefined), whole),
    },
    { title: "bytes of garbage", unit: "bytes", rows: rows(2, bytesOf, whole) },
  ];
}

export function peerStoreText(results: readonly PeerStoreBenchmark[]): string {
  const tables = peerStoreTables(results).map(({ unit, rows }) =>
    [
      `${"benchmark".padEnd(38)}${`old ${unit}`.padStart(12)}${`new ${unit}`.padStart(12)}     delta`,
      ...rows.map(
        ({ name, before, after, delta }) =>
          `${name.padEnd(38)}${before.padStart(12)}${after.padStart(12)}     ${delta}`,
      ),
    ].join("\n"),
  );
  const legend = `old: optmem, as published in 2017, on another machine; new: ours, here
${UNKNOWN}: some memory was taken, and V8 does not count in how many pieces`;
  return [...tables, legend].join("\n\n");
}

function deltaText(before: number, after: number): string {
  if (before === after) return "+0.00%";
  const delta = ((after - before) / before) * 100;
  return `${delta < 0 ? "" : "+"}${delta.toFixed(2)}%`;
}

/** Three digits that count, as Go prints them. */
function goDigits(ns: number): string {
  return ns < 10 ? ns.toFixed(2) : ns < 100 ? ns.toFixed(1) : ns.toFixed(0);
}

export const MEMORY_HEAD = 'Testing peer store "scatterwire", Config: map[lifetime:16m collect:2m]...';

/** One row of memory as optmem's authors print it. */
export function memoryLine({ seeders, leechers, bytes }: MemoryRow): string {
  const kib = Math.floor(bytes / 1024);
  const mib = bytes >= 2 ** 20 ? `, ${(bytes / 2 ** 20).toFixed(1).padStart(8)}MiB` : "";
  const gib = bytes >= 2 ** 30 ? `, ${(bytes / 2 ** 30).toFixed(1)}GiB` : "";
  const who = `${String(seeders).padStart(9)} seeders, ${String(leechers).padStart(9)} leechers:`;
  return `${who}    ${String(bytes).padStart(15)}B (${String(kib).padStart(10)}KiB${mib}${gib})`;
}
