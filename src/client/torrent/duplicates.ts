// Two connections with one peer: which one stays. Both sides decide without asking each other, and must decide the same.
//
//   begun from both sides at once   the one that the greater peer id began, as both know who began which
//   an older one stands             it stays, and the newcomer goes
//
// A peer id is what a stranger says it is. Whoever claims the id of a peer that we reached at its own address must not keep us from
// it: a connection that we made wins over an older one that came from another address.
//
// Always: of two connections exactly one stays.

/** Connections begun so close together may have crossed. More than a connection takes to stand, even by a bad line. */
export const CROSSING_MS = 10_000;

export interface PeerLink {
  readonly host: string;
  readonly incoming: boolean;
  /** When it was begun or accepted. */
  readonly sinceMs: number;
}

/** True if `newcomer` stays and `other`, which stands already, goes. `ours`, `theirs`: the peer ids, which differ. */
export function newcomerStays(
  newcomer: PeerLink,
  other: PeerLink,
  ours: Uint8Array,
  theirs: Uint8Array,
  nowMs: number,
): boolean {
  if (newcomer.incoming === other.incoming) return false;
  if (nowMs - other.sinceMs >= CROSSING_MS) return !newcomer.incoming && newcomer.host !== other.host;
  const oursStays = Buffer.compare(ours, theirs) > 0;
  return newcomer.incoming !== oursStays;
}
