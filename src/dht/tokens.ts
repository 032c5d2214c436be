// Tokens of the DHT (BEP 5): whoever announces shows that it asked us before, from where it announces. A token is a keyed hash of the
// asker's address and port, of its id and of the info hash, so that nothing is kept for anybody, and one token is good for one torrent.
//
// Always: a token holds for the period it was given out in and the one after it. Nothing is allocated.

import { CHASKEY_BLOCK_WORDS, CHASKEY_KEY_WORDS, Chaskey } from "../base/keyed-hash.js";
import type { KrpcReader } from "./krpc-reader.js";
import { ID_BYTES } from "./node-id.js";
import type { Sender } from "./sender.js";

export { CHASKEY_KEY_WORDS as TOKEN_KEY_WORDS };
export const TOKEN_BYTES = 8;
const PERIOD_MS = 5 * 60_000;
/** Address and port 6 or 18, id 20, info hash 20; the period is the last word of four blocks. */
const MESSAGE_WORDS = 4 * CHASKEY_BLOCK_WORDS;
const ID_AT = 18;
const HASH_AT = ID_AT + ID_BYTES;
const PERIOD_WORD = MESSAGE_WORDS - 1;

export class Tokens {
  /** The last one that was made. */
  readonly token = new Uint8Array(TOKEN_BYTES);
  readonly #words = new Uint32Array(this.token.buffer);
  readonly #hash: Chaskey;
  readonly #message = new Uint32Array(MESSAGE_WORDS);
  readonly #messageBytes = new Uint8Array(this.#message.buffer);
  #period = 0;

  /** `key`: TOKEN_KEY_WORDS words that nobody knows. */
  constructor(key: Uint32Array) {
    this.#hash = new Chaskey(key);
  }

  advance(nowMs: number): void {
    this.#period = Math.floor(nowMs / PERIOD_MS);
  }

  /** Makes the token for whoever sent `message`, with its id and the info hash at these offsets. */
  make(sender: Sender, message: Uint8Array, idAt: number, hashAt: number): void {
    this.#fill(sender, message, idAt, hashAt);
    this.#makeFor(this.#period);
  }

  /** True if the token that `message` has was made for the same, in this period or the last. */
  isValid(sender: Sender, message: KrpcReader): boolean {
    if (message.tokenBytes !== TOKEN_BYTES) return false;
    this.#fill(sender, message.bytes, message.idAt, message.targetAt);
    for (let back = 0; back < 2; back++) {
      this.#makeFor(this.#period - back);
      let difference = 0;
      for (let index = 0; index < TOKEN_BYTES; index++)
        difference |= this.token[index]! ^ message.bytes[message.tokenAt + index]!;
      if (difference === 0) return true;
    }
    return false;
  }

  #fill(sender: Sender, message: Uint8Array, idAt: number, hashAt: number): void {
    const to = this.#messageBytes;
    to.fill(0, 0, ID_AT);
    sender.copyTo(to, 0);
    for (let index = 0; index < ID_BYTES; index++) {
      to[ID_AT + index] = message[idAt + index]!;
      to[HASH_AT + index] = message[hashAt + index]!;
    }
  }

  #makeFor(period: number): void {
    this.#message[PERIOD_WORD] = period;
    this.#hash.blocks(this.#message, 0, MESSAGE_WORDS / CHASKEY_BLOCK_WORDS);
    this.#words[0] = this.#hash.low;
    this.#words[1] = this.#hash.high;
  }
}
