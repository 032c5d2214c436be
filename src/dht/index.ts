// The public API of the DHT (`scatterwire/dht`): re-exports only.

export type { BoundCounters } from "./bound-counters.js";
export { Dht } from "./dht.js";
export type {
  AnnounceOptions,
  DhtEvents,
  DhtOptions,
  DhtScrape,
  DhtStats,
  LookupOptions,
  SampledNode,
  SampleOptions,
  Samples,
} from "./options.js";
export type { HashListener } from "./responder.js";
export type { SamplerCounters } from "./sampler.js";
export type { NodeCounters } from "./virtual-node.js";
