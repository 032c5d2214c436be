// Sends every datagram back to where it came from, through the sockets and the loop that a tracker uses: the limit that a tracker on
// them can reach.
//
//   node datagram-echo.js HOST:PORT        prints {"event":"listening",…} as a tracker does; ends with its standard input

import {
  type DatagramBatch,
  type DatagramHandler,
  type DatagramSocket,
  READABLE,
  SystemDatagrams,
} from "../../src/native/datagrams.js";
import { Reactor } from "../../src/native/reactor.js";

const BATCH_ENTRIES = 64;
const SLOT_BYTES = 25 * 64;
const BATCHES_PER_TURN = 32;

class Echo implements DatagramHandler {
  readonly #socket: DatagramSocket;
  readonly #batch: DatagramBatch;

  constructor(socket: DatagramSocket) {
    this.#socket = socket;
    this.#batch = socket.makeBatch(BATCH_ENTRIES, SLOT_BYTES);
    socket.watch(this, READABLE);
  }

  datagramsReady(): void {
    for (let batch = 0; batch < BATCHES_PER_TURN; batch++) {
      const count = this.#socket.receive(this.#batch);
      if (count === 0) return;
      if (count > 0) this.#socket.send(this.#batch, 0, count);
    }
  }
}

const [, host = "127.0.0.1", port = "0"] = /^(.*):(\d+)$/.exec(process.argv[2] ?? "127.0.0.1:0") ?? [];
const reactor = new Reactor(4096);
const socket = new SystemDatagrams(reactor).bind({
  host,
  port: Number(port),
  receiveBufferBytes: 4 * 2 ** 20,
});
new Echo(socket);
console.log(JSON.stringify({ event: "listening", protocol: "udp", ...socket.address }));
process.stdin
  .resume()
  .once("end", () => reactor.close())
  .once("error", () => reactor.close());
