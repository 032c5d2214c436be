// One UDP socket of a tracker: reads batches until none waits, or its share of the turn is used up, and sends what the responder
// made of them.
//
// Always: an answer that the socket's queue has no room for is dropped and counted, never kept: its client asks again.

import type { DatagramBatch, DatagramHandler, DatagramSocket } from "../../native/datagrams.js";
import { READABLE } from "../../native/datagrams.js";
import type { SwarmStore } from "../peer-store/contract.js";
import type { ConnectionIds } from "./connection-ids.js";
import { SLOT_BYTES, type UdpCounters, UdpResponder, type UdpResponderOptions } from "./udp-responder.js";

/** Requests that one system call brings at the most. */
const BATCH_ENTRIES = 64;
/** Batches of one turn of the loop: others on it wait for some milliseconds at the most. */
const BATCHES_PER_TURN = 32;

export class UdpServer implements DatagramHandler {
  readonly socket: DatagramSocket;
  readonly #batch: DatagramBatch;
  readonly #responder: UdpResponder;

  /** The socket is bound; from here on it is this server's. */
  constructor(socket: DatagramSocket, store: SwarmStore, ids: ConnectionIds, options: UdpResponderOptions) {
    this.socket = socket;
    this.#batch = socket.makeBatch(BATCH_ENTRIES, SLOT_BYTES);
    this.#responder = new UdpResponder(socket.family, store, ids, this.#batch, options);
    socket.watch(this, READABLE);
  }

  get counters(): Readonly<UdpCounters> {
    return this.#responder.counters;
  }

  datagramsReady(): void {
    const { socket } = this;
    for (let batch = 0; batch < BATCHES_PER_TURN; batch++) {
      const count = socket.receive(this.#batch);
      if (count === 0) return;
      // An error of somebody else's making was told, and is over.
      if (count > 0 && this.#responder.respond(count) > 0) this.#send(count);
    }
  }

  close(): void {
    this.socket.close();
  }

  /** Sends what answers there are among the first `count` entries: one call, but for requests between them that have none. */
  #send(count: number): void {
    const { lengths } = this.#batch;
    for (let first = 0; first < count; ) {
      let end = first;
      while (end < count && (lengths[end] ?? 0) > 0) end++;
      if (end > first) {
        const sent = this.socket.send(this.#batch, first, end - first);
        if (sent < end - first) this.#responder.counters.unsent += end - first - sent;
      }
      first = end + 1;
    }
  }
}
