// A load generator that seeds: blocks of one file, from a mapping, to any BitTorrent client, with less CPU than whoever
// receives them. A program of its own, so that its CPU is apart from what is measured.
//
//   node dist/bench/load/load-seeder.js TORRENT FILE [--host 127.0.0.1]… [--port 0] [--connect HOST:PORT]… [--connections 1]
//                                      [--have-every N] [--shuffle] [--silent-queue] [--segment BYTES]
//
//   TORRENT, FILE      a torrent of a single file, and that file, whole and right (it is not checked)
//   --host, --port     where to listen; --host several times gives several listeners (clients that take one connection
//                      per address get 127.0.0.1, 127.0.0.2, …). Any number of connections, each as another peer. With
//                      --connect and without --host, it does not listen
//   --connect          connect to a client, tried again for 30 s until it listens; --connections: so often each
//   --have-every       after every N blocks a message "have" of 9 bytes
//   --shuffle          answers requests out of order: each change places with one of up to 32 before it
//   --silent-queue     no extension handshake (BEP 10), and so no word of how many requests it queues
//   --segment          at most so many bytes in one writing call
//
// Standard output, one JSON object per line: {"event":"listening","host","port"} for each listener (or
// {"event":"connecting"} without any), then, when it is told to end by SIGINT, SIGTERM or the end of its standard input
// (if that is a pipe), {"payloadBytes","seconds","cpuSeconds","connections"}: seconds from the first request to the last
// byte, CPU seconds from the first request on. Exit status 0. For each line of standard input: {"event":"told",
// "payloadBytes","sendCalls","sentBytes","usage"}, where usage is what Node.js calls resourceUsage.

import { openSync } from "node:fs";
import { parseArgs } from "node:util";
import { readUint32 } from "../../src/client/wire/decode.js";
import {
  encodeBitfield,
  encodeEmpty,
  encodeExtended,
  encodeHave,
  encodePieceHeader,
} from "../../src/client/wire/encode.js";
import { encodeExtensionHandshake } from "../../src/client/wire/extension.js";
import { makePeerId } from "../../src/client/wire/handshake.js";
import { MessageId } from "../../src/client/wire/messages.js";
import { readMetainfo } from "../../src/index.js";
import { READABLE, WRITABLE } from "../../src/native/binding.js";
import { there } from "../measuring/ends.js";
import { type ConnectionOptions, LoadConnection, type Offered } from "./load-connection.js";
import {
  addressOf,
  LoadLoop,
  printLine,
  refuse,
  runLoad,
  SCRATCH_AT,
  Stopwatch,
  whenTold,
  whole,
} from "./load-loop.js";

/** Requests that we say we keep (BEP 10); more are kept as well. */
const REQUESTS_ANNOUNCED = 2000;
const BLOCKS_PER_WRITE = 64;
const WRITES_PER_WAKE_MAX = 4;
/** With this many requests at hand it sends before it reads more: few and large receives. */
const REQUESTS_AT_HAND = 64;
const SHUFFLE_DISTANCE = 32;
const HEADER_BYTES = 13;
const HAVE_BYTES = 9;
const REQUEST_BODY_BYTES = 12;
const CONNECT_PATIENCE_MS = 30_000;
const CONNECT_PAUSE_MS = 100;

/** What all connections share. */
interface Load {
  readonly base: number;
  readonly pieceLength: number;
  readonly totalLength: number;
  readonly pieceCount: number;
  readonly haveEvery: number;
  readonly shuffle: boolean;
  /** Whether it says how many requests it queues. */
  readonly tellsQueue: boolean;
  readonly writeBytesMax: number;
  requested(): void;
  payloadBytes: number;
  sendCalls: number;
  sentBytes: number;
  /** When bytes were sent last, by performance.now(). */
  lastSentMs: number;
}

class SeedingConnection extends LoadConnection {
  readonly #load: Load;
  /** A ring of requests: where in the file, and how many bytes. */
  #offsets = new Float64Array(4096);
  #lengths = new Int32Array(4096);
  #first = 0;
  #count = 0;
  /** Bytes of the first request's item (header, payload, have) that were sent. */
  #sentOfFirst = 0;
  #blocksSent = 0;
  #random = 1;
  /** Entries of the plan that #plan() filled. */
  #entries = 0;

  constructor(options: ConnectionOptions, load: Load) {
    super(options);
    this.#load = load;
  }

  protected override opened({ fast, extended }: Offered): void {
    const { slab } = this.loop.engine;
    if (extended && this.#load.tellsQueue) {
      const hello = encodeExtensionHandshake({
        v: "load",
        p: 0,
        reqq: REQUESTS_ANNOUNCED,
        uploadOnly: true,
        yourip: "",
      });
      this.sendScratch(encodeExtended(slab, SCRATCH_AT, 0, hello));
    }
    if (fast) {
      this.sendScratch(encodeEmpty(slab, SCRATCH_AT, MessageId.haveAll));
    } else {
      const { pieceCount } = this.#load;
      const bits = new Uint8Array(Math.ceil(pieceCount / 8)).fill(0xff);
      if (pieceCount % 8 !== 0) bits[bits.length - 1] = 0xff << (8 - (pieceCount % 8));
      const message = new Uint8Array(5 + bits.length);
      encodeBitfield(message, 0, bits);
      this.sendBytes(message);
    }
  }

  protected override message(id: number, at: number, bodyBytes: number): void {
    const { slab } = this.loop.engine;
    if (id === MessageId.interested) {
      // A block may be on its way in part: nothing may come between its bytes. It was unchoked then already.
      if (this.#sentOfFirst === 0) this.sendScratch(encodeEmpty(slab, SCRATCH_AT, MessageId.unchoke));
    } else if (id === MessageId.request && bodyBytes === REQUEST_BODY_BYTES) {
      const offset = readUint32(slab, at) * this.#load.pieceLength + readUint32(slab, at + 4);
      this.#push(offset, readUint32(slab, at + 8));
    }
  }

  #push(offset: number, length: number): void {
    const load = this.#load;
    if (length === 0 || offset + length > load.totalLength) {
      this.close("a request outside the torrent");
      return;
    }
    load.requested();
    if (this.#count === this.#offsets.length) this.#grow();
    const mask = this.#offsets.length - 1;
    let place = (this.#first + this.#count++) & mask;
    if (load.shuffle && this.#count > 2) {
      // The first may be on its way: it keeps its place.
      this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) >>> 0;
      const back = (this.#random >>> 8) % Math.min(SHUFFLE_DISTANCE, this.#count - 1);
      const other = (place - back) & mask;
      this.#offsets[place] = there(this.#offsets[other]);
      this.#lengths[place] = there(this.#lengths[other]);
      place = other;
    }
    this.#offsets[place] = offset;
    this.#lengths[place] = length;
  }

  #grow(): void {
    const size = this.#offsets.length;
    const offsets = new Float64Array(2 * size);
    const lengths = new Int32Array(2 * size);
    for (let index = 0; index < this.#count; index++) {
      offsets[index] = there(this.#offsets[(this.#first + index) & (size - 1)]);
      lengths[index] = there(this.#lengths[(this.#first + index) & (size - 1)]);
    }
    this.#offsets = offsets;
    this.#lengths = lengths;
    this.#first = 0;
  }

  protected override proceed(): void {
    for (let write = 0; write < WRITES_PER_WAKE_MAX && this.#count > 0; write++) {
      const planned = this.#plan();
      const sent = this.sent(this.loop.engine.writev(this.fd, 0, this.#entries, false));
      if (this.closed) return;
      this.#advance(sent);
      if (sent < planned) break;
    }
    if (this.#count === 0) this.watch(READABLE);
    else this.watch(this.#count < REQUESTS_AT_HAND ? READABLE | WRITABLE : WRITABLE);
  }

  /**
   * Fills the plan with the requests at hand, from the byte that is next. Headers are written anew each time, so that
   * a connection that waits holds nothing but its requests. Returns the bytes planned.
   */
  #plan(): number {
    const { slab, plan } = this.loop.engine;
    const load = this.#load;
    let entries = 0;
    let planned = 0;
    let scratch = SCRATCH_AT;
    let skip = this.#sentOfFirst;
    const add = (address: number, length: number): void => {
      const left = length - skip;
      if (left > 0) {
        const room = load.writeBytesMax - planned;
        plan[2 * entries] = address + skip;
        plan[2 * entries + 1] = Math.min(left, room);
        planned += Math.min(left, room);
        if (room > 0) entries++;
      }
      skip = Math.max(0, skip - length);
    };
    const count = Math.min(this.#count, BLOCKS_PER_WRITE);
    for (let index = 0; index < count && planned < load.writeBytesMax; index++) {
      const place = (this.#first + index) & (this.#offsets.length - 1);
      const offset = there(this.#offsets[place]);
      const length = there(this.#lengths[place]);
      const piece = Math.floor(offset / load.pieceLength);
      encodePieceHeader(slab, scratch, piece, offset - piece * load.pieceLength, length);
      add(scratch, HEADER_BYTES);
      add(load.base + offset, length);
      scratch += HEADER_BYTES;
      if (this.#hasHave(this.#blocksSent + index)) {
        encodeHave(slab, scratch, piece);
        add(scratch, HAVE_BYTES);
        scratch += HAVE_BYTES;
      }
    }
    this.#entries = entries;
    return planned;
  }

  #hasHave(block: number): boolean {
    const { haveEvery } = this.#load;
    return haveEvery > 0 && (block + 1) % haveEvery === 0;
  }

  #advance(sent: number): void {
    let done = this.#sentOfFirst + sent;
    this.#load.lastSentMs = performance.now();
    this.#load.sendCalls++;
    this.#load.sentBytes += sent;
    while (this.#count > 0) {
      const length = there(this.#lengths[this.#first]);
      const item = HEADER_BYTES + length + (this.#hasHave(this.#blocksSent) ? HAVE_BYTES : 0);
      if (done < item) break;
      done -= item;
      this.#first = (this.#first + 1) & (this.#offsets.length - 1);
      this.#count--;
      this.#blocksSent++;
      this.#load.payloadBytes += length;
    }
    this.#sentOfFirst = done;
  }
}

const OPTIONS = {
  host: { type: "string", multiple: true },
  port: { type: "string" },
  connect: { type: "string", multiple: true },
  connections: { type: "string" },
  "have-every": { type: "string" },
  shuffle: { type: "boolean" },
  "silent-queue": { type: "boolean" },
  segment: { type: "string" },
} as const;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [torrent, file] = positionals;
  if (torrent === undefined || file === undefined) throw new Error("load-seeder.js TORRENT FILE");
  const metainfo = await readMetainfo(torrent);
  if (!metainfo.isSingleFile) throw new Error("a load is a torrent of a single file");
  const loop = new LoadLoop();
  const base = loop.engine.map(openSync(file, "r"), metainfo.totalLength, false, true);
  refuse(base, `map ${file}`);
  let watch: Stopwatch | undefined;
  let startedMs = 0;
  let connections = 0;
  const load: Load = {
    base,
    pieceLength: metainfo.pieceLength,
    totalLength: metainfo.totalLength,
    pieceCount: metainfo.pieces.length / 20,
    haveEvery: whole(values["have-every"], 0),
    shuffle: values.shuffle === true,
    tellsQueue: values["silent-queue"] !== true,
    writeBytesMax: whole(values.segment, 0) || Number.MAX_SAFE_INTEGER,
    requested: () => {
      if (watch !== undefined) return;
      watch = new Stopwatch();
      startedMs = performance.now();
    },
    payloadBytes: 0,
    sendCalls: 0,
    sentBytes: 0,
    lastSentMs: 0,
  };
  const open = (fd: number, connecting: boolean, onClosed: ConnectionOptions["onClosed"]): void => {
    const { infoHash } = metainfo;
    connections++;
    new SeedingConnection({ loop, fd, infoHash, peerId: makePeerId(), connecting, onClosed }, load).start();
  };
  const targets = (values.connect ?? []).map(addressOf);
  const hosts = values.host ?? (targets.length > 0 ? [] : ["127.0.0.1"]);
  const port = whole(values.port, 0);
  for (const host of hosts) {
    const address = loop.listen(host, port, (fd) => open(fd, false, () => {}));
    printLine({ event: "listening", ...address });
  }
  if (hosts.length === 0) printLine({ event: "connecting" });
  for (const target of targets)
    for (let index = whole(values.connections, 1); index > 0; index--) keepTrying(loop, target, open);
  const tell = (): void => {
    const { payloadBytes, sendCalls, sentBytes } = load;
    printLine({ event: "told", payloadBytes, sendCalls, sentBytes, usage: process.resourceUsage() });
  };
  whenTold(() => {
    const { payloadBytes, lastSentMs } = load;
    const seconds = Math.max(0, (lastSentMs - startedMs) / 1000);
    printLine({ payloadBytes, seconds, cpuSeconds: watch?.cpuSeconds ?? 0, connections });
    loop.close();
    process.exitCode = 0;
    setImmediate(() => process.exit());
  }, tell);
}

/** Connects, and again until the client listens and has the torrent. */
function keepTrying(
  loop: LoadLoop,
  target: { host: string; port: number },
  open: (fd: number, connecting: boolean, onClosed: ConnectionOptions["onClosed"]) => void,
): void {
  const untilMs = performance.now() + CONNECT_PATIENCE_MS;
  const attempt = (): void => {
    const fd = loop.engine.connect(target.host, target.port);
    refuse(fd, `connect to ${target.host}:${target.port}`);
    open(fd, true, (_reason, everOpen) => {
      if (!everOpen && performance.now() < untilMs) setTimeout(attempt, CONNECT_PAUSE_MS);
    });
  };
  attempt();
}

runLoad(main);
