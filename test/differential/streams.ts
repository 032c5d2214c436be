// Byte streams as a peer may send them, and what must become of them. A script says what happens in which order; it
// is always playable (a block that is sent was asked for), so that a shrunk script is one too.

import { PIECE_HEADER_BYTES } from "../../src/base/limits.js";
import { MessageId } from "../../src/client/wire/messages.js";
import { makeRandom } from "../support/property.js";
import { entryOf, required } from "../support/required.js";

/** One thing that a peer does. `which` chooses among the outstanding requests: 0 is the oldest. */
export type Act =
  | { kind: "block"; which: number }
  /** A block that was cancelled: it comes, and its payload is not wanted. */
  | { kind: "unwanted"; which: number }
  | { kind: "reject"; which: number }
  | { kind: "keepAlive" }
  /** Requests outstanding are gone; none are made until unchoke. */
  | { kind: "choke" }
  | { kind: "unchoke" }
  | { kind: "have"; piece: number }
  | { kind: "request" }
  | { kind: "bitfield"; bytes: number }
  | { kind: "extended"; bytes: number }
  | { kind: "unknown"; bytes: number };

/** What the host saw, in order. Every mode must see the same. */
export type Seen = string;

export interface Block {
  readonly piece: number;
  readonly begin: number;
  readonly length: number;
  /** Where it stands in the torrent: behind the block before it. */
  readonly offset: number;
  readonly content: Uint8Array;
}

export interface Stream {
  readonly bytes: Uint8Array;
  /** All blocks that may be asked for, in the order in which they are. */
  readonly blocks: readonly Block[];
  /** Requests outstanding at one time. */
  readonly window: number;
  /** Keys of blocks that are not wanted any more when they come. */
  readonly unwanted: ReadonlySet<string>;
  readonly handshake: boolean;
  /** What a host must see, and the code of the PeerError that must end it. */
  readonly seen: readonly Seen[];
  readonly errorCode: string | undefined;
  /** Blocks by the offset in `bytes` at which their payload begins. */
  readonly payloadStarts: ReadonlyMap<number, Block>;
  readonly payloadBytes: number;
  readonly unwantedBytes: number;
  /** True if nothing but wanted blocks is in it, in the order they were asked for. */
  readonly plain: boolean;
}

/** Blocks of one torrent, as many as a stream may ask for. */
export const BLOCK_COUNT = 160;
/** Blocks of one piece: enough that (piece, begin) tell them apart. */
const BLOCKS_PER_PIECE = 4;
const BEGIN_STEP = 16384;

export function blockKey(piece: number, begin: number): string {
  return `${piece}/${begin}`;
}

/** Index of the block in Stream.blocks. */
export function blockIndex(piece: number, begin: number): number {
  return piece * BLOCKS_PER_PIECE + begin / BEGIN_STEP;
}

const noise = new Uint8Array(512 * 1024);
const random = makeRandom(42);
for (let index = 0; index < noise.length; index++) noise[index] = random() * 256;

/** `length` bytes that look like no others. Also like no header: a mix-up must not parse by accident. */
function noiseAt(seed: number, length: number): Uint8Array {
  const at = (seed * 7919) % (noise.length - length);
  return noise.subarray(at, at + length);
}

/** BLOCK_COUNT blocks, whose lengths are `lengths` again and again. */
function makeBlocks(lengths: readonly number[]): Block[] {
  let offset = 0;
  return Array.from({ length: BLOCK_COUNT }, (_, index) => {
    const length = entryOf(lengths, index % lengths.length);
    offset += length;
    return {
      piece: Math.floor(index / BLOCKS_PER_PIECE),
      begin: (index % BLOCKS_PER_PIECE) * BEGIN_STEP,
      length,
      offset: offset - length,
      content: noiseAt(index + 1, length),
    };
  });
}

/** The requests that are out: the same few rules for the script and for the host that plays it. */
export class Requests {
  readonly #blocks: readonly Block[];
  readonly #window: number;
  readonly outstanding: Block[] = [];
  #next = 0;
  #choked = false;

  constructor(blocks: readonly Block[], window: number) {
    this.#blocks = blocks;
    this.#window = window;
    this.#refill();
  }

  take(block: Block): void {
    this.outstanding.splice(this.outstanding.indexOf(block), 1);
    this.#refill();
  }

  choke(): void {
    this.#choked = true;
    this.outstanding.length = 0;
  }

  unchoke(): void {
    this.#choked = false;
    this.#refill();
  }

  #refill(): void {
    while (!this.#choked && this.outstanding.length < this.#window && this.#next < this.#blocks.length) {
      this.outstanding.push(entryOf(this.#blocks, this.#next++));
    }
  }
}

function message(id: number, ...parts: (Uint8Array | number[])[]): Uint8Array {
  const body = Buffer.concat(parts.map((part) => Uint8Array.from(part)));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + body.length);
  head[4] = id;
  return Buffer.concat([head, body]);
}

function words(...values: number[]): Uint8Array {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, 4 * index);
  return bytes;
}

export function pieceMessage(piece: number, begin: number, content: Uint8Array): Uint8Array {
  return message(MessageId.piece, words(piece, begin), content);
}

/** How a message is written down when it is seen: id, length and a sum of its bytes. */
export function describeMessage(bytes: Uint8Array, at: number, length: number): Seen {
  let sum = 0;
  for (let index = 0; index < length; index++) sum = (Math.imul(sum, 31) + entryOf(bytes, at + index)) >>> 0;
  return `message ${bytes[at]} of ${length}: ${sum}`;
}

/** Ways to end a stream that no receiver may accept, with the code of the error. */
export const FAULTS: Readonly<Record<string, { code: string; bytes: (stream: Requests) => Uint8Array }>> = {
  tooLong: {
    code: "PEER_MESSAGE_TOO_LONG",
    bytes: () => Buffer.concat([words(0x7fff_ffff), Uint8Array.of(MessageId.extended), Buffer.alloc(30)]),
  },
  tooLongPiece: {
    code: "PEER_MESSAGE_TOO_LONG",
    bytes: () => Buffer.concat([words(0xffff_ffff), Uint8Array.of(MessageId.piece), Buffer.alloc(30)]),
  },
  pieceTooLong: { code: "PEER_MESSAGE_MALFORMED", bytes: () => pieceMessage(0, 0, new Uint8Array(16385)) },
  pieceEmpty: { code: "PEER_MESSAGE_MALFORMED", bytes: () => pieceMessage(0, 0, new Uint8Array(0)) },
  pieceCut: { code: "PEER_MESSAGE_MALFORMED", bytes: () => message(MessageId.piece, words(0)) },
  pieceBare: { code: "PEER_MESSAGE_MALFORMED", bytes: () => message(MessageId.piece) },
  haveShort: { code: "PEER_MESSAGE_MALFORMED", bytes: () => message(MessageId.have, [0, 0]) },
  chokeLong: { code: "PEER_MESSAGE_MALFORMED", bytes: () => message(MessageId.choke, new Uint8Array(100)) },
  unrequested: { code: "PEER_UNREQUESTED_BLOCK", bytes: () => pieceMessage(1_000_000, 0, noiseAt(1, 16384)) },
  otherLength: {
    code: "PEER_UNREQUESTED_BLOCK",
    bytes: ({ outstanding: [block] }) =>
      block === undefined || block.length === 1
        ? pieceMessage(1_000_000, 1, noiseAt(1, 5))
        : pieceMessage(block.piece, block.begin, block.content.subarray(1)),
  },
};

export interface StreamPlan {
  readonly acts: readonly Act[];
  /** Of the blocks, in the order they are asked for; repeated. */
  readonly lengths: readonly number[];
  readonly window: number;
  readonly handshake: boolean;
  /** Key of FAULTS. */
  readonly fault?: string | undefined;
}

export function buildStream(plan: StreamPlan): Stream {
  const blocks = makeBlocks(plan.lengths);
  const requests = new Requests(blocks, plan.window);
  const parts: Uint8Array[] = [];
  const seen: Seen[] = [];
  const unwanted = new Set<string>();
  const payloadStarts = new Map<number, Block>();
  let payloadBytes = 0;
  let unwantedBytes = 0;
  let plain = !plan.handshake && plan.fault === undefined;

  const say = (bytes: Uint8Array): void => {
    parts.push(bytes);
    seen.push(describeMessage(bytes, 4, bytes.length - 4));
    plain = false;
  };
  if (plan.handshake) {
    const handshake = noiseAt(99, 68);
    parts.push(handshake);
    seen.push(`handshake ${Buffer.from(handshake).toString("hex")}`);
  }
  plan.acts.forEach((act, index) => {
    if (act.kind === "block" || act.kind === "unwanted" || act.kind === "reject") {
      const at = requests.outstanding.length === 0 ? 0 : act.which % requests.outstanding.length;
      const block = requests.outstanding[at];
      if (block === undefined) return;
      requests.take(block);
      if (act.kind === "reject") {
        say(message(MessageId.reject, words(block.piece, block.begin, block.length)));
        return;
      }
      if (at !== 0) plain = false;
      payloadStarts.set(parts.reduce((sum, part) => sum + part.length, 0) + PIECE_HEADER_BYTES, block);
      parts.push(pieceMessage(block.piece, block.begin, block.content));
      seen.push(`start ${blockKey(block.piece, block.begin)} of ${block.length}`);
      if (act.kind === "unwanted") {
        plain = false;
        unwanted.add(blockKey(block.piece, block.begin));
        unwantedBytes += block.length;
      } else {
        seen.push(`block ${blockKey(block.piece, block.begin)} of ${block.length}`);
        payloadBytes += block.length;
      }
      return;
    }
    switch (act.kind) {
      case "keepAlive":
        parts.push(words(0));
        seen.push("keep-alive");
        plain = false;
        break;
      case "choke":
        requests.choke();
        say(message(MessageId.choke));
        break;
      case "unchoke":
        requests.unchoke();
        say(message(MessageId.unchoke));
        break;
      case "have":
        say(message(MessageId.have, words(act.piece)));
        break;
      case "request":
        say(message(MessageId.request, words(1, 2, 3)));
        break;
      case "bitfield":
        say(message(MessageId.bitfield, noiseAt(index, act.bytes)));
        break;
      case "extended":
        say(message(MessageId.extended, [1], noiseAt(index, act.bytes)));
        break;
      case "unknown":
        parts.push(message(200, noiseAt(index, act.bytes)));
        seen.push(`message 200 of ${1 + act.bytes} skipped`);
        plain = false;
        break;
    }
  });
  const fault =
    plan.fault === undefined ? undefined : required(FAULTS[plan.fault], `the fault ${plan.fault}`);
  if (fault !== undefined) parts.push(fault.bytes(requests));
  return {
    bytes: Buffer.concat(parts),
    blocks,
    window: plan.window,
    unwanted,
    handshake: plan.handshake,
    seen,
    errorCode: fault?.code,
    payloadStarts,
    payloadBytes,
    unwantedBytes,
    plain,
  };
}
