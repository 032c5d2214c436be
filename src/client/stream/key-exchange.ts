// The key exchange of message stream encryption: Diffie-Hellman in the group of 768 bits that its specification gives.
//
// Always: public keys and secrets have KEY_BYTES, whatever zeros they begin with; what is no public key gives no secret. An exchange costs
// most of a millisecond: exchange-turns.ts bounds how often.

import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";
import { assert, entryOf } from "../../base/assert.js";

export const KEY_BYTES = 96;
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
/** The types of Node.js leave this kind of key out. */
const generateGroupKeys = generateKeyPairSync as unknown as (
  type: "dh",
  group: { prime: Uint8Array; generator: number },
) => { publicKey: KeyObject; privateKey: KeyObject };
const [INTEGER, BIT_STRING, SEQUENCE] = [0x02, 0x03, 0x30];
/** The group as a SubjectPublicKeyInfo names it (PKCS #3). */
const GROUP = der(
  SEQUENCE,
  Buffer.from("06092a864886f70d010301", "hex"),
  der(SEQUENCE, integer(PRIME), integer(Uint8Array.of(GENERATOR))),
);

/** False for numbers that would give the secret away, and for what is no number of the group: seen without making keys. */
export function isPublicKey(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ONE) > 0 && Buffer.compare(bytes, LAST) < 0;
}

export class KeyExchange {
  readonly publicKey: Uint8Array;
  readonly #privateKey: KeyObject;

  constructor() {
    const { publicKey, privateKey } = generateGroupKeys("dh", { prime: PRIME, generator: GENERATOR });
    this.#privateKey = privateKey;
    this.publicKey = numberOf(publicKey.export({ type: "spki", format: "der" }));
  }

  /** What both sides know and nobody else; undefined if the peer's key is none. */
  secretWith(theirs: Uint8Array): Uint8Array | undefined {
    const spki = der(SEQUENCE, GROUP, der(BIT_STRING, Uint8Array.of(0), integer(theirs)));
    try {
      const publicKey = createPublicKey({ key: spki, type: "spki", format: "der" });
      return filled(diffieHellman({ privateKey: this.#privateKey, publicKey }));
    } catch {
      // OpenSSL refuses numbers that would give the secret away.
      return undefined;
    }
  }
}

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : body.length < 256 ? [0x81, body.length] : undefined;
  assert(length !== undefined, "what is written here is short");
  return Buffer.concat([Uint8Array.of(tag, ...length), body]);
}

/** Without zeros at the front, but one where the highest bit is set. */
function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? Uint8Array.of(0) : bytes.subarray(first);
  return der(INTEGER, ...((digits[0] ?? 0) >= 128 ? [Uint8Array.of(0)] : []), digits);
}

/** The public key in a SubjectPublicKeyInfo of this group. */
function numberOf(spki: Buffer): Uint8Array {
  const body = spki.subarray(contentAt(spki));
  const bits = body.subarray(GROUP.length);
  // Behind the header stands the number of bits to leave out, which is 0, and then an integer.
  const number = bits.subarray(contentAt(bits) + 1);
  return filled(number.subarray(contentAt(number)));
}

function contentAt(bytes: Buffer): number {
  return (bytes[1] ?? 0) < 128 ? 2 : 2 + (entryOf(bytes, 1) & 127);
}

function filled(number: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(KEY_BYTES);
  const digits = number.length > KEY_BYTES ? number.subarray(number.length - KEY_BYTES) : number;
  bytes.set(digits, KEY_BYTES - digits.length);
  return bytes;
}
