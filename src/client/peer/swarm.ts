// What a connection asks of the torrent it belongs to. The connection keeps the protocol; the torrent decides what is
// wanted, what is had, and who is served. Torrent implements it; tests hand in their own.

import type { PeerError, StorageError } from "../../base/errors.js";
import type { BlockIndex, NO_SLOT, PieceIndex, SlotIndex } from "../../base/ids.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { RateControl, RateLimits } from "../../base/rate-limit.js";
import type { ExtensionTable } from "../extensions/extension.js";
import type { SlotShare } from "../memory/slot-share.js";
import type { UploadPlace } from "../send/sender.js";
import type { Layout } from "../storage/layout.js";
import type { PeerConnection } from "./peer-connection.js";

export interface Swarm {
  readonly infoHash: Uint8Array;
  /** The info dictionary as it stands in the torrent file, which peers may have of us; undefined while it is not known. */
  readonly info: Uint8Array | undefined;
  /**
   * Undefined while nobody knows how many pieces there are, or what of them is here: then nothing is announced and nothing asked for,
   * and what the peer announces waits with its connection until layoutKnown().
   */
  readonly layout: Layout | undefined;
  /** There once the layout is: a connection asks for it once, so that nothing stands between it and what it calls for each block. */
  readonly blocks: SwarmBlocks | undefined;
  /** We want nothing of anybody, whether or not we have everything (BEP 21). */
  readonly isUploadOnly: boolean;
  /** Pieces that we have, verified. */
  readonly have: PieceSet;
  /** Peers are not told of these when they come, but of some later, by PeerConnection.reveal() (BEP 16). */
  readonly hidesPieces?: boolean;
  /** Asked for once there is a layout. */
  readonly uploadPlace: UploadPlace;
  /** Where our node of the DHT receives, which peers may be told (BEP 5); 0: there is none, or the torrent is not the DHT's business. */
  readonly dhtPort: number;
  /** What limits its connections: the session's limits are here, and the torrent's own. */
  readonly rateControl: RateControl;
  readonly rateLimits: RateLimits;
  /** What we offer beyond the protocol (BEP 10). */
  readonly extensions: ExtensionTable<PeerConnection>;
  /** Pieces that we have, and that those who are here will be told of together. */
  readonly announcementsWaiting: number;

  /**
   * The bytes of the info dictionary, from whomever. False for those of another torrent, and when it is known: then nothing changes.
   * If they have the right hash and are no torrent that can be used, the torrent fails, since no others will come.
   */
  metadataArrived(info: Uint8Array): boolean;

  /** Throws PeerError to refuse: banned, a duplicate, too many. Called when both handshakes are known to fit. */
  admit(peer: PeerConnection): void;
  peerOpened(peer: PeerConnection): void;
  /** A peer told the port of its node of the DHT (BEP 5). */
  dhtNodeTold(host: string, port: number): void;
  /** An incoming peer told the port at which it accepts connections (BEP 10 `p`): `peer.listenPort`. */
  peerListens(peer: PeerConnection): void;
  /** The connection ended. Its requests were given back through requestDropped before. */
  peerClosed(peer: PeerConnection, error: PeerError | undefined): void;

  /** The peer announced its pieces (once), or one piece more; `piece` −1 means all of them at once. */
  peerAnnounced(peer: PeerConnection, piece: number): void;
  /** The peer does not serve a piece that it announced. */
  peerWithdrew(peer: PeerConnection, piece: number): void;
  /** True if the peer has something that we miss. */
  isInteresting(peer: PeerConnection): boolean;
  /** True if we miss the piece: whoever has it is interesting. */
  isMissing(piece: number): boolean;
  peerInterestChanged(peer: PeerConnection): void;
  /** False: earlier connections of its network were sent so many bytes that a peer is given nothing while it is choked. */
  givesFreely?(peer: PeerConnection, bytes: number): boolean;

  /** A block of a piece went to a peer that is told of our pieces one by one. */
  blockSent?(peer: PeerConnection, piece: number, length: number): void;
  uploadFailed(peer: PeerConnection, error: StorageError): void;
  /** Nothing can be received into the place of a block, or be sent from its mapping. */
  storageFaulted(error: StorageError): void;
  uploadFaulted(error: StorageError): void;
}

/** What is asked of a peer, and where it goes: called for each block. */
export interface SwarmBlocks {
  readonly layout: Layout;
  /** True if blocks may be received into their files; else landingAddress() is not worth a call. The same for good. */
  readonly landsDirectly: boolean;
  /** Where the torrent's storage may have but a part of the pool in its hands; without it all. */
  readonly slotShare?: SlotShare;
  /** Writes up to `count` pairs (piece, block) to request from the peer into `out`; returns how many. */
  pick(peer: PeerConnection, count: number, out: Int32Array): number;
  requestDropped(piece: PieceIndex, block: BlockIndex): void;
  /** True if the block is missing and may come of this peer. */
  wantsBlock(peer: PeerConnection, piece: PieceIndex, block: BlockIndex): boolean;
  /** Where the block may be received to directly, or −1. */
  landingAddress(piece: PieceIndex, begin: number, length: number): number;
  /** The block lies at `address`; the torrent owns `slot` now. */
  blockReceived(
    peer: PeerConnection,
    piece: PieceIndex,
    block: BlockIndex,
    address: number,
    slot: SlotIndex | typeof NO_SLOT,
  ): void;
}

/** The piece of pair `index` that pick() wrote. */
export function pickedPiece(out: Int32Array, index: number): PieceIndex {
  return out[2 * index] as PieceIndex;
}

/** The block of pair `index` that pick() wrote. */
export function pickedBlock(out: Int32Array, index: number): BlockIndex {
  return out[2 * index + 1] as BlockIndex;
}

/** Finds the torrent for a handshake that comes in. */
export interface SwarmDirectory {
  findSwarm(infoHash: Uint8Array): Swarm | undefined;
  readonly peerId: Uint8Array;
  /** The port at which a peer at `host` reaches us, 0 for none: told in the extension handshake (BEP 10 `p`). */
  listenPortFor(host: string): number;
}
