// What a download brought and cost, told at its end.

import type { Session, Torrent } from "../index.js";
import { formatBytes, formatDuration, printJson, printLine } from "./output.js";

interface ReportOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly receiveMode?: string;
  readonly verify: boolean;
}

export interface Started {
  readonly timeMs: number;
  readonly cpu: NodeJS.CpuUsage;
}

export function startMeasuring(): Started {
  return { timeMs: performance.now(), cpu: process.cpuUsage() };
}

/** What all of them together cost. */
export function reportAll(
  session: Session,
  torrents: readonly Torrent[],
  started: Started,
  options: ReportOptions,
): void {
  const seconds = (performance.now() - started.timeMs) / 1000;
  const { user, system } = process.cpuUsage(started.cpu);
  const cpuSeconds = (user + system) / 1e6;
  const counters = session.counters();
  const bytes = counters.payloadBytes;
  const gigabytes = bytes / 1e9;
  const per = (value: number, divisor: number): number => (divisor === 0 ? 0 : value / divisor);
  const result = {
    event: "done",
    bytes,
    seconds,
    bytesPerSecond: per(bytes, seconds),
    cpuSeconds,
    cpuSecondsPerGB: per(cpuSeconds, gigabytes),
    cpuUserSeconds: user / 1e6,
    cpuSystemSeconds: system / 1e6,
    systemCallsPerBlock: per(counters.receiveCalls, counters.blocksReceived),
    copiedBytesPerByte: per(counters.bytesCopied, bytes),
    predictionHits: counters.predictionHits,
    predictionMisses: counters.predictionMisses,
    receiveMode: options.receiveMode ?? "adaptive",
    storage: torrents[0]?.storageKind ?? null,
    verified: options.verify,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    peers: sum(torrents, (torrent) => torrent.progress().peers),
    selectedBytes: sum(torrents, (torrent) => torrent.progress().bytesWanted),
    totalBytes: sum(torrents, (torrent) => torrent.progress().bytesTotal),
    wastedBytes: counters.wastedBytes,
    receiveCalls: counters.receiveCalls,
    blocksReceived: counters.blocksReceived,
    poolBytes: session.poolBytes,
    storageCounters: torrents[0]?.storageCounters() ?? null,
  };
  if (options.json === true) {
    printJson(result);
    return;
  }
  const [first] = torrents;
  if (torrents.length === 1 && first !== undefined) printLine(summary(first, bytes, seconds));
  else printLine(`${torrents.length} torrents: ${amount(bytes, seconds)}`);
  if (options.verbose !== true) return;
  const calls = `${result.systemCallsPerBlock.toFixed(3)} receiving calls per block`;
  const copied = `${result.copiedBytesPerByte.toFixed(3)} bytes copied per byte`;
  printLine(
    `${cpuSeconds.toFixed(2)} CPU s (${result.cpuSecondsPerGB.toFixed(3)} per GB), ${calls}, ${copied}, peak RSS ${formatBytes(result.peakRssBytes)}`,
  );
}

/** What came, in which time, and how fast on the average. */
function summary(torrent: Torrent, bytes: number, seconds: number): string {
  const { name } = torrent;
  const { bytesWanted } = torrent.progress();
  if (bytes === 0) return `${name}: ${sizeOf(torrent)}, all of it was there already`;
  const before = bytes < bytesWanted ? ` (${sizeOf(torrent)} in all)` : "";
  return `${name}: ${amount(bytes, seconds)}${before}`;
}

/** What is wanted of it, and of how much. */
function sizeOf(torrent: Torrent): string {
  const { bytesWanted, bytesTotal } = torrent.progress();
  const selected = formatBytes(bytesWanted);
  return bytesWanted === bytesTotal ? selected : `${selected} selected of ${formatBytes(bytesTotal)}`;
}

function amount(bytes: number, seconds: number): string {
  const rate = `${formatBytes(seconds === 0 ? 0 : bytes / seconds)}/s on average`;
  return `${formatBytes(bytes)} in ${formatDuration(seconds)}, ${rate}`;
}

/** One of several is complete. */
export function reportOne(torrent: Torrent, json: boolean): void {
  const { bytesTotal: totalBytes, bytesWanted: selectedBytes } = torrent.progress();
  const { name } = torrent;
  const infoHash = Buffer.from(torrent.infoHash).toString("hex");
  const bytes = torrent.counters().payloadBytes;
  if (json) printJson({ event: "complete", name, infoHash, bytes, selectedBytes, totalBytes });
  else printLine(`${name}: ${sizeOf(torrent)}, complete`);
}

function sum(torrents: readonly Torrent[], of: (torrent: Torrent) => number): number {
  return torrents.reduce((total, torrent) => total + of(torrent), 0);
}
