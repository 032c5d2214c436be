// One UDP socket of a tracker: reads batches until none waits, or its share of the turn is used up, and sends what the responder
// answers.
//
// Always: an answer that the socket's queue has no room for is dropped and counted, never kept: its client asks again.

import type { DatagramBatch, DatagramHandler, DatagramSocket } from "../../native/datagrams.js";
import { READABLE } from "../../native/datagrams.js";
import type { SwarmStore } from "../peer-store/contract.js";
import type { ConnectionIds } from "./connection-ids.js";
import {
  REQUEST_SLOT_BYTES,
  RESPONSE_SLOT_BYTES,
  type UdpCounters,
  UdpResponder,
  type UdpResponderOptions,
} from "./udp-responder.js";

/** Requests that one system call brings at the most. */
const BATCH_ENTRIES = 64;
/** Batches of one turn of the loop: others on it wait for some milliseconds at the most. */
const BATCHES_PER_TURN = 32;

export class UdpServer implements DatagramHandler {
  readonly socket: DatagramSocket;
  readonly #requests: DatagramBatch;
  readonly #responses: DatagramBatch;
  readonly #responder: UdpResponder;

  /** The socket is bound; from here on it is this server's. */
  constructor(socket: DatagramSocket, store: SwarmStore, ids: ConnectionIds, options: UdpResponderOptions) {
    this.socket = socket;
    this.#requests = socket.makeBatch(BATCH_ENTRIES, REQUEST_SLOT_BYTES);
    this.#responses = socket.makeBatch(BATCH_ENTRIES, RESPONSE_SLOT_BYTES);
    this.#responder = new UdpResponder(socket.family, store, ids, this.#requests, this.#responses, options);
    socket.watch(this, READABLE);
  }

  get counters(): Readonly<UdpCounters> {
    return this.#responder.counters;
  }

  datagramsReady(): void {
    const { socket } = this;
    const requests = this.#requests;
    for (let batch = 0; batch < BATCHES_PER_TURN; batch++) {
      const count = socket.receive(requests);
      if (count === 0) return;
      // An error of somebody else's making was told, and is over.
      if (count > 0) this.#answer(count);
    }
  }

  close(): void {
    this.socket.close();
  }

  #answer(count: number): void {
    const answered = this.#responder.respond(count);
    if (answered === 0) return;
    const sent = this.socket.send(this.#responses, 0, answered);
    if (sent < answered) this.#responder.counters.unsent += answered - sent;
  }
}
