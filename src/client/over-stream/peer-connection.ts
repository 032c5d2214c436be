// A connection over any stream of bytes, in the hands of a program that has no session: the wire's state machine, and the program as its
// torrent. It needs no addon: memory is an ordinary array, blocks are received in contiguous mode, and Node.js moves the bytes.
//
// Always: the connection ends once, and all that waits for it is told; the stream is the connection's until then, and is ended with it.

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { assert } from "../../base/assert.js";
import { PeerError, UsageError } from "../../base/errors.js";
import { type Ground, SYSTEM_GROUND, type Timer } from "../../base/ground.js";
import { KIB, PLAN_ENTRIES_MAX, POOL_BYTES_MIN } from "../../base/limits.js";
import { checkOptions } from "../../base/option-check.js";
import { PieceSet } from "../../base/piece-set.js";
import { UserCalls } from "../../base/user-calls.js";
import { CLIENT_NAME } from "../../base/version.js";
import { checkStream } from "../check-options.js";
import { ExtensionWire, type PeerExtensionClass } from "../extensions/extension-wire.js";
import { Memory } from "../memory/memory.js";
import type { PeerAddress, PeerInfo } from "../options.js";
import { PeerConnection as WireConnection } from "../peer/peer-connection.js";
import type { PeerSettings } from "../peer/peer-options.js";
import { ReceivePlan } from "../receive/receive-plan.js";
import { Layout } from "../storage/layout.js";
import { NullStorage } from "../storage/null-storage.js";
import { DuplexStream } from "../stream/duplex-stream.js";
import { LoopRounds } from "../stream/rounds.js";
import { StreamPump } from "../stream/stream-pump.js";
import { describePeer } from "../torrent/peer-info.js";
import { makePeerId } from "../wire/handshake.js";
import { LoneSwarm } from "./lone-swarm.js";
import { OVER_STREAM_OPTIONS, type OverStreamOptions } from "./options.js";
import { ProgramSource, type ReadBlock } from "./program-source.js";
import { type PieceWaiter, WantedPieces } from "./wanted-pieces.js";

/** Of ordinary memory, and of it what one receive brings at the most: what is not touched costs nothing. */
const SLAB_BYTES = POOL_BYTES_MIN;
const BUFFER_BYTES = 64 * KIB;
/** 4 MiB: what a stream is worth that keeps as much under way. */
const REQUESTS_MAX = 256;
const TICK_MS = 1000;

/** The parts of one connection, which are made before the object that a program sees. */
interface Parts {
  readonly wire: WireConnection;
  readonly swarm: LoneSwarm;
  readonly userCalls: UserCalls;
  readonly canServe: boolean;
  readonly address: () => PeerAddress;
  readonly opened: Promise<void>;
  readonly closed: Promise<PeerError | undefined>;
}

/**
 * A peer, spoken to over any Duplex of node:stream that carries bytes both ways in order: a socket, TLS, a WebRTC data channel, uTP. It
 * belongs to no session, and works where the native addon cannot be built. Made by {@link PeerConnection.overStream}.
 */
export class PeerConnection extends ExtensionWire {
  /** Resolves when both handshakes are done; rejects with the PeerError that ended the connection before. */
  readonly opened: Promise<void>;
  /** Resolves when the connection is over: with the PeerError that ended it, or undefined after close(). */
  readonly closed: Promise<PeerError | undefined>;
  readonly #wire: WireConnection;
  readonly #swarm: LoneSwarm;
  readonly #canServe: boolean;
  readonly #address: () => PeerAddress;

  private constructor(parts: Parts) {
    super(parts.wire, parts.userCalls);
    this.#wire = parts.wire;
    this.#swarm = parts.swarm;
    this.#canServe = parts.canServe;
    this.#address = parts.address;
    this.opened = parts.opened;
    this.closed = parts.closed;
  }

  /**
   * Speaks the peer wire protocol (BEP 3, 6, 10) over a stream, which is the connection's from here on and is ended with it. Throws UsageError
   * `USAGE_OPTION`. Never needs the native addon. What the peer does wrong ends the connection with a PeerError; what the stream says of
   * its errors is PEER_SOCKET, or PEER_CONNECT_FAILED for a socket that could not connect.
   */
  static overStream(duplex: Duplex, options: OverStreamOptions): PeerConnection {
    return new PeerConnection(makeParts(duplex, options));
  }

  /** Where the stream leads, as far as it says so (`remoteAddress` and `remotePort` of sockets); else "stream" and 0. */
  get address(): PeerAddress {
    return this.#address();
  }

  /** True if the other side speaks first. */
  get incoming(): boolean {
    return this.#wire.incoming;
  }

  /** Both handshakes are done, and it is not over. */
  get isOpen(): boolean {
    return this.#wire.isOpen;
  }

  /** Whether the peer announced the piece. */
  peerHas(piece: number): boolean {
    return this.#wire.hasPiece(piece);
  }

  /** Pieces that the peer announced. */
  get peerPieceCount(): number {
    return this.#wire.pieceCountKnown;
  }

  /**
   * Fetches a piece, whole, with its SHA-1 compared (BEP 3): its bytes are the program's. It may be asked for at any time, many at once: it
   * comes when the peer has it and lets us have it, in the order in which pieces were asked for. Rejects with the PeerError that ended the connection
   * (PEER_BAD_PIECE: with other bytes than it should have), with UsageError `USAGE_OPTION` for a piece that does not exist,
   * `USAGE_STATE` without a metainfo or after close(), `ABORTED` by the signal.
   */
  readPiece(piece: number, options: { readonly signal?: AbortSignal } = {}): Promise<Uint8Array> {
    const wanted = this.#swarm.blocks;
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (wanted === undefined)
        throw new UsageError(
          "USAGE_STATE",
          "a piece can be fetched where the option metainfo says what pieces there are",
        );
      if (wanted.layout.checkPiece(piece) === undefined)
        throw new UsageError("USAGE_OPTION", `a piece is 0 to ${wanted.layout.pieceCount - 1}, not ${piece}`);
      if (this.#wire.state === "closed") throw new UsageError("USAGE_STATE", "the connection is over");
      if (signal?.aborted) throw abortedBy(signal);
      const waiter: PieceWaiter = (bytes, error) => {
        signal?.removeEventListener("abort", abort);
        if (bytes === undefined) reject(error);
        else resolve(bytes);
      };
      const abort = (): void => {
        wanted.forget(piece, waiter);
        if (signal !== undefined) reject(abortedBy(signal));
      };
      signal?.addEventListener("abort", abort, { once: true });
      wanted.want(piece, waiter);
      this.#wire.wantedChanged();
    });
  }

  /**
   * The piece is here now, verified: the peer is told, and may have it of `read`. Throws UsageError `USAGE_OPTION` for one that does not exist,
   * `USAGE_STATE` without `read`.
   */
  announce(piece: number): void {
    const { layout, have } = this.#swarm;
    if (!this.#canServe || layout === undefined)
      throw new UsageError(
        "USAGE_STATE",
        "a piece can be announced where the options metainfo and read were given",
      );
    if (layout.checkPiece(piece) === undefined)
      throw new UsageError("USAGE_OPTION", `a piece is 0 to ${layout.pieceCount - 1}, not ${piece}`);
    if (have.add(piece)) this.#wire.announcePiece(piece);
  }

  /**
   * Adds an extension of the wire (BEP 10), by the contract of WebTorrent's bittorrent-protocol: a class whose prototype has a name,
   * constructed with the connection, with optional methods onHandshake, onExtendedHandshake and onMessage. It hears the handshakes that came
   * before. Throws UsageError `USAGE_STATE` before `opened` has resolved, `USAGE_OPTION` for what is no such class.
   */
  override use<Instance extends object>(Extension: PeerExtensionClass<Instance>): Instance {
    if (this.#wire.state === "connecting" || this.#wire.state === "handshaking")
      throw new UsageError("USAGE_STATE", "an extension is used when `opened` has resolved, and not before");
    return super.use(Extension);
  }

  /** What it is and does now; its counters so far. */
  info(): PeerInfo {
    return describePeer(this.#wire);
  }

  /** Ends the connection and its stream: what was said before still leaves. Idempotent. */
  close(): void {
    this.#wire.close();
  }
}

function makeParts(duplex: Duplex, options: OverStreamOptions): Parts {
  const given = checked(duplex, options);
  const { infoHash, wanted } = given;
  const ground: Ground = SYSTEM_GROUND;
  const rounds = new LoopRounds(ground);
  const plan = new ReceivePlan(new Float64Array(2 * PLAN_ENTRIES_MAX));
  const userCalls = new UserCalls();
  const { memory } = given;
  const swarm = new LoneSwarm({
    infoHash,
    wanted,
    have: given.have,
    uploadPlace: {
      storage: new NullStorage(memory.bytes),
      source: new ProgramSource(memory, given.read),
      offsetOf: (piece, begin) => (wanted?.layout.pieceOffset(piece) ?? 0) + begin,
    },
    announced: (piece) => {
      if (given.onHave !== undefined) userCalls.call(given.onHave, piece);
    },
  });
  const stream = new DuplexStream(duplex, { memory, plan: plan.entries, rounds, ground });
  const pump = new StreamPump({
    ...{ turns: rounds, memory, stream, eagain: stream.eagain },
    connecting: !given.incoming,
  });
  const opened = resolvers<void>();
  const closed = resolvers<PeerError | undefined>();
  // Whoever asks for neither is not to be ended by it.
  opened.promise.catch(() => {});
  // A socket knows where it leads once it is connected, and forgets it when it is destroyed.
  let address = addressOf(duplex);
  const wire = new WireConnection({
    ...{ ...address, memory, plan, clock: rounds, transport: pump, incoming: given.incoming },
    ...(given.incoming ? {} : { swarm }),
    directory: {
      findSwarm: (asked) => (Buffer.compare(asked, infoHash) === 0 ? swarm : undefined),
      peerId: given.peerId,
      listenPortFor: () => 0,
    },
    settings: given.settings,
    keeper: {
      peerOpened: () => {
        address = addressOf(duplex);
        opened.resolve();
      },
      peerClosed: (_wire, error) => {
        ticks.close();
        given.signal?.removeEventListener("abort", close);
        const reason = error ?? new PeerError("PEER_CLOSED", "the connection was closed");
        wanted?.fail(reason);
        opened.reject(reason);
        closed.resolve(error);
      },
    },
  });
  const close = (): void => wire.close();
  const ticks = everySecond(ground, rounds, wire, given.settings.handshakeTimeoutMs);
  given.signal?.addEventListener("abort", close, { once: true });
  pump.start(wire);
  if (given.signal?.aborted) close();
  return {
    ...{ wire, swarm, userCalls, canServe: given.canServe, address: () => address },
    ...{ opened: opened.promise, closed: closed.promise },
  };
}

function addressOf(duplex: Duplex): PeerAddress {
  const { remoteAddress: host = "stream", remotePort: port = 0 } = duplex as Partial<Socket>;
  return { host, port };
}

/** Time passes: about once a second. It keeps the program alive as long as the connection lasts, as a socket does. */
function everySecond(
  ground: Ground,
  rounds: LoopRounds,
  wire: WireConnection,
  connectTimeoutMs: number,
): Timer {
  let before = rounds.nowMs;
  const ticks = ground.every(TICK_MS, () => {
    rounds.passTime();
    const elapsed = rounds.nowMs - before;
    before = rounds.nowMs;
    if (wire.state === "connecting" && rounds.nowMs - wire.sinceMs > connectTimeoutMs)
      wire.close(new PeerError("PEER_TIMEOUT", "the stream was not connected in time"));
    else wire.tick(elapsed);
  });
  return ticks;
}

/** The options with their defaults, and what is made of them. Throws UsageError `USAGE_OPTION`. */
function checked(duplex: Duplex, options: OverStreamOptions) {
  checkStream(duplex);
  checkOptions(OVER_STREAM_OPTIONS, options, "a connection over a stream");
  const { metainfo, read, haveAll = false } = options;
  const infoHash = options.infoHash ?? metainfo?.infoHash;
  if (infoHash === undefined)
    throw new UsageError("USAGE_OPTION", "metainfo or infoHash says which torrent it is");
  if (metainfo === undefined && (haveAll || options.have !== undefined))
    throw new UsageError(
      "USAGE_OPTION",
      "have and haveAll need the option metainfo, which says what pieces there are",
    );
  if (read === undefined && (haveAll || (options.have?.length ?? 0) > 0))
    throw new UsageError(
      "USAGE_OPTION",
      "have and haveAll need the option read, which gives the bytes of those pieces",
    );
  const memory = new Memory(new Uint8Array(SLAB_BYTES), undefined, { bufferBytes: BUFFER_BYTES });
  const wanted =
    metainfo === undefined ? undefined : new WantedPieces(new Layout(metainfo), metainfo.pieces, memory);
  const pieceCount = wanted?.layout.pieceCount ?? 0;
  const have = new PieceSet(pieceCount);
  if (haveAll && pieceCount > 0) have.fill();
  for (const piece of options.have ?? []) {
    if (piece >= pieceCount)
      throw new UsageError("USAGE_OPTION", `have has pieces from 0 to ${pieceCount - 1}, not ${piece}`);
    have.add(piece);
  }
  const time = (name: keyof PeerTimes): number => options[name] ?? OVER_STREAM_OPTIONS[name].default;
  const settings: PeerSettings = {
    receiveMode: { name: "contiguous", depth: 1, contiguousWhenIdle: true },
    maxRequests: REQUESTS_MAX,
    handshakeTimeoutMs: time("handshakeTimeoutMs"),
    requestTimeoutMs: time("requestTimeoutMs"),
    idleTimeoutMs: time("idleTimeoutMs"),
    sendTimeoutMs: time("sendTimeoutMs"),
    clientName: CLIENT_NAME,
  };
  return {
    ...{ infoHash, memory, wanted, have, settings },
    incoming: options.incoming ?? false,
    peerId: options.peerId === undefined ? makePeerId() : Uint8Array.from(options.peerId),
    canServe: read !== undefined,
    read: read ?? nothingToRead,
    onHave: options.onHave,
    signal: options.signal,
  };
}

type PeerTimes = Pick<
  PeerSettings,
  "handshakeTimeoutMs" | "requestTimeoutMs" | "idleTimeoutMs" | "sendTimeoutMs"
>;

/** Never asked: nothing is here without the option. */
const nothingToRead: ReadBlock = () =>
  Promise.reject(new UsageError("USAGE_STATE", "nothing is read: the option read was not given"));

function abortedBy(signal: AbortSignal): UsageError {
  return new UsageError("ABORTED", "the signal ended it", { cause: signal.reason });
}

function resolvers<Value>(): {
  promise: Promise<Value>;
  resolve: (value: Value) => void;
  reject: (error: Error) => void;
} {
  let settle: Pick<ReturnType<typeof resolvers<Value>>, "resolve" | "reject"> | undefined;
  const promise = new Promise<Value>((resolve, reject) => {
    settle = { resolve, reject };
  });
  assert(settle !== undefined, "a promise calls its executor at once");
  return { promise, ...settle };
}
