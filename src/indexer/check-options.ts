// What a program hands to an indexer and to its face over HTTP is checked once, before anything is opened.
//
// Always: what is wrong is a UsageError, USAGE_OPTION, which names the option and what it may be.

import { UsageError } from "../base/errors.js";
import { checkOptions, type OptionsOf } from "../base/option-check.js";
import { DHT_OPTIONS } from "../dht/check-options.js";
import { HTTP_LIMIT_OPTIONS } from "../native/http-server.js";
import type { IndexerOptions } from "./options.js";
import type { Retention } from "./store/store.js";
import type { IndexFaceOptions } from "./web/index-face.js";

/** However often a hash has failed, it is tried again after so long. */
export const RETRY_MS_MAX = 7 * 24 * 3_600_000;

const FLAG = { kind: "flag" } as const;
const COUNT = { kind: "whole", min: 0, max: Number.MAX_SAFE_INTEGER } as const;
const STORE = {
  kind: "part",
  methods: ["see", "claim", "finish", "search"],
  lists: [],
} as const;
const { hashes: _hashes, inject: _inject, ...NODE_OPTIONS } = DHT_OPTIONS;

const RETENTION = {
  torrentsMax: COUNT,
  storeBytesMax: COUNT,
  ageMsMax: COUNT,
  hashesMax: COUNT,
  settledMax: COUNT,
} as const satisfies OptionsOf<Retention>;

const INDEXER_OPTIONS = {
  store: STORE,
  dht: { kind: "table", table: NODE_OPTIONS },
  listen: { kind: "address" },
  owner: { kind: "text" },
  lookupsMax: { kind: "whole", min: 1, max: 10_000 },
  lookupsPerSecond: { kind: "number", above: 0 },
  connectionsMax: { kind: "whole", min: 1, max: 65_536 },
  infoBytesMax: { kind: "whole", min: 1024, max: 32 * 2 ** 20 },
  leaseMs: { kind: "whole", min: 1000, max: 24 * 3_600_000 },
  retryMs: { kind: "whole", min: 1000, max: RETRY_MS_MAX },
  collects: FLAG,
  samples: FLAG,
  keepsPrivate: FLAG,
  retention: { kind: "table", table: RETENTION },
} as const satisfies OptionsOf<IndexerOptions>;

const FACE_OPTIONS = {
  store: STORE,
  listen: { kind: "address" },
  token: { kind: "text" },
  status: { kind: "callback" },
  trustedProxies: { kind: "texts" },
  limits: { kind: "table", table: HTTP_LIMIT_OPTIONS },
} as const satisfies OptionsOf<IndexFaceOptions>;

/** Throws UsageError `USAGE_OPTION`. */
export function checkIndexerOptions(options: IndexerOptions): void {
  checkOptions(INDEXER_OPTIONS, options, "an indexer");
  const { store, owner } = options;
  if (store === undefined)
    throw new UsageError("USAGE_OPTION", "an indexer needs a store: what openStore() resolves to");
  if (owner !== undefined && (owner === "" || owner.length > 200))
    throw new UsageError("USAGE_OPTION", "owner is a text of 1 to 200 characters");
}

/** Throws UsageError `USAGE_OPTION`. */
export function checkFaceOptions(options: IndexFaceOptions): void {
  checkOptions(FACE_OPTIONS, options, "an index over HTTP");
  for (const name of ["store", "listen"] as const)
    if (options[name] === undefined) throw new UsageError("USAGE_OPTION", `an index over HTTP needs ${name}`);
}
