// The configuration of a tracker as a JSON file: what keys there are, and what each takes. Text in, options out; no files.
//
// Always: a key that there is not is refused, and the nearest one named; a value is in range, or refused with what was expected.

import { messageOf, UsageError } from "../../base/errors.js";
import { nearestWord } from "../../base/nearest-word.js";
import type { HttpLimits } from "../../native/http-server.js";
import { WORKERS_MAX } from "./worker-counters.js";

/** All keys are optional; addresses are "HOST:PORT", files are paths. README's chapter on the tracker has an example. */
export interface TrackerConfig {
  /** Where to receive datagrams. Port 0 picks one. */
  readonly udp?: readonly string[];
  /** Where to listen for HTTP. */
  readonly http?: readonly string[];
  /** WebTorrent signalling at the addresses of `http`; needs the package ws. */
  readonly webSockets?: boolean;
  /** An operator's address: page, statistics, metrics for Prometheus, REST. */
  readonly metrics?: string;
  /** Threads that answer UDP, 1 to 64; 1 without it. */
  readonly workers?: number;
  /** What clients wait between announces, 30 to 3600; 900 without it. */
  readonly intervalSeconds?: number;
  /** Peers in an answer, 0 to 1000; 200 without it. One datagram bounds them too. */
  readonly peersMax?: number;
  /** Memory of all swarms, in MiB; 1024 without it. */
  readonly memoryMib?: number;
  /** Torrents at the most; 16,777,215 without it. */
  readonly torrentsMax?: number;
  /** Torrents that one address (IPv6: /64; a /48 eight times as many) may bring in a minute. 0, and without it: any number. */
  readonly newTorrentsPerMinute?: number;
  /** Torrents that what one address brings may push out in a minute, once memory is full; 60 without it, 0: any number. */
  readonly evictionsPerMinute?: number;
  /** Peers that one address may add to a torrent in a lifetime of 16 minutes; 32 without it, 0: any number. */
  readonly peersPerAddressMax?: number;
  /** Peers of a torrent at the most, of each family: the oldest make room; 2^26 without it. */
  readonly peersPerTorrentMax?: number;
  /** In how many minutes a connection id of UDP is valid, that which it is given in included, 1 to 16; 2 without it, as BEP 15 has it. */
  readonly connectionMinutes?: number;
  /** A file with 32 hex digits: trackers that have the same take each other's connection ids. Without it nobody else's are taken. */
  readonly connectionKeyFile?: string;
  /** Addresses and networks whose x-forwarded-for counts. */
  readonly trustedProxies?: readonly string[];
  /** What a client of HTTP may hold, and for how long. */
  readonly httpLimits?: HttpLimits;
  /** A file of info hashes in hex, one in a line: these only. */
  readonly allowList?: string;
  /** The same: all but these. */
  readonly denyList?: string;
  /** A file of keys, of which one has to stand in the path of an announce. Not beside `udp`. */
  readonly keysFile?: string;
  /** A file with the token that opens REST, of 16 characters at least; no REST without it. */
  readonly tokenFile?: string;
  /** A file that counts of downloads are kept in, over restarts. */
  readonly downloadsFile?: string;
  /** A Redis or Valkey by which trackers share their swarms: redis://, rediss:// or unix:PATH. */
  readonly redis?: string;
  /** Announces that Redis keeps for trackers that start or come back, in MiB; 256 without it. */
  readonly redisLogMib?: number;
  /** Whom to become when all sockets are bound. */
  readonly user?: string;
  /** Likewise; without other groups. */
  readonly group?: string;
}

type Check = (value: unknown, name: string) => unknown;

const text: Check = (value, name) => {
  if (typeof value === "string" && value !== "") return value;
  throw expected(name, "text", value);
};
const texts: Check = (value, name) => {
  if (Array.isArray(value) && value.every((each) => typeof each === "string" && each !== "")) return value;
  throw expected(name, "a list of texts", value);
};
const truth: Check = (value, name) => {
  if (typeof value === "boolean") return value;
  throw expected(name, "true or false", value);
};
const whole =
  (low: number, high: number): Check =>
  (value, name) => {
    if (Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high) return value;
    throw expected(name, `a whole number from ${low} to ${high}`, value);
  };

const HTTP_LIMITS: Readonly<Record<keyof HttpLimits, Check>> = {
  connectionsMax: whole(1, 1_000_000),
  connectionsPerAddressMax: whole(1, 1_000_000),
  headerBytesMax: whole(1024, 65_536),
  urlLengthMax: whole(256, 65_536),
  requestsPerConnectionMax: whole(1, 1_000_000),
  headersTimeoutMs: whole(100, 600_000),
  idleTimeoutMs: whole(100, 600_000),
  stallTimeoutMs: whole(100, 600_000),
};

const KEYS: Readonly<Record<keyof TrackerConfig, Check>> = {
  udp: texts,
  http: texts,
  webSockets: truth,
  metrics: text,
  workers: whole(1, WORKERS_MAX),
  intervalSeconds: whole(30, 3600),
  peersMax: whole(0, 1000),
  memoryMib: whole(1, 65_536),
  torrentsMax: whole(1, 2 ** 30 - 1),
  newTorrentsPerMinute: whole(0, 2 ** 20 - 1),
  evictionsPerMinute: whole(0, 2 ** 20 - 1),
  peersPerAddressMax: whole(0, 2 ** 20 - 1),
  peersPerTorrentMax: whole(1, 2 ** 26),
  connectionMinutes: whole(1, 16),
  connectionKeyFile: text,
  trustedProxies: texts,
  httpLimits: (value, name) => checkKeys(value, name, HTTP_LIMITS),
  allowList: text,
  denyList: text,
  keysFile: text,
  tokenFile: text,
  downloadsFile: text,
  redis: text,
  redisLogMib: whole(1, 65_536),
  user: text,
  group: text,
};

/** Reads a configuration. Throws UsageError, which names `file` and the key. */
export function parseTrackerConfig(json: string, file: string): TrackerConfig {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new UsageError("USAGE_OPTION", `${file} is no JSON: ${messageOf(error)}`, { cause: error });
  }
  return checkKeys(value, file, KEYS);
}

/** An object that has these keys only, each as its check takes it. */
function checkKeys<Config extends object>(
  value: unknown,
  name: string,
  checks: Readonly<Record<keyof Config & string, Check>>,
): Config {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw expected(name, "an object", value);
  const names = Object.keys(checks);
  for (const [key, each] of Object.entries(value)) {
    if (Object.hasOwn(checks, key)) checks[key as keyof Config & string](each, `${name}: ${key}`);
    else {
      const near = nearestWord(key, names);
      const hint = near === undefined ? `there are ${names.join(", ")}` : `did you mean ${near}?`;
      throw new UsageError("USAGE_OPTION", `${name}: unknown key "${key}": ${hint}`);
    }
  }
  return value as Config;
}

function expected(name: string, what: string, value: unknown): UsageError {
  return new UsageError("USAGE_OPTION", `${name}: expected ${what}, not ${JSON.stringify(value)}`);
}

/** The key of connection ids, from the text of its file: 32 hex digits. Throws UsageError, which does not repeat what stands there. */
export function parseConnectionKey(text: string, file: string): Uint32Array {
  const digits = text.trim();
  if (!/^[0-9a-f]{32}$/i.test(digits))
    throw new UsageError("USAGE_OPTION", `${file}: expected a key of 32 hex digits`);
  return Uint32Array.from({ length: 4 }, (_, word) =>
    Number.parseInt(digits.slice(8 * word, 8 * word + 8), 16),
  );
}

/** Longer lines are no entries, and no end of them is waited for. */
const LINE_LENGTH_MAX = 65_536;

/** A list as its file brings it, piece by piece: one entry in a line, "#" begins a comment. Throws UsageError, which names the line. */
export class ListReader {
  readonly #entries = new Set<string>();
  readonly #file: string;
  readonly #kind: keyof typeof ENTRY_KINDS;
  #line = 0;
  #rest = "";

  constructor(kind: keyof typeof ENTRY_KINDS, file: string) {
    this.#kind = kind;
    this.#file = file;
  }

  /** Takes in the next piece, cut wherever it is. Throws UsageError for a line that is no entry. */
  read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#take(line);
    if (this.#rest.length > LINE_LENGTH_MAX) throw this.#wrong(this.#line + 1);
  }

  /** What was read: info hashes are in lower case. */
  end(): Set<string> {
    this.#take(this.#rest);
    return this.#entries;
  }

  #take(line: string): void {
    this.#line++;
    const entry = line.replace(/#.*/, "").trim();
    if (entry === "") return;
    const { pattern } = ENTRY_KINDS[this.#kind];
    // What stands there is not repeated: it may be a secret, or a file that was never meant to be read.
    if (!pattern.test(entry)) throw this.#wrong(this.#line);
    this.#entries.add(this.#kind === "hash" ? entry.toLowerCase() : entry);
  }

  #wrong(line: number): UsageError {
    return new UsageError(
      "USAGE_OPTION",
      `${this.#file}, line ${line}: expected ${ENTRY_KINDS[this.#kind].what}`,
    );
  }
}

const ENTRY_KINDS = {
  hash: { pattern: /^[0-9a-f]{40}$/i, what: "an info hash of 40 hex digits" },
  key: { pattern: /^[\w-]{1,64}$/, what: 'a key of up to 64 letters, digits, "-" and "_"' },
} as const;

/** Info hashes in hex, one in a line; "#" begins a comment. Throws UsageError, which names the line. */
export function parseInfoHashList(lines: string, file: string): Set<string> {
  const reader = new ListReader("hash", file);
  reader.read(lines);
  return reader.end();
}

/** Keys, likewise: up to 64 letters, digits, "-" and "_". */
export function parseKeyList(lines: string, file: string): Set<string> {
  const reader = new ListReader("key", file);
  reader.read(lines);
  return reader.end();
}
