// One trial of receiving, in a process of its own: a Session downloads one torrent, as it is told by one argument of JSON,
// and prints what it cost as one JSON object, LabFigures.
//
// Always: what is measured is the public API, as anybody would use it, in a session that has downloaded something before:
// a client runs for long, and the first tenths of a second of any JavaScript are its compiler's. Starting the program, and
// what came before, are not in the figures; opening the storage is where the trial says so, and flushing it likewise.

import { open } from "node:fs/promises";
import { join } from "node:path";
import { present } from "../../src/base/assert.js";
import {
  type BlockLease,
  type Costs,
  type PeerAddress,
  readMetainfo,
  Session,
  type SessionOptions,
  type StorageKind,
  type Torrent,
  type TorrentOptions,
  type TransferCounters,
} from "../../src/index.js";
import { entryOf } from "./ends.js";
import { Meter } from "./meter.js";
import { PerfControl } from "./perf.js";
import type { CostSplit, LabFigures } from "./results.js";

export interface ReceiveTrial {
  readonly torrent: string;
  /** What the session downloads before the clock begins, to nowhere, and how often (once). */
  readonly before?: { readonly torrent: string; readonly peer: string; readonly times?: number };
  /** HOST:PORT of each peer. */
  readonly peers: readonly string[];
  readonly session: Pick<
    SessionOptions,
    | "receiveMode"
    | "speculationDepth"
    | "poolBytes"
    | "receiveBufferBytes"
    | "contiguousBufferBytes"
    | "clockCosts"
    | "encryption"
  >;
  readonly storage: StorageKind;
  readonly options: Pick<
    TorrentOptions,
    "directory" | "preallocate" | "populate" | "writeRunBytes" | "verify" | "assumeEmpty"
  >;
  /** Whether opening the storage is measured, too. */
  readonly opening?: boolean;
  /** Whether the file is made durable at the end, within what is measured. */
  readonly sync?: boolean;
  /** Blocks that are held before the oldest is given back, so that the whole pool is gone through. */
  readonly blocksHeld?: number;
}

async function main(): Promise<void> {
  const trial = JSON.parse(entryOf(process.argv, 2)) as ReceiveTrial;
  const metainfo = await readMetainfo(trial.torrent);
  const perf = PerfControl.fromEnvironment();
  await using session = new Session(trial.session);
  const first = trial.before === undefined ? undefined : await warmUp(session, trial);
  const counted = session.counters();
  const costs = session.costs();
  let meter = new Meter();
  if (trial.opening === true) perf?.enable();
  const torrent = await session.add(metainfo, {
    ...trial.options,
    storage: trial.storage,
    resume: false,
    ...(trial.blocksHeld === undefined ? {} : { onBlock: holder(trial.blocksHeld) }),
  });
  if (torrent.storageKind !== trial.storage)
    throw new Error(`this folder does not support storage "${trial.storage}"`);
  if (trial.opening !== true) {
    perf?.enable();
    meter = new Meter();
  }
  await download(torrent, trial.peers.map(addressOf));
  if (trial.sync === true)
    await flush(join(present(trial.options.directory, "what is flushed lies in a folder"), metainfo.name));
  const figures = receiveFigures(session, torrent, meter, { counted, costs });
  perf?.disable();
  const told = { ...figures, ...first };
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

/** CPU s/GB of the first download, and the bytes of all. */
async function warmUp(
  session: Session,
  { before, options }: ReceiveTrial,
): Promise<Pick<LabFigures, "firstCpuSecondsPerGB" | "bytesBefore">> {
  const work = present(before, "there is a download before this one");
  const metainfo = await readMetainfo(work.torrent);
  const verify = options.verify ?? true;
  const meter = new Meter();
  const times = work.times ?? 1;
  let first = 0;
  for (let time = 0; time < times; time++) {
    const torrent = await session.add(metainfo, { storage: "null", verify, resume: false });
    await download(torrent, [addressOf(work.peer)]);
    await torrent.close();
    if (time === 0) first = meter.figures(metainfo.totalLength).cpuSecondsPerGB;
  }
  return { firstCpuSecondsPerGB: first, bytesBefore: times * metainfo.totalLength };
}

/** What was counted before the clock began. */
interface Before {
  readonly counted: TransferCounters;
  readonly costs: Costs;
}

function receiveFigures(session: Session, torrent: Torrent, meter: Meter, before: Before): LabFigures {
  const counters = difference(session.counters(), before.counted);
  const { receiveCalls, receivedBytes, bytesCopied } = counters;
  // What was wanted, once: blocks that came twice, at the end of a download from several peers, are a cost and no work.
  const payloadBytes = torrent.progress().bytesTotal;
  if (counters.payloadBytes < payloadBytes)
    throw new Error(`${payloadBytes} bytes are complete and ${counters.payloadBytes} were counted`);
  const figures = meter.figures(payloadBytes, { calls: receiveCalls, bytes: receivedBytes });
  const copied = bytesCopied + (torrent.storageCounters()?.copiedBytes ?? 0);
  const costs = costSplit(difference(session.costs(), before.costs), figures);
  return {
    ...figures,
    copiedBytesPerByte: copied / payloadBytes,
    predictionHits: counters.predictionHits,
    predictionMisses: counters.predictionMisses,
    ...(costs === undefined ? {} : { costs }),
  };
}

/** Undefined where costs were not timed. */
function difference<Numbers extends { readonly [Name in keyof Numbers]: number }>(
  after: Numbers,
  before: Numbers,
): Numbers {
  const pairs = Object.entries<number>(after).map(([name, value]) => [
    name,
    value - before[name as keyof Numbers],
  ]);
  return Object.fromEntries(pairs) as Numbers;
}

function costSplit(costs: Costs, figures: LabFigures): CostSplit | undefined {
  if (costs.receive === 0) return undefined;
  const perGB = (seconds: number): number => seconds / (figures.payloadBytes / 1e9);
  const hashing = perGB(costs.digest);
  const writing = perGB(costs.write + costs.read);
  // Calls of the main thread are timed by the clock, which goes on while another process has the processor: on a busy machine
  // they may come to more than there is, and are cut to fit.
  const timed = perGB(costs.receive + costs.send + costs.copy);
  const fit = Math.min(1, Math.max(0, figures.cpuSecondsPerGB - hashing - writing) / timed);
  const kernel = fit * perGB(costs.receive + costs.send);
  const copying = fit * perGB(costs.copy);
  const framing = Math.max(0, figures.cpuSecondsPerGB - hashing - writing - kernel - copying);
  return { kernel, copying, framing, hashing, writing };
}

async function download(torrent: Torrent, peers: readonly PeerAddress[]): Promise<void> {
  let reason = "all connections were closed";
  const lost = new Promise<never>((_resolve, reject) => {
    torrent.on("peerDisconnected", (_address, error) => {
      if (error !== undefined) reason = error.message;
    });
    torrent.on("outOfPeers", () => {
      if (torrent.state !== "seeding") reject(new Error(`no peer is left: ${reason}`));
    });
  });
  for (const peer of peers) torrent.addPeer(peer);
  await Promise.race([torrent.done, lost]);
}

/** Takes blocks and gives the oldest back when `count` are held. */
function holder(count: number): (lease: BlockLease) => void {
  const held: (BlockLease | undefined)[] = new Array<undefined>(count).fill(undefined);
  let next = 0;
  return (lease) => {
    held[next]?.release();
    held[next] = lease;
    next = next + 1 === count ? 0 : next + 1;
  };
}

async function flush(path: string): Promise<void> {
  const file = await open(path, "r+");
  await file.datasync();
  await file.close();
}

function addressOf(text: string): PeerAddress {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

await main();
// Blocks that are still held would keep the session from closing.
process.exit();
