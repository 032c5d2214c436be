// What a store of peers may be told, with ranges.

import type { OptionsOf } from "../../base/option-check.js";
import type { PeerStoreOptions } from "./peer-store.js";

const PER_MINUTE = { kind: "whole", min: 0, max: 2 ** 20 - 1 } as const;

export const PEER_STORE_OPTIONS = {
  bytesMax: { kind: "whole", min: 2 ** 20, max: 2 ** 53 },
  torrentsMax: { kind: "whole", min: 1, max: 2 ** 30 - 1 },
  peersPerTorrentMax: { kind: "whole", min: 1, max: 2 ** 31 },
  lifetimeMs: { kind: "whole", min: 1000, max: 2 ** 40 },
  collectMs: { kind: "whole", min: 1, max: 2 ** 40 },
  newTorrentsPerMinute: PER_MINUTE,
  evictionsPerMinute: PER_MINUTE,
  peersPerAddressMax: PER_MINUTE,
  key: { kind: "words", length: 4 },
  random: { kind: "callback" },
  reserve: { kind: "callback" },
  release: { kind: "callback" },
  prefetch: { kind: "callback" },
  populate: { kind: "callback" },
  part: { kind: "part", methods: [], lists: [] },
} as const satisfies OptionsOf<PeerStoreOptions>;
