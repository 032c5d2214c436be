// Typed access to the dictionaries of a torrent file, where they lie in its bytes. Only what is asked for is decoded, so
// that a file full of what we do not know costs a walk over it and no memory.
//
// Always: the bytes were checked as a whole before the first field is read (checkWhole); keys are compared as bytes;
// whatever is wrong ends in MetainfoError.

import { isUtf8 } from "node:buffer";
import { MetainfoError } from "../../base/errors.js";
import {
  BencodeError,
  type BencodeLimits,
  dictionarySpans,
  forEachItem,
  integerAt,
  isDictionary,
  isInteger,
  isList,
  isString,
  type Span,
  skipValue,
  stringSpan,
} from "../../codec/bencode-spans.js";

/** Nesting as deep as in the file tree of a hybrid torrent, and as many values as some 500 000 files have. */
const LIMITS: BencodeLimits = { depthMax: 100, valuesMax: 3_000_000 };
const QUOTED_LENGTH_MAX = 60;

/** A text, a list of such, or undefined for anything else. */
export type Texts = string | undefined | Texts[];

export function malformed(reason: string, cause?: unknown): MetainfoError {
  return new MetainfoError("METAINFO_MALFORMED", `not a torrent file: ${reason}`, { cause });
}

/** Text from a torrent file as it may stand in a message: one line, and not a long one. */
export function quoted(text: string): string {
  const short = text.length > QUOTED_LENGTH_MAX ? `${text.slice(0, QUOTED_LENGTH_MAX)}…` : text;
  // JSON escapes the control characters below 0x20 only; those from 0x7F on steer terminals as well.
  return JSON.stringify(short).replace(/\p{Cc}/gu, "?");
}

/**
 * Throws MetainfoError `METAINFO_MALFORMED` unless `bytes` begin with one dictionary, well formed. What follows it is left
 * alone: one torrent in twenty ends in a newline or worse, and all programs read them.
 */
export function checkWhole(bytes: Uint8Array): void {
  if (!isDictionary(bytes, { start: 0, end: bytes.length }))
    throw malformed("it does not begin with a dictionary");
  bencoded(() => skipValue(bytes, 0, LIMITS));
}

export class Fields {
  readonly #bytes: Uint8Array;
  readonly #spans: ReadonlyMap<string, Span>;

  /** The dictionary at `at`; `bytes` passed {@link checkWhole}. Throws MetainfoError if a key comes twice. */
  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#spans = bencoded(() => dictionarySpans(bytes, at));
  }

  has(key: string): boolean {
    return this.#spans.has(key);
  }

  /** The bytes of the value as they stand in the file, whatever it is. */
  raw(key: string): Uint8Array | undefined {
    const span = this.#spans.get(key);
    return span === undefined ? undefined : this.#bytes.subarray(span.start, span.end);
  }

  dictionary(key: string): Fields | undefined {
    const span = this.#spans.get(key);
    return isDictionary(this.#bytes, span) ? new Fields(this.#bytes, span.start) : undefined;
  }

  /** The bytes of a string: a view, not a copy. */
  string(key: string): Uint8Array | undefined {
    const span = this.#spans.get(key);
    if (!isString(this.#bytes, span)) return undefined;
    const { start, end } = stringSpan(this.#bytes, span);
    return this.#bytes.subarray(start, end);
  }

  text(key: string): string | undefined {
    const bytes = this.string(key);
    return bytes === undefined ? undefined : textOf(bytes);
  }

  /** A whole number. One that is too large to be exact fails Number.isSafeInteger. */
  number(key: string): number | undefined {
    const span = this.#spans.get(key);
    return isInteger(this.#bytes, span) ? integerAt(this.#bytes, span) : undefined;
  }

  /**
   * The texts of a list, and of the lists in it. Undefined if it is no list. Throws MetainfoError if it takes more than
   * `bytesMax`: texts in memory are much larger than their bytes.
   */
  texts(key: string, bytesMax: number): Texts[] | undefined {
    const span = this.#spans.get(key);
    if (!isList(this.#bytes, span)) return undefined;
    const length = span.end - span.start;
    if (length > bytesMax) throw malformed(`"${key}" of ${length} bytes; at most ${bytesMax} are read`);
    return textsOf(this.#bytes, span);
  }

  /** The pairs of a text and a whole number that a list has, `countMax` at the most; what is no such pair is left out. */
  pairs(key: string, countMax: number): [text: string, value: number][] {
    const span = this.#spans.get(key);
    const pairs: [string, number][] = [];
    if (!isList(this.#bytes, span)) return pairs;
    forEachItem(this.#bytes, span.start, (item) => {
      if (pairs.length === countMax || !isList(this.#bytes, item)) return;
      const parts: Span[] = [];
      forEachItem(this.#bytes, item.start, (part) => parts.push(part));
      const [text, value] = parts;
      if (parts.length !== 2 || !isString(this.#bytes, text) || !isInteger(this.#bytes, value)) return;
      const { start, end } = stringSpan(this.#bytes, text);
      pairs.push([textOf(this.#bytes.subarray(start, end)), integerAt(this.#bytes, value)]);
    });
    return pairs;
  }

  /** Calls `visit` for each item of a list: with its fields, or undefined if it is no dictionary. False if it is no list. */
  forEachDictionary(key: string, visit: (item: Fields | undefined, index: number) => void): boolean {
    const span = this.#spans.get(key);
    if (!isList(this.#bytes, span)) return false;
    let index = 0;
    forEachItem(this.#bytes, span.start, (item) => {
      visit(isDictionary(this.#bytes, item) ? new Fields(this.#bytes, item.start) : undefined, index++);
    });
    return true;
  }
}

function textsOf(bytes: Uint8Array, list: Span): Texts[] {
  const texts: Texts[] = [];
  forEachItem(bytes, list.start, (item) => {
    if (isList(bytes, item)) return void texts.push(textsOf(bytes, item));
    const text = isString(bytes, item) ? stringSpan(bytes, item) : undefined;
    texts.push(text === undefined ? undefined : textOf(bytes.subarray(text.start, text.end)));
  });
  return texts;
}

/**
 * Bytes as text: UTF-8, as BEP 3 asks for; where they are not that, latin1, in which each byte stays itself: a
 * replacement character would give different names one text.
 */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString(isUtf8(bytes) ? "utf8" : "latin1");
}

function bencoded<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof BencodeError) throw malformed(error.message, error);
    throw error;
  }
}
