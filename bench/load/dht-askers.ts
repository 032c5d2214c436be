// Whoever asks a node of the DHT for peers, as fast as it answers: some addresses, each with so many queries under way. One asks again for each
// answer; where answers were lost, after a while.

import { KIND_RESPONSE, KrpcReader } from "../../src/dht/krpc-reader.js";
import { KrpcWriter } from "../../src/dht/krpc-writer.js";
import { ID_BYTES } from "../../src/dht/node-id.js";
import {
  type DatagramBatch,
  type DatagramHandler,
  type DatagramSocket,
  READABLE,
  SystemDatagrams,
} from "../../src/native/datagrams.js";
import { Reactor } from "../../src/native/reactor.js";
import { there } from "../measuring/ends.js";

const SLAB_BYTES = 4096;
const BATCH = 64;
const SLOT_BYTES = 1536;
/** Nobody may wait for ever for an answer that was lost. */
const STUCK_MS = 200;

export class DhtAskers {
  readonly #reactor = new Reactor(SLAB_BYTES);
  readonly #askers: Asker[] = [];

  /** `port`: of the node, at 127.0.0.1. */
  constructor(port: number, count: number) {
    const datagrams = new SystemDatagrams(this.#reactor);
    for (let index = 0; index < count; index++) {
      const socket = datagrams.bind({ host: `127.0.1.${index + 1}`, port: 0 });
      this.#askers.push(new Asker(socket, port, index));
    }
  }

  /** Answers that came so far, and their bytes. */
  get answers(): number {
    return this.#askers.reduce((sum, { answers }) => sum + answers, 0);
  }

  get bytes(): number {
    return this.#askers.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  close(): void {
    for (const asker of this.#askers) asker.close();
    this.#reactor.close();
  }
}

/** One address that asks: each answer is followed by another query. */
class Asker implements DatagramHandler {
  answers = 0;
  bytes = 0;
  readonly #socket: DatagramSocket;
  readonly #out: DatagramBatch;
  readonly #in: DatagramBatch;
  readonly #port: number;
  readonly #reader = new KrpcReader();
  readonly #writer = new KrpcWriter();
  readonly #id = new Uint8Array(ID_BYTES);
  readonly #hash = new Uint8Array(ID_BYTES);
  readonly #timer: NodeJS.Timeout;
  #transaction = 0;
  #answersAtTimer = -1;

  constructor(socket: DatagramSocket, port: number, index: number) {
    this.#socket = socket;
    this.#port = ((port & 0xff) << 8) | (port >> 8);
    this.#id.fill(index + 1);
    this.#out = socket.makeBatch(BATCH, SLOT_BYTES);
    this.#in = socket.makeBatch(BATCH, SLOT_BYTES);
    socket.watch(this, READABLE);
    this.#ask(BATCH);
    this.#timer = setInterval(() => {
      if (this.answers === this.#answersAtTimer) this.#ask(BATCH);
      this.#answersAtTimer = this.answers;
    }, STUCK_MS);
  }

  datagramsReady(): void {
    for (;;) {
      const count = this.#socket.receive(this.#in);
      if (count <= 0) return;
      let answers = 0;
      for (let index = 0; index < count; index++) {
        const length = there(this.#in.lengths[index]);
        if (!this.#reader.read(this.#in.bytes, index * SLOT_BYTES, length)) continue;
        if (this.#reader.kind !== KIND_RESPONSE || this.#reader.tokenAt < 0) continue;
        answers++;
        this.bytes += length;
      }
      this.answers += answers;
      this.#ask(answers);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #ask(count: number): void {
    const out = this.#out;
    const address = new Uint8Array(out.addresses.buffer, out.addresses.byteOffset, 16 * BATCH);
    for (let index = 0; index < count; index++) {
      const at = index * SLOT_BYTES;
      this.#transaction = (Math.imul(this.#transaction, 1664525) + 1013904223) >>> 0;
      for (let byte = 0; byte < ID_BYTES; byte++)
        this.#hash[byte] = Math.imul(this.#transaction, 2 * byte + 3) >>> 24;
      this.#writer.begin(out.bytes, at);
      this.#writer.getPeers(this.#id, this.#hash, false, false, false);
      this.#writer.endQuery(this.#transaction, true);
      out.lengths[index] = this.#writer.at - at;
      address.set([127, 0, 0, 1], 16 * index);
      out.ports[index] = this.#port;
    }
    if (count > 0) this.#socket.send(out, 0, count);
  }
}
