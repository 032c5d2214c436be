// What the faces of a tracker stand on: a store of this thread's own, one that trackers share by a Redis, or one that worker threads
// share, each with its lists and its counts of downloads.
//
// Always: the store behind lists has all torrents, and the swarms before them those that are tracked.

import { UsageError } from "../../base/errors.js";
import type { SwarmBrowser, SwarmStore } from "../peer-store/contract.js";
import { LIFETIME_MS_DEFAULT } from "../peer-store/peer-store.js";
import { Admission } from "./admission.js";
import { type KeptDownloads, loadDownloads } from "./downloads-file.js";
import { GuardedSwarms } from "./guarded-swarms.js";
import { InfoHashTable } from "./info-hash-table.js";
import { RedisLog } from "./redis-log.js";
import type { TrackerServiceOptions } from "./service.js";
import { SharedSwarms } from "./shared-swarms.js";
import { makePeerStore } from "./tracker.js";
import { makePartCounters, type PartCounters, WORKERS_MAX } from "./worker-counters.js";
import { WorkerSwarms } from "./worker-swarms.js";

export interface Stage {
  readonly admission: Admission;
  /** Behind lists, for an operator. */
  readonly store: SwarmStore & Partial<SwarmBrowser>;
  /** With lists. */
  readonly swarms: SwarmStore;
  readonly forDatagrams: SwarmStore;
  readonly downloads: KeptDownloads | undefined;
  /** Swarms that worker threads share. */
  readonly threads: WorkerSwarms | undefined;
  /** Swarms that trackers share. */
  readonly sharing: { readonly swarms: SharedSwarms; readonly redis: RedisLog } | undefined;
  /** Of this thread. */
  counters(): PartCounters;
}

/** Rejects with UsageError for what cannot be. */
export function makeStage(options: TrackerServiceOptions): Promise<Stage> {
  return (options.workers ?? 1) > 1 ? makeThreadedStage(options) : makeLocalStage(options);
}

async function makeLocalStage(options: TrackerServiceOptions): Promise<Stage> {
  const shared = options.redis === undefined ? undefined : shareSwarms(options);
  const store = shared ?? options.swarms ?? makePeerStore(options.store);
  const hash = (words: Uint32Array, at: number): number => store.hash(words, at);
  const { downloadsFile } = options;
  const downloads = downloadsFile === undefined ? undefined : new InfoHashTable(hash);
  if (downloads !== undefined && downloadsFile !== undefined)
    await loadDownloads(downloadsFile, downloads, hash);
  const admission = new Admission(store, options.rules ?? {});
  const swarms = new GuardedSwarms(store, admission, downloads);
  const redis = shared === undefined ? undefined : await startRedis(options, shared);
  if (shared !== undefined && downloads !== undefined)
    shared.onDownload = (...download) => swarms.countDownload(...download);
  // Without lists and kept counts the store is asked directly: a call less for each datagram.
  const isGuarded = options.rules !== undefined || downloads !== undefined;
  return {
    admission,
    store,
    swarms,
    forDatagrams: isGuarded ? swarms : store,
    downloads,
    threads: undefined,
    sharing: shared === undefined || redis === undefined ? undefined : { swarms: shared, redis },
    counters: () => ({ ...makePartCounters(), refused: swarms.refused, unkept: swarms.unkept }),
  };
}

async function makeThreadedStage(options: TrackerServiceOptions): Promise<Stage> {
  const { workers = 1, downloadsFile } = options;
  for (const other of ["swarms", "redis"] as const)
    if (options[other] !== undefined)
      throw new UsageError("USAGE_OPTION", `worker threads share swarms of their own: leave out ${other}`);
  if (!Number.isSafeInteger(workers) || workers > WORKERS_MAX)
    throw new UsageError("USAGE_OPTION", `workers: expected a whole number from 1 to ${WORKERS_MAX}`);
  const keepsDownloads = downloadsFile !== undefined;
  const hasLists = options.rules !== undefined;
  const threads = new WorkerSwarms(workers, options.store, { hasLists, keepsDownloads });
  const { store } = threads;
  if (downloadsFile !== undefined) await loadDownloads(downloadsFile, threads, (...at) => store.hash(...at));
  const admission = new Admission(store, options.rules ?? {});
  const swarms = threads.guardedBy(admission);
  return {
    admission,
    store,
    swarms,
    forDatagrams: swarms,
    downloads: keepsDownloads ? threads : undefined,
    threads,
    sharing: undefined,
    counters: () => threads.counters(swarms),
  };
}

/** Swarms of this tracker's own, which others can be told of. */
function shareSwarms(options: TrackerServiceOptions): SharedSwarms {
  if (options.swarms === undefined) return new SharedSwarms(makePeerStore(options.store));
  throw new UsageError("USAGE_OPTION", "redis shares the tracker's own swarms: leave out `swarms`");
}

function startRedis(options: TrackerServiceOptions, swarms: SharedSwarms): Promise<RedisLog> {
  return RedisLog.start({
    url: options.redis ?? "",
    swarms,
    lifetimeMs: options.store?.lifetimeMs ?? LIFETIME_MS_DEFAULT,
    ...(options.redisLogBytesMax === undefined ? {} : { logBytesMax: options.redisLogBytesMax }),
    onWarning: (message) => options.onWarning?.(message),
  });
}
