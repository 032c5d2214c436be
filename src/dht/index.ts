// The public API of the DHT (`scatterwire/dht`): re-exports only.

export { Dht } from "./dht.js";
export type { AnnounceOptions, DhtOptions, DhtStats, LookupOptions } from "./options.js";
export type { HashListener } from "./responder.js";
export type { NodeCounters } from "./virtual-node.js";
