// The result of the loopback benchmark as a table for the terminal.

import { TextTable } from "../report/text-table.js";
import type { Figures, LoopbackResult, ModeResult } from "./loopback.js";

export function loopbackTable(result: LoopbackResult): string {
  const { machine, options } = result;
  const table = new TextTable({
    head: ["", "GB/s", "CPU s/GB", "first", "calls/block", "copied/byte", "hits", "misses", "peak RSS"],
    colAligns: ["left", "right", "right", "right", "right", "right", "right", "right", "right"],
  });
  table.push(row("the limit", result.limit.median, undefined));
  for (const [mode, measured] of Object.entries(result.modes))
    table.push(row(mode, measured.median, measured));
  const work = `${(options.size / 1e9).toFixed(2)} GB, ${options.peers} peer${options.peers === 1 ? "" : "s"}, storage ${options.storage}, ${options.verify ? "verified" : "not verified"}`;
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}; data in ${result.dataDirectory}`,
    `${work}; medians of ${options.runs} interleaved run${options.runs === 1 ? "" : "s"}, in brackets the ratio to the limit of the same round`,
    table.toString(),
    "CPU s/GB of a process that runs; first: of its first download, while V8 compiles. Peak RSS includes all downloads of a process.",
    result.verdict,
  ].join("\n");
}

function row(name: string, figures: Figures, mode: ModeResult | undefined): string[] {
  const ratio = (value: number | undefined): string => (value === undefined ? "" : ` (${value.toFixed(2)})`);
  return [
    name,
    (figures.bytesPerSecond / 1e9).toFixed(2) + ratio(mode?.ratioToLimit.bytesPerSecond),
    figures.cpuSecondsPerGB.toFixed(3) + ratio(mode?.ratioToLimit.cpuSecondsPerGB),
    mode === undefined ? "" : figures.firstCpuSecondsPerGB.toFixed(3),
    figures.systemCallsPerBlock.toFixed(3) + ratio(mode?.ratioToLimit.systemCallsPerBlock),
    figures.copiedBytesPerByte.toFixed(3),
    mode === undefined ? "" : String(figures.predictionHits),
    mode === undefined ? "" : String(figures.predictionMisses),
    `${(figures.peakRssBytes / 1e6).toFixed(0)} MB${ratio(mode?.ratioToLimit.peakRssBytes)}`,
  ];
}
