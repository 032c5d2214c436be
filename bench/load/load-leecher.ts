// A load generator that leeches: it asks for blocks and ignores what they hold, with less CPU than whoever seeds them. A
// program of its own, so that its CPU is apart from what is measured.
//
//   node dist/bench/load/load-leecher.js TORRENT --connect HOST:PORT… --bytes BYTES [--connections 1] [--queue 128]
//                                       [--random] [--verify-first PIECES] [--listen HOST:PORT]
//
//   --connect          a client that seeds the torrent, tried again for 30 s until it lets us in; several times: several
//                      clients. --connections: so many connections to each
//   --listen           waits for connections instead (or as well): for clients that call us. Then the first line is
//                      {"event":"listening","host","port"}
//   --queue            requests that a connection keeps outstanding
//   --bytes            ends after so many bytes of payload, of all connections together. Connections begin at places of their
//                      own, spread over the torrent, ask one block after the other, and begin anew at its end
//   --tell-at          says {"received":BYTES} as soon as there are so many of them
//   --random           blocks in random order instead
//   --verify-first     checks the digests of the first so many pieces, before the clock begins: a seeder that sends rubbish
//                      is found out
//
// Standard output, one JSON object at the end: {"payloadBytes","seconds","cpuSeconds","requests","connections"}: from the
// first request to the last byte of payload; connections that were unchoked. Exit status 1, with a line on standard error, if the
// seeder fails.

import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { readUint32 } from "../../src/client/wire/decode.js";
import { encodeEmpty, encodeRequest } from "../../src/client/wire/encode.js";
import { makePeerId } from "../../src/client/wire/handshake.js";
import { MessageId } from "../../src/client/wire/messages.js";
import { readMetainfo } from "../../src/index.js";
import { type ConnectionOptions, LoadConnection } from "./load-connection.js";
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

const BLOCK_BYTES = 16_384;
/** Requests are sent when this part of the queue is free: few and large writes, as a client does it. */
const REFILL_PART = 4;
const REQUESTS_PER_WRITE_MAX = 1024;
/**
 * While at least four times as much is to come, a wake-up is worth so many bytes: a leecher that is woken for each segment
 * costs the seeder, whose kernel wakes it, a tenth of its CPU. Whoever falls silent may have said something short.
 */
const LOW_WATER_BYTES = 128 * 1024;
const SILENCE_MS = 250;
const CONNECT_PATIENCE_MS = 30_000;
const CONNECT_PAUSE_MS = 100;

/** What all connections share. */
interface Work {
  readonly queue: number;
  readonly blockCount: number;
  readonly pieceLength: number;
  readonly totalLength: number;
  readonly random: boolean;
  readonly connections: number;
  /** Connections that were unchoked. */
  begun: number;
  requests: number;
  payloadBytes: number;
  /** Called at the first request of all. */
  started(): void;
  received(bytes: number): void;
  /** While pieces are checked: where their bytes go. */
  check: PieceCheck | undefined;
}

/** The first pieces, collected from one connection and hashed. */
class PieceCheck {
  readonly bytes: Buffer;
  readonly #digests: Uint8Array;
  readonly #pieceLength: number;
  nextRequest = 0;
  received = 0;

  constructor(bytes: number, pieceLength: number, digests: Uint8Array) {
    this.bytes = Buffer.alloc(bytes);
    this.#pieceLength = pieceLength;
    this.#digests = digests;
  }

  get complete(): boolean {
    return this.received === this.bytes.length;
  }

  /** Throws if a piece is not what the torrent says. */
  verify(): void {
    for (let piece = 0; piece * this.#pieceLength < this.bytes.length; piece++) {
      const begin = piece * this.#pieceLength;
      const digest = createHash("sha1")
        .update(this.bytes.subarray(begin, begin + this.#pieceLength))
        .digest();
      if (Buffer.compare(digest, this.#digests.subarray(20 * piece, 20 * piece + 20)) !== 0)
        throw new Error(`the seeder sent rubbish: piece ${piece} has another digest`);
    }
  }
}

class LeechingConnection extends LoadConnection {
  readonly #work: Work;
  #choked = true;
  #begun = false;
  #outstanding = 0;
  #next = 0;
  #blockAt = 0;
  #lowWaterBytes = 1;
  #heard = false;
  #begunAnew: (() => void) | undefined;

  constructor(options: ConnectionOptions, work: Work) {
    super(options);
    this.#work = work;
  }

  protected override opened(): void {
    this.sendScratch(encodeEmpty(this.loop.engine.slab, SCRATCH_AT, MessageId.interested));
  }

  protected override message(id: number, at: number): void {
    if (id === MessageId.unchoke) {
      this.#choked = false;
      if (this.#begun) return;
      this.#begun = true;
      const { blockCount, connections } = this.#work;
      this.#next = Math.floor((blockCount * (this.#work.begun++ % connections)) / connections);
    } else if (id === MessageId.choke) {
      // Without BEP 6 all requests are gone, and with it each is rejected: counting those as well does no harm.
      this.#choked = true;
      this.#outstanding = 0;
    } else if (id === MessageId.reject && this.#outstanding > 0) {
      this.#outstanding--;
      if (this.#work.check !== undefined)
        throw new Error(`the seeder refused a block of piece ${readUint32(this.loop.engine.slab, at)}`);
    }
  }

  protected override blockBegins(piece: number, begin: number): void {
    if (this.#outstanding > 0) this.#outstanding--;
    this.#blockAt = piece * this.#work.pieceLength + begin;
  }

  protected override payload(at: number, length: number): void {
    const { check } = this.#work;
    if (check === undefined) {
      this.#work.received(length);
      return;
    }
    check.bytes.set(this.loop.engine.slab.subarray(at, at + length), this.#blockAt);
    this.#blockAt += length;
    check.received += length;
    if (!check.complete) return;
    check.verify();
    this.#work.check = undefined;
    this.#begunAnew?.();
  }

  /** Tells when this connection brought the last byte to be checked: the others wait for that. */
  whenChecked(callback: () => void): void {
    this.#begunAnew = callback;
  }

  override proceed(): void {
    this.#heard = true;
    this.#request();
    const muchToCome = this.#outstanding * BLOCK_BYTES >= 4 * LOW_WATER_BYTES && !this.#choked;
    this.#setLowWater(muchToCome ? LOW_WATER_BYTES : 1);
  }

  /** A while has passed. */
  tick(): void {
    if (!this.#heard) this.#setLowWater(1);
    this.#heard = false;
  }

  #setLowWater(bytes: number): void {
    if (bytes === this.#lowWaterBytes || this.closed) return;
    this.#lowWaterBytes = bytes;
    this.loop.engine.setReceiveLowWater(this.fd, bytes);
  }

  #request(): void {
    const work = this.#work;
    if (this.#choked || this.closed) return;
    const room = work.queue - this.#outstanding;
    if (room < Math.max(1, Math.floor(work.queue / REFILL_PART))) return;
    if (work.check !== undefined) this.#requestChecked(work.check, room);
    else this.#requestNext(Math.min(room, REQUESTS_PER_WRITE_MAX));
  }

  #requestNext(count: number): void {
    const work = this.#work;
    work.started();
    const { slab } = this.loop.engine;
    let at = SCRATCH_AT;
    for (let index = 0; index < count; index++) {
      const block = work.random ? Math.floor(Math.random() * work.blockCount) : this.#next;
      this.#next = this.#next + 1 === work.blockCount ? 0 : this.#next + 1;
      at += encodeBlockRequest(slab, at, block * BLOCK_BYTES, work);
    }
    this.#outstanding += count;
    work.requests += count;
    this.sendScratch(at - SCRATCH_AT);
  }

  #requestChecked(check: PieceCheck, room: number): void {
    const { slab } = this.loop.engine;
    let at = SCRATCH_AT;
    for (let index = 0; index < room && check.nextRequest < check.bytes.length; index++) {
      at += encodeBlockRequest(slab, at, check.nextRequest, this.#work);
      check.nextRequest += BLOCK_BYTES;
      this.#outstanding++;
    }
    if (at > SCRATCH_AT) this.sendScratch(at - SCRATCH_AT);
  }
}

/** Piece lengths are multiples of the block's, so a block never crosses a piece. */
function encodeBlockRequest(slab: Uint8Array, at: number, offset: number, work: Work): number {
  const piece = Math.floor(offset / work.pieceLength);
  const length = Math.min(BLOCK_BYTES, work.totalLength - offset);
  return encodeRequest(slab, at, MessageId.request, piece, offset - piece * work.pieceLength, length);
}

const OPTIONS = {
  connect: { type: "string", multiple: true },
  listen: { type: "string" },
  connections: { type: "string" },
  queue: { type: "string" },
  bytes: { type: "string" },
  "tell-at": { type: "string" },
  random: { type: "boolean" },
  "verify-first": { type: "string" },
} as const;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (positionals[0] === undefined)
    throw new Error("load-leecher.js TORRENT --connect HOST:PORT --bytes BYTES");
  const metainfo = await readMetainfo(positionals[0]);
  const loop = new LoadLoop();
  const bytes = whole(values.bytes, metainfo.totalLength);
  let tellAt = whole(values["tell-at"], Number.POSITIVE_INFINITY);
  const perTarget = Math.max(1, whole(values.connections, 1));
  const checkedBytes = Math.min(
    whole(values["verify-first"], 0) * metainfo.pieceLength,
    metainfo.totalLength,
  );
  let watch: Stopwatch | undefined;
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    const { payloadBytes, requests, begun } = work;
    const { seconds = 0, cpuSeconds = 0 } = watch ?? {};
    printLine({ payloadBytes, seconds, cpuSeconds, requests, connections: begun });
    process.exit(payloadBytes >= bytes ? 0 : 1);
  };
  const work: Work = {
    queue: Math.max(1, whole(values.queue, 128)),
    blockCount: Math.ceil(metainfo.totalLength / BLOCK_BYTES),
    pieceLength: metainfo.pieceLength,
    totalLength: metainfo.totalLength,
    random: values.random === true,
    connections: perTarget * Math.max(1, values.connect?.length ?? 1),
    begun: 0,
    requests: 0,
    payloadBytes: 0,
    started: () => {
      watch ??= new Stopwatch();
    },
    received: (count) => {
      work.payloadBytes += count;
      if (work.payloadBytes >= tellAt) {
        tellAt = Number.POSITIVE_INFINITY;
        printLine({ received: work.payloadBytes });
      }
      if (work.payloadBytes >= bytes) end();
    },
    check: checkedBytes > 0 ? new PieceCheck(checkedBytes, metainfo.pieceLength, metainfo.pieces) : undefined,
  };
  const all = new Set<LeechingConnection>();
  const open = (fd: number, connecting: boolean, lost: (reason: string, everOpen: boolean) => void): void => {
    const { infoHash } = metainfo;
    const onClosed = (reason: string, everOpen: boolean): void => {
      all.delete(connection);
      lost(reason, everOpen);
    };
    const connection = new LeechingConnection(
      { loop, fd, infoHash, peerId: makePeerId(), connecting, onClosed },
      work,
    );
    connection.whenChecked(() => {
      for (const other of all) other.proceed();
    });
    all.add(connection);
    connection.start();
  };
  setInterval(() => {
    for (const connection of all) connection.tick();
  }, SILENCE_MS).unref();
  if (values.listen !== undefined) {
    const { host, port } = addressOf(values.listen);
    printLine({ event: "listening", ...loop.listen(host, port, (fd) => open(fd, false, () => {})) });
  }
  for (const target of (values.connect ?? []).map(addressOf))
    for (let index = 0; index < perTarget; index++) keepTrying(loop, target, open);
  whenTold(end);
}

/** Connects, and again until the client lets us in. A connection that was open and is lost is a failure. */
function keepTrying(
  loop: LoadLoop,
  target: { host: string; port: number },
  open: (fd: number, connecting: boolean, lost: (reason: string, everOpen: boolean) => void) => void,
): void {
  const untilMs = performance.now() + CONNECT_PATIENCE_MS;
  const attempt = (): void => {
    const fd = loop.engine.connect(target.host, target.port);
    refuse(fd, `connect to ${target.host}:${target.port}`);
    open(fd, true, (reason, everOpen) => {
      if (everOpen || performance.now() >= untilMs)
        throw new Error(`the seeder at ${target.host}:${target.port} is lost: ${reason}`);
      setTimeout(attempt, CONNECT_PAUSE_MS);
    });
  };
  attempt();
}

runLoad(main);
