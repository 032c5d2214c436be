// Reads over bencoded bytes without building anything: checks that they are well formed, not too deep and not cut, and
// finds where the value of a key of the outermost dictionary lies. The info hash is taken over those very bytes,
// whatever the order of their keys, and the decoding library only ever sees what passed here.

import { MetainfoError } from "../errors.js";

const NESTING_MAX = 64;
const LENGTH_DIGITS_MAX = 10;
const INTEGER_DIGITS_MAX = 20;
const [DICTIONARY, LIST, INTEGER, END, COLON, ZERO, MINUS] = [0x64, 0x6c, 0x69, 0x65, 0x3a, 0x30, 0x2d];

/** Where values of the outermost dictionary lie: key → [start, end). */
export type Spans = ReadonlyMap<string, readonly [start: number, end: number]>;

/** Throws MetainfoError `METAINFO_MALFORMED` if `bytes` are not exactly one well-formed dictionary. */
export function scanDictionary(bytes: Uint8Array): Spans {
  const scanner = new Scanner(bytes);
  if (bytes[0] !== DICTIONARY) throw malformed("it does not begin with a bencoded dictionary");
  const spans = new Map<string, readonly [number, number]>();
  const end = scanner.dictionary(0, 1, (key, start, stop) => {
    if (spans.has(key)) throw malformed(`key "${key}" stands in it twice`);
    spans.set(key, [start, stop]);
  });
  if (end !== bytes.length) throw malformed(`${bytes.length - end} bytes follow its end`);
  return spans;
}

export function malformed(reason: string): MetainfoError {
  return new MetainfoError("METAINFO_MALFORMED", `not a torrent file: ${reason}`);
}

class Scanner {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Returns the offset behind the value at `at`. */
  value(at: number, depth: number): number {
    const byte = this.#bytes[at];
    if (depth > NESTING_MAX) throw malformed(`values nest deeper than ${NESTING_MAX}`);
    if (byte === DICTIONARY) return this.dictionary(at, depth + 1);
    if (byte === LIST) return this.#list(at, depth + 1);
    if (byte === INTEGER) return this.#integer(at);
    return this.#string(at)[1];
  }

  dictionary(at: number, depth: number, visit?: (key: string, start: number, end: number) => void): number {
    let next = at + 1;
    while (this.#bytes[next] !== END) {
      const [start, stop] = this.#string(next);
      const end = this.value(stop, depth);
      if (visit !== undefined) visit(Buffer.from(this.#bytes.subarray(start, stop)).toString("latin1"), stop, end);
      next = end;
    }
    return next + 1;
  }

  #list(at: number, depth: number): number {
    let next = at + 1;
    while (this.#bytes[next] !== END) next = this.value(next, depth);
    return next + 1;
  }

  #integer(at: number): number {
    const first = this.#bytes[at + 1] === MINUS ? at + 2 : at + 1;
    const end = this.#digits(first, INTEGER_DIGITS_MAX);
    if (end === first || this.#bytes[end] !== END) throw malformed(`a bad number at byte ${at}`);
    return end + 1;
  }

  /** Start and end of the bytes of the string at `at`. */
  #string(at: number): [start: number, end: number] {
    const colon = this.#digits(at, LENGTH_DIGITS_MAX);
    if (colon === at || this.#bytes[colon] !== COLON) {
      throw malformed(at >= this.#bytes.length ? "it ends too early" : `no bencoded value at byte ${at}`);
    }
    let length = 0;
    for (let index = at; index < colon; index++) length = 10 * length + this.#bytes[index]! - ZERO;
    const end = colon + 1 + length;
    if (end > this.#bytes.length) throw malformed("it ends too early");
    return [colon + 1, end];
  }

  #digits(at: number, countMax: number): number {
    let next = at;
    while (next - at < countMax && this.#bytes[next]! >= ZERO && this.#bytes[next]! <= ZERO + 9) next++;
    return next;
  }
}
