// One connection to a peer: handshake, messages, choke and interest on both sides, the requests we made and those
// made of us. It knows no socket, no timer and no file: a transport hands it bytes and takes its bytes, tick() tells it
// that time passed, and a Swarm decides for the torrent. So tests drive it with bytes alone.
//
// What each message does is in peer-messages.ts, what we say of ourselves in introduction.ts. What has a state of its own is apart as
// well: the requests that we made (block-requests), those made of us (peer-uploads), the bytes that come (receive/receiver).
//
// It is somewhat long because transport, receiver, torrent and extensions each see a connection by a contract of their own, and each
// of those is answered here, mostly by handing on.
//
// Always: whatever a peer sends ends in a handled message or in close(PeerError); after `closed` nothing is called any
// more.

import { assert, entryOf } from "../../base/assert.js";
import { PeerError, StorageError } from "../../base/errors.js";
import type { NO_SLOT, PieceIndex, SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE, HANDSHAKE_BYTES } from "../../base/limits.js";
import { makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import type { TraceSink } from "../../base/metrics/trace.js";
import { PieceSet } from "../../base/piece-set.js";
import type { RateLimitChange } from "../../base/rate-limit.js";
import type { Extension } from "../extensions/extension.js";
import type { WirePeer } from "../extensions/extension-wire.js";
import { PeerExtensions } from "../extensions/peer-extensions.js";
import type { ExpectedBlocks } from "../receive/expected-blocks.js";
import { messageTooSlow } from "../receive/long-message.js";
import { makeReceiveMode, type ReceiveModeChoice } from "../receive/make-mode.js";
import { Receiver, type ReceiverHost } from "../receive/receiver.js";
import type { Sender } from "../send/sender.js";
import { UNSENT_FREE } from "../send/unsent-bound.js";
import { blockAt, type Layout } from "../storage/layout.js";
import { dispatchMessage } from "../wire/decode.js";
import { checkHandshakePrefix, decodeHandshake } from "../wire/handshake.js";
import { MessageId } from "../wire/messages.js";
import { BlockRequests, OUTBOX_BYTES_MAX } from "./block-requests.js";
import { sayExtensionHandshake, sayHandshake, sayPieces, swarmOf } from "./introduction.js";
import { PeerMessages } from "./peer-messages.js";
import type { Clock, PeerKeeper, PeerOptions, PeerSettings, PeerTransport } from "./peer-options.js";
import { PEER_TRANSITIONS, type PeerState } from "./peer-state.js";
import { PeerThrottles } from "./peer-throttles.js";
import { PeerUploads } from "./peer-uploads.js";
import { PeerWriter } from "./peer-writer.js";
import { RateMeter } from "./rate-meter.js";
import type { RequestPipeline } from "./request-pipeline.js";
import type { Swarm, SwarmBlocks, SwarmDirectory } from "./swarm.js";

/** A peer for which so many times the bytes wait at which we stop to hear it is let go. */
const OUTBOX_CLOSES_FACTOR = 4;
/** Pieces that a peer is told of one by one when the metadata came after it did: 36 KB of messages. */
const LATE_HAVES_MAX = 4096;
const KEEP_ALIVE_MS = 100_000;
/** When a peer has been silent for so long, its first byte wakes us again, and not only its first 128 KiB. */
const SILENT_MS = 500;
let connectionsMade = 0;

export class PeerConnection implements ReceiverHost, WirePeer {
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
  /** What it says, and what it has told of its pieces. */
  readonly messages: PeerMessages;
  /** Made with the first payload that went that way. */
  #downloadMeter: RateMeter | undefined;
  #uploadMeter: RateMeter | undefined;
  /** What it says of its ports is worth something: at its address it can be reached by whoever is told. */
  readonly isReachable: boolean;
  readonly #transport: PeerTransport;
  readonly #clock: Clock;
  readonly #directory: SwarmDirectory;
  readonly #settings: PeerSettings;
  readonly #trace: TraceSink | undefined;

  #state: PeerState;
  #swarm: Swarm | undefined;
  #blocks: SwarmBlocks | undefined;
  landsDirectly = false;
  /** Of its handshake, as latin1: a typed array would take 220 bytes, and whoever knows the peer by its id keeps the same text. */
  peerIdText: string | undefined;
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

  /** Of our pieces, those that it was told of and may ask for, where these are not all (BEP 16). */
  revealed: PieceSet | undefined;
  amInterested = false;
  peerChoking = true;
  peerInterested = false;

  /** Of the pieces that the swarm will announce next, those that our bitfield told it. */
  #announcementsKnown = 0;
  /** How many pieces the peer had when none of them was missing here; −1: some were. */
  #uninterestingPieces = -1;
  #extensions: PeerExtensions<PeerConnection> | undefined;
  /** There while a limit of its own, of the torrent or of the session holds it back, or did. */
  #throttles: PeerThrottles | undefined;
  /** Bytes of messages that may wait for the peer before we stop to hear it. */
  #outboxBytesMax = OUTBOX_BYTES_MAX;

  /** When the connection was begun or accepted. */
  readonly sinceMs: number;
  /** When blocks went over it last, in steps of about a second; at first, when it began. */
  lastMovedMs: number;
  readonly #keeper: PeerKeeper | undefined;
  #lastReceivedMs: number;
  #lastSentMs: number;
  /** When the silence began in which memory was given back: that is done once, since thousands are silent. */
  #restsSinceMs = -1;

  constructor(options: PeerOptions) {
    this.host = options.host;
    this.port = options.port;
    this.incoming = options.incoming;
    this.source = options.incoming ? "incoming" : "web-seed";
    this.isReachable = options.overStream !== true;
    this.listenPort = options.incoming || !this.isReachable ? 0 : options.port;
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
    this.#keeper = options.keeper;
    this.#lastReceivedMs = now;
    this.#lastSentMs = now;
    this.messages = new PeerMessages(this);
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

  /** How many requests to keep outstanding; undefined before the first. */
  get pipeline(): RequestPipeline | undefined {
    return this.requests.pipeline;
  }

  /** Blocks that were asked for and have not come, in order. */
  get expected(): ExpectedBlocks {
    return this.requests.expected;
  }

  get peerId(): Uint8Array | undefined {
    return this.peerIdText === undefined
      ? undefined
      : Uint8Array.from(Buffer.from(this.peerIdText, "latin1"));
  }

  get isEncrypted(): boolean {
    return this.#transport.isEncrypted === true;
  }

  get state(): PeerState {
    return this.#state;
  }

  /** Bytes of blocks per second over the last seconds: that it brought, and that it was sent. */
  get downloadRate(): number {
    return this.#downloadMeter?.rate ?? 0;
  }

  get uploadRate(): number {
    return this.#uploadMeter?.rate ?? 0;
  }

  get swarm(): Swarm | undefined {
    return this.#swarm;
  }

  /** There once it is open, if the peer speaks the extension protocol. */
  get extensions(): PeerExtensions<PeerConnection> | undefined {
    return this.#extensions;
  }

  /** Undefined while nobody knows how many pieces there are. */
  get blocks(): SwarmBlocks | undefined {
    return this.#blocks;
  }

  /** True once it was open and the torrent had its metadata, also after it closed. */
  get knowsPieces(): boolean {
    return this.messages.pieces !== undefined;
  }

  /** What the peer has. */
  get pieces(): PieceSet {
    const { pieces } = this.messages;
    assert(pieces !== undefined, "pieces are known of open connections, once the layout is");
    return pieces;
  }

  /** Pieces that the peer announced; 0 before it is open. */
  get pieceCountKnown(): number {
    return this.messages.pieces?.count ?? 0;
  }

  /** When anything came last. */
  get lastReceivedMs(): number {
    return this.#lastReceivedMs;
  }

  get allowedFast(): ReadonlySet<number> | undefined {
    return this.messages.allowedFast;
  }

  // ── transport ────────────────────────────────────────────────────────────────────────────────────────────────

  /** The outgoing TCP connection stands. */
  connected(): void {
    this.#enter("handshaking");
    const swarm = this.#swarm;
    assert(swarm !== undefined, "an outgoing connection belongs to a torrent");
    sayHandshake(this, swarm, this.#directory);
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

  /** How many milliseconds it takes for so many bytes, as fast as it is now; 0: not known. */
  msFor(bytes: number): number {
    return this.requests.msFor(bytes);
  }

  /** Bytes per second that a limit of ours lets us send to it; 0: any number. */
  get uploadLimit(): number {
    return this.#throttles?.uploadLimit ?? 0;
  }

  /** The socket has nothing more for now. */
  drained(): void {
    this.pipeline?.drained(this.#clock.nowMs);
  }

  /** Writes what waits. Returns 0 or −errno of a broken socket. */
  flush(eagain: number): number {
    if (this.#state === "closed" || this.#state === "connecting") return 0;
    if (this.#extensions?.isHandshakeDue === true) this.#sayExtensionHandshake();
    const before = this.counters.sentBytes;
    const result = this.sender.flush(eagain);
    if (this.sender.outbox.length === 0) this.#extensions?.drained();
    const { nowMs } = this.#clock;
    const hasWritten = this.counters.sentBytes !== before;
    if (hasWritten) this.#lastSentMs = nowMs;
    this.uploads.flushed(hasWritten, nowMs);
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
    this.pipeline?.close();
    this.sender.close();
    this.#throttles?.close();
    // Whoever is let go leaves nothing behind that uses our link: blocks in the system's buffers would be sent to it all the same.
    this.#transport.close(error !== undefined && this.counters.sentPayloadBytes > 0);
    this.#keeper?.peerClosed(this, error);
    this.#swarm?.peerClosed(this, error);
  }

  /** Counts again what the connection's parts have counted. For tests, between two turns. */
  checkInvariants(): void {
    this.receiver.checkInvariants();
    this.expected.checkInvariants();
    this.expected.checkDistinct();
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
    if (this.#measure(elapsedMs)) this.lastMovedMs = now;
    if (!this.uploads.tick(now)) return;
    this.#throttles?.tick(elapsedMs);
    if (now - this.#lastReceivedMs >= SILENT_MS && this.#restsSinceMs !== this.#lastReceivedMs) this.#rest();
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
    this.#extensions?.tick();
    if (this.sender.idle) this.sender.outbox.release();
    if (this.#swarm === undefined || !this.knowsPieces) return;
    this.requests.forgetRefusals(this.#swarm);
    this.updateInterest();
    this.pipeline?.tick(now);
    const late = this.requests.checkTimeout();
    if (late > 0) this.#tell("snubbed", { requests: late });
    this.fillRequests();
  }

  #rest(): void {
    this.#transport.wakeForAny();
    if (this.receiver.release()) this.#restsSinceMs = this.#lastReceivedMs;
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

  /** It has one piece more, which makes nobody less interesting. */
  hasOneMore(isMissing: boolean): void {
    if (this.amInterested) return;
    if (isMissing) this.updateInterest();
    else if (this.#uninterestingPieces === this.pieces.count - 1) this.#uninterestingPieces++;
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
    if (this.peerChoking && !this.#mayRequestChoked) return;
    this.requests.fill(this.#blocks);
  }

  /** The peer chokes us, and gives us some pieces all the same. */
  get #mayRequestChoked(): boolean {
    const { allowedFast } = this;
    return allowedFast !== undefined && allowedFast.size > 0;
  }

  /** For the picker: true if the block was asked of this peer, or is coming from it. */
  hasRequested(piece: number, block: number): boolean {
    return this.requests.has(piece, block * BLOCK_SIZE);
  }

  /** For the picker: gives back what was asked of it of a piece that it will not come to soon. */
  partWith(piece: number): boolean {
    return this.requests.partWith(piece);
  }

  /** For the allotment: gives back what was asked of it, where it is silent for so long. Returns how many blocks. */
  letGo(silentMs: number): number {
    return this.requests.letGo(silentMs);
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

  /** `unsentAtFirstBytes`: what may wait for it in the system's buffers before it has shown how it takes. */
  unchoke(unsentAtFirstBytes = UNSENT_FREE): void {
    if (this.#state === "open") this.uploads.unchoke(unsentAtFirstBytes);
  }

  /** Tells of one piece more, where the peer was told of none at first. */
  reveal(piece: number): void {
    this.revealed?.add(piece);
    this.announcePiece(piece);
  }

  /** Tells of all that we have: nothing is held back any more. A peer that lacks too much of it hears it better on a new connection. */
  revealAll(have: PieceSet): void {
    const { revealed } = this;
    this.revealed = undefined;
    if (revealed === undefined || this.#state !== "open") return;
    const untold: number[] = [];
    for (let piece = have.nextBeyond(revealed, 0); piece >= 0; piece = have.nextBeyond(revealed, piece + 1))
      if (!this.pieces.has(piece)) untold.push(piece);
    if (untold.length > LATE_HAVES_MAX)
      this.close(new PeerError("PEER_USELESS", "it hears of our many pieces on a new connection"));
    else for (const piece of untold) this.write.have(piece);
  }

  announcePiece(piece: number): void {
    if (this.#state === "open" && !this.pieces.has(piece)) this.write.have(piece);
  }

  /** Tells which pieces we have got, but for those that what we told at first said already. */
  announcePieces(pieces: readonly number[]): void {
    const first = this.#announcementsKnown;
    this.#announcementsKnown = 0;
    for (let index = first; index < pieces.length; index++) this.announcePiece(entryOf(pieces, index));
  }

  // ── extensions ───────────────────────────────────────────────────────────────────────────────────────────────

  /** One more extension on this connection, or another in the place of that of its name. The peer is told at the end of the turn. */
  useExtension(extension: Extension<PeerConnection>): void {
    if (this.#state !== "open" || this.#extensions === undefined) return;
    this.#extensions.use(extension);
    this.repeatExtensionHandshake();
  }

  /** What our extension handshake tells has changed: it is said again at the end of the turn. `fields`: what it is to tell besides. */
  repeatExtensionHandshake(fields = this.#extensions?.handshakeFields): void {
    if (this.#extensions === undefined) return;
    this.#extensions.handshakeFields = fields;
    this.#extensions.isHandshakeDue = true;
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
    this.#extensions?.tellWhenDrained();
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
    this.#swarm?.peerWithdrew(this, piece);
    // With another piece it has as many as before, and is looked at again. That it has nothing for us any more, the next tick sees, and
    // what is asked for instead is for the end of the receive: there may be thousands of these in one.
    this.#uninterestingPieces = -1;
  }

  /** BEP 54. */
  doesNotHave(piece: number): void {
    if (this.knowsPieces) this.messages.checkPiece(piece, "don't have");
    this.withdrew(piece);
  }

  /** It has everything, or wants nothing. */
  get isSeed(): boolean {
    return this.isUploadOnly || this.messages.pieces?.isFull === true;
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
    this.peerIdText = Buffer.from(handshake.peerId).toString("latin1");
    this.fast = handshake.fast;
    this.extended = handshake.extended;
    this.dht = handshake.dht;
    const swarm = swarmOf(handshake, this.#swarm, this.#directory);
    swarm.admit(this);
    this.#swarm = swarm;
    this.rateLimitsChanged();
    if (this.incoming) sayHandshake(this, swarm, this.#directory);
    if (this.extended) this.#extensions = new PeerExtensions(this, swarm.extensions);
    const { layout } = swarm;
    this.messages.opened(layout?.pieceCount);
    if (layout !== undefined) this.#startBlocks(swarm, layout);
    this.#enter("open");
    this.#keeper?.peerOpened(this);
    this.#introduce(swarm);
    swarm.peerOpened(this);
  }

  #introduce(swarm: Swarm): void {
    const { have, layout, dhtPort } = swarm;
    sayPieces(this, swarm);
    this.#sayExtensionHandshake();
    if (this.dht && dhtPort !== 0) this.write.port(dhtPort);
    if (this.fast && layout !== undefined && have.count > 0 && this.revealed === undefined)
      this.uploads.offerAllowedFast(swarm, layout);
  }

  /** The layout is known: blocks may be asked for, of us as well. */
  #startBlocks(swarm: Swarm, layout: Layout): void {
    if (swarm.hidesPieces === true) this.revealed = new PieceSet(layout.pieceCount);
    this.#blocks = swarm.blocks;
    this.landsDirectly = swarm.blocks?.landsDirectly === true;
    // Our own bitfield may wait whole: two that both do must not stop to hear each other for it.
    this.#outboxBytesMax += Math.ceil(layout.pieceCount / 8);
    this.sender.setPlace(swarm.uploadPlace);
    this.#announcementsKnown = swarm.announcementsWaiting;
  }

  /**
   * The torrent has its metadata, and has found what is there: what the peer announced meanwhile is looked at, and it hears what we
   * have. Without effect on a connection that came later.
   */
  layoutKnown(): void {
    const swarm = this.#swarm;
    const messages = this.messages;
    if (this.#state !== "open" || swarm?.layout === undefined || !messages.isEarly) return;
    const { have, layout } = swarm;
    try {
      if (have.count > LATE_HAVES_MAX && swarm.hidesPieces !== true)
        throw new PeerError("PEER_USELESS", "it hears of our many pieces on a new connection");
      messages.takeEarly(layout.pieceCount);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.close(error);
      return;
    }
    this.#startBlocks(swarm, layout);
    // A bitfield comes first or not at all (BEP 3): what is told later is told piece by piece.
    const told = this.revealed ?? have;
    for (let piece = told.next(0); piece >= 0; piece = told.next(piece + 1)) this.write.have(piece);
    if (this.fast && told.count > 0) this.uploads.offerAllowedFast(swarm, layout);
    messages.announceAll(swarm);
    this.fillRequests();
  }

  keepAliveReceived(): void {}

  messageReceived(bytes: Uint8Array, at: number, length: number): void {
    if (this.#trace !== undefined) this.#tell("message", { id: bytes[at], length });
    dispatchMessage(bytes, at, length, this.messages);
  }

  messageBytesMax(id: number, extendedId: number): number {
    if (id !== MessageId.bitfield) return this.#extensions?.bytesMax(extendedId) ?? 0;
    return this.messages.bitfieldBytesMax();
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

  landingAddress(piece: PieceIndex, begin: number, length: number): number {
    // A block that was given back may be coming from another peer at the same time: not to the same place.
    const { requests } = this;
    if (this.#blocks === undefined || (requests.underWayIsOrphan && requests.isUnderWay(piece, begin)))
      return -1;
    return this.#blocks.landingAddress(piece, begin, length);
  }

  blockReceived(
    piece: PieceIndex,
    begin: number,
    _length: number,
    address: number,
    slot: SlotIndex | typeof NO_SLOT,
  ): void {
    assert(this.#blocks !== undefined, "blocks are asked for once there is a layout");
    this.#blocks.blockReceived(this, piece, blockAt(begin), address, slot);
  }

  blockDropped(piece: PieceIndex, begin: number): void {
    this.requests.giveBackUnderWay(piece, begin);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** True if blocks went over it since the last tick. */
  #measure(elapsedMs: number): boolean {
    const { payloadBytes, sentPayloadBytes } = this.counters;
    if (payloadBytes > 0) this.#downloadMeter ??= new RateMeter();
    if (sentPayloadBytes > 0) this.#uploadMeter ??= new RateMeter();
    const hasReceived = this.#downloadMeter?.sample(payloadBytes, elapsedMs) === true;
    const hasSent = this.#uploadMeter?.sample(sentPayloadBytes, elapsedMs) === true;
    return hasReceived || hasSent;
  }

  #enter(state: PeerState, error?: PeerError): void {
    assert(PEER_TRANSITIONS[this.#state].includes(state), "a connection changes its state as drawn");
    this.#state = state;
    this.#tell("state", error === undefined ? { state } : { state, error: error.message, code: error.code });
  }

  #tell(event: string, details: Record<string, unknown>): void {
    this.#trace?.(`${this.host}:${this.port}`, event, details);
  }

  #sayExtensionHandshake(): void {
    if (this.#extensions === undefined || this.#swarm === undefined) return;
    const listenPort = this.#directory.listenPortFor(this.host);
    sayExtensionHandshake(this, this.#swarm, this.#extensions, listenPort, this.#settings.clientName);
  }
}
