// A torrent of one peer, as its connection sees it: what the program wants is missing, what it has is served to that peer whenever it
// wants something, and nothing else is known of the torrent.
//
// Always: it serves while the peer is interested, since nobody else waits for a slot.

import { SYSTEM_GROUND } from "../../base/ground.js";
import type { PieceSet } from "../../base/piece-set.js";
import { RateControl, RateLimits } from "../../base/rate-limit.js";
import { ExtensionTable } from "../extensions/extension.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Swarm } from "../peer/swarm.js";
import type { UploadPlace } from "../send/sender.js";
import type { Layout } from "../storage/layout.js";
import type { WantedPieces } from "./wanted-pieces.js";

export interface LoneSwarmOptions {
  readonly infoHash: Uint8Array;
  /** Undefined where the program knows no more than the info hash. */
  readonly wanted: WantedPieces | undefined;
  readonly have: PieceSet;
  readonly uploadPlace: UploadPlace;
  /** The peer has a piece more, or (−1) has told what it has. */
  readonly announced: (piece: number) => void;
}

export class LoneSwarm implements Swarm {
  readonly infoHash: Uint8Array;
  /** Metadata is the program's business: what it wants of it, it brings as an extension. */
  readonly info = undefined;
  readonly layout: Layout | undefined;
  readonly blocks: WantedPieces | undefined;
  readonly have: PieceSet;
  readonly uploadPlace: UploadPlace;
  readonly dhtPort = 0;
  readonly announcementsWaiting = 0;
  /** Nobody shares this connection's way: whoever wants less of it reads less of the stream. */
  readonly rateControl = new RateControl(SYSTEM_GROUND);
  readonly rateLimits = new RateLimits();
  readonly extensions = new ExtensionTable<PeerConnection>([]);
  readonly #announced: (piece: number) => void;

  constructor(options: LoneSwarmOptions) {
    this.infoHash = options.infoHash;
    this.layout = options.wanted?.layout;
    this.blocks = options.wanted;
    this.have = options.have;
    this.uploadPlace = options.uploadPlace;
    this.#announced = options.announced;
  }

  /** It wants something as long as the program asks for something. */
  get isUploadOnly(): boolean {
    return this.layout !== undefined && this.have.isFull;
  }

  metadataArrived(): boolean {
    return false;
  }

  /** Whoever speaks for the info hash is the one peer that there is. */
  admit(): void {}

  peerOpened(): void {}

  dhtNodeTold(): void {}

  peerListens(): void {}

  peerClosed(): void {}

  peerAnnounced(_peer: PeerConnection, piece: number): void {
    this.#announced(piece);
  }

  peerWithdrew(peer: PeerConnection, piece: number): void {
    peer.pieces.delete(piece);
  }

  isInteresting(peer: PeerConnection): boolean {
    return this.blocks?.areAt(peer) === true;
  }

  isMissing(piece: number): boolean {
    return this.blocks?.has(piece) === true;
  }

  peerInterestChanged(peer: PeerConnection): void {
    if (peer.peerInterested) peer.unchoke();
    else peer.choke();
  }

  /** The peer was refused what the program could not give; why, the program knows. */
  uploadFailed(): void {}

  /** Nothing here is received into files, or sent from them. */
  storageFaulted(): void {}

  uploadFaulted(): void {}
}
