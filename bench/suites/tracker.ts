// The bencher: UDP trackers side by side, each alone on its processors with the load on others, one after the other and round after
// round, as aquatic's bencher does it. Beside the trackers an echo of the same datagrams through the sockets that ours uses: what a
// tracker on them could reach.
//
// CPU utilization is told twice: of the time that was measured, and as others do it, over the life of the process. Memory likewise: its
// true peak (VmHWM), and what is resident at the end. Always: a run that fails is told, and the others go on.

import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../src/base/errors.js";
import type { TrackerBench, TrackerRun } from "../measuring/tracker-results.js";
import { type CoreSet, type CpuMode, loadSet } from "./tracker-cores.js";
import { benchTrackerLoad, TRACKER_LOAD_DEFAULTS, type TrackerLoad } from "./tracker-load.js";
import {
  missingSubjects,
  PRIORITIES,
  type Priority,
  type RunningTracker,
  type Setting,
  settingsOf,
  startTracker,
  type TrackerSubject,
  writeWhitelist,
} from "./tracker-subjects.js";

const CLOCK_TICKS = 100;
/** Load workers that are tried, as far as there are cores for them. */
const LOAD_WORKERS: readonly { readonly workers: number; readonly priority: Priority }[] = [
  { workers: 8, priority: "medium" },
  { workers: 12, priority: "high" },
];

export interface TrackerBenchOptions {
  readonly subjects: readonly TrackerSubject[];
  /** Processors of the tracker, a set after the other. */
  readonly coreSets: readonly CoreSet[];
  readonly cpuMode: CpuMode;
  /** Of the load; undefined: by the mode. */
  readonly loadCpus?: string | undefined;
  readonly loadWorkers?: number | undefined;
  /** Settings that matter less are left out. */
  readonly minPriority: Priority;
  readonly rounds: number;
  readonly durationSeconds: number;
  /** The last seconds that count: all but the beginning, in which swarms fill and code is compiled. */
  readonly summarizeLastSeconds: number;
  /** connect/announce/scrape. */
  readonly weights: readonly (readonly [number, number, number])[];
  readonly torrents: number;
  readonly peers: number;
  readonly throttle?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onSet?: (set: CoreSet) => void;
  readonly onRun?: (run: TrackerRun) => void;
  readonly onFailure?: (run: TrackerPlan, reason: string) => void;
}

/** A run that is to be made. */
export interface TrackerPlan {
  readonly set: CoreSet;
  readonly round: number;
  readonly weights: readonly [number, number, number];
  readonly subject: TrackerSubject;
  readonly setting: Setting;
  readonly loadWorkers: number;
  readonly loadCpus: string;
}

/** All runs, in order: the rounds of a set of cores go over everything before the next round begins, since machines drift. */
export function planRuns(options: TrackerBenchOptions): TrackerPlan[] {
  const matters = (priority: Priority): boolean =>
    PRIORITIES.indexOf(priority) >= PRIORITIES.indexOf(options.minPriority);
  const plans: TrackerPlan[] = [];
  for (const set of options.coreSets)
    for (let round = 0; round < options.rounds; round++)
      for (const weights of options.weights)
        for (const subject of options.subjects)
          for (const setting of settingsOf(subject, set.cores)) {
            if (!matters(setting.priority)) continue;
            for (const load of loadsOf(options, set))
              plans.push({ set, round, weights, subject, setting, ...load });
          }
  return plans;
}

/** The load beside a set; two that came to the same one, since there are no more cores, are one. */
function loadsOf(
  { cpuMode, loadCpus, loadWorkers, minPriority }: TrackerBenchOptions,
  set: CoreSet,
): { loadWorkers: number; loadCpus: string }[] {
  const wanted =
    loadWorkers !== undefined
      ? [loadWorkers]
      : LOAD_WORKERS.filter(
          ({ priority }) => PRIORITIES.indexOf(priority) >= PRIORITIES.indexOf(minPriority),
        ).map(({ workers }) => workers);
  const loads = wanted.map((workers) => {
    const { cores, cpus } = loadSet(cpuMode, set.cores, workers);
    return { loadWorkers: loadWorkers ?? cores, loadCpus: loadCpus ?? cpus };
  });
  return loads.filter(({ loadWorkers: count }, index) => index === 0 || count !== loads[0]?.loadWorkers);
}

export async function benchTracker(options: TrackerBenchOptions): Promise<TrackerBench> {
  const folder = mkdtempSync(join(tmpdir(), "scatterwire-trackers-"));
  // opentracker reads its list as somebody who may do nothing.
  chmodSync(folder, 0o755);
  const missing = missingSubjects(options.subjects);
  const plans = planRuns(options).filter(({ subject }) => !missing.includes(subject));
  const runs: TrackerRun[] = [];
  const failures: { subject: string; keys: string; cores: number; reason: string }[] = [];
  let set: CoreSet | undefined;
  const isStopped = (): boolean => options.signal?.aborted === true;
  try {
    if (plans.some(({ subject }) => subject === "opentracker"))
      writeWhitelist(folder, options.torrents, options.peers);
    for (const plan of plans) {
      if (isStopped()) break;
      if (plan.set !== set) options.onSet?.(plan.set);
      set = plan.set;
      try {
        const run = await measure(plan, folder, options);
        runs.push(run);
        options.onRun?.(run);
      } catch (error) {
        if (isStopped()) break;
        const reason = messageOf(error);
        failures.push({ subject: plan.subject, keys: plan.setting.keys, cores: plan.set.cores, reason });
        options.onFailure?.(plan, reason);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { runs, failures, missing };
}

async function measure(plan: TrackerPlan, folder: string, options: TrackerBenchOptions): Promise<TrackerRun> {
  const { subject, setting, set } = plan;
  const tracker = await startTracker(subject, setting, folder, set.cpus);
  try {
    const cpuAt: { readonly tracker: number; readonly redis: number }[] = [];
    const look = (): void => {
      const redis = tracker.redisPid === undefined ? 0 : cpuSecondsOf(tracker.redisPid);
      cpuAt.push({ tracker: cpuSecondsOf(tracker.pid), redis });
    };
    const result = await benchTrackerLoad(loadOf(plan, tracker, options), {
      prefix: ["taskset", "-c", plan.loadCpus],
      onReady: look,
      reportSeconds: 1,
      onReport: look,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const end = cpuAt.length - 1;
    const skipped =
      options.summarizeLastSeconds === 0 ? 0 : options.durationSeconds - options.summarizeLastSeconds;
    const begin = Math.min(Math.max(0, Math.round(skipped)), end);
    const seconds = Math.max(1, end - begin);
    const share = (of: "tracker" | "redis"): number =>
      ((cpuAt[end]?.[of] ?? 0) - (cpuAt[begin]?.[of] ?? 0)) / seconds;
    const cpu = share("tracker");
    const isEcho = subject === "echo";
    return {
      subject,
      keys: setting.keys,
      cores: set.cores,
      cpus: set.cpus,
      loadWorkers: plan.loadWorkers,
      loadCpus: plan.loadCpus,
      weights: plan.weights.join("/"),
      round: plan.round,
      responsesPerSecond: result.responsesPerSecond,
      errorsPerSecond: isEcho ? 0 : result.errorsPerSecond,
      peersPerAnnounce: isEcho ? 0 : result.peersPerAnnounce,
      cpu,
      cpuLifetime: lifetimeCpuOf(tracker.pid),
      cpuMicrosPerResponse: (cpu * 1e6) / result.responsesPerSecond,
      peakRssBytes: statusOf(tracker.pid, "VmHWM"),
      rssBytes: statusOf(tracker.pid, "VmRSS"),
      redisMicrosPerResponse:
        tracker.redisPid === undefined ? undefined : (share("redis") * 1e6) / result.responsesPerSecond,
      redisPeakRssBytes: tracker.redisPid === undefined ? undefined : statusOf(tracker.redisPid, "VmHWM"),
    };
  } finally {
    await tracker.stop();
  }
}

function loadOf(plan: TrackerPlan, { port }: RunningTracker, options: TrackerBenchOptions): TrackerLoad {
  const [weightConnect, weightAnnounce, weightScrape] = plan.weights;
  return {
    ...TRACKER_LOAD_DEFAULTS,
    ...{ host: "127.0.0.1", port, workers: plan.loadWorkers },
    durationSeconds: options.durationSeconds,
    summarizeLastSeconds: options.summarizeLastSeconds,
    torrents: options.torrents,
    peers: options.peers,
    ...{ weightConnect, weightAnnounce, weightScrape },
    extraStatistics: false,
    ...(options.throttle === undefined ? {} : { throttle: options.throttle }),
    ...(plan.subject === "echo" ? { echo: true } : {}),
  };
}

function cpuSecondsOf(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

/** Of /proc/PID/stat, from the state on. */
function statOf(pid: number): string[] {
  return (readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1] ?? "").split(" ");
}

/** CPU seconds per second of a process's life, as `ps -o %cpu` has it. */
function lifetimeCpuOf(pid: number): number {
  const startedSeconds = Number(statOf(pid)[19]) / CLOCK_TICKS;
  const uptimeSeconds = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  return cpuSecondsOf(pid) / Math.max(0.01, uptimeSeconds - startedSeconds);
}

function statusOf(pid: number, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? 0) * 1024;
}
