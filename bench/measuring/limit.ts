// The limit: the cheapest way there is to receive the stream, with the addon that the engine uses. It shakes hands, keeps
// requests going by counting bytes, and otherwise receives into one buffer and ignores what it holds. With several peers it
// reads from as many connections, each asking for the next blocks when it has room.
//
// Run as a process of its own: node limit.js TORRENT HOST:PORT… [--before TORRENT,HOST:PORT] [--have-every N]
// [--receive-buffer BYTES] [--requests N] [--skip BYTES]. Prints one JSON object. It does not look at messages, so it must be
// told how many bytes come between the blocks. --before: what is received first, and not measured; --skip: bytes of the
// stream that are received before measuring begins.

import { parseArgs } from "node:util";
import { describeErrno } from "../../src/base/errors.js";
import { BLOCK_SIZE, PIECE_HEADER_BYTES, RECEIVE_BUFFER_BYTES } from "../../src/base/limits.js";
import { encodeEmpty, encodeRequest } from "../../src/client/wire/encode.js";
import { encodeHandshake, makePeerId } from "../../src/client/wire/handshake.js";
import { MessageId } from "../../src/client/wire/messages.js";
import { readMetainfo } from "../../src/index.js";
import { loadBinding, type NativeEngine, READABLE, WRITABLE } from "../../src/native/binding.js";
import { Meter } from "./meter.js";
import type { LabFigures } from "./results.js";

/** Requests that are kept outstanding: as many as never let the sender wait. */
const REQUESTS = 512;
/** How many requests one write carries. */
const REQUESTS_PER_WRITE = 64;
const RECEIVES_PER_WAKE_MAX = 4;
/** As the engine does it: while much is to come, a wake-up is worth half a receive, or two. */
const LOW_WATER_BYTES_MIN = RECEIVE_BUFFER_BYTES / 2;
const LOW_WATER_BYTES_MAX = 2 * RECEIVE_BUFFER_BYTES;
const HAVE_BYTES = 9;
const BUFFER_AT = 0;
const OUTGOING_AT = RECEIVE_BUFFER_BYTES;

/** What all connections share: the stream to be received, and who has asked for which part of it. */
interface Stream {
  readonly engine: NativeEngine;
  readonly wouldBlock: number;
  readonly infoHash: Uint8Array;
  readonly pieceLength: number;
  readonly totalLength: number;
  readonly haveEvery: number;
  /** What the engine keeps outstanding at one peer as well. */
  readonly requestsMax: number;
  requestedBytes: number;
  connectionsDone: number;
  calls: number;
  /** All bytes that were received, the opening's too. */
  bytes: number;
  /** Measuring begins anew when so many bytes were received; what was received and called by then. */
  skipBytes: number;
  meter: Meter;
  bytesBefore: number;
  callsBefore: number;
}

class LimitConnection {
  readonly #stream: Stream;
  readonly #fd: number;
  readonly #finish: () => void;
  #requestedBytes = 0;
  #requests = 0;
  #receivedBytes = 0;
  #lowWaterBytes = 1;
  #connected = false;
  #started = false;
  #done = false;

  constructor(stream: Stream, fd: number, finish: () => void) {
    this.#stream = stream;
    this.#fd = fd;
    this.#finish = finish;
  }

  ready(): void {
    if (this.#done) return;
    if (this.#connected) this.#receive();
    else this.#greet();
  }

  #greet(): void {
    const { engine, infoHash } = this.#stream;
    this.#connected = true;
    refuse(engine.socketError(this.#fd), "connect");
    const hello = encodeHandshake(engine.slab, OUTGOING_AT, { infoHash, peerId: makePeerId() });
    this.#write(hello + encodeEmpty(engine.slab, OUTGOING_AT + hello, MessageId.interested));
    engine.watch(this.#fd, READABLE);
  }

  #receive(): void {
    const { engine, wouldBlock } = this.#stream;
    for (let call = 0; call < RECEIVES_PER_WAKE_MAX; call++) {
      engine.plan[0] = BUFFER_AT;
      engine.plan[1] = RECEIVE_BUFFER_BYTES;
      const received = engine.readv(this.#fd, 0, 1);
      this.#stream.calls++;
      if (received === wouldBlock) return;
      if (received === 0) throw new Error("the seeder ended the stream");
      refuse(received, "receive");
      this.#stream.bytes += received;
      if (!this.#started) {
        this.#watchForUnchoke(received);
        return;
      }
      this.#receivedBytes += received;
      if (this.#stream.bytes >= this.#stream.skipBytes) this.#beginMeasuring();
      while (this.#wantsRequests()) this.#request();
      if (this.#isComplete()) {
        this.#end();
        return;
      }
      if (received < RECEIVE_BUFFER_BYTES) break;
    }
    const toComeBytes = this.#expectedBytes() - this.#receivedBytes;
    const lowWaterBytes = toComeBytes >= 2 * LOW_WATER_BYTES_MAX ? LOW_WATER_BYTES_MAX : LOW_WATER_BYTES_MIN;
    this.#setLowWater(toComeBytes >= 4 * LOW_WATER_BYTES_MIN ? lowWaterBytes : 1);
  }

  #setLowWater(bytes: number): void {
    if (bytes === this.#lowWaterBytes) return;
    this.#lowWaterBytes = bytes;
    this.#stream.engine.setReceiveLowWater(this.#fd, bytes);
  }

  #beginMeasuring(): void {
    const stream = this.#stream;
    stream.skipBytes = Number.POSITIVE_INFINITY;
    stream.meter = new Meter();
    stream.bytesBefore = stream.bytes;
    stream.callsBefore = stream.calls;
  }

  /** The opening is small: the seeder's handshake, its pieces, its extension handshake, and last the unchoke. */
  #watchForUnchoke(received: number): void {
    const unchoke = Buffer.from([0, 0, 0, 1, MessageId.unchoke]);
    const opening = Buffer.from(this.#stream.engine.slab.subarray(BUFFER_AT, BUFFER_AT + received));
    if (!opening.includes(unchoke)) return;
    this.#started = true;
    while (this.#wantsRequests()) this.#request();
    // Others may have asked for everything by now.
    if (this.#isComplete()) this.#end();
  }

  #expectedBytes(): number {
    const { haveEvery } = this.#stream;
    const haves = haveEvery > 0 ? Math.floor(this.#requests / haveEvery) : 0;
    return this.#requestedBytes + PIECE_HEADER_BYTES * this.#requests + HAVE_BYTES * haves;
  }

  #isComplete(): boolean {
    const { requestedBytes, totalLength } = this.#stream;
    return requestedBytes === totalLength && this.#receivedBytes >= this.#expectedBytes();
  }

  #end(): void {
    this.#done = true;
    this.#stream.connectionsDone++;
    this.#stream.engine.watch(this.#fd, 0);
    this.#finish();
  }

  #wantsRequests(): boolean {
    const { requestedBytes, totalLength, requestsMax } = this.#stream;
    const outstanding = this.#requestedBytes - this.#receivedBytes;
    const room = requestsMax * BLOCK_SIZE - outstanding;
    return requestedBytes < totalLength && room >= Math.min(REQUESTS_PER_WRITE, requestsMax) * BLOCK_SIZE;
  }

  #request(): void {
    const stream = this.#stream;
    const { engine, pieceLength, totalLength } = stream;
    const count = Math.min(REQUESTS_PER_WRITE, stream.requestsMax);
    let at = OUTGOING_AT;
    for (let index = 0; index < count && stream.requestedBytes < totalLength; index++) {
      const piece = Math.floor(stream.requestedBytes / pieceLength);
      const begin = stream.requestedBytes % pieceLength;
      const left = Math.min(pieceLength - begin, totalLength - stream.requestedBytes);
      const length = Math.min(BLOCK_SIZE, left);
      at += encodeRequest(engine.slab, at, MessageId.request, piece, begin, length);
      stream.requestedBytes += length;
      this.#requestedBytes += length;
      this.#requests++;
    }
    this.#write(at - OUTGOING_AT);
  }

  #write(length: number): void {
    const { engine } = this.#stream;
    engine.plan[0] = OUTGOING_AT;
    engine.plan[1] = length;
    const written = engine.writev(this.#fd, 0, 1, false);
    refuse(written, "send");
    if (written !== length) throw new Error(`the socket did not take ${length} bytes of requests`);
  }
}

function refuse(result: number, doing: string): void {
  if (result < 0) throw new Error(`cannot ${doing}: ${describeErrno(result)}`);
}

const OPTIONS = {
  before: { type: "string" },
  "have-every": { type: "string", default: "0" },
  "receive-buffer": { type: "string", default: "0" },
  requests: { type: "string", default: String(REQUESTS) },
  skip: { type: "string", default: "0" },
} as const;

interface LimitSettings {
  readonly receiveBufferBytes: number;
  readonly requestsMax: number;
  readonly skipBytes: number;
}

/** Receives one torrent after the other, each over connections of its own. */
class LimitReceiver {
  readonly #engine: NativeEngine;
  readonly #wouldBlock: number;
  readonly #settings: LimitSettings;
  #connections: (LimitConnection | undefined)[] = [];

  constructor(settings: LimitSettings) {
    const binding = loadBinding();
    this.#settings = settings;
    this.#wouldBlock = binding.EAGAIN;
    this.#engine = binding.createEngine({
      slabBytes: RECEIVE_BUFFER_BYTES + 64 * 1024,
      planEntries: 16,
      readyEntries: 1024,
      completionEntries: 16,
      jobWords: 16,
    });
    this.#engine.onReady((count) => {
      const { ready } = this.#engine;
      for (let index = 0; index < count; index++) this.#connections[ready[2 * index] ?? -1]?.ready();
    });
  }

  /** `haveEvery`: the peers send a message "have" after every so many blocks; 0: none. */
  async receive(torrent: string, peers: readonly string[], haveEvery: number): Promise<LabFigures> {
    const engine = this.#engine;
    const { infoHash, pieceLength, totalLength } = await readMetainfo(torrent);
    const { requestsMax, receiveBufferBytes } = this.#settings;
    const stream: Stream = {
      ...{ engine, wouldBlock: this.#wouldBlock, infoHash, pieceLength, totalLength, haveEvery, requestsMax },
      ...{ requestedBytes: 0, connectionsDone: 0, calls: 0, bytes: 0, bytesBefore: 0, callsBefore: 0 },
      skipBytes: this.#settings.skipBytes > 0 ? this.#settings.skipBytes : Number.POSITIVE_INFINITY,
      meter: new Meter(),
    };
    const fds: number[] = [];
    const figures = await new Promise<LabFigures>((resolve) => {
      const finish = (): void => {
        if (stream.connectionsDone < peers.length) return;
        const { meter, bytesBefore, callsBefore } = stream;
        const skipped = Math.round((bytesBefore * BLOCK_SIZE) / (BLOCK_SIZE + PIECE_HEADER_BYTES));
        const made = { calls: stream.calls - callsBefore, bytes: stream.bytes - bytesBefore };
        resolve(meter.figures(totalLength - skipped, made));
      };
      for (const peer of peers) {
        const colon = peer.lastIndexOf(":");
        const fd = engine.connect(peer.slice(0, colon), Number(peer.slice(colon + 1)));
        refuse(fd, `connect to ${peer}`);
        if (receiveBufferBytes > 0) engine.setBufferSizes(fd, receiveBufferBytes, 0);
        this.#connections[fd] = new LimitConnection(stream, fd, finish);
        fds.push(fd);
        engine.watch(fd, WRITABLE);
      }
    });
    for (const fd of fds) engine.closeSocket(fd);
    this.#connections = [];
    return figures;
  }

  close(): void {
    this.#engine.close();
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [torrent, ...peers] = positionals as [string, ...string[]];
  const receiver = new LimitReceiver({
    receiveBufferBytes: Number(values["receive-buffer"]),
    requestsMax: Number(values.requests),
    skipBytes: Number(values.skip),
  });
  if (values.before !== undefined) {
    const [warmTorrent, warmPeer] = values.before.split(",") as [string, string];
    await receiver.receive(warmTorrent, [warmPeer], 0);
  }
  const figures = await receiver.receive(torrent, peers, Number(values["have-every"]));
  process.stdout.write(`${JSON.stringify({ ...figures, copiedBytesPerByte: 0 })}\n`);
  receiver.close();
}

await main();
