// The public API of the DHT (`scatterwire/dht`): re-exports only.

export { type AnnounceOptions, Dht, type DhtOptions, type DhtStats, type LookupOptions } from "./dht.js";
export type { HashListener } from "./responder.js";
export type { NodeCounters } from "./virtual-node.js";
