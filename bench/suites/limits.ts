// How well rate limits are kept: sessions of this process over loopback, whose sockets carry far more than is allowed. What passed in
// the measured seconds stands beside what was allowed, and so does the most of any tenth of a second.
//
// Always: measuring begins a second after bytes do; every torrent is larger than what is allowed to pass.

import { performance } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import { readMetainfo, Session, type TorrentOptions } from "../../src/index.js";
import type { Answer, OnStep } from "../measuring/answer.js";
import { folderFor, makeData, makeTorrent, withFolder } from "../measuring/workplace.js";
import { counted } from "../report/english.js";
import { TextTable } from "../report/text-table.js";

export const LIMIT_PEERS = [1, 16] as const;
const DIRECTIONS = ["download", "upload"] as const;
const WARM_UP_MS = 1000;
const STEP_MS = 100;
/** Of what is allowed in the measured seconds, the torrent is so much longer. */
const SPARE_SECONDS = 4;
const HOST = "127.0.0.1";

export interface LimitTrial {
  readonly direction: (typeof DIRECTIONS)[number];
  readonly peers: number;
  readonly allowedBytesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Share of what was allowed by which it is too much, or too little (below 0). */
  readonly deviation: number;
  readonly mostInTenthBytes: number;
  /** Of this process, both ends. */
  readonly cpuSeconds: number;
}

interface Place {
  readonly folder: string;
  readonly torrent: string;
}

export async function limitsAnswer(options: {
  rates: readonly number[];
  seconds: number;
  signal?: AbortSignal;
  onStep?: OnStep;
}): Promise<Answer> {
  const { rates, seconds, signal, onStep } = options;
  const size = Math.ceil(Math.max(...rates) * (seconds + SPARE_SECONDS));
  const trials = await withFolder(await folderFor(2 * size, "memory"), signal, async (folder) => {
    const torrent = await makeTorrent(await makeData(folder, size, signal), { signal });
    const found: LimitTrial[] = [];
    const total = rates.length * DIRECTIONS.length * LIMIT_PEERS.length;
    for (const rate of rates)
      for (const direction of DIRECTIONS)
        for (const peers of LIMIT_PEERS) {
          onStep?.({
            done: found.length,
            total,
            what: `${direction}, ${counted(peers, "peer")}, ${rate} bytes/s`,
          });
          found.push(await trial({ folder, torrent }, direction, peers, rate, seconds));
        }
    return found;
  });
  return { data: { seconds, trials }, text: tableOf(trials) };
}

/** One limited session, and as many others as it has peers. */
async function trial(
  { folder, torrent }: Place,
  direction: LimitTrial["direction"],
  peers: number,
  rate: number,
  seconds: number,
): Promise<LimitTrial> {
  const metainfo = await readMetainfo(torrent);
  const seeds: TorrentOptions = { directory: folder, readOnly: true, assumeComplete: true };
  const isDownload = direction === "download";
  await using limited = new Session(
    isDownload ? { maxDownloadBytesPerSecond: rate } : { maxUploadBytesPerSecond: rate },
  );
  const others = Array.from({ length: peers }, () => new Session());
  try {
    if (isDownload) {
      const addresses = [];
      for (const session of others) {
        addresses.push(await session.listen({ host: HOST, port: 0 }));
        await session.add(metainfo, seeds);
      }
      await limited.add(metainfo, { storage: "null", peers: addresses });
    } else {
      const address = await limited.listen({ host: HOST, port: 0 });
      await limited.add(metainfo, seeds);
      // Each is alone with the one that is limited: they do not listen, and so hear of nobody else.
      for (const session of others) await session.add(metainfo, { storage: "null", peers: [address] });
    }
    const passed = (): number => {
      const { receivedBytes, sentBytes } = limited.counters();
      return isDownload ? receivedBytes : sentBytes;
    };
    return { direction, peers, allowedBytesPerSecond: rate, ...(await measure(passed, rate, seconds)) };
  } finally {
    await Promise.all(others.map((session) => session.close()));
  }
}

async function measure(passed: () => number, rate: number, seconds: number) {
  await wait(WARM_UP_MS);
  const [fromBytes, fromMs, fromCpu] = [passed(), performance.now(), process.cpuUsage()];
  let [mostInTenthBytes, before] = [0, fromBytes];
  while (performance.now() - fromMs < 1000 * seconds) {
    await wait(STEP_MS);
    const now = passed();
    mostInTenthBytes = Math.max(mostInTenthBytes, now - before);
    before = now;
  }
  const bytesPerSecond = (1000 * (passed() - fromBytes)) / (performance.now() - fromMs);
  const { user, system } = process.cpuUsage(fromCpu);
  return {
    bytesPerSecond,
    deviation: bytesPerSecond / rate - 1,
    mostInTenthBytes,
    cpuSeconds: (user + system) / 1e6,
  };
}

function tableOf(trials: readonly LimitTrial[]): string {
  const table = new TextTable({
    head: ["limited", "peers", "allowed KB/s", "passed KB/s", "off by", "most in 0.1 s, KB", "CPU s"],
    colAligns: ["left", "right", "right", "right", "right", "right", "right"],
  });
  for (const each of trials)
    table.push([
      each.direction,
      each.peers,
      (each.allowedBytesPerSecond / 1e3).toFixed(0),
      (each.bytesPerSecond / 1e3).toFixed(1),
      `${each.deviation < 0 ? "−" : "+"}${(100 * Math.abs(each.deviation)).toFixed(2)} %`,
      (each.mostInTenthBytes / 1e3).toFixed(1),
      each.cpuSeconds.toFixed(2),
    ]);
  return table.toString();
}
