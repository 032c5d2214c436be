// Message stream encryption in a session: which connections go through it, what torrents a stranger may ask for in it, and how much of the
// loop's time its key exchanges may take.
//
// Always: with policy "disabled" a stream is what it was; between two ticks there are at most EXCHANGES_PER_TICK key exchanges for
// strangers, and as many for connections of our own, which strangers cannot use up: more are refused.

import { PeerError } from "../../base/errors.js";
import type { Ground } from "../../base/ground.js";
import type { Reactor } from "../../native/reactor.js";
import type { Memory } from "../memory/memory.js";
import type { ByteStream } from "../stream/byte-stream.js";
import { EncryptedStream, type EncryptionRoom } from "../stream/encrypted-stream.js";
import {
  CryptoMethod,
  EncryptionInitiator,
  EncryptionResponder,
  type EncryptionSide,
  requestOf,
} from "../stream/encryption-handshake.js";
import type { EncryptionPolicy } from "../stream/encryption-policy.js";

/** Each takes most of a millisecond: strangers have a quarter of a processor at the most. */
const EXCHANGES_PER_TICK = 250;

export class Encryption {
  readonly #policy: EncryptionPolicy;
  readonly #incoming: EncryptionSide;
  readonly #outgoing: EncryptionSide;
  readonly #room: EncryptionRoom;
  /** Info hashes of the torrents that are here, by what a stranger names them by. */
  readonly #infoHashes = new Map<string, Uint8Array>();
  readonly #exchangesLeft = { incoming: EXCHANGES_PER_TICK, outgoing: EXCHANGES_PER_TICK };

  constructor(policy: EncryptionPolicy, reactor: Reactor, memory: Memory, ground: Ground) {
    this.#policy = policy;
    const { engine, binding } = reactor;
    const methods = policy === "required" ? CryptoMethod.rc4 : CryptoMethod.plaintext | CryptoMethod.rc4;
    const fillRandom = (bytes: Uint8Array): void => ground.fillRandom(bytes, 0);
    this.#incoming = { methods, fillRandom, spend: () => this.#spend("incoming") };
    this.#outgoing = { methods, fillRandom, spend: () => this.#spend("outgoing") };
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

  /** Time passed. */
  tick(): void {
    this.#exchangesLeft.incoming = EXCHANGES_PER_TICK;
    this.#exchangesLeft.outgoing = EXCHANGES_PER_TICK;
  }

  /** `encrypts`: what the torrent would rather do; the policy may leave it no choice. */
  outgoing(stream: ByteStream, infoHash: Uint8Array, encrypts: boolean): ByteStream {
    if (this.#policy === "disabled" || !(encrypts || this.#policy === "required")) return stream;
    return new EncryptedStream(stream, this.#room, {
      outgoing: true,
      takesPlain: false,
      begin: () => new EncryptionInitiator(this.#outgoing, infoHash),
    });
  }

  incoming(stream: ByteStream): ByteStream {
    if (this.#policy === "disabled") return stream;
    return new EncryptedStream(stream, this.#room, {
      outgoing: false,
      takesPlain: this.#policy === "enabled",
      begin: () => new EncryptionResponder(this.#incoming, (request) => this.#infoHashes.get(request)),
    });
  }

  #spend(kind: "incoming" | "outgoing"): void {
    if (this.#exchangesLeft[kind] <= 0)
      throw new PeerError("PEER_ENCRYPTION", "more encryption handshakes than there is time for");
    this.#exchangesLeft[kind]--;
  }
}
