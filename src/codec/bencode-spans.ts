// Checks bencoded bytes and reads single values where they lie, without building a tree. Decoding by the `bencode`
// package (which we encode with) is not for bytes of strangers: a negative string length sends it backwards, for ever
// ("l-3:e"), deep nesting overflows the stack, a key "__proto__" gives a dictionary another prototype, so that it passes
// for a string, and a short string, a float or a second key of one name pass without a word.
//
// Always: a span that comes out of here is one well-formed value of bounded depth and size. Work is linear in the
// bytes, nothing recurses, and a wrong byte ends in BencodeError and in nothing else. Stricter than the package, as BEP 3
// has it: no leading zeros, no negative zero, no sign but a minus. Keys may come in any order: files in other orders
// exist, and an info hash is taken over bytes, not over meaning.

import { assert } from "../base/assert.js";

/** Bytes [start, end) of one value, or of the text of one key. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface BencodeLimits {
  /** Containers inside each other. */
  readonly depthMax: number;
  /** Values and keys altogether: bounds the memory that decoding may take. */
  readonly valuesMax: number;
}

/** Where bytes stop being bencode. `at` is a byte offset. */
export class BencodeError extends Error {
  override readonly name = "BencodeError";
  readonly at: number;

  constructor(message: string, at: number) {
    super(`${message} at byte ${at}`);
    this.at = at;
  }
}

const INTEGER = 0x69; // i
const LIST = 0x6c; // l
const DICTIONARY = 0x64; // d
const END = 0x65; // e
const COLON = 0x3a;
const MINUS = 0x2d;
const DIGIT_ZERO = 0x30;
const DIGIT_NINE = 0x39;

/** What an open container takes next. */
const TAKES_ITEM = 0;
const TAKES_KEY = 1;
const TAKES_VALUE = 2;

/** One for all calls, for they are many and do not overlap: a torrent of 100,000 files has as many lists and dictionaries. */
const SHARED_DEPTH_MAX = 1024;
const sharedTakes = new Uint8Array(SHARED_DEPTH_MAX);

const UNLIMITED: BencodeLimits = { depthMax: SHARED_DEPTH_MAX, valuesMax: Number.MAX_SAFE_INTEGER };

/** Checks the value that begins at `at` and returns the offset behind it. Throws BencodeError. */
export function skipValue(bytes: Uint8Array, at: number, limits: BencodeLimits): number {
  assert(at >= 0 && limits.depthMax > 0, "a value is looked for inside the bytes");
  if (isScalar(bytes, at)) return skipScalar(bytes, at);
  const takes = limits.depthMax <= SHARED_DEPTH_MAX ? sharedTakes : new Uint8Array(limits.depthMax);
  let depth = 0;
  let values = 0;
  let cursor = at;
  do {
    const byte = bytes[cursor];
    const next = depth === 0 ? TAKES_ITEM : takes[depth - 1];
    if (byte === END && depth > 0) {
      if (next === TAKES_VALUE) throw new BencodeError("a key without a value", cursor);
      depth--;
      cursor++;
      continue;
    }
    if (++values > limits.valuesMax) throw new BencodeError(`more than ${limits.valuesMax} values`, cursor);
    if (next !== TAKES_ITEM) takes[depth - 1] = next === TAKES_KEY ? TAKES_VALUE : TAKES_KEY;
    if (next === TAKES_KEY) {
      cursor = skipString(bytes, cursor);
    } else if (byte === LIST || byte === DICTIONARY) {
      if (depth === limits.depthMax) throw new BencodeError(`nested deeper than ${limits.depthMax}`, cursor);
      takes[depth++] = byte === LIST ? TAKES_ITEM : TAKES_KEY;
      cursor++;
    } else {
      cursor = skipScalar(bytes, cursor);
    }
  } while (depth > 0);
  return cursor;
}

/**
 * Where the values of the dictionary at `at` lie, by key. Keys are read as latin1, so that each byte stays itself and
 * no two keys become one. The dictionary was checked by {@link skipValue} before. Throws BencodeError if a key comes
 * twice: programs would disagree about which of the two counts.
 */
export function dictionarySpans(bytes: Uint8Array, at: number): Map<string, Span> {
  assert(bytes[at] === DICTIONARY, "the spans of a dictionary are asked for");
  const spans = new Map<string, Span>();
  let cursor = at + 1;
  while (bytes[cursor] !== END) {
    const start = skipString(bytes, cursor);
    const text = stringSpan(bytes, { start: cursor, end: start });
    const key = latin1(bytes, text.start, text.end);
    const end = skipValue(bytes, start, UNLIMITED);
    if (spans.has(key)) throw new BencodeError(`a second key ${printable(key)}`, cursor);
    spans.set(key, { start, end });
    cursor = end;
  }
  return spans;
}

/** Calls `visit` with the span of each item of the list at `at`, which was checked by {@link skipValue} before. */
export function forEachItem(bytes: Uint8Array, at: number, visit: (item: Span) => void): void {
  assert(bytes[at] === LIST, "the items of a list are asked for");
  let cursor = at + 1;
  while (bytes[cursor] !== END) {
    const start = cursor;
    cursor = skipValue(bytes, start, UNLIMITED);
    visit({ start, end: cursor });
  }
}

export function isDictionary(bytes: Uint8Array, span: Span | undefined): span is Span {
  return span !== undefined && bytes[span.start] === DICTIONARY;
}

export function isList(bytes: Uint8Array, span: Span | undefined): span is Span {
  return span !== undefined && bytes[span.start] === LIST;
}

export function isInteger(bytes: Uint8Array, span: Span | undefined): span is Span {
  return span !== undefined && bytes[span.start] === INTEGER;
}

export function isString(bytes: Uint8Array, span: Span | undefined): span is Span {
  return span !== undefined && isDigit(bytes[span.start]);
}

/** The text of the string whose value is `span`: what stands behind the colon. */
export function stringSpan(bytes: Uint8Array, span: Span): Span {
  let cursor = span.start;
  while (bytes[cursor] !== COLON) cursor++;
  return { start: cursor + 1, end: span.end };
}

/** The number of an integer; one that is too large to be exact is no safe integer, and may be Infinity. */
export function integerAt(bytes: Uint8Array, span: Span): number {
  assert(bytes[span.start] === INTEGER, "the number of an integer is asked for");
  return Number(latin1(bytes, span.start + 1, span.end - 1));
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
}

/** A key as it may stand in a message: short, and without what steers a terminal. */
function printable(key: string): string {
  return `"${key.slice(0, 40).replace(/[^ -~]/g, "?")}"`;
}

function isScalar(bytes: Uint8Array, at: number): boolean {
  return bytes[at] !== LIST && bytes[at] !== DICTIONARY;
}

function skipScalar(bytes: Uint8Array, at: number): number {
  return bytes[at] === INTEGER ? skipInteger(bytes, at) : skipString(bytes, at);
}

/** i, a minus or not, digits, e. */
function skipInteger(bytes: Uint8Array, at: number): number {
  const isNegative = bytes[at + 1] === MINUS;
  const digits = at + (isNegative ? 2 : 1);
  let cursor = digits;
  while (isDigit(bytes[cursor])) cursor++;
  if (cursor === digits || bytes[cursor] !== END)
    throw new BencodeError("something that is not a number", at);
  if (bytes[digits] === DIGIT_ZERO && (isNegative || cursor > digits + 1)) {
    throw new BencodeError("a number with a leading zero", at);
  }
  return cursor + 1;
}

/** Digits, a colon, and as many bytes. */
function skipString(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) throw new BencodeError("the bytes end too early", at);
  let cursor = at;
  let length = 0;
  // No length that could be right is longer than the bytes are: so the sum stays exact, and the loop short.
  for (; isDigit(bytes[cursor]) && length <= bytes.length; cursor++)
    length = length * 10 + bytes[cursor]! - DIGIT_ZERO;
  if (cursor === at) throw new BencodeError("no value", at);
  if (length > bytes.length - cursor)
    throw new BencodeError("a string longer than the bytes that follow", at);
  if (bytes[cursor] !== COLON) throw new BencodeError("a string without a length", at);
  if (bytes[at] === DIGIT_ZERO && cursor > at + 1)
    throw new BencodeError("a string length with a leading zero", at);
  const end = cursor + 1 + length;
  if (end > bytes.length) throw new BencodeError("a string longer than the bytes that follow", at);
  return end;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= DIGIT_ZERO && byte <= DIGIT_NINE;
}
