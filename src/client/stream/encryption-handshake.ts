// The handshake of message stream encryption (MSE, also called PE; specified by Vuze's wiki, no BEP), for one side, as bytes in and bytes
// out. A is who connects:
//
//   A ─▶ B  public key (96), 0 to 512 random bytes
//   B ─▶ A  public key (96), 0 to 512 random bytes
//   A ─▶ B  H("req1" S), H("req2" SKEY) ^ H("req3" S), then by A's cipher: VC (8 zeros), what A provides (4), length (2) of padding, padding,
//           length (2) of first bytes, first bytes of what A wants to say
//   B ─▶ A  by B's cipher: VC (8), what B selects (4), length (2) of padding, padding
//
// S is the shared secret, SKEY the info hash. Behind it both sides go on by their ciphers, or in the clear, as B selected.
//
// Always: it says how many bytes it needs next and is never given more, so that none of what comes behind it is read here; what it waits
// for has an end (random bytes, padding, first bytes); whatever is wrong ends in PeerError. Keys, which cost a tenth of a millisecond, are
// made in exchange() and nowhere else, and of who is connected to not before the other side has shown a whole one.

import { createHash } from "node:crypto";
import { assert, entryOf } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { isPublicKey, KEY_BYTES, KeyExchange } from "./key-exchange.js";
import { openCipher, transform } from "./rc4.js";

/** What comes behind the handshake: bits, of which one is selected. */
export const CryptoMethod = { plaintext: 1, rc4: 2 } as const;

const PADDING_MAX = 512;
const DIGEST_BYTES = 20;
/** VC: by it A finds where the random bytes of B end. */
const VERIFICATION = new Uint8Array(8);
/** A handshake and some messages. Others say more later. */
const FIRST_BYTES_MAX = 16 * 1024;

export interface EncryptionSide {
  readonly fillRandom: (bytes: Uint8Array) => void;
  /** Bits of CryptoMethod: what is provided, or, of the side that was connected to, accepted. */
  readonly methods: number;
}

/** What goes on behind the handshake; without states, in the clear. */
export interface EncryptedLink {
  readonly sending: Uint8Array | undefined;
  readonly receiving: Uint8Array | undefined;
  /** What A said with the handshake, decrypted. */
  readonly first: Uint8Array;
}

abstract class EncryptionHandshake {
  /** Bytes that it needs next; 0 when it is over. */
  needed = KEY_BYTES;
  link: EncryptedLink | undefined;
  protected readonly side: EncryptionSide;
  /** What comes next, and takes keys. */
  #costly: (() => void) | undefined;
  #gathered = new Uint8Array(0);
  #saying: Uint8Array[] = [];
  #step: (bytes: Uint8Array) => void;
  /** What is looked for behind random bytes, and how many came before it. */
  #pattern: Uint8Array | undefined;
  #passed = 0;

  constructor(side: EncryptionSide) {
    this.side = side;
    this.#step = (bytes) => this.keyCame(bytes);
  }

  protected abstract keyCame(bytes: Uint8Array): void;

  /** It goes on with exchange(), for which the caller chooses the time. Nothing is received before. */
  get awaitsExchange(): boolean {
    return this.#costly !== undefined;
  }

  /** Makes keys, or the secret of them. Throws PeerError `PEER_ENCRYPTION`. */
  exchange(): void {
    const step = this.#costly;
    assert(step !== undefined, "keys are made when they are needed");
    this.#costly = undefined;
    step();
  }

  /** What is to be sent, once. */
  take(): Uint8Array {
    return Buffer.concat(this.#saying.splice(0));
  }

  /** At most as many bytes as are needed. Throws PeerError `PEER_ENCRYPTION`. */
  receive(bytes: Uint8Array): void {
    assert(!this.awaitsExchange, "nothing is read before keys are made");
    assert(bytes.length <= this.needed, "no more is read than belongs to the handshake");
    this.#gathered = Buffer.concat([this.#gathered, bytes]);
    this.needed -= bytes.length;
    if (this.needed > 0) return;
    const gathered = this.#gathered;
    if (this.#pattern !== undefined && !this.#isFound(gathered, this.#pattern)) return;
    this.#gathered = new Uint8Array(0);
    this.#pattern = undefined;
    this.#step(gathered);
  }

  protected whenExchanged(step: () => void): void {
    this.#costly = step;
  }

  protected say(...parts: Uint8Array[]): void {
    this.#saying.push(...parts);
  }

  protected expect(count: number, step: (bytes: Uint8Array) => void): void {
    this.needed = count;
    this.#step = step;
    if (count > 0) return;
    this.#gathered = new Uint8Array(0);
    step(this.#gathered);
  }

  /** Waits for `pattern`, behind at most PADDING_MAX other bytes. */
  protected find(pattern: Uint8Array, step: () => void): void {
    this.#pattern = pattern;
    this.#passed = 0;
    this.needed = pattern.length;
    this.#step = step;
  }

  protected over(link: EncryptedLink): void {
    this.needed = 0;
    this.link = link;
  }

  protected padding(): Uint8Array {
    const length = new Uint8Array(2);
    this.side.fillRandom(length);
    const bytes = new Uint8Array(((entryOf(length, 0) << 8) | entryOf(length, 1)) % (PADDING_MAX + 1));
    this.side.fillRandom(bytes);
    return bytes;
  }

  protected secret(ours: KeyExchange, theirKey: Uint8Array): Uint8Array {
    const secret = ours.secretWith(theirKey);
    if (secret === undefined) throw notAKey();
    return secret;
  }

  /** `gathered` is as long as the pattern. If it is another, it says how much more might make it one. */
  #isFound(gathered: Uint8Array, pattern: Uint8Array): boolean {
    // The longest beginning of the pattern that the bytes so far end in.
    let matched = pattern.length;
    while (!gathered.subarray(pattern.length - matched).every((byte, index) => byte === pattern[index]))
      matched--;
    if (matched === pattern.length) return true;
    this.needed = pattern.length - matched;
    this.#passed += this.needed;
    if (this.#passed > PADDING_MAX) throw broken("no end of random bytes");
    this.#gathered = gathered.slice(pattern.length - matched);
    return false;
  }
}

/** The side that connects, which knows what it wants. */
export class EncryptionInitiator extends EncryptionHandshake {
  readonly #infoHash: Uint8Array;
  #keys: KeyExchange | undefined;

  constructor(side: EncryptionSide, infoHash: Uint8Array) {
    super(side);
    this.#infoHash = infoHash;
    this.whenExchanged(() => {
      this.#keys = new KeyExchange(this.side.fillRandom);
      this.say(this.#keys.publicKey, this.padding());
    });
  }

  protected keyCame(theirKey: Uint8Array): void {
    if (!isPublicKey(theirKey)) throw notAKey();
    this.whenExchanged(() => this.#exchanged(theirKey));
  }

  #exchanged(theirKey: Uint8Array): void {
    assert(this.#keys !== undefined, "who connects shows its key first");
    const secret = this.secret(this.#keys, theirKey);
    const sending = openCipher(hash("keyA", secret, this.#infoHash));
    const receiving = openCipher(hash("keyB", secret, this.#infoHash));
    // Zeros, which are as good as random ones behind the cipher.
    const padding = new Uint8Array(this.padding().length);
    const request = Buffer.alloc(VERIFICATION.length + 4 + 2 + padding.length + 2);
    request.writeUInt32BE(this.side.methods, VERIFICATION.length);
    request.writeUInt16BE(padding.length, VERIFICATION.length + 4);
    transform(sending, request);
    const identified = exclusiveOr(hash("req2", this.#infoHash), hash("req3", secret));
    this.say(hash("req1", secret), identified, request);
    const pattern = Uint8Array.from(VERIFICATION);
    transform(receiving, pattern);
    this.find(pattern, () => this.#awaitSelection(sending, receiving));
  }

  #awaitSelection(sending: Uint8Array, receiving: Uint8Array): void {
    this.expect(6, (bytes) => {
      transform(receiving, bytes);
      const answer = Buffer.from(bytes);
      const selected = answer.readUInt32BE(0);
      const isOne = selected === CryptoMethod.plaintext || selected === CryptoMethod.rc4;
      if (!isOne || (selected & this.side.methods) === 0)
        throw broken(`method ${selected}, which was not offered`);
      this.expect(paddingLength(answer.readUInt16BE(4)), (padding) => {
        transform(receiving, padding);
        this.over(linkOf(selected, sending, receiving, new Uint8Array(0)));
      });
    });
  }
}

/** The side that was connected to, which hears what the other one wants. */
export class EncryptionResponder extends EncryptionHandshake {
  readonly #infoHashOf: (request: string) => Uint8Array | undefined;

  /** `infoHashOf`: the info hash that requestOf() gives `request` for, if it is one of ours. */
  constructor(side: EncryptionSide, infoHashOf: (request: string) => Uint8Array | undefined) {
    super(side);
    this.#infoHashOf = infoHashOf;
  }

  protected keyCame(theirKey: Uint8Array): void {
    if (!isPublicKey(theirKey)) throw notAKey();
    this.whenExchanged(() => {
      const keys = new KeyExchange(this.side.fillRandom);
      const secret = this.secret(keys, theirKey);
      this.say(keys.publicKey, this.padding());
      this.find(hash("req1", secret), () => this.#awaitRequest(secret));
    });
  }

  #awaitRequest(secret: Uint8Array): void {
    this.expect(DIGEST_BYTES, (identified) => {
      const request = Buffer.from(exclusiveOr(identified, hash("req3", secret))).toString("hex");
      const infoHash = this.#infoHashOf(request);
      if (infoHash === undefined)
        throw new PeerError(
          "PEER_UNKNOWN_INFO_HASH",
          "an encrypted connection for a torrent that is not here",
        );
      const receiving = openCipher(hash("keyA", secret, infoHash));
      const sending = openCipher(hash("keyB", secret, infoHash));
      this.expect(VERIFICATION.length + 4 + 2, (bytes) => this.#requested(bytes, sending, receiving));
    });
  }

  #requested(bytes: Uint8Array, sending: Uint8Array, receiving: Uint8Array): void {
    transform(receiving, bytes);
    const request = Buffer.from(bytes);
    if (!VERIFICATION.every((byte, index) => request[index] === byte))
      throw broken("another verification constant");
    const common = request.readUInt32BE(VERIFICATION.length) & this.side.methods;
    // What costs nothing is as good as anything for who accepts it.
    const selected =
      (common & CryptoMethod.plaintext) !== 0 ? CryptoMethod.plaintext : common & CryptoMethod.rc4;
    if (selected === 0) throw broken("no method that is accepted here");
    const padding = paddingLength(request.readUInt16BE(VERIFICATION.length + 4));
    this.expect(padding + 2, (rest) => {
      transform(receiving, rest);
      const length = Buffer.from(rest).readUInt16BE(padding);
      if (length > FIRST_BYTES_MAX) throw broken(`${length} first bytes`);
      this.expect(length, (first) => {
        transform(receiving, first);
        const answer = Buffer.alloc(VERIFICATION.length + 4 + 2);
        answer.writeUInt32BE(selected, VERIFICATION.length);
        transform(sending, answer);
        this.say(answer);
        this.over(linkOf(selected, sending, receiving, first));
      });
    });
  }
}

/** What who connects names a torrent by: 40 digits. */
export function requestOf(infoHash: Uint8Array): string {
  return hash("req2", infoHash).toString("hex");
}

function linkOf(
  selected: number,
  sending: Uint8Array,
  receiving: Uint8Array,
  first: Uint8Array,
): EncryptedLink {
  if (selected === CryptoMethod.rc4) return { sending, receiving, first };
  return { sending: undefined, receiving: undefined, first };
}

function paddingLength(length: number): number {
  if (length > PADDING_MAX) throw broken(`${length} bytes of padding`);
  return length;
}

function hash(name: string, ...parts: Uint8Array[]): Buffer {
  const digest = createHash("sha1").update(name, "latin1");
  for (const part of parts) digest.update(part);
  return digest.digest();
}

function exclusiveOr(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, index) => byte ^ entryOf(b, index));
}

function notAKey(): PeerError {
  return broken("a public key that is none");
}

function broken(received: string): PeerError {
  const expected = "as message stream encryption has it";
  return new PeerError("PEER_ENCRYPTION", "the encryption handshake", { expected, received });
}
