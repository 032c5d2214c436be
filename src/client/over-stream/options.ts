// What PeerConnection.overStream() is told: types for programs, and the table that what comes is held against.

import type { Metainfo } from "../metainfo/types.js";
import type { OptionTable } from "../option-table.js";
import type { ReadBlock } from "./program-source.js";

/** Options of PeerConnection.overStream(). */
export interface OverStreamOptions {
  /** The torrent. Without it pieces can be neither asked for nor served, and `infoHash` is needed: enough for extensions (BEP 10). */
  readonly metainfo?: Metainfo;
  /** 20 bytes; that of the metainfo by default. */
  readonly infoHash?: Uint8Array;
  /** The other side speaks first. False by default. */
  readonly incoming?: boolean;
  /** 20 bytes: who we say we are. By default made for this connection. */
  readonly peerId?: Uint8Array;
  /** Indices of pieces that are here, verified. They are announced, and served by `read`. None by default. */
  readonly have?: readonly number[];
  /** All pieces are here: instead of `have`. */
  readonly haveAll?: boolean;
  /**
   * Gives the `length` bytes (16 KiB at the most) at `begin` of a piece that is here, at once or later. The bytes are copied. What it throws,
   * or rejects with, refuses the request. Needed with `have`, `haveAll` and announce().
   */
  readonly read?: ReadBlock;
  /** The peer has a piece more; with −1 it has told all that it has. Called when the turn of the loop is over. */
  readonly onHave?: (piece: number) => void;
  /** Milliseconds that the connection and the handshake may take; 10,000 by default. */
  readonly handshakeTimeoutMs?: number;
  /** Milliseconds that the peer may leave a request unanswered, before it is asked for again; 20,000 by default. */
  readonly requestTimeoutMs?: number;
  /** Milliseconds that the peer may be silent; 150,000 by default. */
  readonly idleTimeoutMs?: number;
  /** Milliseconds that the peer may take nothing of what waits for it; 30,000 by default. */
  readonly sendTimeoutMs?: number;
  /** Ends the connection as close() does. */
  readonly signal?: AbortSignal;
}

const DAY_MS = 86_400_000;
const PIECE_INDEX_MAX = 2 ** 31 - 1;
const timeout = (value: number, text: string) =>
  ({ kind: "whole", min: 1, max: DAY_MS, unit: "ms", default: value, text }) as const;

/** The texts are those above. */
export const OVER_STREAM_OPTIONS = {
  metainfo: { kind: "part", type: "Metainfo", methods: [], lists: ["files"], text: "" },
  infoHash: { kind: "bytes", length: 20, text: "" },
  incoming: { kind: "flag", default: false, text: "" },
  peerId: { kind: "bytes", length: 20, text: "" },
  have: { kind: "wholes", min: 0, max: PIECE_INDEX_MAX, text: "" },
  haveAll: { kind: "flag", default: false, text: "" },
  read: { kind: "callback", type: "ReadBlock", text: "" },
  onHave: { kind: "callback", type: "(piece: number) => void", text: "" },
  handshakeTimeoutMs: timeout(10_000, ""),
  requestTimeoutMs: timeout(20_000, ""),
  idleTimeoutMs: timeout(150_000, ""),
  sendTimeoutMs: timeout(30_000, ""),
  signal: { kind: "signal", text: "" },
} as const satisfies OptionTable & Readonly<Record<keyof OverStreamOptions, unknown>>;
