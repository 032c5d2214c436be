// The stream cipher RC4, for the few bytes of a handshake and for setting up what native code goes on with (NativeEngine.rc4). It keeps
// nobody out who wants to read: message stream encryption uses it to be hard to recognise.
//
// Always: a state is used for one direction of one connection, and by one side at a time.

import { RC4_STATE_BYTES } from "../../native/binding.js";

/** The start of a stream tells of its key: so many bytes are left out. */
const DISCARDED_BYTES = 1024;
const I_AT = 256;
const J_AT = 257;

/** The state behind the bytes that message stream encryption leaves out. */
export function openCipher(key: Uint8Array): Uint8Array {
  const state = new Uint8Array(RC4_STATE_BYTES);
  for (let index = 0; index < 256; index++) state[index] = index;
  for (let index = 0, other = 0; index < 256; index++) {
    const value = state[index]!;
    other = (other + value + key[index % key.length]!) & 255;
    state[index] = state[other]!;
    state[other] = value;
  }
  transform(state, new Uint8Array(DISCARDED_BYTES));
  return state;
}

/** Encrypts or decrypts in place, which is the same. */
export function transform(state: Uint8Array, bytes: Uint8Array): void {
  let i = state[I_AT]!;
  let j = state[J_AT]!;
  for (let at = 0; at < bytes.length; at++) {
    i = (i + 1) & 255;
    const a = state[i]!;
    j = (j + a) & 255;
    const b = state[j]!;
    state[i] = b;
    state[j] = a;
    bytes[at] = bytes[at]! ^ state[(a + b) & 255]!;
  }
  state[I_AT] = i;
  state[J_AT] = j;
}
