// The states of a connection and the ways between them. ARCHITECTURE.md draws the same table.
//
//   connecting ──▶ handshaking ──▶ open ──▶ closed
//        │               │                    ▲
//        └───────────────┴────────────────────┘
//
// Inside `open`, four flags say who chokes and who is interested (BEP 3); both sides start choking, not interested.

/**
 * connecting: an outgoing TCP connection is under way. handshaking: bytes may flow, the peer's handshake has not
 * come. open: both handshakes are done, the connection belongs to a torrent. closed: final.
 */
export type PeerState = "connecting" | "handshaking" | "open" | "closed";

export const PEER_TRANSITIONS: Readonly<Record<PeerState, readonly PeerState[]>> = {
  connecting: ["handshaking", "closed"],
  handshaking: ["open", "closed"],
  open: ["closed"],
  closed: [],
};
