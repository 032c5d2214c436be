// The limit: the cheapest way there is to receive the stream, with the addon that the engine uses. It shakes hands, keeps
// requests going by counting bytes, and otherwise receives into one buffer and ignores what it holds.
//
// Run as a process of its own: node limit.js HOST PORT TORRENT. Prints one JSON object.

import { describeErrno } from "../src/errors.js";
import { readMetainfo } from "../src/index.js";
import { BLOCK_SIZE, PIECE_HEADER_BYTES, RECEIVE_BUFFER_BYTES } from "../src/limits.js";
import { loadBinding, type NativeEngine, READABLE, WRITABLE } from "../src/native/binding.js";
import { encodeEmpty, encodeRequest } from "../src/wire/encode.js";
import { encodeHandshake, makePeerId } from "../src/wire/handshake.js";
import { MessageId } from "../src/wire/messages.js";

/** What the engine keeps outstanding as well, and how many requests one write carries. */
const REQUESTS = 512;
const REQUESTS_PER_WRITE = 64;
const RECEIVES_PER_WAKE_MAX = 4;
const BUFFER_AT = 0;
const OUTGOING_AT = RECEIVE_BUFFER_BYTES;

class LimitLeecher {
  readonly #engine: NativeEngine;
  readonly #fd: number;
  readonly #wouldBlock: number;
  readonly #pieceLength: number;
  readonly #totalLength: number;
  readonly #finish: (calls: number, bytes: number) => void;
  #requestedBytes = 0;
  #receivedBytes = 0;
  #headersExpected = 0;
  #calls = 0;
  #started = false;

  constructor(
    engine: NativeEngine,
    fd: number,
    wouldBlock: number,
    shape: { pieceLength: number; totalLength: number },
    finish: (calls: number, bytes: number) => void,
  ) {
    this.#engine = engine;
    this.#fd = fd;
    this.#wouldBlock = wouldBlock;
    this.#pieceLength = shape.pieceLength;
    this.#totalLength = shape.totalLength;
    this.#finish = finish;
  }

  /** Everything that comes before the first block was seen. */
  begin(): void {
    this.#started = true;
    while (this.#wantsRequests()) this.#request();
  }

  receive(): void {
    for (let call = 0; call < RECEIVES_PER_WAKE_MAX; call++) {
      const { plan } = this.#engine;
      plan[0] = BUFFER_AT;
      plan[1] = RECEIVE_BUFFER_BYTES;
      const received = this.#engine.readv(this.#fd, 0, 1);
      this.#calls++;
      if (received === this.#wouldBlock) return;
      if (received <= 0)
        throw new Error(
          `the seeder ended the stream: ${received === 0 ? "closed" : describeErrno(received)}`,
        );
      if (!this.#started) {
        this.#watchForUnchoke(received);
        return;
      }
      this.#receivedBytes += received;
      if (
        this.#receivedBytes >= this.#totalLength + PIECE_HEADER_BYTES * this.#headersExpected &&
        this.#requestedBytes === this.#totalLength
      ) {
        this.#finish(this.#calls, this.#totalLength);
        return;
      }
      while (this.#wantsRequests()) this.#request();
      if (received < RECEIVE_BUFFER_BYTES) return;
    }
  }

  /** The opening is small: the seeder's handshake, its pieces, its extension handshake, and last the unchoke. */
  #watchForUnchoke(received: number): void {
    const unchoke = Buffer.from([0, 0, 0, 1, MessageId.unchoke]);
    if (Buffer.from(this.#engine.slab.subarray(BUFFER_AT, BUFFER_AT + received)).includes(unchoke))
      this.begin();
  }

  #wantsRequests(): boolean {
    const outstanding = this.#requestedBytes - this.#receivedBytes;
    const room = REQUESTS * BLOCK_SIZE - outstanding;
    return this.#requestedBytes < this.#totalLength && room >= REQUESTS_PER_WRITE * BLOCK_SIZE;
  }

  #request(): void {
    let at = OUTGOING_AT;
    for (let count = 0; count < REQUESTS_PER_WRITE && this.#requestedBytes < this.#totalLength; count++) {
      const piece = Math.floor(this.#requestedBytes / this.#pieceLength);
      const begin = this.#requestedBytes % this.#pieceLength;
      const left = Math.min(this.#pieceLength - begin, this.#totalLength - this.#requestedBytes);
      const length = Math.min(BLOCK_SIZE, left);
      at += encodeRequest(this.#engine.slab, at, MessageId.request, piece, begin, length);
      this.#requestedBytes += length;
      this.#headersExpected++;
    }
    const { plan } = this.#engine;
    plan[0] = OUTGOING_AT;
    plan[1] = at - OUTGOING_AT;
    const written = this.#engine.writev(this.#fd, 0, 1, false);
    if (written !== at - OUTGOING_AT)
      throw new Error(`the socket did not take ${at - OUTGOING_AT} bytes of requests`);
  }
}

async function main(): Promise<void> {
  const [host, port, torrent] = process.argv.slice(2) as [string, string, string];
  const metainfo = await readMetainfo(torrent);
  const binding = loadBinding();
  const engine = binding.createEngine({
    slabBytes: RECEIVE_BUFFER_BYTES + 64 * 1024,
    planEntries: 16,
    readyEntries: 16,
    completionEntries: 16,
    jobWords: 16,
  });
  const fd = engine.connect(host, Number(port));
  const refuse = (errno: number): void => {
    if (errno < 0) throw new Error(`cannot connect to ${host}:${port}: ${describeErrno(errno)}`);
  };
  refuse(fd);
  const startedMs = performance.now();
  const cpu = process.cpuUsage();
  const leecher = new LimitLeecher(engine, fd, binding.EAGAIN, metainfo, (calls, bytes) => {
    const seconds = (performance.now() - startedMs) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const cpuSeconds = (user + system) / 1e6;
    process.stdout.write(
      `${JSON.stringify({
        bytes,
        seconds,
        bytesPerSecond: bytes / seconds,
        cpuSeconds,
        cpuSecondsPerGB: cpuSeconds / (bytes / 1e9),
        systemCallsPerBlock: calls / Math.ceil(bytes / BLOCK_SIZE),
        copiedBytesPerByte: 0,
        peakRssBytes: process.resourceUsage().maxRSS * 1024,
      })}\n`,
    );
    engine.close();
  });
  let connected = false;
  engine.onReady(() => {
    if (connected) leecher.receive();
    else {
      connected = true;
      refuse(engine.socketError(fd));
      const hello = encodeHandshake(engine.slab, OUTGOING_AT, {
        infoHash: metainfo.infoHash,
        peerId: makePeerId(),
      });
      const length = hello + encodeEmpty(engine.slab, OUTGOING_AT + hello, MessageId.interested);
      engine.plan[0] = OUTGOING_AT;
      engine.plan[1] = length;
      refuse(engine.writev(fd, 0, 1, false));
      engine.watch(fd, READABLE);
    }
  });
  engine.watch(fd, WRITABLE);
}

await main();
