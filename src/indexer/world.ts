// What an indexer stands on, of this machine: one loop and one addon for peers, and the DHT's own.

import { systemDhtWorld } from "../dht/world.js";
import { systemWorld } from "../native/world.js";
import type { IndexerWorld } from "./options.js";

/** Throws UsageError `ADDON_MISSING`. */
export function systemIndexerWorld(): IndexerWorld {
  return { peers: systemWorld(), dht: systemDhtWorld() };
}
