// A tracker under full load while all that an operator may do is done to it: lists read again (SIGHUP), statistics read, worker
// threads ended. It shall answer throughout, forget nothing, and hold no more memory at the end than it needs.
//
// Beside the load a probe announces one torrent over UDP and HTTP, from one request to the next: the longest that it waited is
// what a client would have noticed. A request without an answer is sent again after a second, as clients do (later).
//
// Seconds without an answer are told twice: as they were, and without what a thread of the tracker or of the load waited for a processor
// that others had (measuring/silence.ts). Only the second is the tracker's.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { probeUdp } from "../load/udp-probe.js";
import { readWaits, Silence } from "../measuring/silence.js";
import { Program } from "../processes/program.js";
import { number, object, string } from "../processes/shape.js";
import { benchTrackerLoad, TRACKER_LOAD_DEFAULTS } from "./tracker-load.js";

export interface SoakOptions {
  readonly durationSeconds: number;
  /** Worker threads of the tracker; 1: none besides its own, and none is ended. */
  readonly workers: number;
  readonly loadWorkers: number;
  readonly torrents: number;
  readonly peers: number;
  /** How often what is done. */
  readonly reloadSeconds: number;
  readonly readSeconds: number;
  readonly restartSeconds: number;
  readonly signal?: AbortSignal;
  readonly onMinute?: (soFar: SoakResult) => void;
}

export interface SoakResult {
  readonly seconds: number;
  /** What the load was answered. */
  readonly responses: number;
  readonly responsesPerSecond: number;
  /** Seconds in which the load had no answer at all, whoever had the processor. */
  readonly silentSeconds: number;
  /** How long there was no answer although there was a processor for it: all seconds, and those of the longest stretch. */
  readonly silentThoughRunningSeconds: number;
  readonly silentThoughRunningSecondsMax: number;
  readonly reloads: number;
  readonly reads: number;
  readonly restarts: number;
  /** Reloads, reads and restarts that were asked for and did not happen. */
  readonly failures: readonly string[];
  readonly probes: number;
  /** Requests of the probe that had no answer within a second, and the longest that one took to be answered. */
  readonly probesRepeated: number;
  readonly probeMsMax: number;
  /** Resident memory in bytes, as it was read: at a tenth of the time, in the middle, and at the end. */
  readonly residentBytes: readonly number[];
  /** What the tracker counted in all. */
  readonly lockTimeouts: number;
  readonly partsCleared: number;
}

const TOKEN = "soak-soak-soak-soak";
const PROBE_PAUSE_MS = 20;
const MINUTE_MS = 60_000;
/** How long the tracker may take over what it is asked, on a busy machine. */
const PATIENCE_MS = 30_000;
/** A stretch of this is a failure: a client that asks again after a second would have noticed. */
const SILENT_SECONDS_MAX = 5;
const LISTENING = object({ protocol: string, port: number });
const STATISTICS = object({ residentBytes: number });
const WORKERS = object({ restarts: number, lockTimeouts: number, partsCleared: number });

class Soak {
  readonly #options: SoakOptions;
  readonly #tracker: Program;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #denyList: string;
  readonly #stop = new AbortController();
  readonly #residents: number[] = [];
  readonly #failures: string[] = [];
  readonly #startedMs = performance.now();
  #workers = { restarts: 0, lockTimeouts: 0, partsCleared: 0 };
  #restartsAsked = 0;
  #responses = 0;
  #silent = 0;
  #silence: Silence | undefined;
  #reloads = 0;
  #reads = 0;
  #probes = 0;
  #repeated = 0;
  #probeMsMax = 0;

  constructor(options: SoakOptions, tracker: Program, ports: ReadonlyMap<string, number>, denyList: string) {
    this.#options = options;
    this.#tracker = tracker;
    this.#ports = ports;
    this.#denyList = denyList;
  }

  result(): SoakResult {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const missing = this.#restartsAsked - this.#workers.restarts;
    const { totalMs = 0, longestMs = 0 } = this.#silence ?? {};
    const failures = [
      ...this.#failures,
      ...(missing > 1 ? [`${missing} threads were not replaced`] : []),
      ...(longestMs > 1000 * SILENT_SECONDS_MAX ? [`silent for ${(longestMs / 1000).toFixed(1)} s`] : []),
    ];
    const at = (share: number): number =>
      this.#residents[Math.floor(share * (this.#residents.length - 1))] ?? 0;
    return {
      seconds,
      responses: this.#responses,
      responsesPerSecond: this.#responses / seconds,
      silentSeconds: this.#silent,
      silentThoughRunningSeconds: totalMs / 1000,
      silentThoughRunningSecondsMax: longestMs / 1000,
      reloads: this.#reloads,
      reads: this.#reads,
      failures,
      probes: this.#probes,
      probesRepeated: this.#repeated,
      probeMsMax: this.#probeMsMax,
      residentBytes: [at(0.1), at(0.5), at(1)],
      ...this.#workers,
    };
  }

  async run(): Promise<void> {
    const { reloadSeconds, readSeconds, restartSeconds, workers, onMinute } = this.#options;
    const minutes = setInterval(() => onMinute?.(this.result()), MINUTE_MS);
    const others = [
      this.#each(reloadSeconds, () => this.#reload()),
      this.#each(readSeconds, () => this.#read()),
      ...(workers > 1 ? [this.#each(restartSeconds, () => this.#restart())] : []),
      this.#probeUdp(),
      this.#probeHttp(),
    ];
    try {
      await Promise.race([this.#load(), this.#tracker.fails()]);
    } finally {
      this.#stop.abort();
      clearInterval(minutes);
      await Promise.all(others);
    }
    await this.#read();
  }

  async #load(): Promise<void> {
    const { durationSeconds, loadWorkers, torrents, peers, signal } = this.#options;
    const load = { ...TRACKER_LOAD_DEFAULTS, host: "127.0.0.1", port: this.#portOf("udp"), torrents, peers };
    const concerned: number[] = [this.#tracker.child.pid ?? 0];
    await benchTrackerLoad(
      { ...load, workers: loadWorkers, durationSeconds, extraStatistics: false },
      {
        reportSeconds: 1,
        onStart: (pids) => concerned.push(...pids),
        onReady: () => {
          this.#silence = new Silence(performance.now(), readWaits(concerned));
        },
        onReport: ({ seconds, responsesPerSecond }) => {
          this.#responses += seconds * responsesPerSecond;
          if (seconds > 0 && responsesPerSecond === 0) this.#silent++;
          this.#silence?.look(responsesPerSecond > 0, performance.now(), readWaits(concerned));
        },
        ...(signal === undefined ? {} : { signal }),
      },
    );
  }

  /** Again and again; what goes wrong is kept, and does not end it. */
  async #each(seconds: number, work: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await work().catch((error: Error) => this.#failures.push(error.message));
      await this.#pause(1000 * seconds);
    }
  }

  #pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }

  /** A list of another hash each time: no torrent of the load's. */
  async #reload(): Promise<void> {
    await writeFile(this.#denyList, `${this.#reloads.toString(16).padStart(40, "d")}\n`);
    this.#tracker.child.kill("SIGHUP");
    const told = (): number => this.#tracker.lines.filter((line) => line["event"] === "reloaded").length;
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (told() <= this.#reloads) {
      if (performance.now() > deadlineMs || this.#tracker.over) throw new Error("lists were not read again");
      await sleep(20);
    }
    this.#reloads++;
  }

  async #read(): Promise<void> {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const texts = ["/statistics", "/metrics", "/api/torrents?limit=100"].map(async (path) => {
      const answer = await fetch(`http://127.0.0.1:${this.#portOf("metrics")}${path}`, {
        headers,
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
      return answer.text();
    });
    const [statistics = ""] = await Promise.all(texts);
    const told: unknown = JSON.parse(statistics);
    this.#residents.push(STATISTICS(told, "statistics").residentBytes);
    if (this.#options.workers > 1) this.#workers = WORKERS((told as { workers: unknown }).workers, "workers");
    this.#reads++;
  }

  async #restart(): Promise<void> {
    const thread = 1 + (this.#restartsAsked % this.#options.workers);
    const answer = await fetch(`http://127.0.0.1:${this.#portOf("metrics")}/api/workers/${thread}/restart`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}` },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    // The last one to be ended has not been replaced yet.
    if (answer.status === 409) return;
    if (answer.status !== 202) throw new Error(`restart of thread ${thread}: ${answer.status}`);
    this.#restartsAsked++;
  }

  async #probeHttp(): Promise<void> {
    const hash = "%00".repeat(19);
    const url = `http://127.0.0.1:${this.#portOf("http")}/announce?info_hash=${hash}%ff&port=1&left=1`;
    while (!this.#stop.signal.aborted) {
      const startedMs = performance.now();
      const text = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) })
        .then((answer) => answer.text())
        .catch((error: Error) => error.message);
      if (/busy/.test(text)) this.#repeated++;
      else if (!text.includes("incomplete")) this.#failures.push(`an announce over HTTP: ${text}`);
      else this.#answered(startedMs);
      await this.#pause(PROBE_PAUSE_MS);
    }
  }

  #answered(startedMs: number): void {
    this.#probes++;
    this.#probeMsMax = Math.max(this.#probeMsMax, performance.now() - startedMs);
  }

  /** From a port of its own for each announce, so that it meets all threads. */
  async #probeUdp(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const startedMs = performance.now();
      const told = await probeUdp(this.#portOf("udp"), signal, () => this.#repeated++);
      if (told === "answered") this.#answered(startedMs);
      else if (told === "refused") this.#failures.push("an announce over UDP: an error");
      await this.#pause(PROBE_PAUSE_MS);
    }
  }

  #portOf(protocol: string): number {
    return this.#ports.get(protocol) ?? 0;
  }
}

/** Starts a tracker, and does all of that to it until the time is over or the signal aborts. */
export async function benchTrackerSoak(options: SoakOptions): Promise<SoakResult> {
  const folder = await mkdtemp(join(tmpdir(), "scatterwire-soak-"));
  const denyList = join(folder, "deny");
  const config = join(folder, "tracker.json");
  await writeFile(denyList, "");
  await writeFile(join(folder, "token"), TOKEN);
  const local = "127.0.0.1:0";
  const file = { udp: [local], http: [local], metrics: local, denyList: "deny", tokenFile: "token" };
  await writeFile(config, JSON.stringify({ ...file, downloadsFile: "downloads", workers: options.workers }));
  const tracker = Program.cli("tracker", "--config", config, "--json");
  try {
    const ports = new Map<string, number>();
    while (ports.size < 3) {
      const { protocol, port } = await tracker.read(LISTENING);
      ports.set(protocol, port);
    }
    const soak = new Soak(options, tracker, ports, denyList);
    await soak.run();
    const result = soak.result();
    await tracker.stop("SIGINT");
    const kept = await readFile(join(folder, "downloads"));
    return kept.length > 0
      ? result
      : { ...result, failures: [...result.failures, "downloads were not kept"] };
  } finally {
    await tracker.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

const MIB = 2 ** 20;

export function soakText(result: SoakResult): string {
  const { failures, residentBytes } = result;
  return [
    `${result.seconds.toFixed(0)} s: ${Math.round(result.responses).toLocaleString("en-US")} responses (${Math.round(result.responsesPerSecond).toLocaleString("en-US")} a second), ${result.silentSeconds} seconds without any`,
    `silent though there was a processor for it: ${result.silentThoughRunningSeconds.toFixed(1)} s in all, ${result.silentThoughRunningSecondsMax.toFixed(1)} s at the longest`,
    `lists read again ${result.reloads} times, statistics read ${result.reads} times, threads ended and replaced ${result.restarts} times (${result.partsCleared} of them while they wrote to a part)`,
    `probe: ${result.probes} announces, ${result.probesRepeated} sent again, the longest took ${result.probeMsMax.toFixed(0)} ms`,
    `resident: ${residentBytes.map((bytes) => `${(bytes / MIB).toFixed(0)} MiB`).join(", ")} (at a tenth of the time, in the middle, at the end)`,
    failures.length === 0
      ? "nothing failed"
      : `${failures.length} failed: ${[...new Set(failures)].slice(0, 10).join("; ")}`,
  ].join("\n");
}
