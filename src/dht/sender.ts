// Who a datagram came from, where the batch has it: filled in again for each, so that nothing is allocated.

import { ADDRESS_WORDS, type DatagramBatch } from "../native/datagrams.js";
import { addressBytesOf, type Family } from "./contact.js";

export class Sender {
  readonly family: Family;
  readonly addressBytes: number;
  /** Words and bytes of the same addresses, in network byte order. */
  readonly words: Uint32Array;
  readonly addresses: Uint8Array;
  readonly ports: Uint8Array;
  wordAt = 0;
  addressAt = 0;
  portAt = 0;

  constructor(batch: DatagramBatch, family: Family) {
    this.family = family;
    this.addressBytes = addressBytesOf(family);
    this.words = batch.addresses;
    this.addresses = bytesOf(batch.addresses);
    this.ports = bytesOf(batch.ports);
  }

  /** Points to entry `index` of the batch. */
  of(index: number): void {
    this.wordAt = ADDRESS_WORDS * index;
    this.addressAt = 4 * this.wordAt;
    this.portAt = 2 * index;
  }

  get port(): number {
    return (this.ports[this.portAt]! << 8) | this.ports[this.portAt + 1]!;
  }

  /** True if address and port are those that stand at `at` of `bytes`, the port behind the address. */
  isAt(bytes: Uint8Array, at: number): boolean {
    const length = this.addressBytes;
    for (let index = 0; index < length; index++)
      if (this.addresses[this.addressAt + index] !== bytes[at + index]) return false;
    return (
      this.ports[this.portAt] === bytes[at + length] && this.ports[this.portAt + 1] === bytes[at + length + 1]
    );
  }

  /** Copies address and port to `at` of `to`, as `nodes` have them. */
  copyTo(to: Uint8Array, at: number): void {
    const length = this.addressBytes;
    for (let index = 0; index < length; index++) to[at + index] = this.addresses[this.addressAt + index]!;
    to[at + length] = this.ports[this.portAt]!;
    to[at + length + 1] = this.ports[this.portAt + 1]!;
  }
}

export function bytesOf(array: Uint32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
