// Message stream encryption in a session: which connections go through it, what torrents a stranger may ask for in it, and how much of the
// loop's time its key exchanges may take.
//
// Always: with policy "disabled" a stream is what it was; key exchanges have turns, which are paced (stream/exchange-turns.ts).

import type { Ground } from "../../base/ground.js";
import type { Reactor } from "../../native/reactor.js";
import type { Memory } from "../memory/memory.js";
import type { ByteStream } from "../stream/byte-stream.js";
import { EncryptedStream, type EncryptionRoom, type ExchangeQueue } from "../stream/encrypted-stream.js";
import {
  CryptoMethod,
  EncryptionInitiator,
  EncryptionResponder,
  type EncryptionSide,
  requestOf,
} from "../stream/encryption-handshake.js";
import type { EncryptionPolicy } from "../stream/encryption-policy.js";
import { type ExchangeKind, ExchangeTurns } from "../stream/exchange-turns.js";

export class Encryption {
  readonly #policy: EncryptionPolicy;
  readonly #side: EncryptionSide;
  readonly #exchanges: ExchangeTurns;
  readonly #room: EncryptionRoom;
  /** Info hashes of the torrents that are here, by what a stranger names them by. */
  readonly #infoHashes = new Map<string, Uint8Array>();

  constructor(policy: EncryptionPolicy, reactor: Reactor, memory: Memory, ground: Ground) {
    this.#policy = policy;
    const { engine, binding } = reactor;
    const methods = policy === "required" ? CryptoMethod.rc4 : CryptoMethod.plaintext | CryptoMethod.rc4;
    this.#side = { methods, fillRandom: (bytes) => ground.fillRandom(bytes, 0) };
    this.#exchanges = new ExchangeTurns(ground, (hook) => reactor.atTurnEnd(hook));
    this.#room = {
      entries: engine.plan,
      bytes: engine.slab,
      bufferAddress: memory.bufferAddress,
      bufferBytes: memory.bufferBytes,
      eagain: binding.EAGAIN,
      rc4: (state, first, count, bytes, to) => engine.rc4(state, first, count, bytes, to),
      copy: (from, to, length) => memory.copy(from, to, length),
      atTurnEnd: (hook) => reactor.atTurnEnd(hook),
    };
  }

  add(infoHash: Uint8Array): void {
    if (this.#policy !== "disabled") this.#infoHashes.set(requestOf(infoHash), infoHash);
  }

  remove(infoHash: Uint8Array): void {
    this.#infoHashes.delete(requestOf(infoHash));
  }

  /** `encrypts`: what the torrent would rather do; the policy may leave it no choice. */
  outgoing(stream: ByteStream, host: string, infoHash: Uint8Array, encrypts: boolean): ByteStream {
    if (this.#policy === "disabled" || !(encrypts || this.#policy === "required")) return stream;
    return new EncryptedStream(stream, this.#room, {
      outgoing: true,
      takesPlain: false,
      begin: () => new EncryptionInitiator(this.#side, infoHash),
      exchanges: this.#queueOf("outgoing", host),
    });
  }

  incoming(stream: ByteStream, host: string): ByteStream {
    if (this.#policy === "disabled") return stream;
    return new EncryptedStream(stream, this.#room, {
      outgoing: false,
      takesPlain: this.#policy === "enabled",
      begin: () => new EncryptionResponder(this.#side, (request) => this.#infoHashes.get(request)),
      exchanges: this.#queueOf("incoming", host),
    });
  }

  #queueOf(kind: ExchangeKind, host: string): ExchangeQueue {
    const turns = this.#exchanges;
    return {
      ask: (waiter) => turns.ask(kind, host, waiter),
      forget: (waiter) => turns.forget(kind, host, waiter),
    };
  }
}
