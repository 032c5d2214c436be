// The numbers of a DHT, put together from its parts when they are asked for.

import type { PeerStore } from "../tracker/peer-store/peer-store.js";
import { type BoundCounters, makeBoundCounters } from "./bound-counters.js";
import type { Family } from "./contact.js";
import type { DhtStats } from "./options.js";
import type { Overlay } from "./overlay.js";
import type { Responder } from "./responder.js";
import { makeSamplerCounters, type SamplerCounters } from "./sampler.js";
import { makeNodeCounters, type NodeCounters } from "./virtual-node.js";

/** New objects each time. `responder`: undefined where there is none, for nothing could be bound. */
export function statsOf(
  overlays: ReadonlyMap<Family, Overlay>,
  responder: Responder | undefined,
  peers: Pick<PeerStore, "totals" | "counters">,
): DhtStats {
  const totals = peers.totals();
  const stats = { contacts: 0, lookups: 0, lookupsUnderWay: 0, lookupsSearching: 0, queriesUnderWay: 0 };
  const counters = makeNodeCounters();
  const sampling = makeSamplerCounters();
  const bounds = makeBoundCounters();
  for (const overlay of overlays.values()) {
    stats.contacts += overlay.table.count;
    stats.lookups += overlay.lookups;
    stats.lookupsUnderWay += overlay.lookupsUnderWay;
    stats.lookupsSearching += overlay.lookupsSearching;
    stats.queriesUnderWay += overlay.callsUnderWay;
    addCounters(sampling, overlay.sampling);
    addCounters(bounds, overlay.bounds);
    for (const node of overlay.nodes) addCounters(counters, node.counters);
  }
  const { torrentsOverBudget, torrentsRefused, torrentsEvicted } = peers.counters;
  bounds.torrentsRefused = torrentsOverBudget + torrentsRefused;
  bounds.torrentsEvicted = torrentsEvicted;
  bounds.tokensRefused = responder?.tokensRefused ?? 0;
  bounds.filtersReplaced = responder?.filtersReplaced ?? 0;
  return {
    ...stats,
    torrentsKept: totals.torrents,
    peersKept: totals.peersV4 + totals.peersV6,
    counters,
    bounds,
    sampling,
    announcesRefused: responder?.announcesRefused ?? 0,
    externalAddress: overlays.get(4)?.externalAddress.host ?? overlays.get(6)?.externalAddress.host,
  };
}

function addCounters<Counters extends NodeCounters | SamplerCounters | BoundCounters>(
  to: Counters,
  from: Counters,
): void {
  for (const key of Object.keys(to) as (keyof Counters & string)[])
    to[key] = ((to[key] as number) + (from[key] as number)) as Counters[typeof key];
}
