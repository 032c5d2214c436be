// Feeds a recording through connections as they are, in memory and over virtual time: what each peer said comes again, cut as it was cut,
// and through any receive mode. What we asked for and whom we choked is taken from what we sent then.
//
// One file, because it is one pass over the records: each kind has its method, and all share the connections that are open.
//
// Always: the same recording gives the same events, in the same order, whatever the machine; nothing of a recording throws anything but
// UsageError `USAGE_RECORDING`, and none costs more memory than the pool, one record and its connections.

import { constants } from "node:os";
import { entryOf } from "../../base/assert.js";
import type { PeerError } from "../../base/errors.js";
import { MIB, PLAN_ENTRIES_MAX } from "../../base/limits.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import { READABLE, WRITABLE } from "../../native/binding.js";
import type { TurnHook } from "../../native/reactor.js";
import { TurnLoad } from "../../native/turn-load.js";
import { checkReceiveMode } from "../check-options.js";
import { Memory } from "../memory/memory.js";
import type { ReceiveModeName } from "../options.js";
import { PeerConnection } from "../peer/peer-connection.js";
import type { Clock } from "../peer/peer-options.js";
import { ReceivePlan } from "../receive/receive-plan.js";
import { StreamPump } from "../stream/stream-pump.js";
import { readUint32 } from "../wire/decode.js";
import { MESSAGE_BODIES, MessageId } from "../wire/messages.js";
import {
  type RecordingSource,
  RecordKind,
  readRecords,
  recordingError,
  textOf,
  type WireRecord,
} from "./format.js";
import { ReplayStream } from "./replay-stream.js";
import { type ReplayedBlock, ReplaySwarm, sha1 } from "./replay-swarm.js";
import { SentReader } from "./sent-reader.js";

const SLAB_BYTES = 4 * MIB;
const TICK_MS = 1000;
/** Of a long silence, so many ticks are made: whatever ends by time has ended then. */
const TICKS_PER_SILENCE_MAX = 600;
const CONNECTIONS_MAX = 65_536;
const CONNECTIONS_OPEN_MAX = 8192;
const TORRENTS_MAX = 4096;
const EAGAIN = -constants.errno.EAGAIN;
/** Who we are in a replay: nobody whom a recording could name. */
const NOBODY = new Uint8Array(20);

/** Something that happened in a replay. `timeMs` counts from the beginning of the recording. */
export type ReplayEvent = { readonly timeMs: number; readonly connection: number } & (
  | { readonly event: "state"; readonly state: string; readonly code?: string; readonly message?: string }
  | { readonly event: "message"; readonly name: string; readonly bytes: number; readonly skipped: boolean }
  | ({ readonly event: "block" } & ReplayedBlock)
);

/** How one connection went in a replay. */
export interface ReplayedConnection {
  /** Its number in the recording. */
  readonly connection: number;
  /** Where the peer was. */
  readonly host: string;
  /** Port of the peer; of an incoming one, the port that it connected from. */
  readonly port: number;
  /** True if the peer had connected. */
  readonly incoming: boolean;
  /** The state at the end of the recording. */
  readonly state: string;
  /** Why it ended here, and in the recording: texts that begin with the code of a PeerError, or are empty. */
  readonly end: string;
  /** Why it ended in the recording; empty where it had not. */
  readonly recordedEnd: string;
  /** Messages that came, blocks not counted. */
  readonly messages: number;
  /** Blocks that came. */
  readonly blocks: number;
  /** Bytes of those. */
  readonly blockBytes: number;
  /** SHA-1 over the digests of all blocks in the order in which they came, in hexadecimal digits. */
  readonly blocksDigest: string;
  /** Bytes that the peer sent in the recording after it had ended here. */
  readonly unheardBytes: number;
  /** What was moved, as connection counters are. */
  readonly counters: Readonly<TransferCounters>;
}

/** How a recording is replayed. */
export interface ReplayOptions {
  /** Default: the mode that each connection began with. */
  readonly receiveMode?: ReceiveModeName;
  /** Told of each thing that happens, in order, while it does. */
  readonly onEvent?: (event: ReplayEvent) => void;
}

/** What became of all connections of a recording. */
export interface ReplayResult {
  /** In the order in which they were begun. */
  readonly connections: readonly ReplayedConnection[];
  /** False: the recording ends in the middle, or was never finished. */
  readonly whole: boolean;
}

/** Replays a recording. Throws UsageError `USAGE_RECORDING` for what is none or is damaged, `USAGE_OPTION`. */
export async function replayFrom(
  source: RecordingSource,
  options: ReplayOptions = {},
): Promise<ReplayResult> {
  if (options.receiveMode !== undefined) checkReceiveMode(options.receiveMode);
  const replay = new Replay(options);
  const records = readRecords(source);
  for (;;) {
    const { value, done } = await records.next();
    if (done) return { connections: replay.finish(), whole: value };
    replay.record(value);
  }
}

class Replay {
  readonly #options: ReplayOptions;
  readonly #memory = new Memory(new Uint8Array(SLAB_BYTES));
  readonly #plan = new ReceivePlan(new Float64Array(2 * PLAN_ENTRIES_MAX));
  readonly #clock: Clock = { nowMs: 0 };
  readonly #swarms = new Map<string, ReplaySwarm>();
  readonly #connections = new Map<number, ReplayConnection>();
  readonly #open = new Set<ReplayConnection>();
  readonly #byPeer = new Map<PeerConnection, ReplayConnection>();
  readonly #hooks: TurnHook[] = [];
  #tickedMs = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  record(record: WireRecord): void {
    this.#pass(record.timeMs);
    if (record.kind === RecordKind.torrent) this.#torrent(textOf(record));
    else if (record.kind === RecordKind.opened) this.#opened(record);
    else {
      const connection = this.#connections.get(record.connection);
      if (connection === undefined)
        throw recordingError(`nothing was said of connection ${record.connection} before`, 0);
      this.#happened(connection, record);
    }
    this.#endTurn();
  }

  finish(): ReplayedConnection[] {
    const results = [...this.#connections.values()].map((connection) => connection.result());
    for (const connection of [...this.#open]) connection.peer.close();
    return results;
  }

  #happened(connection: ReplayConnection, { kind, bytes }: WireRecord): void {
    switch (kind) {
      case RecordKind.established:
        connection.establish();
        break;
      case RecordKind.received:
        connection.hear(bytes, () => this.#endTurn());
        break;
      case RecordKind.ended:
        connection.hearEnd(bytes.readInt32BE(0));
        break;
      case RecordKind.sent:
        connection.sent.feed(bytes);
        break;
      case RecordKind.sentUnseen:
        connection.sent.pass(bytes.readUInt32BE(0));
        break;
      default:
        connection.endedThen(textOf({ kind, bytes, connection: connection.id, timeMs: 0 }));
    }
  }

  /** Time goes on to `timeMs`, with a tick for each second of it. */
  #pass(timeMs: number): void {
    const ticks = Math.floor((timeMs - this.#tickedMs) / TICK_MS);
    if (ticks > TICKS_PER_SILENCE_MAX) this.#tickedMs += (ticks - TICKS_PER_SILENCE_MAX) * TICK_MS;
    while (this.#tickedMs + TICK_MS <= timeMs) {
      this.#tickedMs += TICK_MS;
      this.#clock.nowMs = this.#tickedMs;
      for (const { peer } of [...this.#open]) peer.tick(TICK_MS);
      this.#endTurn();
    }
    this.#clock.nowMs = timeMs;
  }

  #endTurn(): void {
    // Hooks may ask for hooks: one more each, at the most.
    for (let index = 0; index < this.#hooks.length; index++) entryOf(this.#hooks, index).turnEnded();
    this.#hooks.length = 0;
    this.#memory.pool.wakeWaiters(1);
  }

  #torrent({ infoHash, pieceLength, totalLength }: Record<string, unknown>): void {
    if (typeof infoHash !== "string" || !/^[0-9a-f]{40}$/.test(infoHash))
      throw recordingError("a torrent has no info hash", 0);
    let swarm = this.#swarms.get(infoHash);
    if (swarm === undefined) {
      if (this.#swarms.size === TORRENTS_MAX) throw recordingError(`more than ${TORRENTS_MAX} torrents`, 0);
      const told = (peer: PeerConnection, block: ReplayedBlock): void =>
        this.#byPeer.get(peer)?.blockCame(block);
      swarm = new ReplaySwarm(Buffer.from(infoHash, "hex"), this.#memory, this.#clock, told);
      this.#swarms.set(infoHash, swarm);
    }
    if (pieceLength !== undefined) swarm.setLayout(pieceLength, totalLength);
  }

  #opened(record: WireRecord): void {
    const { host, port, incoming, receiveMode, infoHash } = textOf(record);
    const swarm = typeof infoHash === "string" ? this.#swarms.get(infoHash) : undefined;
    const isSound = typeof host === "string" && host.length < 256 && typeof port === "number";
    if (!isSound || typeof incoming !== "boolean" || (!incoming && swarm === undefined))
      throw recordingError(`connection ${record.connection} begins with something missing`, 0);
    if (this.#connections.has(record.connection))
      throw recordingError(`connection ${record.connection} begins twice`, 0);
    if (this.#connections.size === CONNECTIONS_MAX || this.#open.size === CONNECTIONS_OPEN_MAX)
      throw recordingError("more connections than can be replayed", 0);
    const mode = this.#options.receiveMode ?? receiveMode;
    try {
      checkReceiveMode(mode);
    } catch {
      throw recordingError(`connection ${record.connection} has a receive mode that is none`, 0);
    }
    const connection = new ReplayConnection({
      id: record.connection,
      host,
      port,
      incoming,
      swarm: incoming ? undefined : swarm,
      receiveMode: mode as ReceiveModeName,
      memory: this.#memory,
      plan: this.#plan,
      clock: this.#clock,
      atTurnEnd: (hook) => void this.#hooks.push(hook),
      findSwarm: (hash) => this.#swarms.get(Buffer.from(hash).toString("hex")),
      told: (event) => this.#options.onEvent?.(event),
      ended: () => {
        this.#open.delete(connection);
        this.#byPeer.delete(connection.peer);
      },
    });
    this.#connections.set(connection.id, connection);
    this.#open.add(connection);
    this.#byPeer.set(connection.peer, connection);
  }
}

interface ReplayConnectionOptions {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly incoming: boolean;
  readonly swarm: ReplaySwarm | undefined;
  readonly receiveMode: ReceiveModeName;
  readonly memory: Memory;
  readonly plan: ReceivePlan;
  readonly clock: Clock;
  atTurnEnd(hook: TurnHook): void;
  findSwarm(infoHash: Uint8Array): ReplaySwarm | undefined;
  told(event: ReplayEvent): void;
  ended(): void;
}

/** One connection of a recording, and a real one that hears what it heard. */
class ReplayConnection {
  readonly id: number;
  readonly peer: PeerConnection;
  readonly sent: SentReader;
  readonly #options: ReplayConnectionOptions;
  readonly #stream: ReplayStream;
  readonly #pump: StreamPump;
  readonly #digests = sha1();
  #blocksDigest: string | undefined;
  #messages = 0;
  #blocks = 0;
  #blockBytes = 0;
  #unheardBytes = 0;
  #end = "";
  #recordedEnd = "";

  constructor(options: ReplayConnectionOptions) {
    const { id, host, port, incoming, memory, plan, clock, swarm } = options;
    this.id = id;
    this.#options = options;
    this.#stream = new ReplayStream(memory, plan.entries, EAGAIN);
    const turns = { load: new TurnLoad(), atTurnEnd: (hook: TurnHook) => options.atTurnEnd(hook) };
    const pump = new StreamPump({
      turns,
      memory,
      stream: this.#stream,
      connecting: !incoming,
      eagain: EAGAIN,
    });
    this.#pump = pump;
    this.sent = new SentReader((message, body) => this.#weSent(message, body));
    this.peer = new PeerConnection({
      host,
      port,
      incoming,
      transport: pump,
      memory,
      plan,
      clock,
      directory: { findSwarm: (hash) => options.findSwarm(hash), peerId: NOBODY, listenPortFor: () => 0 },
      settings: {
        receiveMode: { name: options.receiveMode, depth: 16, contiguousWhenIdle: false },
        maxRequests: 2000,
        handshakeTimeoutMs: 10_000,
        requestTimeoutMs: 20_000,
        idleTimeoutMs: 150_000,
        sendTimeoutMs: 30_000,
        clientName: "replay",
      },
      trace: (_peer, event, details) => this.#traced(event, details),
      keeper: { peerOpened: () => {}, peerClosed: (_peer, error) => this.#closed(error) },
      ...(swarm === undefined ? {} : { swarm }),
    });
    pump.start(this.peer);
  }

  establish(): void {
    if (this.#pump.connecting) this.#pump.socketReady(WRITABLE);
  }

  /** The peer sent bytes. `endTurn` is called where nothing can go on before the turn is over. */
  hear(bytes: Buffer, endTurn: () => void): void {
    this.establish();
    const { peer } = this;
    if (peer.state === "closed") {
      this.#unheardBytes += bytes.length;
      return;
    }
    this.#stream.push(bytes);
    // Each round takes something, or the turn has to end first: for memory, or for the peer to be heard again.
    for (let idle = 0; this.#stream.pending > 0 && idle < 2; ) {
      const before = this.#stream.pending;
      if ((this.#stream.events & READABLE) !== 0) this.#pump.socketReady(READABLE);
      idle = this.#stream.pending < before ? 0 : idle + 1;
      if (this.#stream.pending > 0 && !this.#isOver) endTurn();
    }
    if (!this.#isOver && this.#stream.pending > 0) {
      this.#unheardBytes += this.#stream.pending;
      this.peer.close();
    }
  }

  hearEnd(errno: number): void {
    this.#stream.end(errno < 0 && errno > -4096 ? errno : 0);
    if (!this.#isOver && !this.#pump.connecting) this.#pump.socketReady(READABLE);
  }

  /** It ended in the recording: whoever did that, it is over here, too. */
  endedThen({ code, message }: Record<string, unknown>): void {
    this.#recordedEnd = typeof code === "string" ? `${code}: ${String(message)}` : "closed by us";
    this.peer.close();
  }

  blockCame(block: ReplayedBlock): void {
    this.#blocks++;
    this.#blockBytes += block.length;
    this.#digests.update(block.digest);
    this.#options.told({ ...this.#now, event: "block", ...block });
  }

  result(): ReplayedConnection {
    const { host, port, incoming } = this.#options;
    this.#blocksDigest ??= this.#digests.digest("hex");
    return {
      connection: this.id,
      host,
      port,
      incoming,
      state: this.peer.state,
      end: this.#end,
      recordedEnd: this.#recordedEnd,
      messages: this.#messages,
      blocks: this.#blocks,
      blockBytes: this.#blockBytes,
      blocksDigest: this.#blocksDigest,
      unheardBytes: this.#unheardBytes,
      counters: { ...this.peer.counters },
    };
  }

  get #isOver(): boolean {
    return this.peer.state === "closed";
  }

  get #now(): { timeMs: number; connection: number } {
    return { timeMs: this.#options.clock.nowMs, connection: this.id };
  }

  #closed(error: PeerError | undefined): void {
    this.#end = error === undefined ? "closed by us" : `${error.code}: ${error.message}`;
    this.#options.ended();
  }

  #traced(event: string, details: Record<string, unknown>): void {
    if (event === "state") {
      const { state, code, error } = details;
      const why = typeof code === "string" ? { code, message: String(error) } : {};
      this.#options.told({ ...this.#now, event, state: String(state), ...why });
    } else if (event === "message") {
      const { id, length, skipped } = details;
      this.#messages++;
      const name = MESSAGE_BODIES[Number(id)]?.name ?? `id ${Number(id)}`;
      this.#options.told({ ...this.#now, event, name, bytes: Number(length), skipped: skipped === true });
    }
  }

  /** We sent a message then: what it changed here is changed again. */
  #weSent(id: number, body: Buffer): void {
    const { peer } = this;
    const swarm = this.#options.findSwarm(peer.swarm?.infoHash ?? NOBODY);
    if (peer.state !== "open" || swarm === undefined || !peer.knowsPieces) return;
    switch (id) {
      case MessageId.choke:
        peer.choke();
        break;
      case MessageId.unchoke:
        peer.unchoke();
        break;
      case MessageId.have:
        if (body.length === 4) swarm.has(readUint32(body, 0));
        break;
      case MessageId.haveAll:
        swarm.have.fill();
        break;
      case MessageId.bitfield:
        swarm.hasBits(body);
        break;
      case MessageId.request:
      case MessageId.cancel:
        this.#weAsked(swarm, id, body);
        break;
      default:
    }
  }

  #weAsked(swarm: ReplaySwarm, id: number, body: Buffer): void {
    if (body.length !== 12) throw recordingError("we sent a request that is none", 0);
    const [piece, begin, length] = [0, 4, 8].map((at) => readUint32(body, at)) as [number, number, number];
    if (id === MessageId.request) swarm.requested(this.peer, piece, begin, length, this.#options.clock.nowMs);
    else this.peer.cancelRequest(piece, begin);
  }
}
