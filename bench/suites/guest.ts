// What the host of the engine notices of it: how long its fs.stat and dns.lookup take beside a download at full speed, one that is
// stored, and two checks at a time; with four threads in libuv's pool, and with a single one. Beside each other stands the host
// alone. Exit status 1 if 99 of 100 calls take longer than they may.

import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Answer, OnStep } from "../measuring/answer.js";
import { folderFor, makeData, makeTorrent, withFolder } from "../measuring/workplace.js";
import { Program } from "../processes/program.js";
import { startSeeder } from "../processes/seeder.js";
import { number, object, type ValueOf } from "../processes/shape.js";
import { TextTable } from "../report/text-table.js";

const WAITS = object({ calls: number, medianMs: number, p99Ms: number, mostMs: number });
const FOUND = object({ bytesPerSecond: number, stat: WAITS, lookup: WAITS });

export interface GuestTrial extends ValueOf<typeof FOUND> {
  readonly load: GuestLoad;
  readonly threads: number;
}

export const P99_MS_MAX = 10;
const TRIAL = fileURLToPath(new URL("./guest-trial.js", import.meta.url));
const SECONDS = 4;
const THREADS = [4, 1] as const;
const LOADS = ["idle", "download", "store", "check"] as const;
type GuestLoad = (typeof LOADS)[number];

const LOAD_TEXTS: Readonly<Record<GuestLoad, string>> = {
  idle: "nothing",
  download: "a download, verified",
  store: "a download, stored in files",
  check: "two checks",
};

export async function benchGuest(options: {
  size: number;
  seconds?: number;
  signal?: AbortSignal;
  onStep?: OnStep;
}): Promise<GuestTrial[]> {
  const { size, signal, seconds = SECONDS, onStep } = options;
  return withFolder(await folderFor(2 * size, "memory"), signal, async (folder) => {
    const torrent = await makeTorrent(await makeData(folder, size, signal), { signal });
    const seeder = await startSeeder(torrent, folder);
    const trials: GuestTrial[] = [];
    for (const threads of THREADS) {
      for (const load of LOADS) {
        const what = `beside ${LOAD_TEXTS[load]}, ${threads} thread${threads === 1 ? "" : "s"} of libuv`;
        onStep?.({ done: trials.length, total: THREADS.length * LOADS.length, what });
        const args = [String(seconds), load, torrent, folder, seeder.host, String(seeder.port)];
        const environment = { UV_THREADPOOL_SIZE: String(threads) };
        const found = await Program.node(TRIAL, args, { environment }).answer(FOUND);
        trials.push({ ...found, load, threads });
      }
    }
    await seeder.stop();
    return trials;
  });
}

/** Whether the host may be content. */
export function isGoodGuest({ stat, lookup }: GuestTrial): boolean {
  return stat.p99Ms <= P99_MS_MAX && lookup.p99Ms <= P99_MS_MAX;
}

function guestTable(trials: readonly GuestTrial[]): string {
  const table = new TextTable({
    head: [
      "beside",
      "libuv's threads",
      "GB/s",
      "stat: median",
      "p99",
      "most",
      "lookup: median",
      "p99",
      "most",
    ],
    colAligns: ["left", "right", "right", "right", "right", "right", "right", "right", "right"],
  });
  for (const { load, threads, bytesPerSecond, stat, lookup } of trials) {
    table.push([
      LOAD_TEXTS[load],
      threads,
      load === "idle" ? "" : (bytesPerSecond / 1e9).toFixed(2),
      ...[stat.medianMs, stat.p99Ms, stat.mostMs, lookup.medianMs, lookup.p99Ms, lookup.mostMs].map((ms) =>
        ms.toFixed(2),
      ),
    ]);
  }
  return `${table.toString()}\nMilliseconds. The host's process is the engine's; ${basename(TRIAL)} asks every few milliseconds.`;
}

/** The whole benchmark: what it found, as data and as text, and what is wrong if the host has to wait. */
export async function guestAnswer(size: number, signal: AbortSignal, onStep?: OnStep): Promise<Answer> {
  const trials = await benchGuest({ size, signal, ...(onStep === undefined ? {} : { onStep }) });
  const wrong = trials.filter((trial) => !isGoodGuest(trial));
  return {
    data: { benchmark: "guest", trials },
    text: guestTable(trials),
    ...(wrong.length === 0
      ? {}
      : {
          failure: `the host waits for more than ${P99_MS_MAX} ms beside ${wrong.map(({ load, threads }) => `${LOAD_TEXTS[load]} (${threads} threads)`).join(", ")}`,
        }),
  };
}
