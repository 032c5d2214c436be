// Ways to misbehave of peers that have the data, and bring what is right, but slowly, not always, or not for long: the lab's crowd
// (bench/load/misbehaviours.ts) has nothing but wrong bytes.

import type { CrowdPeer, Misbehaviour } from "../../bench/load/misbehaviours.js";
import { PIECE_HEADER_BYTES } from "../../src/base/limits.js";
import { writeUint32 } from "../../src/client/wire/encode.js";
import { MessageId } from "../../src/client/wire/messages.js";

/** Blocks that one which is fast for a moment brings at once. */
const BLOCKS_AT_FIRST = 20;
const HAVE_ALL = Uint8Array.of(0, 0, 0, 1, MessageId.haveAll);
const UNCHOKE = Uint8Array.of(0, 0, 0, 1, MessageId.unchoke);

function pretendToSeed(peer: CrowdPeer): void {
  peer.send(HAVE_ALL, UNCHOKE);
}

export class HalfHonest {
  readonly #data: Uint8Array;

  /** `data`: of the torrent. */
  constructor(data: Uint8Array) {
    this.#data = data;
  }

  /** Brings a block each `everyMs`; one of `wrongOf` is wrong. */
  slow(everyMs: number, wrongOf: number): Misbehaviour {
    const owed = new WeakMap<CrowdPeer, Uint8Array[]>();
    return {
      opened: pretendToSeed,
      requested: (peer, piece, begin, length) => {
        const blocks = owed.get(peer) ?? [];
        owed.set(peer, blocks);
        blocks.push(this.#block(peer, piece, begin, length));
      },
      act: (peer) => {
        const block = owed.get(peer)?.shift();
        if (block === undefined) return everyMs;
        if (peer.dice(wrongOf) === 0) block.fill(0, PIECE_HEADER_BYTES);
        peer.send(block);
        return everyMs;
      },
    };
  }

  /** Brings the first blocks that it is asked for at once, and nothing any more. */
  fastAtFirst(): Misbehaviour {
    const brought = new WeakMap<CrowdPeer, number>();
    return {
      opened: pretendToSeed,
      requested: (peer, piece, begin, length) => {
        const blocks = brought.get(peer) ?? 0;
        brought.set(peer, blocks + 1);
        if (blocks < BLOCKS_AT_FIRST) peer.send(this.#block(peer, piece, begin, length));
      },
    };
  }

  #block(peer: CrowdPeer, piece: number, begin: number, length: number): Uint8Array {
    const message = new Uint8Array(PIECE_HEADER_BYTES + length);
    writeUint32(message, 0, PIECE_HEADER_BYTES - 4 + length);
    message[4] = MessageId.piece;
    writeUint32(message, 5, piece);
    writeUint32(message, 9, begin);
    const from = piece * peer.pieceLength + begin;
    message.set(this.#data.subarray(from, from + length), PIECE_HEADER_BYTES);
    return message;
  }
}
