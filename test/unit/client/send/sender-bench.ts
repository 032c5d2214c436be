// A sender with its surroundings: a transport that takes as much as a test likes, storage in an array, and books of what
// was asked for and what left. And a reader that takes the stream apart again.

import assert from "node:assert/strict";
import type { StorageError } from "../../../../src/base/errors.js";
import type { PieceIndex } from "../../../../src/base/ids.js";
import { BLOCK_SIZE, MIB, PLAN_ENTRIES_MAX } from "../../../../src/base/limits.js";
import { makeCounters } from "../../../../src/base/metrics/counters.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import type { BlockSource, SendModeName } from "../../../../src/client/send/block-source.js";
import { CopySource } from "../../../../src/client/send/copy-source.js";
import { MappedSource } from "../../../../src/client/send/mapped-source.js";
import { Sender, type SenderHost } from "../../../../src/client/send/sender.js";
import { SendfileSource } from "../../../../src/client/send/sendfile-source.js";
import { encodeHave } from "../../../../src/client/wire/encode.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { bytesOf } from "../../../support/data.js";
import { EAGAIN, FakeStorage, FakeTransport } from "./fakes.js";

export const PIECE_LENGTH = 20 * BLOCK_SIZE;
export const PIECES = 6;
export const DATA = bytesOf(21, PIECES * PIECE_LENGTH);

export type Block = readonly [piece: number, begin: number, length: number];

export class SenderBench implements SenderHost {
  readonly memory: Memory;
  readonly counters = makeCounters();
  readonly transport: FakeTransport;
  readonly storage: FakeStorage;
  readonly sender: Sender;
  readonly source: BlockSource;
  readonly sent: Block[] = [];
  readonly unreadable: Block[] = [];
  #stream = Buffer.alloc(0);

  constructor(mode: SendModeName, slabBytes = 4 * MIB) {
    const slab = new Uint8Array(slabBytes);
    const entries = new Float64Array(2 * PLAN_ENTRIES_MAX);
    this.memory = new Memory(slab);
    this.transport = new FakeTransport(slab, entries, DATA);
    this.storage = new FakeStorage(DATA, this.memory);
    const copy = new CopySource(this.memory.pool);
    this.source = { copy, mapped: new MappedSource(copy), sendfile: new SendfileSource(copy) }[mode];
    assert.equal(this.source.name, mode);
    const { memory, counters, transport } = this;
    this.sender = new Sender({ memory, entries, counters, transport, host: this });
    const offsetOf = (piece: number, begin: number): number => piece * PIECE_LENGTH + begin;
    this.sender.setPlace({ storage: this.storage, source: this.source, offsetOf });
  }

  blockSent(...block: Block): void {
    this.sent.push(block);
  }

  blockUnreadable(piece: number, begin: number, length: number, _error: StorageError): void {
    this.unreadable.push([piece, begin, length]);
  }

  queue(...blocks: readonly Block[]): void {
    for (const [piece, begin, length] of blocks)
      this.sender.queueBlock(piece as PieceIndex, begin, length, 0);
  }

  /** A small message that can be told from others by its number. */
  say(number: number): void {
    const { outbox } = this.sender;
    const at = outbox.reserve(9);
    outbox.wrote(encodeHave(outbox.bytes, at, number));
  }

  flush(): number {
    return this.sender.flush(EAGAIN);
  }

  /** All that left so far, as "have 5" and [piece, begin, length]; the payload is compared. The rest is a message begun. */
  read(): { messages: (string | Block)[]; rest: Buffer } {
    this.#stream = Buffer.concat([this.#stream, this.transport.taken()]);
    const messages: (string | Block)[] = [];
    let stream = this.#stream;
    while (stream.length >= 4 && stream.length >= 4 + stream.readUInt32BE(0)) {
      const end = 4 + stream.readUInt32BE(0);
      messages.push(readMessage(stream.subarray(4, end)));
      stream = stream.subarray(end);
    }
    return { messages, rest: stream };
  }

  /** Nothing is held, nothing waits. */
  checkHome(): void {
    assert.deepEqual(this.memory.pool.heldByHolder(), {});
    assert.equal(this.memory.pool.waiterCount, 0);
  }
}

function readMessage(body: Buffer): string | Block {
  if (body[0] === MessageId.have) return `have ${body.readUInt32BE(1)}`;
  assert.equal(body[0], MessageId.piece);
  const [piece, begin, length] = [body.readUInt32BE(1), body.readUInt32BE(5), body.length - 9];
  const at = piece * PIECE_LENGTH + begin;
  assert.ok(body.subarray(9).equals(DATA.subarray(at, at + length)), `${piece}/${begin} has its bytes`);
  return [piece, begin, length];
}

/** `count` adjacent blocks from a place on. */
export function run(piece: number, begin: number, count: number, length = BLOCK_SIZE): Block[] {
  return Array.from({ length: count }, (_, index) => [piece, begin + index * length, length]);
}
