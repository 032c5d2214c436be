// How often what bounds others held: one counter for each row of docs/dht.md's table of what others can do, as far as no other counts it.
//
// Always: counting is an addition to a number that is there; nothing is allocated.

/** How often a bound held against others, since the node was made: docs/dht.md says which of them is against whom. */
export interface BoundCounters {
  /** Queries of ours that nobody answered within 10 s: to nodes that were named and are not there, among others. */
  unanswered: number;
  /** Of those, queries while nobody at all answered: no node was dropped for them. */
  excused: number;
  /** Answers of nodes that have another id than was known: by now, so that they lost their places, or than somebody said who named them. */
  idsChanged: number;
  /** Nodes that got no place in the table, since somebody in it has their id. */
  idsTaken: number;
  /** Nodes that got no place in the table, or no turn in a lookup, since enough others have their address or are in their network. */
  networkFull: number;
  /** Places that went to a node whose id belongs to its address (BEP 42), though one whose id does not is quicker. */
  insecurePassedOver: number;
  /** Queries whose askers were not looked at, to be asked back, since enough of them waited. */
  strangersLeftOut: number;
  /** Lookups that took all queries, or all the time, that one may take. */
  lookupsCut: number;
  /** Nodes of an answer behind the first 16: lookups do not look at them. */
  namesTooMany: number;
  /** Nodes nearer to a hash than chance puts any, beyond the 8 that a lookup asks. */
  namesTooNear: number;
  /** Nodes that were only named, and whose address had got enough queries: a lookup did not wait for them any longer. */
  heldGivenUp: number;
  /** Nodes to begin with that made room for others, or had none. */
  entrancesForgotten: number;
  /** Answers that say that we are elsewhere than most say. */
  addressesDisputed: number;
  /** Announces with a token that is another's, too old, or made up. */
  tokensRefused: number;
  /** Torrents that others announced and that are not kept: their address had brought enough new ones, or memory was short. */
  torrentsRefused: number;
  /** Torrents that were kept, and made room for others. */
  torrentsEvicted: number;
  /** Torrents whose filters for scrapes (BEP 33) made room for others'. */
  filtersReplaced: number;
}

export function makeBoundCounters(): BoundCounters {
  return {
    unanswered: 0,
    excused: 0,
    idsChanged: 0,
    idsTaken: 0,
    networkFull: 0,
    insecurePassedOver: 0,
    strangersLeftOut: 0,
    lookupsCut: 0,
    namesTooMany: 0,
    namesTooNear: 0,
    heldGivenUp: 0,
    entrancesForgotten: 0,
    addressesDisputed: 0,
    tokensRefused: 0,
    torrentsRefused: 0,
    torrentsEvicted: 0,
    filtersReplaced: 0,
  };
}
