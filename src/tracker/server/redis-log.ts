// Announces carried between trackers by Redis or Valkey: a log (a stream) that each tracker appends to and reads. What one hears in 20 ms
// goes in one command; a blocking read brings what all others heard. A tracker that starts reads what the log has of the last lifetime.
//
//   XADD scatterwire:announces MINID ~ … * t TRACKER n NUMBER a AGE 4|6 RECORDS        records: announce-records.ts
//
// The log is kept as long as peers live, and by all trackers together below a number of bytes: each writes or reads all of it, and so knows
// where to cut. Its clock is Redis's: ages are by the time in an entry's id.
//
// One file, because what is written, what is read and where the log is cut share one connection state.
//
// Always: without Redis a tracker goes on alone, says so once, keeps a bounded queue of what it has to tell, and goes on where it was when
// Redis is back. A chunk that arrives twice is taken once. What is malformed in the log is counted, and does no more; what is well formed is
// believed: whoever may write to the log is a tracker.

import { randomBytes } from "node:crypto";
import { UsageError } from "../../base/errors.js";
import { type Ground, SYSTEM_GROUND, type Timer } from "../../base/ground.js";
import type { Notes, SharedSwarms } from "./shared-swarms.js";

export interface RedisLogOptions {
  /** redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// for TLS, or unix:PATH. */
  readonly url: string;
  readonly swarms: SharedSwarms;
  /** How long peers live: what is older need not be kept. */
  readonly lifetimeMs: number;
  /** Bytes of the log, all trackers together. */
  readonly logBytesMax?: number;
  readonly onWarning: (message: string) => void;
  readonly ground?: Ground;
}

export interface RedisCounters {
  connected: boolean;
  /** How often a connection was made, and lost or refused. */
  connects: number;
  failures: number;
  /** Chunks that were sent, again or for the first time; that Redis took; and those of others that came. */
  chunksSent: number;
  chunksConfirmed: number;
  chunksReceived: number;
  /** Chunks that came again, that were cut off the log before they were read, and entries that are none. */
  chunksRepeated: number;
  chunksMissed: number;
  chunksMalformed: number;
}

export const LOG_BYTES_MAX_DEFAULT = 256 * 2 ** 20;
const KEY = "scatterwire:announces";
/** Chunks that one reply brings, all taken in in one turn of the loop: some milliseconds. And chunks that are on their way at once. */
const READ_CHUNKS = 8;
const UNCONFIRMED_MAX = 16;
const BLOCK_MS = 1000;
/** As often as swarms are told the time. */
const SEND_MS = 20;
const CONNECT_TIMEOUT_MS = 5000;
/** No reply for so long, and the connection is given up: each read is answered after BLOCK_MS at the latest. */
const SILENCE_MS = 10_000;
const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 5000;
/** How long a tracker waits for the log when it starts, and for its last notes to be taken when it ends. */
const CATCH_UP_MS = 10_000;
const FAREWELL_MS = 2000;
/** What an entry is beside its records. */
const ENTRY_BYTES = 128;
/** The log is measured in so many steps. */
const MARKS = 64;
const TRACKERS_MAX = 1024;
/** A chunk that comes again is one of the last so many: what was on its way when a connection was lost. */
const NUMBERS_REMEMBERED = 32;
/** Redis's clock may be set back; by more than this it is another Redis. */
const CLOCK_BACK_MS = 60_000;
const UNNUMBERED = "it does not number its entries";
/** RESP's mark of a bulk string: those are wanted as bytes. */
const BYTES_AS_THEY_ARE = { typeMapping: { 36: Buffer } };

/** What is used of a connection of @redis/client. */
interface Connection {
  connect(): Promise<unknown>;
  sendCommand(args: (string | Buffer)[], options: typeof BYTES_AS_THEY_ARE): Promise<unknown>;
  destroy(): void;
  readonly isOpen: boolean;
}

/** One of the log: its number, which begins with Redis's time, and what it says, if that makes sense. */
interface Item {
  readonly id: string;
  readonly bornMs: number;
  readonly entry: Entry | undefined;
}

/** The next number of a tracker's chunks; and which of those before it came, the last one in the lowest bit. */
interface Expected {
  readonly next: number;
  readonly came: number;
}

interface Entry {
  readonly tracker: string;
  readonly number: number;
  readonly ageMs: number;
  readonly family: 4 | 6;
  readonly records: Buffer;
}

export class RedisLog {
  readonly counters: RedisCounters = {
    connected: false,
    connects: 0,
    failures: 0,
    chunksSent: 0,
    chunksConfirmed: 0,
    chunksReceived: 0,
    chunksRepeated: 0,
    chunksMissed: 0,
    chunksMalformed: 0,
  };
  readonly #options: RedisLogOptions;
  readonly #ground: Ground;
  readonly #makeConnection: () => Connection;
  readonly #tracker = randomBytes(8).toString("hex");
  readonly #run: Promise<void>;
  /** Of each other tracker, the next number that its chunks should have. */
  readonly #expected = new Map<string, Expected>();
  /** Notes that were sent and not confirmed, in their order, with their numbers. */
  #unconfirmed: { readonly notes: Notes; readonly number: number; readonly sentMs: number }[] = [];
  /** Numbers of notes that were given back: a note keeps its own, so that whoever had it before knows it again. */
  readonly #numbers = new WeakMap<Notes, number>();
  #nextNumber = 0;
  /** The last entry that was read; undefined: none yet. */
  #last: string | undefined;
  /** Redis's time less ours; when this tracker began, by it. */
  #aheadMs = 0;
  #beganMs: number | undefined;
  #logBytes = 0;
  #marks: { readonly ms: number; readonly logBytes: number }[] = [];
  #cutMs = 0;
  #awaySinceMs: number | undefined;
  #wake: () => void = () => {};
  /** Why the connections under way are given up; and who waits for one of them. */
  #failure: Error | undefined;
  #refuse: (error: Error) => void = () => {};
  #isClosed = false;

  /**
   * Loads the package and connects; resolves when what the log has was taken in, or when it is certain that there is no Redis now, or after
   * ten seconds. Rejects with UsageError for a malformed URL, or without the package.
   */
  static async start(options: RedisLogOptions): Promise<RedisLog> {
    const { createClient } = await import("@redis/client").catch((error: unknown) => {
      throw new UsageError("USAGE_OPTION", "Redis needs the package: run `npm install @redis/client`", {
        cause: error,
      });
    });
    const place = placeOf(options.url);
    const make = (): Connection => {
      const client = createClient({
        ...place,
        RESP: 2,
        disableOfflineQueue: true,
        socket: { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: false, ...place.socket },
      });
      // What goes wrong ends the calls under way, which say it.
      client.on("error", () => {});
      return client;
    };
    const { promise, resolve } = withResolvers<void>();
    const log = new RedisLog(options, make, resolve);
    const timer = log.#ground.after(CATCH_UP_MS, resolve);
    await promise;
    timer.close();
    return log;
  }

  private constructor(options: RedisLogOptions, makeConnection: () => Connection, settled: () => void) {
    this.#options = options;
    this.#ground = options.ground ?? SYSTEM_GROUND;
    this.#makeConnection = makeConnection;
    this.#run = this.#keepConnected(settled);
  }

  /** Tells what is left to tell, if Redis takes it at once, and leaves. */
  async close(): Promise<void> {
    const until = this.#ground.nowMs() + FAREWELL_MS;
    const { swarms } = this.#options;
    swarms.advance(swarms.nowMs);
    while (this.counters.connected && this.#ground.nowMs() < until) {
      if (this.#unconfirmed.length === 0 && !swarms.hasNotes) break;
      await new Promise<void>((resolve) => this.#ground.after(SEND_MS, resolve));
    }
    this.#isClosed = true;
    this.#fail(new Error("closed"));
    this.#wake();
    await this.#run;
  }

  async #keepConnected(settled: () => void): Promise<void> {
    let pauseMs = PAUSE_MS_MIN;
    while (!this.#isClosed) {
      try {
        await this.#session(() => {
          pauseMs = PAUSE_MS_MIN;
          this.#returned();
          settled();
        });
      } catch (error) {
        this.counters.connected = false;
        if (this.#isClosed) break;
        this.#lost(error as Error);
        settled();
        await this.#pause(pauseMs);
        pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX);
      }
    }
    settled();
  }

  /** Two connections, as a read that waits holds one up; until something fails. `onReady`: all that the log has was read. */
  async #session(onReady: () => void): Promise<never> {
    this.#failure = undefined;
    const reading = this.#makeConnection();
    const writing = this.#makeConnection();
    let sending: Timer | undefined;
    try {
      await this.#unlessFailed(Promise.all([reading.connect(), writing.connect()]));
      this.counters.connects++;
      await this.#readClock(reading);
      let heardMs = this.#ground.nowMs();
      sending = this.#ground.every(SEND_MS, () => {
        const oldestMs = Math.min(heardMs, this.#unconfirmed[0]?.sentMs ?? heardMs);
        if (this.#ground.nowMs() - oldestMs > SILENCE_MS) this.#fail(new Error("it does not answer"));
        else this.#send(writing);
      });
      for (let isReady = false; ; ) {
        const items = await this.#read(reading, isReady);
        heardMs = this.#ground.nowMs();
        for (const item of items) this.#take(item);
        if (items.length > 0) continue;
        if (isReady) {
          // Whoever cannot wait for entries and says at once that there are none is not asked without a pause.
          await this.#pause(SEND_MS);
          continue;
        }
        isReady = true;
        this.counters.connected = true;
        onReady();
      }
    } finally {
      sending?.close();
      for (const connection of [reading, writing]) if (connection.isOpen) connection.destroy();
      this.#giveBack();
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#refuse(error);
  }

  /** Rejects also when something else fails. There is one who waits, so that no promise is left with those who waited before. */
  #unlessFailed<Value>(promise: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.#refuse = reject;
      promise.then(resolve, reject);
      if (this.#failure !== undefined) reject(this.#failure);
    });
  }

  /** Redis's clock; and where to begin, which is anew if it is not the Redis that it was. */
  async #readClock(connection: Connection): Promise<void> {
    const time = await this.#unlessFailed(connection.sendCommand(["TIME"], BYTES_AS_THEY_ARE));
    const [seconds, micros] = Array.isArray(time) ? time.map(Number) : [];
    const nowMs = 1000 * Number(seconds) + Math.floor(Number(micros) / 1000);
    if (!Number.isSafeInteger(nowMs)) throw new Error("it does not tell the time");
    this.#aheadMs = nowMs - this.#ground.nowMs();
    this.#beganMs ??= nowMs;
    const lastMs = Number(this.#last?.split("-")[0] ?? 0);
    if (this.#last === undefined || lastMs > nowMs + CLOCK_BACK_MS)
      this.#last = `${Math.max(0, nowMs - this.#options.lifetimeMs)}-0`;
  }

  async #read(connection: Connection, mayWait: boolean): Promise<Item[]> {
    const wait = mayWait ? ["BLOCK", String(BLOCK_MS)] : [];
    const reply = await this.#unlessFailed(
      connection.sendCommand(
        ["XREAD", "COUNT", String(READ_CHUNKS), ...wait, "STREAMS", KEY, this.#last ?? "0-0"],
        BYTES_AS_THEY_ARE,
      ),
    );
    if (reply === null) return [];
    const items: unknown = Array.isArray(reply) ? (reply as unknown[][])[0]?.[1] : undefined;
    if (!Array.isArray(items)) throw new Error("it does not answer as a stream does");
    return (items as unknown[]).map((item) => {
      const [id, fields] = Array.isArray(item) ? (item as unknown[]) : [];
      const bornMs = timeOf(id);
      if (bornMs === undefined) throw new Error(UNNUMBERED);
      return { id: String(id), bornMs, entry: readEntry(fields) };
    });
  }

  #take({ id, bornMs, entry }: Item): void {
    this.#last = id;
    if (entry === undefined) {
      this.counters.chunksMalformed++;
      return;
    }
    const { tracker, number, family, records } = entry;
    if (tracker === this.#tracker) return;
    this.#measure(bornMs, ENTRY_BYTES + records.length);
    const known = this.#expected.get(tracker);
    if (known !== undefined && isRepeated(known, number)) {
      this.counters.chunksRepeated++;
      return;
    }
    if (known !== undefined) this.counters.chunksMissed += Math.max(0, number - known.next);
    this.#expected.delete(tracker);
    this.#expected.set(tracker, expectedAfter(known, number));
    if (this.#expected.size > TRACKERS_MAX)
      for (const first of this.#expected.keys()) {
        this.#expected.delete(first);
        break;
      }
    this.counters.chunksReceived++;
    const ageMs = Math.max(0, this.#ground.nowMs() + this.#aheadMs - bornMs) + entry.ageMs;
    this.#options.swarms.adopt(family, records, ageMs, bornMs >= (this.#beganMs ?? 0));
  }

  /** Notes how long the log has become, and where it is to be cut to be no longer than it may be. */
  #measure(bornMs: number, bytes: number): void {
    const most = this.#options.logBytesMax ?? LOG_BYTES_MAX_DEFAULT;
    this.#logBytes += bytes;
    const marked = this.#marks.at(-1)?.logBytes ?? -most;
    if (this.#logBytes - marked >= most / MARKS) this.#marks.push({ ms: bornMs, logBytes: this.#logBytes });
    for (let first = this.#marks[0]; first !== undefined; first = this.#marks[0]) {
      if (this.#logBytes - first.logBytes <= most) return;
      this.#cutMs = Math.max(this.#cutMs, first.ms);
      this.#marks.shift();
    }
  }

  #send(connection: Connection): void {
    const { swarms, lifetimeMs } = this.#options;
    while (this.#unconfirmed.length < UNCONFIRMED_MAX) {
      const notes = swarms.take();
      if (notes === undefined) return;
      const number = this.#numbers.get(notes) ?? this.#nextNumber++;
      const nowMs = this.#ground.nowMs();
      this.#unconfirmed.push({ notes, number, sentMs: nowMs });
      this.counters.chunksSent++;
      const cutMs = Math.max(0, Math.floor(nowMs + this.#aheadMs - lifetimeMs), this.#cutMs);
      const ageMs = Math.max(0, Math.round(swarms.nowMs - notes.bornMs));
      const fields = ["t", this.#tracker, "n", String(number), "a", String(ageMs)];
      connection
        .sendCommand(
          ["XADD", KEY, "MINID", "~", String(cutMs), "*", ...fields, String(notes.family), notes.bytes],
          BYTES_AS_THEY_ARE,
        )
        .then(
          (reply) => {
            // Replies come in the order of the commands; of a connection that was given up none comes.
            if (this.#unconfirmed[0]?.notes !== notes) return;
            const bornMs = timeOf(reply);
            if (bornMs === undefined) {
              this.#fail(new Error(UNNUMBERED));
              return;
            }
            this.#unconfirmed.shift();
            this.counters.chunksConfirmed++;
            this.#measure(bornMs, ENTRY_BYTES + notes.bytes.length);
          },
          (error: Error) => this.#fail(error),
        );
    }
  }

  #giveBack(): void {
    for (const { notes, number } of this.#unconfirmed) this.#numbers.set(notes, number);
    this.#options.swarms.giveBack(this.#unconfirmed.map(({ notes }) => notes));
    this.#unconfirmed = [];
  }

  #lost(error: Error): void {
    this.counters.failures++;
    if (this.#awaySinceMs !== undefined) return;
    this.#awaySinceMs = this.#ground.nowMs();
    this.#options.onWarning(
      `Redis is away: ${error.message}; until it is back this tracker knows what it hears itself`,
    );
  }

  #returned(): void {
    if (this.#awaySinceMs === undefined) return;
    const seconds = (this.#ground.nowMs() - this.#awaySinceMs) / 1000;
    this.#awaySinceMs = undefined;
    const { dropped } = this.#options.swarms.shared;
    this.#options.onWarning(
      `Redis is back after ${seconds.toFixed(1)} s; ${dropped} announces since the start were never told to other trackers`,
    );
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#ground.after(ms, resolve);
      this.#wake = () => {
        timer.close();
        resolve();
      };
    });
  }
}

/** Where the URL points, as @redis/client wants it. */
function placeOf(text: string): { url?: string; database?: number; socket?: { path: string; tls: false } } {
  const wrong = (cause?: unknown): UsageError =>
    new UsageError(
      "USAGE_OPTION",
      "Redis: expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// likewise, or unix:PATH",
      { cause },
    );
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    if (path === "") throw wrong();
    return { socket: { path, tls: false } };
  }
  try {
    const { protocol, hostname } = new URL(text);
    if ((protocol !== "redis:" && protocol !== "rediss:") || hostname === "") throw wrong();
  } catch (error) {
    throw wrong(error);
  }
  return { url: text };
}

/** Redis's time when it got the entry of this number; undefined if that is none. */
function timeOf(id: unknown): number | undefined {
  const match = /^(\d{1,15})-\d{1,20}$/.exec(String(id));
  return match === null ? undefined : Number(match[1]);
}

/** The fields of an entry as XREAD brings them: names and values in turn. Undefined if they are none of ours. */
function readEntry(fields: unknown): Entry | undefined {
  if (!Array.isArray(fields) || fields.length !== 8) return undefined;
  const values = fields as unknown[];
  if (!values.every((value) => Buffer.isBuffer(value))) return undefined;
  const [t, tracker, n, number, a, age, family] = values.slice(0, 7).map((value) => value.toString("latin1"));
  const records = values[7];
  if (t !== "t" || n !== "n" || a !== "a" || (family !== "4" && family !== "6") || records === undefined)
    return undefined;
  const isKnown = /^[0-9a-f]{16}$/.test(tracker ?? "");
  if (!isKnown || !/^\d{1,15}$/.test(number ?? "") || !/^\d{1,12}$/.test(age ?? "")) return undefined;
  return {
    tracker: tracker ?? "",
    number: Number(number),
    ageMs: Number(age),
    family: family === "4" ? 4 : 6,
    records,
  };
}

function isRepeated({ next, came }: Expected, number: number): boolean {
  const back = next - 1 - number;
  return back >= 0 && back < NUMBERS_REMEMBERED && ((came >>> back) & 1) === 1;
}

/**
 * What comes next is told by the last chunk, wherever its number lies: a number that somebody else made up, however large, costs the
 * tracker in whose name it was said no chunk but one of the same number.
 */
function expectedAfter(known: Expected | undefined, number: number): Expected {
  const back = known === undefined ? -NUMBERS_REMEMBERED : known.next - 1 - number;
  if (known === undefined || Math.abs(back) >= NUMBERS_REMEMBERED) return { next: number + 1, came: 1 };
  if (back >= 0) return { next: known.next, came: known.came | (1 << back) };
  return { next: number + 1, came: (known.came << -back) | 1 };
}

function withResolvers<Value>(): {
  promise: Promise<Value>;
  resolve: (value: Value) => void;
  reject: (error: Error) => void;
} {
  let resolve: (value: Value) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<Value>((settle, refuse) => {
    resolve = settle;
    reject = refuse;
  });
  return { promise, resolve, reject };
}
