// A link between far machines, on this one: a relay of TCP connections that delays what passes by half of a round trip each way
// and lets all of them together carry so many bytes per second in each direction. A program of its own, so that its CPU is
// apart from what is measured.
//
//   node dist/bench/load/load-relay.js --to HOST:PORT [--to HOST:PORT]… --rtt MS --rate BYTES
//
// It prints a line {"host", "port"} for each `--to`, where connections to it are taken, and ends with its standard input.
//
// Always: bytes are delivered in order, none before its time. What is on the way in one direction is bounded by what the link holds (its
// rate times the round trip) and QUEUE_BYTES more, as in a router: beyond it the relay stops reading, and the sender's TCP waits.

import { createServer, type Socket, connect as tcpConnect } from "node:net";
import { parseArgs } from "node:util";
import { entryOf } from "../measuring/ends.js";

/** What the bottleneck's router keeps beyond what is on the way. */
const QUEUE_BYTES = 1024 * 1024;
const HOST = "127.0.0.1";

interface Packet {
  readonly to: Socket;
  readonly bytes: Buffer;
  readonly dueMs: number;
}

/** One direction of the link, which all connections share. */
class Direction {
  readonly #delayMs: number;
  readonly #bytesPerMs: number;
  readonly #windowBytes: number;
  readonly #waiting = new Set<Socket>();
  #packets: Packet[] = [];
  #first = 0;
  #heldBytes = 0;
  /** When the link has sent all that it was given. */
  #freeMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(rttMs: number, bytesPerSecond: number) {
    this.#delayMs = rttMs / 2;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#windowBytes = (bytesPerSecond * rttMs) / 1000 + QUEUE_BYTES;
  }

  pass(from: Socket, to: Socket, bytes: Buffer): void {
    const now = performance.now();
    this.#freeMs = Math.max(this.#freeMs, now) + bytes.length / this.#bytesPerMs;
    this.#packets.push({ to, bytes, dueMs: this.#freeMs + this.#delayMs });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > this.#windowBytes) {
      from.pause();
      this.#waiting.add(from);
    }
    this.#arm(now);
  }

  #arm(now: number): void {
    const next = this.#packets[this.#first];
    if (this.#timer !== undefined || next === undefined) return;
    this.#timer = setTimeout(() => this.#deliver(), Math.max(0, next.dueMs - now));
  }

  #deliver(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (; this.#first < this.#packets.length; this.#first++) {
      const { to, bytes, dueMs } = entryOf(this.#packets, this.#first);
      if (dueMs > now) break;
      this.#heldBytes -= bytes.length;
      if (to.writable) to.write(bytes);
    }
    if (this.#first > 1024) {
      this.#packets = this.#packets.slice(this.#first);
      this.#first = 0;
    }
    if (this.#heldBytes <= this.#windowBytes) {
      for (const socket of this.#waiting) socket.resume();
      this.#waiting.clear();
    }
    this.#arm(now);
  }
}

function main(): void {
  const { values } = parseArgs({
    options: {
      to: { type: "string", multiple: true },
      rtt: { type: "string" },
      rate: { type: "string" },
    },
  });
  const rttMs = Number(values.rtt);
  const bytesPerSecond = Number(values.rate);
  if (!(rttMs >= 0) || !(bytesPerSecond > 0) || values.to === undefined)
    throw new Error("usage: load-relay.js --to HOST:PORT… --rtt MS --rate BYTES");
  const there = new Direction(rttMs, bytesPerSecond);
  const back = new Direction(rttMs, bytesPerSecond);
  for (const target of values.to) {
    const colon = target.lastIndexOf(":");
    const [host, port] = [target.slice(0, colon), Number(target.slice(colon + 1))];
    const server = createServer((near) => join(near, tcpConnect({ host, port, noDelay: true })));
    const join = (near: Socket, far: Socket): void => {
      near.setNoDelay(true);
      near.on("data", (bytes) => there.pass(near, far, bytes));
      far.on("data", (bytes) => back.pass(far, near, bytes));
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        socket.on("error", () => {});
        socket.on("close", () => other.destroy());
      }
    };
    server.listen(0, HOST, () => {
      const address = server.address();
      if (typeof address === "object" && address !== null)
        process.stdout.write(`${JSON.stringify({ host: HOST, port: address.port })}\n`);
    });
  }
  process.stdin.on("end", () => process.exit(0)).resume();
}

main();
