// What a program hands to a tracker is checked once, before anything is opened.
//
// Always: what is wrong is a UsageError, USAGE_OPTION, which names the option and what it may be.

import { check, checkOptions, type OptionsOf } from "../../base/option-check.js";
import { HTTP_LIMIT_OPTIONS } from "../../native/http-server.js";
import { PEER_STORE_OPTIONS } from "../peer-store/store-options.js";
import type { AdmissionRules } from "./admission.js";
import { CONNECTION_KEY_WORDS } from "./connection-ids.js";
import type { TrackerServiceOptions } from "./service.js";
import type { TrackerOptions } from "./tracker.js";
import { WORKERS_MAX } from "./worker-counters.js";

const INT32_MAX = 2 ** 31 - 1;
/** As many as fit a datagram of any length. */
const PEERS = { kind: "whole", min: 0, max: 10_000 } as const;

const TRACKER_OPTIONS = {
  udp: { kind: "listens", countMin: 0 },
  intervalSeconds: { kind: "whole", min: 1, max: 86_400 },
  peersDefault: PEERS,
  peersMax: PEERS,
  connectionKey: { kind: "words", length: CONNECTION_KEY_WORDS },
  connectionSlots: { kind: "whole", min: 1, max: 16 },
  store: { kind: "table", table: PEER_STORE_OPTIONS },
  swarms: { kind: "part", methods: ["hash", "announce", "scrape", "advance", "totals"], lists: [] },
  receiveBufferBytes: { kind: "whole", min: 0, max: INT32_MAX },
  reusePort: { kind: "flag" },
  descriptors: { kind: "wholes", min: 0, max: INT32_MAX },
} as const satisfies OptionsOf<TrackerOptions>;

const RULES = {
  allow: { kind: "set" },
  deny: { kind: "set" },
  keys: { kind: "set" },
} as const satisfies OptionsOf<AdmissionRules>;

const SERVICE_OPTIONS = {
  ...TRACKER_OPTIONS,
  workers: { kind: "whole", min: 1, max: WORKERS_MAX },
  http: { kind: "listens", countMin: 0 },
  httpLimits: { kind: "table", table: HTTP_LIMIT_OPTIONS },
  trustedProxies: { kind: "texts" },
  rules: { kind: "table", table: RULES },
  webSockets: { kind: "flag" },
  metrics: { kind: "address" },
  token: { kind: "text" },
  downloadsFile: { kind: "file" },
  redis: { kind: "text" },
  redisLogBytesMax: { kind: "whole", min: 1, max: Number.MAX_SAFE_INTEGER },
  onWarning: { kind: "callback" },
} as const satisfies OptionsOf<TrackerServiceOptions>;

/** Throws UsageError `USAGE_OPTION`. */
export function checkTrackerOptions(options: TrackerOptions): void {
  checkOptions(TRACKER_OPTIONS, options, "a tracker");
  checkUdp(options);
}

/** Those of them that are a tracker's of UDP. */
export function trackerOptionsOf(options: TrackerServiceOptions): TrackerOptions {
  const named = Object.entries(options).filter(([name]) => Object.hasOwn(TRACKER_OPTIONS, name));
  return { udp: options.udp, ...Object.fromEntries(named) };
}

/** Throws UsageError `USAGE_OPTION`. */
export function checkServiceOptions(options: TrackerServiceOptions): void {
  checkOptions(SERVICE_OPTIONS, options, "a tracker");
  checkUdp(options);
}

function checkUdp({ udp }: TrackerOptions): void {
  check(Array.isArray(udp), "udp is an array of addresses { host, port }, and empty for none", udp);
}

/** Throws UsageError `USAGE_OPTION`. */
export function checkRules(rules: AdmissionRules): void {
  checkOptions(RULES, rules, "rules");
}
