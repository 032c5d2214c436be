// What a torrent's content needs of the torrent.

import type { BlockLease, TorrentEvents, TorrentOptions } from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Attribution, PeerRecord } from "./attribution.js";
import type { EngineRoom } from "./engine-room.js";

export interface ContentHost {
  readonly room: EngineRoom;
  readonly options: TorrentOptions;
  /** Who takes the blocks of verified pieces, if not the option onBlock. */
  readonly onBlock: ((lease: BlockLease) => void) | undefined;
  readonly attribution: Attribution;
  /** Those that are here. */
  readonly peers: ReadonlySet<PeerConnection>;
  /** Failed or closed: what still comes is of no use. */
  readonly isOver: boolean;
  recordOf(peer: PeerConnection): PeerRecord | undefined;
  /** Tells listeners, when the turn is over. */
  tell<Name extends keyof TorrentEvents>(name: Name, ...args: TorrentEvents[Name]): void;
  warn(text: string): void;
  ban(record: PeerRecord, piece: number): void;
  /** What the magnet says is wanted: indices of files (BEP 53). */
  readonly selectOnly: readonly number[] | undefined;
  /** A piece more is verified, and none that is wanted is missing. */
  gotAll(): void;
  /** The piece is verified and told of: who waits for it may read it. */
  pieceHere(piece: number): void;
  /** The torrent cannot go on. */
  fail(error: Error): void;
  /** Something threw where nobody waits for it. */
  broke(error: unknown): void;
  /** A slot that a caller held is free. */
  leaseReleased(): void;
}
