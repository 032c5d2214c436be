// Which of a torrent's trackers are asked, when, and what they are told (BEP 3, 12, 21, 31).
//
// A tracker belongs to a tier. Within a tier the order is drawn once, and who answers goes to its front. Tiers are asked from the
// first on; a later one only where all before it failed, have said nothing for PATIENCE_MS, or know nobody but us (a seed alone at a
// forgotten tracker would else wait there for leechers that are all at the next), or while peers are few all the same.
//
//   idle ──due──▶ asking ──answer──▶ works: due again after its interval
//                    └──error──▶ fails: due again after a pause that doubles, or when it said (BEP 31), or never
//
// One file, because what one tracker answers decides whether the next is asked: all rules look at the same states.
//
// Always: a tracker has one announce under way at a time; it hears `started` first, `completed` once, and only if this torrent was not
// complete when it began, and `stopped` if it ever took a `started`; it is not asked before its interval is over, unless there is an
// event to tell, or peers are needed and its min interval is over. Whatever it answers, there are INTERVAL_MIN_S between two announces.

import { TrackerError } from "../../base/errors.js";
import type { AnnounceAnswer, AnnounceEvent } from "../../tracker/client/announce.js";
import type { Announced } from "../../tracker/client/tracker-client.js";
import type { PeerAddress, TrackerStatus } from "../options.js";

/** What we tell beside the event. */
export interface Totals {
  readonly uploaded: number;
  readonly downloaded: number;
  readonly left: number;
  /** All that is wanted is there, and there is more (BEP 21). */
  readonly isPartialSeed: boolean;
}

export interface AnnouncerHost {
  /** Milliseconds. */
  nowMs(): number;
  /** From 0 to below 1. */
  random(): number;
  totals(): Totals;
  /** Asks one tracker; rejects TrackerError. */
  ask(
    url: string,
    what: { readonly event: AnnounceEvent; readonly numWant: number; readonly trackerId: string | undefined },
    signal: AbortSignal,
  ): Promise<Announced>;
  /** Calls back once, unless it is closed before. */
  after(ms: number, callback: () => void): { close(): void };
  /** Addresses that a tracker named. */
  bring(peers: readonly PeerAddress[]): void;
  /** A tracker's status has changed: it answered, or failed. */
  told(status: TrackerStatus, error: TrackerError | undefined): void;
}

/** A tracker that is silent for so long keeps the next from being asked no longer; it may still answer. */
const PATIENCE_MS = 5000;
/** `stopped` waits so long for the announce that is under way: over two connections a tracker may hear it first, and then count us again. */
const ORDER_MS = 1000;
const INTERVAL_S = 30 * 60;
const INTERVAL_MIN_S = 30;
const INTERVAL_MAX_S = 24 * 60 * 60;
/** An announce comes so much later than it is due at the most: torrents that began together do not stay so. */
const SPREAD = 0.05;
const RETRY_MS = 15_000;
const RETRY_MS_MAX = 30 * 60_000;
const RETRY_PART_MIN = 0.75;
const RETRY_JITTER = 0.5;
const WANTED = 200;
const WANTED_BY_SEED = 50;
/** Of one torrent; a torrent file may name ten thousand. */
const TRACKERS_MAX = 100;

interface Tracker {
  readonly url: string;
  readonly tier: number;
  state: TrackerStatus["state"];
  asking: AbortController | undefined;
  /** Settles, and never rejects, when what is asked was answered or failed. */
  underWay: Promise<unknown> | undefined;
  askedAtMs: number;
  /** When it is to be asked next, and not before which even if peers are needed. */
  dueMs: number;
  notBeforeMs: number;
  failures: number;
  /** It answered last, whatever is under way. */
  works: boolean;
  /** It knows of others in the swarm. */
  knowsOthers: boolean;
  tookStarted: boolean;
  tookCompleted: boolean;
  trackerId: string | undefined;
  answer: AnnounceAnswer | undefined;
  peers: number;
  error: TrackerError | undefined;
}

export class Announcer {
  readonly #host: AnnouncerHost;
  readonly #tiers: Tracker[][] = [];
  #isRunning = false;
  /** `completed` is to be told: this torrent became complete while it ran. */
  #isCompleted = false;
  /** Peers are few: one tier that works is not enough. */
  #isHungry = false;
  /** Nothing is due before. */
  #nextMs = Number.POSITIVE_INFINITY;

  constructor(host: AnnouncerHost, tiers: readonly (readonly string[])[]) {
    this.#host = host;
    const known = new Set<string>();
    for (const urls of tiers) {
      const fresh = [...new Set(urls)].filter((url) => !known.has(url));
      const tier = fresh
        .slice(0, TRACKERS_MAX - known.size)
        .map((url) => makeTracker(url, this.#tiers.length));
      for (const { url } of tier) known.add(url);
      if (tier.length > 0) this.#tiers.push(shuffled(tier, () => host.random()));
    }
  }

  get trackers(): TrackerStatus[] {
    return this.#tiers.flat().map((tracker) => this.#statusOf(tracker));
  }

  /** How many trackers there are. */
  get count(): number {
    return this.#tiers.reduce((sum, tier) => sum + tier.length, 0);
  }

  /** From now on trackers are asked. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#nextMs = this.#host.nowMs();
    this.tick();
  }

  /** Time passed; about once a second. */
  tick(): void {
    if (!this.#isRunning || this.#host.nowMs() < this.#nextMs) return;
    this.#look();
  }

  /** The torrent became complete while it ran: whoever took `started` hears of it. */
  completed(): void {
    if (this.#isCompleted) return;
    this.#isCompleted = true;
    for (const tracker of this.#tiers.flat())
      if (tracker.tookStarted && tracker.state !== "never") tracker.dueMs = this.#host.nowMs();
    this.#look();
  }

  /** Peers are needed: trackers whose min interval is over, or that fail, are asked again. */
  needsPeers(): void {
    const now = this.#host.nowMs();
    for (const tracker of this.#tiers.flat())
      if (tracker.state !== "never")
        tracker.dueMs = Math.min(tracker.dueMs, Math.max(now, tracker.notBeforeMs));
    this.#look();
  }

  /** Peers are few, or they are not: then they are needed as well. */
  hungry(isHungry: boolean): void {
    this.#isHungry = isHungry;
    if (isHungry) this.needsPeers();
  }

  /** We are reached elsewhere than trackers know: those that took `started` hear it now. */
  moved(): void {
    for (const tracker of this.#tiers.flat())
      if (tracker.tookStarted && tracker.works) tracker.dueMs = this.#host.nowMs();
    this.#look();
  }

  /** Nobody is asked any more. Those that took `started` are told; resolves when they have heard it, or `signal` is aborted. */
  async stop(signal: AbortSignal): Promise<void> {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    const told: Promise<unknown>[] = [];
    for (const tracker of this.#tiers.flat()) {
      // One that has a started under way may take it yet.
      const { asking, tookStarted } = tracker;
      tracker.asking = undefined;
      if (tracker.state === "never" || (!tookStarted && asking === undefined)) asking?.abort();
      else told.push(this.#tellStopped(tracker, asking, signal));
    }
    await Promise.all(told);
  }

  async #tellStopped(
    { url, trackerId, underWay }: Tracker,
    asking: AbortController | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (asking !== undefined && underWay !== undefined) {
      await new Promise<void>((resolve) => {
        const timer = this.#host.after(ORDER_MS, resolve);
        const over = (): void => {
          timer.close();
          resolve();
        };
        signal.addEventListener("abort", over, { once: true });
        void underWay.then(over);
      });
      asking.abort();
      if (signal.aborted) return;
    }
    await this.#host.ask(url, { event: "stopped", numWant: 0, trackerId }, signal).catch(() => {});
  }

  #look(): void {
    if (!this.#isRunning) return;
    const now = this.#host.nowMs();
    this.#nextMs = Number.POSITIVE_INFINITY;
    for (const tracker of this.#tiers.flat())
      if (this.#owesCompleted(tracker) && tracker.works) this.#askIfDue(tracker, now);
    for (const tier of this.#tiers) if (this.#lookAtTier(tier, now)) return;
  }

  /** True if tiers behind this one are not to be asked now. */
  #lookAtTier(tier: readonly Tracker[], now: number): boolean {
    for (const tracker of tier) {
      if (tracker.state === "never") continue;
      this.#askIfDue(tracker, now);
      if (tracker.asking === undefined) {
        if (tracker.works) return this.#isEnough(tracker);
        continue;
      }
      const silentMs = now - tracker.askedAtMs;
      if (silentMs >= PATIENCE_MS) continue;
      this.#nextMs = Math.min(this.#nextMs, tracker.askedAtMs + PATIENCE_MS);
      // While it is asked again, what it said before holds.
      return tracker.works ? this.#isEnough(tracker) : true;
    }
    return false;
  }

  #isEnough(tracker: Tracker): boolean {
    return tracker.knowsOthers && !this.#isHungry;
  }

  #askIfDue(tracker: Tracker, now: number): void {
    if (tracker.asking !== undefined) return;
    if (now < tracker.dueMs) this.#nextMs = Math.min(this.#nextMs, tracker.dueMs);
    else void this.#ask(tracker, now);
  }

  async #ask(tracker: Tracker, now: number): Promise<void> {
    const event = this.#eventFor(tracker);
    const asking = new AbortController();
    tracker.asking = asking;
    tracker.askedAtMs = now;
    tracker.state = "asking";
    const numWant = this.#host.totals().left > 0 ? WANTED : WANTED_BY_SEED;
    const { trackerId } = tracker;
    let error: TrackerError | undefined;
    try {
      const asked = this.#host.ask(tracker.url, { event, numWant, trackerId }, asking.signal);
      tracker.underWay = asked.catch(() => {});
      const announced = await asked;
      if (tracker.asking !== asking) return;
      this.#answered(tracker, event, announced);
    } catch (reason) {
      if (tracker.asking !== asking) return;
      if (!(reason instanceof TrackerError)) throw reason;
      error = reason;
      this.#failed(tracker, error);
    } finally {
      if (tracker.asking === asking) tracker.asking = undefined;
    }
    this.#host.told(this.#statusOf(tracker), error);
    this.#look();
  }

  #eventFor(tracker: Tracker): AnnounceEvent {
    if (!tracker.tookStarted) return "started";
    if (this.#owesCompleted(tracker)) return "completed";
    return this.#host.totals().isPartialSeed ? "paused" : "none";
  }

  #owesCompleted(tracker: Tracker): boolean {
    return this.#isCompleted && tracker.tookStarted && !tracker.tookCompleted;
  }

  #answered(tracker: Tracker, event: AnnounceEvent, { answers }: Announced): void {
    const now = this.#host.nowMs();
    const intervals = answers.flatMap(({ interval }) => interval ?? []);
    const minIntervals = answers.flatMap(({ minInterval }) => minInterval ?? []);
    const intervalMs = 1000 * bounded(intervals.length === 0 ? INTERVAL_S : Math.max(...intervals));
    const minIntervalMs = minIntervals.length === 0 ? intervalMs : 1000 * bounded(Math.max(...minIntervals));
    const peers = answers.flatMap((answer) => answer.peers);
    if (event === "started") tracker.tookStarted = true;
    if (event === "completed") tracker.tookCompleted = true;
    tracker.state = "works";
    tracker.works = true;
    tracker.failures = 0;
    tracker.error = undefined;
    tracker.answer = mergedAnswer(answers);
    tracker.peers = peers.length;
    tracker.trackerId = tracker.answer?.trackerId ?? tracker.trackerId;
    tracker.knowsOthers = knowsOthers(tracker.answer, peers.length);
    tracker.dueMs = now + intervalMs * (1 + SPREAD * this.#host.random());
    tracker.notBeforeMs = now + Math.min(intervalMs, minIntervalMs);
    // What became complete while this was under way is told next.
    if (this.#owesCompleted(tracker)) tracker.dueMs = now;
    this.#promote(tracker);
    this.#host.bring(peers);
  }

  #failed(tracker: Tracker, error: TrackerError): void {
    const now = this.#host.nowMs();
    tracker.works = false;
    tracker.error = error;
    tracker.failures++;
    const { retryInSeconds } = error;
    if (error.code === "TRACKER_URL" || retryInSeconds === Number.POSITIVE_INFINITY) {
      tracker.state = "never";
      tracker.dueMs = Number.POSITIVE_INFINITY;
      return;
    }
    const jitter = RETRY_PART_MIN + RETRY_JITTER * this.#host.random();
    const pauseMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(20, tracker.failures - 1)) * jitter;
    tracker.state = "fails";
    tracker.dueMs = now + (retryInSeconds === undefined ? pauseMs : 1000 * bounded(retryInSeconds));
    tracker.notBeforeMs = tracker.dueMs;
  }

  /** Who works is asked first from now on, of its tier (BEP 12). */
  #promote(tracker: Tracker): void {
    const tier = this.#tiers[tracker.tier] ?? [];
    const at = tier.indexOf(tracker);
    if (at <= 0) return;
    tier.splice(at, 1);
    tier.unshift(tracker);
  }

  #statusOf(tracker: Tracker): TrackerStatus {
    const { url, tier, state, peers, answer, error, dueMs } = tracker;
    const inMs = dueMs - this.#host.nowMs();
    return {
      url,
      tier,
      state,
      peers,
      seeders: answer?.seeders,
      leechers: answer?.leechers,
      downloads: answer?.downloads,
      warning: answer?.warning,
      error,
      nextInMs: state === "asking" || !Number.isFinite(inMs) ? undefined : Math.max(0, Math.round(inMs)),
      externalIp: answer?.externalIp,
    };
  }
}

function makeTracker(url: string, tier: number): Tracker {
  return {
    url,
    tier,
    state: "idle",
    asking: undefined,
    underWay: undefined,
    askedAtMs: 0,
    dueMs: Number.NEGATIVE_INFINITY,
    notBeforeMs: Number.NEGATIVE_INFINITY,
    failures: 0,
    works: false,
    knowsOthers: false,
    tookStarted: false,
    tookCompleted: false,
    trackerId: undefined,
    answer: undefined,
    peers: 0,
    error: undefined,
  };
}

/** Of what IPv4 and IPv6 were answered: the larger numbers, and the first of what is no number. */
function mergedAnswer(answers: readonly AnnounceAnswer[]): AnnounceAnswer | undefined {
  const [first, second] = answers;
  if (first === undefined || second === undefined) return first;
  const larger = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined ? b : Math.max(a, b ?? 0);
  return {
    ...first,
    seeders: larger(first.seeders, second.seeders),
    leechers: larger(first.leechers, second.leechers),
    downloads: larger(first.downloads, second.downloads),
    warning: first.warning ?? second.warning,
    trackerId: first.trackerId ?? second.trackerId,
    externalIp: first.externalIp ?? second.externalIp,
  };
}

/** We are counted ourselves, and named, as a rule. */
function knowsOthers(answer: AnnounceAnswer | undefined, peers: number): boolean {
  const { seeders, leechers } = answer ?? {};
  if (seeders === undefined && leechers === undefined) return peers > 0;
  return (seeders ?? 0) + (leechers ?? 0) > 1 || peers > 1;
}

function bounded(seconds: number): number {
  return Math.max(INTERVAL_MIN_S, Math.min(INTERVAL_MAX_S, seconds));
}

/** Fisher and Yates. */
function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last--) {
    const at = Math.floor(random() * (last + 1));
    const [a, b] = [mixed[at], mixed[last]];
    if (a === undefined || b === undefined) continue;
    mixed[at] = b;
    mixed[last] = a;
  }
  return mixed;
}
