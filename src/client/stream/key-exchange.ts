// The key exchange of message stream encryption: Diffie-Hellman in the group of 768 bits that its specification gives, with private keys of
// 160 bits, as it says: longer ones would make nothing safer, and each exchange six times as dear.
//
// Always: public keys and secrets have KEY_BYTES, whatever zeros they begin with; what is no public key gives no secret. An exchange costs
// a tenth of a millisecond, and the first one of a process twenty, in which OpenSSL looks at the group: exchange-turns.ts bounds how often.

import { createDiffieHellman, type DiffieHellman } from "node:crypto";
import { entryOf } from "../../base/assert.js";

export const KEY_BYTES = 96;
const PRIVATE_KEY_BYTES = 20;
const PRIME = Buffer.from(
  "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd" +
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563",
  "hex",
);
const ONE = Buffer.alloc(KEY_BYTES);
ONE[KEY_BYTES - 1] = 1;
/** The prime less one: it is odd. */
const LAST = Buffer.from(PRIME);
LAST[KEY_BYTES - 1] = entryOf(LAST, KEY_BYTES - 1) - 1;
const GENERATOR = 2;

/** Made once, since making it is what takes long; each exchange puts its own key in. */
let group: DiffieHellman | undefined;

function groupWith(privateKey: Uint8Array): DiffieHellman {
  group ??= createDiffieHellman(PRIME, GENERATOR);
  group.setPrivateKey(privateKey);
  return group;
}

/** False for numbers that would give the secret away, and for what is no number of the group: seen without making keys. */
export function isPublicKey(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ONE) > 0 && Buffer.compare(bytes, LAST) < 0;
}

export class KeyExchange {
  readonly publicKey: Uint8Array;
  readonly #privateKey = new Uint8Array(PRIVATE_KEY_BYTES);

  constructor(fillRandom: (bytes: Uint8Array) => void) {
    fillRandom(this.#privateKey);
    // All zeros would be no key.
    this.#privateKey[0] = entryOf(this.#privateKey, 0) | 0x80;
    this.publicKey = filled(groupWith(this.#privateKey).generateKeys());
  }

  /** What both sides know and nobody else; undefined if the peer's key is none. */
  secretWith(theirs: Uint8Array): Uint8Array | undefined {
    if (!isPublicKey(theirs)) return undefined;
    return filled(groupWith(this.#privateKey).computeSecret(theirs));
  }
}

function filled(number: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(KEY_BYTES);
  bytes.set(number, KEY_BYTES - number.length);
  return bytes;
}
