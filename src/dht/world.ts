// What a DHT stands on, of this machine: a loop of its own for its datagrams.

import { SYSTEM_GROUND } from "../base/ground.js";
import { loadBinding } from "../native/binding.js";
import { SystemDatagrams } from "../native/datagrams.js";
import { Reactor } from "../native/reactor.js";
import type { DhtWorld } from "./options.js";

const SLAB_BYTES = 4096;

/** Throws UsageError `ADDON_MISSING`. */
export function systemDhtWorld(): DhtWorld {
  loadBinding();
  const reactor = new Reactor(SLAB_BYTES);
  return {
    datagrams: new SystemDatagrams(reactor),
    ground: SYSTEM_GROUND,
    soon: queueMicrotask,
    close: () => reactor.close(),
  };
}
