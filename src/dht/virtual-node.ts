// One virtual node: an id, a socket, and what is under way on it. It reads batches and hands queries to the responder and answers to the
// calls they are for; it writes queries and answers into one batch, and sends that when it is full, or the turn ends.
//
// Always: what has no room in the socket's queue is dropped and counted: a query then fails by time, and an asker asks again. Nobody is sent
// more than the rate allows, whoever gave us the address. A message from our own id, or an error that is for no query, changes
// nothing and is not answered.

import { assert } from "../base/assert.js";
import {
  ADDRESS_WORDS,
  type DatagramBatch,
  type DatagramHandler,
  type DatagramSocket,
  READABLE,
} from "../native/datagrams.js";
import { AdaptiveTimeout } from "./adaptive-timeout.js";
import { type CallListener, type CallObserver, Calls } from "./calls.js";
import { type Contact, type Family, networkWords } from "./contact.js";
import {
  KIND_ERROR,
  KIND_QUERY,
  KrpcReader,
  METHOD_ANNOUNCE_PEER,
  METHOD_FIND_NODE,
  METHOD_GET_PEERS,
  METHOD_PING,
  METHOD_SAMPLE_INFOHASHES,
} from "./krpc-reader.js";
import { KrpcWriter } from "./krpc-writer.js";
import { ID_BYTES, sameId } from "./node-id.js";
import type { RateCells } from "./rate-cells.js";
import { SENT_BYTES_MAX } from "./responder.js";
import { bytesOf, Sender } from "./sender.js";

/** Datagrams that one system call brings or takes at the most. */
const BATCH_ENTRIES = 64;
/** Batches of one turn of the loop: others on it wait for some milliseconds at the most. */
const BATCHES_PER_TURN = 16;
/** Longer ones are no messages of the DHT: they are cut off, and dropped. */
export const RECEIVED_BYTES_MAX = 1536;
const MESSAGE_BYTES_MIN = 15;

/** Messages of a virtual node since it was made. */
export interface NodeCounters {
  /** Whole queries of others, answered or not. */
  queriesReceived: number;
  /** Answers to queries of ours, errors and late ones included. */
  answersReceived: number;
  /** Datagrams that were no message. */
  malformed: number;
  /** Answers and errors for no query of ours, or from somewhere else than it went to. */
  unasked: number;
  /** Queries of addresses that asked too often: not answered. */
  overRate: number;
  /** Queries that were not answered since all together had got enough answers. */
  overBudget: number;
  /** Queries of ours that were handed to the socket. */
  queriesSent: number;
  /** Answers and errors to queries of others. */
  answersSent: number;
  /** Queries not sent, for their address had got enough. */
  heldBack: number;
  /** Datagrams that the socket's queue had no room for. */
  unsent: number;
}

export function makeNodeCounters(): NodeCounters {
  return {
    queriesReceived: 0,
    answersReceived: 0,
    malformed: 0,
    unasked: 0,
    overRate: 0,
    overBudget: 0,
    queriesSent: 0,
    answersSent: 0,
    heldBack: 0,
    unsent: 0,
  };
}

/** What the virtual nodes of one family share. */
export interface NodeHost extends CallObserver {
  readonly nowMs: number;
  /** Looks at the clock: datagrams are about to be read. */
  turnBegins(): void;
  /** Filled by the node that reads, and read before the next one does. */
  readonly received: DatagramBatch;
  readonly adaptsTimeouts: boolean;
  readonly readOnly: boolean;
  readonly wantsBoth: boolean;
  /** Queries that one address is sent, and that one address may send us. */
  readonly outgoing: RateCells;
  readonly incoming: RateCells;
  /** Takes one of the answers that all addresses together get; false if there is none left for this one for now. */
  takeAnswer(sender: Sender): boolean;
  /** 32 bits that nobody can guess. */
  randomWord(): number;
  /** Answers a query: writes into `writer`; false if there is nothing to say. */
  respond(node: VirtualNode, query: KrpcReader, sender: Sender, writer: KrpcWriter): boolean;
  /** `node` has something to send: it wants flush() to be called when the turn ends. */
  flushLater(node: VirtualNode): void;
}

export class VirtualNode implements DatagramHandler {
  /** Replaced when our address becomes known, and it belongs to another (BEP 42). */
  id: Uint8Array;
  readonly family: Family;
  readonly socket: DatagramSocket;
  readonly timeout: AdaptiveTimeout;
  readonly calls: Calls;
  readonly counters = makeNodeCounters();
  readonly #host: NodeHost;
  readonly #reader = new KrpcReader();
  readonly #writer = new KrpcWriter();
  readonly #sender: Sender;
  readonly #out: DatagramBatch;
  readonly #outAddresses: Uint8Array;
  readonly #outPorts: Uint8Array;
  #outCount = 0;
  #isClosed = false;

  constructor(socket: DatagramSocket, id: Uint8Array, host: NodeHost) {
    this.socket = socket;
    this.family = socket.family;
    this.id = id;
    this.#host = host;
    this.timeout = new AdaptiveTimeout(host.adaptsTimeouts);
    this.calls = new Calls(this.timeout, host);
    this.#sender = new Sender(host.received, this.family);
    this.#out = socket.makeBatch(BATCH_ENTRIES, SENT_BYTES_MAX);
    this.#outAddresses = bytesOf(this.#out.addresses);
    this.#outPorts = bytesOf(this.#out.ports);
    socket.watch(this, READABLE);
  }

  // ── queries; false: it was not sent, and the listener will not hear of it ──────────────────────────────────

  ping(to: Contact, listener: CallListener, anyId = false): boolean {
    if (!this.#begin(to)) return false;
    this.#writer.ping(this.id);
    return this.#ask(to, METHOD_PING, listener, anyId);
  }

  findNode(to: Contact, target: Uint8Array, listener: CallListener, anyId = false): boolean {
    if (!this.#begin(to)) return false;
    this.#writer.findNode(this.id, target, this.#host.wantsBoth);
    return this.#ask(to, METHOD_FIND_NODE, listener, anyId);
  }

  getPeers(
    to: Contact,
    infoHash: Uint8Array,
    listener: CallListener,
    noSeeds: boolean,
    scrapes = false,
  ): boolean {
    if (!this.#begin(to)) return false;
    // Filters and nodes of both families do not fit into one answer.
    this.#writer.getPeers(this.id, infoHash, this.#host.wantsBoth && !scrapes, noSeeds, scrapes);
    return this.#ask(to, METHOD_GET_PEERS, listener, false);
  }

  sampleInfoHashes(to: Contact, target: Uint8Array, listener: CallListener): boolean {
    if (!this.#begin(to)) return false;
    this.#writer.sampleInfoHashes(this.id, target, this.#host.wantsBoth);
    return this.#ask(to, METHOD_SAMPLE_INFOHASHES, listener, false);
  }

  announcePeer(
    to: Contact,
    infoHash: Uint8Array,
    port: number,
    impliedPort: boolean,
    isSeed: boolean,
    token: Uint8Array,
    listener: CallListener,
  ): boolean {
    if (!this.#begin(to)) return false;
    this.#writer.announcePeer(this.id, infoHash, port, impliedPort, isSeed, token);
    return this.#ask(to, METHOD_ANNOUNCE_PEER, listener, false);
  }

  // ── the socket ─────────────────────────────────────────────────────────────────────────────────────────────

  datagramsReady(): void {
    const { received } = this.#host;
    this.#host.turnBegins();
    for (let batch = 0; batch < BATCHES_PER_TURN && !this.#isClosed; batch++) {
      const count = this.socket.receive(received);
      if (count === 0) break;
      // Below 0 an error of somebody else's making was told, and is over.
      for (let index = 0; index < count && !this.#isClosed; index++) this.#take(index);
    }
    this.flush();
  }

  /** Sends what was written. */
  flush(): void {
    if (this.#outCount === 0 || this.#isClosed) return;
    const count = this.#outCount;
    this.#outCount = 0;
    this.counters.unsent += count - this.socket.send(this.#out, 0, count);
  }

  /** Stalls and fails what is due. */
  advance(nowMs: number): void {
    this.calls.advance(nowMs);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.socket.close();
    this.calls.close();
  }

  #take(index: number): void {
    const { received, nowMs } = this.#host;
    const { counters } = this;
    const reader = this.#reader;
    const sender = this.#sender;
    const length = received.lengths[index]!;
    sender.of(index);
    if (
      length < MESSAGE_BYTES_MIN ||
      length > RECEIVED_BYTES_MAX ||
      sender.port === 0 ||
      !reader.read(received.bytes, index * received.slotBytes, length)
    ) {
      counters.malformed++;
      return;
    }
    // Our own id from somewhere: a reflection, or somebody who is up to something.
    if (reader.idAt >= 0 && sameId(reader.bytes, reader.idAt, this.id, 0)) {
      counters.malformed++;
      return;
    }
    if (reader.kind === KIND_QUERY) {
      counters.queriesReceived++;
      this.#respond();
    } else if (this.calls.answered(reader, reader.kind === KIND_ERROR, sender, nowMs)) {
      counters.answersReceived++;
    } else {
      counters.unasked++;
    }
  }

  #respond(): void {
    const sender = this.#sender;
    const { incoming, nowMs, readOnly } = this.#host;
    if (readOnly) return;
    if (!incoming.take(sender.words, sender.wordAt, networkWords(this.family), nowMs)) {
      this.counters.overRate++;
      return;
    }
    if (!this.#host.takeAnswer(sender)) {
      this.counters.overBudget++;
      return;
    }
    if (this.#outCount === BATCH_ENTRIES) this.flush();
    const at = this.#outCount * SENT_BYTES_MAX;
    this.#writer.begin(this.#out.bytes, at);
    if (!this.#host.respond(this, this.#reader, sender, this.#writer)) return;
    const entry = this.#outCount;
    for (let index = 0; index < 4 * ADDRESS_WORDS; index++)
      this.#outAddresses[16 * entry + index] = sender.addresses[sender.addressAt + index]!;
    this.#outPorts[2 * entry] = sender.ports[sender.portAt]!;
    this.#outPorts[2 * entry + 1] = sender.ports[sender.portAt + 1]!;
    this.counters.answersSent++;
    this.#end(at);
  }

  // ── writing ────────────────────────────────────────────────────────────────────────────────────────────────

  #begin(to: Contact): boolean {
    if (this.#isClosed || this.calls.isFull) return false;
    if (this.#outCount === BATCH_ENTRIES) this.flush();
    const entry = this.#outCount;
    const { compact, addressBytes } = to;
    for (let index = 0; index < 16; index++)
      this.#outAddresses[16 * entry + index] = index < addressBytes ? compact[ID_BYTES + index]! : 0;
    this.#outPorts[2 * entry] = compact[ID_BYTES + addressBytes]!;
    this.#outPorts[2 * entry + 1] = compact[ID_BYTES + addressBytes + 1]!;
    const { outgoing, nowMs } = this.#host;
    if (!outgoing.take(this.#out.addresses, ADDRESS_WORDS * entry, networkWords(this.family), nowMs)) {
      this.counters.heldBack++;
      return false;
    }
    this.#writer.begin(this.#out.bytes, entry * SENT_BYTES_MAX);
    return true;
  }

  #ask(contact: Contact, method: number, listener: CallListener, anyId: boolean): boolean {
    const host = this.#host;
    let transaction = host.randomWord();
    while (this.calls.isTaken(transaction)) transaction = host.randomWord();
    this.#writer.endQuery(transaction, host.readOnly);
    this.counters.queriesSent++;
    this.calls.add(contact, method, transaction, host.nowMs, anyId, listener);
    this.#end(this.#outCount * SENT_BYTES_MAX);
    return true;
  }

  #end(at: number): void {
    const length = this.#writer.at - at;
    assert(length <= SENT_BYTES_MAX, "a message fits into its slot");
    this.#out.lengths[this.#outCount++] = length;
    if (this.#outCount === 1) this.#host.flushLater(this);
  }
}
