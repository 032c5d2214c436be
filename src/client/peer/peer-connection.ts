// One connection to a peer: handshake, messages, choke and interest on both sides, the requests we made and those
// made of us. It knows no socket, no timer and no file: a transport hands it bytes and takes its bytes, tick() tells it
// that time passed, and a Swarm decides for the torrent. So tests drive it with bytes alone.
//
// The protocol's state machine is here, whole: one method per message, which is why the file is long: whoever asks what a
// message does in which state finds all of it in one place. What has a state of its own is apart: the requests
// that we made (block-requests), those made of us (peer-uploads), the bytes that come (receive/receiver).
//
// Always: whatever a peer sends ends in a handled message or in close(PeerError); after `closed` nothing is called any
// more.

import { assert } from "../../base/assert.js";
import { PeerError, StorageError } from "../../base/errors.js";
import type { SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE, HANDSHAKE_BYTES, PIECE_COUNT_MAX, REQUEST_QUEUE_ANNOUNCED } from "../../base/limits.js";
import { makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import type { TraceSink } from "../../base/metrics/trace.js";
import { PieceSet } from "../../base/piece-set.js";
import type { RateLimitChange, Throttle, ThrottleUser } from "../../base/rate-limit.js";
import type { Extension } from "../extensions/extension.js";
import type { WirePeer } from "../extensions/extension-wire.js";
import { PeerExtensions } from "../extensions/peer-extensions.js";
import type { Memory } from "../memory/memory.js";
import type { ExpectedBlocks } from "../receive/expected-blocks.js";
import { messageTooSlow } from "../receive/long-message.js";
import { makeReceiveMode, type ReceiveModeChoice } from "../receive/make-mode.js";
import type { NO_SLOT, ReceivePlan } from "../receive/receive-plan.js";
import { Receiver, type ReceiverHost } from "../receive/receiver.js";
import type { Sender, SendTransport } from "../send/sender.js";
import { dispatchMessage, type MessageHandler } from "../wire/decode.js";
import { decodeExtensionHandshake, encodeExtensionHandshake } from "../wire/extension.js";
import { checkHandshakePrefix, decodeHandshake, encodeHandshake } from "../wire/handshake.js";
import { MessageId } from "../wire/messages.js";
import { BlockRequests, OUTBOX_BYTES_MAX } from "./block-requests.js";
import { EarlyAnnouncements } from "./early-announcements.js";
import { PEER_TRANSITIONS, type PeerState } from "./peer-state.js";
import { PeerThrottles } from "./peer-throttles.js";
import { PeerUploads } from "./peer-uploads.js";
import { PeerWriter } from "./peer-writer.js";
import { RateMeter } from "./rate-meter.js";
import type { RequestPipeline } from "./request-pipeline.js";
import type { RequestShare } from "./request-share.js";
import type { Swarm, SwarmBlocks, SwarmDirectory } from "./swarm.js";

export interface PeerTransport extends SendTransport, ThrottleUser {
  /** Nothing came for a while: whatever comes next is to be told at once, however little it is. */
  wakeForAny(): void;
  /** What is received is limited from now on, or not any more. */
  setThrottle(throttle: Throttle | undefined): void;
  /** Bytes that were written and that the other side has not taken yet; below 0 where nobody knows. */
  unacknowledgedBytes(): number;
  /** Ends the connection below; the transport calls nothing any more. */
  close(): void;
}

/**
 * Whole milliseconds, monotonic, read once per turn: reading a clock per block would cost more than its framing, and a
 * fraction would cost memory wherever it is kept, because V8 keeps small integers without.
 */
export interface Clock {
  nowMs: number;
}

export interface PeerSettings {
  readonly receiveMode: ReceiveModeChoice;
  readonly maxRequests: number;
  /** What fast peers share; without it the connection has a share to itself. */
  readonly requestShare?: RequestShare;
  readonly handshakeTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** A peer that has taken nothing of what waits for it for so long is let go. */
  readonly sendTimeoutMs: number;
  /** The version text of the extension handshake. */
  readonly clientName: string;
}

export interface PeerOptions {
  readonly host: string;
  readonly port: number;
  readonly incoming: boolean;
  readonly transport: PeerTransport;
  readonly memory: Memory;
  readonly plan: ReceivePlan;
  readonly clock: Clock;
  readonly directory: SwarmDirectory;
  readonly settings: PeerSettings;
  /** The torrent of an outgoing connection. */
  readonly swarm?: Swarm;
  readonly trace?: TraceSink;
  /** Both handshakes are done; the connection is over. For whoever keeps the connections. */
  readonly onOpen?: () => void;
  readonly onClosed?: (error: PeerError | undefined) => void;
}

/** Pieces that a peer may name in allowed fast messages and that we remember. */
const ALLOWED_FAST_MAX = 64;
/** A peer for which so many times the bytes wait at which we stop to hear it is let go. */
const OUTBOX_CLOSES_FACTOR = 4;
/** Extension handshakes that are read between two ticks: a peer may say again what has changed, and each takes long to read. */
const EXTENSION_HANDSHAKES_PER_TICK = 8;
/** Pieces that a peer is told of one by one when the metadata came after it did: 36 KB of messages. */
const LATE_HAVES_MAX = 4096;
const KEEP_ALIVE_MS = 100_000;
/** When a peer has been silent for so long, its first byte wakes us again, and not only its first 128 KiB. */
const SILENT_MS = 500;
let connectionsMade = 0;

export class PeerConnection implements ReceiverHost, MessageHandler, WirePeer {
  /** Names the connection among all of this process. */
  readonly id = ++connectionsMade;
  readonly host: string;
  readonly port: number;
  readonly incoming: boolean;
  readonly counters: TransferCounters = makeCounters();
  readonly receiver: Receiver;
  /** What it asks of us; and the part of that which sends. */
  readonly uploads: PeerUploads;
  readonly sender: Sender;
  readonly write: PeerWriter;
  readonly requests: BlockRequests;
  readonly downloadMeter = new RateMeter();
  readonly uploadMeter = new RateMeter();
  readonly #transport: PeerTransport;
  readonly #clock: Clock;
  readonly #directory: SwarmDirectory;
  readonly #settings: PeerSettings;
  readonly #trace: TraceSink | undefined;

  #state: PeerState;
  #swarm: Swarm | undefined;
  #blocks: SwarmBlocks | undefined;
  landsDirectly = false;
  peerId: Uint8Array | undefined;
  clientName = "";
  /** What the peer's handshake offered: BEP 6, BEP 10 and BEP 5. */
  fast = false;
  extended = false;
  dht = false;
  /** What brought its address; for the public API. */
  source: string;
  /** The port at which the peer accepts connections, where known. */
  listenPort = 0;
  isUploadOnly = false;

  amInterested = false;
  peerChoking = true;
  peerInterested = false;

  #pieces: PieceSet | undefined;
  #piecesAnnounced = false;
  /** What it announces while nobody knows how many pieces there are. */
  #early: EarlyAnnouncements | undefined;
  /** Of the pieces that the swarm will announce next, those that our bitfield told it. */
  #announcementsKnown = 0;
  /** How many pieces the peer had when none of them was missing here; −1: some were. */
  #uninterestingPieces = -1;
  #allowedFast: Set<number> | undefined;
  #allowedFastLeft = ALLOWED_FAST_MAX;
  #extensionHandshakesLeft = EXTENSION_HANDSHAKES_PER_TICK;
  /** There once it is open, if the peer speaks the extension protocol. */
  #extensions: PeerExtensions<PeerConnection> | undefined;
  /** Our extension handshake is to be said again: what it tells has changed. */
  #handshakeDue = false;
  #drainAsked = false;
  /** There while a limit of its own, of the torrent or of the session holds it back, or did. */
  #throttles: PeerThrottles | undefined;
  /** What a program wants our extension handshake to tell besides. */
  #handshakeFields: Readonly<Record<string, unknown>> | undefined;
  /** Bytes of messages that may wait for the peer before we stop to hear it. */
  #outboxBytesMax = OUTBOX_BYTES_MAX;

  /** When the connection was begun or accepted. */
  readonly sinceMs: number;
  /** When blocks went over it last, in steps of about a second; at first, when it began. */
  lastMovedMs: number;
  readonly #onOpen: (() => void) | undefined;
  readonly #onClosed: ((error: PeerError | undefined) => void) | undefined;
  #lastReceivedMs: number;
  #lastSentMs: number;

  constructor(options: PeerOptions) {
    this.host = options.host;
    this.port = options.port;
    this.incoming = options.incoming;
    this.source = options.incoming ? "incoming" : "web-seed";
    this.listenPort = options.incoming ? 0 : options.port;
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#directory = options.directory;
    this.#settings = options.settings;
    this.#swarm = options.swarm;
    this.#trace = options.trace;
    this.#state = options.incoming ? "handshaking" : "connecting";
    const now = options.clock.nowMs;
    this.sinceMs = now;
    this.lastMovedMs = now;
    this.#onOpen = options.onOpen;
    this.#onClosed = options.onClosed;
    this.#lastReceivedMs = now;
    this.#lastSentMs = now;
    this.requests = new BlockRequests(this, options.clock, options.settings);
    this.receiver = new Receiver({
      memory: options.memory,
      plan: options.plan,
      expected: this.requests.expected,
      counters: this.counters,
      host: this,
      mode: makeReceiveMode(options.settings.receiveMode),
      handshake: true,
    });
    this.uploads = new PeerUploads(this, options);
    this.sender = this.uploads.sender;
    this.write = new PeerWriter(this.sender.outbox, options.transport);
    assert(options.incoming || options.swarm !== undefined, "an outgoing connection belongs to a torrent");
  }

  /** How many requests to keep outstanding. */
  get pipeline(): RequestPipeline {
    return this.requests.pipeline;
  }

  /** Blocks that were asked for and have not come, in order. */
  get expected(): ExpectedBlocks {
    return this.requests.expected;
  }

  get isEncrypted(): boolean {
    return this.#transport.isEncrypted === true;
  }

  get state(): PeerState {
    return this.#state;
  }

  get swarm(): Swarm | undefined {
    return this.#swarm;
  }

  /** Undefined while nobody knows how many pieces there are. */
  get blocks(): SwarmBlocks | undefined {
    return this.#blocks;
  }

  /** True once it was open and the torrent had its metadata, also after it closed. */
  get knowsPieces(): boolean {
    return this.#pieces !== undefined;
  }

  /** What the peer has. */
  get pieces(): PieceSet {
    assert(this.#pieces !== undefined, "pieces are known of open connections, once the layout is");
    return this.#pieces;
  }

  /** Pieces that the peer announced; 0 before it is open. */
  get pieceCountKnown(): number {
    return this.#pieces?.count ?? 0;
  }

  /** When anything came last. */
  get lastReceivedMs(): number {
    return this.#lastReceivedMs;
  }

  get allowedFast(): ReadonlySet<number> | undefined {
    return this.#allowedFast;
  }

  // ── transport ────────────────────────────────────────────────────────────────────────────────────────────────

  /** The outgoing TCP connection stands. */
  connected(): void {
    this.#enter("handshaking");
    this.#sendHandshake();
  }

  /** Bytes arrived and were committed: the clock for idleness, and room for requests. */
  received(): void {
    this.#lastReceivedMs = this.#clock.nowMs;
    if (this.#state === "open") this.fillRequests();
  }

  /** Limits that apply to it have changed. */
  rateLimitsChanged(): void {
    const swarm = this.#swarm;
    if (swarm === undefined || this.#state === "closed") return;
    if (this.#throttles === undefined && !PeerThrottles.areNeeded(swarm)) return;
    this.#makeThrottles(swarm).update();
  }

  /** Gives the connection limits of its own. */
  setRateLimits(change: RateLimitChange): void {
    const swarm = this.#swarm;
    if (swarm !== undefined && this.#state !== "closed") this.#makeThrottles(swarm).setOwn(change);
  }

  #makeThrottles(swarm: Swarm): PeerThrottles {
    this.#throttles ??= new PeerThrottles(this, swarm, this.#transport);
    return this.#throttles;
  }

  /** For how long bytes of the peer have waited for a limit of ours, in all: it is not to blame for that. */
  get heldBackMs(): number {
    return this.#throttles?.receivingHeldMs ?? 0;
  }

  /** Most of the last second, bytes of the peer waited for a limit of ours. */
  get isHeldBack(): boolean {
    return this.#throttles?.isHeldBack === true;
  }

  /** The socket has nothing more for now. */
  drained(): void {
    this.pipeline.drained(this.#clock.nowMs);
  }

  /** Writes what waits. Returns 0 or −errno of a broken socket. */
  flush(eagain: number): number {
    if (this.#state === "closed" || this.#state === "connecting") return 0;
    if (this.#handshakeDue) this.#sayExtensionHandshake();
    const before = this.counters.sentBytes;
    const result = this.sender.flush(eagain);
    if (this.#drainAsked && this.sender.outbox.length === 0) {
      this.#drainAsked = false;
      this.#extensions?.drained();
    }
    if (this.counters.sentBytes !== before) {
      this.#lastSentMs = this.#clock.nowMs;
      this.uploads.wrote(this.#lastSentMs);
    }
    if (this.sender.outbox.length > OUTBOX_CLOSES_FACTOR * this.#outboxBytesMax) {
      const waits = `${this.sender.outbox.length} bytes of messages wait for it`;
      this.close(new PeerError("PEER_TIMEOUT", `the peer reads too little: ${waits}`));
      return 0;
    }
    return result;
  }

  /** So much waits for the peer that what it says is not heard, since it might make more: it reads first. */
  get isClogged(): boolean {
    return this.sender.outbox.length > this.#outboxBytesMax;
  }

  /**
   * The system could not touch what was to be received into, or sent from: a file that somebody cut short. Received bytes
   * have nowhere to go then; a block that is half sent cannot be finished, and the next comes another way.
   */
  memoryFaulted(receiving: boolean): void {
    const error = new StorageError("STORAGE_IO", "a file has become shorter than it was, or its disk fails");
    if (receiving) this.#swarm?.storageFaulted(error);
    else this.#swarm?.uploadFaulted(error);
    this.close();
  }

  /** Changes how this connection receives, from the next message boundary on. */
  setReceiveMode(choice: ReceiveModeChoice): void {
    this.receiver.setMode(makeReceiveMode(choice));
    this.#tell("receive-mode", { mode: choice.name });
  }

  /** Ends the connection. Idempotent; `error` is why, or undefined when we just wanted to. */
  close(error?: PeerError): void {
    if (this.#state === "closed") return;
    const wasOpen = this.#state === "open";
    this.#enter("closed", error);
    const cut = this.receiver.stop();
    if (wasOpen && this.#swarm !== undefined) {
      if (cut) this.requests.giveBackUnderWay(this.receiver.blockPiece, this.receiver.blockBegin);
      this.requests.drop(false);
      this.#extensions?.closed();
    }
    this.pipeline.close();
    this.sender.close();
    this.#throttles?.close();
    this.#transport.close();
    this.#onClosed?.(error);
    this.#swarm?.peerClosed(this, error);
  }

  /** Counts again what the connection's parts have counted. For tests, between two turns. */
  checkInvariants(): void {
    this.receiver.checkInvariants();
    this.expected.checkInvariants();
    this.sender.checkInvariants();
  }

  /** Time passed; called about once a second. */
  tick(elapsedMs: number): void {
    const now = this.#clock.nowMs;
    const settings = this.#settings;
    if (this.#state === "handshaking" && now - this.sinceMs > settings.handshakeTimeoutMs) {
      this.close(
        new PeerError("PEER_TIMEOUT", "no handshake in time", { expected: `${HANDSHAKE_BYTES} bytes` }),
      );
    }
    if (this.#state !== "open") return;
    const hasReceived = this.downloadMeter.sample(this.counters.payloadBytes, elapsedMs);
    const hasSent = this.uploadMeter.sample(this.counters.sentPayloadBytes, elapsedMs);
    if (hasReceived || hasSent) this.lastMovedMs = now;
    if (!this.uploads.tick(now)) return;
    this.#throttles?.tick(elapsedMs);
    if (now - this.#lastReceivedMs >= SILENT_MS) this.#transport.wakeForAny();
    if (now - this.#lastReceivedMs > settings.idleTimeoutMs && !this.isHeldBack) {
      this.close(
        new PeerError("PEER_TIMEOUT", `nothing received for ${Math.round(settings.idleTimeoutMs / 1000)} s`),
      );
      return;
    }
    if (now - this.#lastSentMs > KEEP_ALIVE_MS) {
      this.#lastSentMs = now;
      this.write.keepAlive();
    }
    this.#extensionHandshakesLeft = EXTENSION_HANDSHAKES_PER_TICK;
    if (this.sender.idle) this.sender.outbox.release();
    if (this.#swarm === undefined || !this.knowsPieces) return;
    this.requests.forgetRefusals(this.#swarm);
    this.updateInterest();
    this.pipeline.tick(now);
    const late = this.requests.checkTimeout();
    if (late > 0) this.#tell("snubbed", { requests: late });
    this.fillRequests();
  }

  // ── our side: interest, requests, choking ────────────────────────────────────────────────────────────────────

  /** Tells the peer whether we want something of it, if that changed. */
  updateInterest(): void {
    if (this.#state !== "open" || this.#swarm === undefined || !this.knowsPieces) return;
    // What we have is not missed again, unless wantedChanged() is called: whoever had nothing for us has nothing until it has more.
    if (!this.amInterested && this.#uninterestingPieces === this.pieces.count) return;
    const interested = this.#swarm.isInteresting(this);
    this.#uninterestingPieces = interested ? -1 : this.pieces.count;
    if (interested === this.amInterested) return;
    // While requests are out, losing interest would make some peers drop them.
    if (!interested && this.expected.count > 0) return;
    this.amInterested = interested;
    this.write.empty(interested ? MessageId.interested : MessageId.notInterested);
  }

  /** More of the torrent is wanted, or less: whoever had nothing for us may have something. */
  wantedChanged(): void {
    this.#uninterestingPieces = -1;
    this.updateInterest();
    this.fillRequests();
  }

  /** Some pieces are urgent: where it has one, all else that it was asked for makes way. */
  makeWay(urgent: ReadonlySet<number>): void {
    if (this.#state !== "open" || !this.knowsPieces || this.expected.count === 0) return;
    let hasOne = false;
    for (const piece of urgent) hasOne ||= this.pieces.has(piece);
    if (!hasOne) return;
    this.requests.makeWay(urgent);
    this.fillRequests();
  }

  /** Requests blocks until the pipeline is full. */
  fillRequests(): void {
    if (!this.amInterested || this.#blocks === undefined) return;
    if (this.peerChoking && (this.#allowedFast === undefined || this.#allowedFast.size === 0)) return;
    this.requests.fill(this.#blocks);
  }

  /** For the picker: true if the block was asked of this peer, or is coming from it. */
  hasRequested(piece: number, block: number): boolean {
    return this.requests.has(piece, block * BLOCK_SIZE);
  }

  /** For the picker: gives back what was asked of it of a piece that it will not come to soon. */
  partWith(piece: number): boolean {
    return this.requests.partWith(piece);
  }

  /** Another peer brought the block: cancel it here. The swarm has forgotten the request already. */
  cancelRequest(piece: number, begin: number): void {
    this.requests.cancel(piece, begin);
  }

  get amChoking(): boolean {
    return this.uploads.amChoking;
  }

  choke(): void {
    if (this.#state === "open") this.uploads.choke();
  }

  unchoke(): void {
    if (this.#state === "open") this.uploads.unchoke();
  }

  announcePiece(piece: number): void {
    if (this.#state === "open" && !this.pieces.has(piece)) this.write.have(piece);
  }

  /** Tells which pieces we have got, but for those that what we told at first said already. */
  announcePieces(pieces: readonly number[]): void {
    const first = this.#announcementsKnown;
    this.#announcementsKnown = 0;
    for (let index = first; index < pieces.length; index++) this.announcePiece(pieces[index]!);
  }

  // ── extensions ───────────────────────────────────────────────────────────────────────────────────────────────

  /** One more extension on this connection, or another in the place of that of its name. The peer is told at the end of the turn. */
  useExtension(extension: Extension<PeerConnection>): void {
    if (this.#state !== "open" || this.#extensions === undefined) return;
    this.#extensions.use(extension);
    this.repeatExtensionHandshake();
  }

  /** What our extension handshake tells has changed: it is said again at the end of the turn. `fields`: what it is to tell besides. */
  repeatExtensionHandshake(fields = this.#handshakeFields): void {
    this.#handshakeFields = fields;
    this.#handshakeDue = true;
    this.#transport.scheduleFlush();
  }

  /** The id that messages of an extension have for the peer, or 0 if it does not have it. */
  extendedIdOf(name: string): number {
    return this.#extensions?.theirIdOf(name) ?? 0;
  }

  sendExtended(name: string, payload: Uint8Array): boolean {
    const id = this.extendedIdOf(name);
    return id !== 0 && this.sendExtendedId(id, payload);
  }

  /** A message under an id of the peer's. */
  sendExtendedId(id: number, payload: Uint8Array): boolean {
    if (this.#state !== "open" || !this.extended) return false;
    this.write.extended(id, payload);
    return true;
  }

  get bytesWaiting(): number {
    return this.sender.outbox.length;
  }

  tellWhenDrained(): void {
    this.#drainAsked = true;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get infoHash(): Uint8Array | undefined {
    return this.#swarm?.infoHash;
  }

  hasPiece(piece: number): boolean {
    return this.knowsPieces && piece < this.pieces.pieceCount && this.pieces.has(piece);
  }

  /** The peer does not have a piece any more (BEP 54): what was asked of it there is anybody's. */
  withdrew(piece: number): void {
    if (!this.hasPiece(piece)) return;
    this.requests.withdrawn(piece);
    this.#openSwarm("don't have").peerWithdrew(this, piece);
    // With another piece it has as many as before, and is looked at again.
    this.#uninterestingPieces = -1;
    this.updateInterest();
    if (this.amInterested) this.fillRequests();
  }

  /** BEP 54. */
  doesNotHave(piece: number): void {
    if (this.knowsPieces) this.#checkPiece(piece, "don't have");
    this.withdrew(piece);
  }

  /** It has everything, or wants nothing. */
  get isSeed(): boolean {
    return this.isUploadOnly || this.#pieces?.isFull === true;
  }

  outstandingRequests(): { piece: number; offset: number; length: number }[] {
    const { expected } = this;
    return Array.from({ length: expected.count }, (_, index) => ({
      piece: expected.pieceAt(index),
      offset: expected.beginAt(index),
      length: expected.lengthAt(index),
    }));
  }

  // ── ReceiverHost ─────────────────────────────────────────────────────────────────────────────────────────────

  handshakeStarted(bytes: Uint8Array, length: number): void {
    checkHandshakePrefix(bytes, length);
  }

  handshakeReceived(bytes: Uint8Array): void {
    const handshake = decodeHandshake(bytes);
    if (equalBytes(handshake.peerId, this.#directory.peerId)) {
      throw new PeerError("PEER_SELF", "connected to ourselves");
    }
    this.peerId = handshake.peerId;
    this.fast = handshake.fast;
    this.extended = handshake.extended;
    this.dht = handshake.dht;
    const swarm = this.#swarm ?? this.#directory.findSwarm(handshake.infoHash);
    if (swarm === undefined) {
      throw new PeerError(
        "PEER_UNKNOWN_INFO_HASH",
        `no torrent ${Buffer.from(handshake.infoHash).toString("hex")} here`,
      );
    }
    if (!equalBytes(handshake.infoHash, swarm.infoHash)) {
      throw new PeerError("PEER_INFO_HASH_MISMATCH", "the peer answered for another torrent", {
        expected: Buffer.from(swarm.infoHash).toString("hex"),
        received: Buffer.from(handshake.infoHash).toString("hex"),
      });
    }
    swarm.admit(this);
    this.#swarm = swarm;
    this.rateLimitsChanged();
    if (this.incoming) this.#sendHandshake();
    if (this.extended) this.#extensions = new PeerExtensions(this, swarm.extensions);
    if (swarm.layout === undefined) this.#early = new EarlyAnnouncements();
    else this.#setPieces(swarm, new PieceSet(swarm.layout.pieceCount));
    this.#enter("open");
    this.#onOpen?.();
    this.#introduce(swarm);
    swarm.peerOpened(this);
  }

  #setPieces(swarm: Swarm, pieces: PieceSet): void {
    this.#pieces = pieces;
    this.#blocks = swarm.blocks;
    this.landsDirectly = swarm.blocks?.landsDirectly === true;
    // Our own bitfield may wait whole: two that both do must not stop to hear each other for it.
    this.#outboxBytesMax += Math.ceil(pieces.pieceCount / 8);
    this.sender.setPlace(swarm.uploadPlace);
    this.#announcementsKnown = swarm.announcementsWaiting;
  }

  /**
   * The torrent has its metadata, and has found what is there: what the peer announced meanwhile is looked at, and it hears what we
   * have. Without effect on a connection that came later.
   */
  layoutKnown(): void {
    const swarm = this.#swarm;
    const early = this.#early;
    if (this.#state !== "open" || swarm?.layout === undefined || early === undefined) return;
    this.#early = undefined;
    let pieces: PieceSet;
    try {
      pieces = early.piecesOf(swarm.layout.pieceCount);
      if (swarm.have.count > LATE_HAVES_MAX)
        throw new PeerError("PEER_USELESS", "it hears of our many pieces on a new connection");
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.close(error);
      return;
    }
    this.#setPieces(swarm, pieces);
    for (const piece of early.allowedFast) this.onAllowedFast(piece);
    // A bitfield comes first or not at all (BEP 3): what is told later is told piece by piece.
    for (let piece = swarm.have.next(0); piece >= 0; piece = swarm.have.next(piece + 1))
      this.write.have(piece);
    if (this.fast && swarm.have.count > 0) this.uploads.offerAllowedFast(swarm, swarm.layout);
    if (this.#piecesAnnounced) this.#announced();
    this.fillRequests();
  }

  keepAliveReceived(): void {}

  messageReceived(bytes: Uint8Array, at: number, length: number): void {
    if (this.#trace !== undefined) this.#tell("message", { id: bytes[at], length });
    dispatchMessage(bytes, at, length, this);
  }

  messageBytesMax(id: number, extendedId: number): number {
    if (id !== MessageId.bitfield) return this.#extensions?.bytesMax(extendedId) ?? 0;
    const { layout } = this.#openSwarm("bitfield");
    return 1 + Math.ceil((layout?.pieceCount ?? PIECE_COUNT_MAX) / 8);
  }

  messageSkipped(id: number, length: number): void {
    if (this.#trace !== undefined) this.#tell("message", { id, length, skipped: true });
  }

  messageEvicted(): void {
    this.close(messageTooSlow());
  }

  blockStarted(piece: number, begin: number, length: number): boolean {
    return this.requests.blockStarted(this.#blocks, piece, begin, length);
  }

  landingAddress(piece: number, begin: number, length: number): number {
    // A block that was given back may be coming from another peer at the same time: not to the same place.
    const { requests } = this;
    if (this.#blocks === undefined || (requests.underWayIsOrphan && requests.isUnderWay(piece, begin)))
      return -1;
    return this.#blocks.landingAddress(piece, begin, length);
  }

  blockReceived(
    piece: number,
    begin: number,
    _length: number,
    address: number,
    slot: SlotIndex | typeof NO_SLOT,
  ): void {
    this.#blocks!.blockReceived(this, piece, begin / BLOCK_SIZE, address, slot);
  }

  blockDropped(piece: number, begin: number): void {
    this.requests.giveBackUnderWay(piece, begin);
  }

  // ── MessageHandler ───────────────────────────────────────────────────────────────────────────────────────────

  onChoke(): void {
    if (this.peerChoking) return;
    this.peerChoking = true;
    // With BEP 6 the peer rejects or answers each request; without it they are gone.
    if (!this.fast) this.requests.drop(true);
  }

  onUnchoke(): void {
    this.peerChoking = false;
  }

  onInterested(): void {
    this.#setPeerInterested(true);
  }

  onNotInterested(): void {
    this.#setPeerInterested(false);
  }

  onHave(piece: number): void {
    const swarm = this.#openSwarm("have");
    this.#checkPiece(piece, "have");
    this.#piecesAnnounced = true;
    if (this.#early !== undefined) {
      this.#early.have(piece);
      return;
    }
    if (!this.pieces.add(piece)) return;
    swarm.peerAnnounced(this, piece);
    // One piece more makes nobody less interesting.
    if (this.amInterested) return;
    if (swarm.isMissing(piece)) this.updateInterest();
    else if (this.#uninterestingPieces === this.pieces.count - 1) this.#uninterestingPieces++;
  }

  onBitfield(bytes: Uint8Array, at: number, length: number): void {
    const swarm = this.#openSwarm("bitfield");
    if (this.#early !== undefined) {
      this.#piecesAnnounced = true;
      this.#early.bitfield(bytes.subarray(at, at + length));
      return;
    }
    const announced = this.#piecesAnnounced ? new PieceSet(this.pieces.pieceCount) : this.pieces;
    if (!announced.assign(bytes.subarray(at, at + length))) {
      throw new PeerError("PEER_MESSAGE_MALFORMED", "bitfield of another torrent", {
        expected: `${Math.ceil(announced.pieceCount / 8)} bytes with clear spare bits`,
        received: `${length} bytes`,
      });
    }
    if (!this.#piecesAnnounced) {
      this.#piecesAnnounced = true;
      this.#announced();
      return;
    }
    // BEP 3 has one bitfield, first; aria2 sends more of them in place of many have messages.
    let piece = announced.nextBeyond(this.pieces, 0);
    for (; piece >= 0; piece = announced.nextBeyond(this.pieces, piece + 1)) {
      this.pieces.add(piece);
      swarm.peerAnnounced(this, piece);
    }
    this.updateInterest();
  }

  onHaveAll(): void {
    this.#needFast("have all");
    this.#announceOnce("have all");
    if (this.#early !== undefined) {
      this.#early.haveAll();
      return;
    }
    this.pieces.fill();
    this.#announced();
  }

  onHaveNone(): void {
    this.#needFast("have none");
    this.#announceOnce("have none");
    if (this.#early === undefined) this.#announced();
  }

  onSuggest(piece: number): void {
    this.#needFast("suggest piece");
    this.#checkPiece(piece, "suggest piece");
  }

  onAllowedFast(piece: number): void {
    this.#needFast("allowed fast");
    this.#checkPiece(piece, "allowed fast");
    if (this.#early !== undefined) {
      this.#early.allowFast(piece);
      return;
    }
    this.#allowedFast ??= new Set();
    // What was refused and is allowed again counts again: or both sides would never end asking and refusing.
    if (this.#allowedFastLeft === 0 || this.#allowedFast.has(piece)) return;
    this.#allowedFastLeft--;
    this.#allowedFast.add(piece);
  }

  onReject(piece: number, begin: number, _length: number): void {
    this.#needFast("reject request");
    if (this.requests.rejected(piece, begin, this.peerChoking)) this.#allowedFast?.delete(piece);
  }

  onRequest(piece: number, begin: number, length: number): void {
    this.uploads.requested(this.#openSwarm("request"), piece, begin, length);
  }

  onCancel(piece: number, begin: number, length: number): void {
    this.#openSwarm("cancel");
    this.uploads.cancelled(piece, begin, length);
  }

  onPort(port: number): void {
    this.#swarm?.dhtNodeTold(this.host, port);
  }

  onExtended(extendedId: number, bytes: Uint8Array, at: number, length: number): void {
    if (this.#extensions === undefined) return;
    if (extendedId !== 0) {
      this.#extensions.messageReceived(extendedId, bytes, at, length);
      return;
    }
    if (this.#extensionHandshakesLeft === 0) return;
    this.#extensionHandshakesLeft--;
    const said = bytes.subarray(at, at + length);
    const handshake = decodeExtensionHandshake(said);
    if (handshake.reqq !== undefined) this.pipeline.setPeerLimit(handshake.reqq);
    if (handshake.v !== undefined) this.clientName = handshake.v;
    if (handshake.p !== undefined && handshake.p > 0 && this.incoming) {
      this.listenPort = handshake.p;
      this.#swarm?.peerListens(this);
    }
    if (handshake.uploadOnly !== undefined) this.isUploadOnly = handshake.uploadOnly;
    this.#extensions.handshakeReceived(handshake, said);
  }

  onUnknown(): void {}

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  #enter(state: PeerState, error?: PeerError): void {
    assert(PEER_TRANSITIONS[this.#state].includes(state), "a connection changes its state as drawn");
    this.#state = state;
    this.#tell("state", error === undefined ? { state } : { state, error: error.message, code: error.code });
  }

  #tell(event: string, details: Record<string, unknown>): void {
    this.#trace?.(`${this.host}:${this.port}`, event, details);
  }

  #sendHandshake(): void {
    const outbox = this.sender.outbox;
    const at = outbox.reserve(HANDSHAKE_BYTES);
    const { infoHash, dhtPort } = this.#swarm!;
    encodeHandshake(outbox.bytes, at, { infoHash, peerId: this.#directory.peerId, dht: dhtPort !== 0 });
    outbox.wrote(HANDSHAKE_BYTES);
    this.#transport.scheduleFlush();
  }

  /** What we have, and who we are. */
  #introduce(swarm: Swarm): void {
    const { have, layout } = swarm;
    const isFull = layout !== undefined && have.isFull;
    if (this.fast && (isFull || have.count === 0)) {
      this.write.empty(isFull ? MessageId.haveAll : MessageId.haveNone);
    } else if (have.count > 0) {
      this.write.bitfield(have.toBytes());
    }
    this.#sayExtensionHandshake();
    if (this.dht && swarm.dhtPort !== 0) this.write.port(swarm.dhtPort);
    if (this.fast && layout !== undefined && have.count > 0) this.uploads.offerAllowedFast(swarm, layout);
  }

  /** What we can, and who we are (BEP 10): when the connection opens, and whenever it has changed. */
  #sayExtensionHandshake(): void {
    this.#handshakeDue = false;
    if (this.#extensions === undefined || this.#swarm === undefined) return;
    const handshake = encodeExtensionHandshake({
      m: this.#extensions.ourIds,
      v: this.#settings.clientName,
      reqq: REQUEST_QUEUE_ANNOUNCED,
      p: this.#directory.listenPort,
      metadataSize: this.#swarm.info?.length,
      uploadOnly: this.#swarm.isUploadOnly,
      yourip: this.host,
      more: this.#handshakeFields,
    });
    this.write.extended(0, handshake);
  }

  #openSwarm(what: string): Swarm {
    if (this.#swarm === undefined || this.#state !== "open") {
      throw new PeerError("PEER_MESSAGE_UNEXPECTED", `${what} before the handshake`);
    }
    return this.#swarm;
  }

  #needFast(what: string): void {
    if (this.fast) return;
    throw new PeerError("PEER_MESSAGE_UNEXPECTED", `${what} without the Fast extension (BEP 6)`);
  }

  #checkPiece(piece: number, what: string): void {
    const count = this.#pieces?.pieceCount ?? PIECE_COUNT_MAX;
    if (piece < count) return;
    throw new PeerError("PEER_PIECE_RANGE", `${what} of a piece that does not exist`, {
      expected: `0 to ${count - 1}`,
      received: `${piece}`,
    });
  }

  #announceOnce(what: string): void {
    if (this.#piecesAnnounced) {
      throw new PeerError("PEER_MESSAGE_UNEXPECTED", `${what} after the pieces were announced`);
    }
    this.#piecesAnnounced = true;
  }

  #announced(): void {
    this.#swarm!.peerAnnounced(this, -1);
    this.updateInterest();
  }

  #setPeerInterested(interested: boolean): void {
    if (this.peerInterested === interested) return;
    this.peerInterested = interested;
    this.#swarm?.peerInterestChanged(this);
  }
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
