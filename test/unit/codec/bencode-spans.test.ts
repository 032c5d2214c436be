// Finding values in bencoded bytes without decoding them: where they begin and end, and what is refused.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import fc from "fast-check";
import { BencodeError, dictionarySpans, forEachItem, skipValue } from "../../../src/codec/bencode-spans.js";
import { check } from "../../support/property.js";

const LIMITS = { depthMax: 8, valuesMax: 100 };
const bytesOf = (text: string) => Buffer.from(text, "latin1");
const skip = (text: string) => skipValue(bytesOf(text), 0, LIMITS);

describe("skipValue", () => {
  it("ends behind the value", () => {
    const values = [
      "i0e",
      "i-1e",
      "i9007199254740993e",
      "0:",
      "3:abc",
      "le",
      "de",
      "li1e1:alee",
      "d1:bi1e1:ad1:xleee",
    ];
    for (const text of values) {
      assert.equal(skip(text), text.length);
      assert.equal(skipValue(bytesOf(`xx${text}yy`), 2, LIMITS), 2 + text.length);
    }
  });

  it("refuses what is no bencode, and says where", () => {
    const cases: [text: string, at: number][] = [
      ["", 0],
      ["e", 0],
      ["x", 0],
      ["i", 0],
      ["ie", 0],
      ["i-e", 0],
      ["i+1e", 0],
      ["i1.5e", 0],
      ["i1", 0],
      ["i01e", 0],
      ["i-0e", 0],
      ["i-01e", 0],
      ["li--1ee", 1],
      [":", 0],
      ["-3:abc", 0],
      ["+3:abc", 0],
      ["03:abc", 0],
      ["3.0:abc", 0],
      ["3abc", 0],
      ["4:abc", 0],
      ["99999999999999999999999999:abc", 0],
      ["l-3:e", 1],
      ["l", 1],
      ["li1e", 4],
      ["d", 1],
      ["d1:a", 4],
      ["d1:ae", 4],
      ["di1e1:ae", 1],
      ["dlei1ee", 1],
    ];
    for (const [text, at] of cases) {
      assert.throws(
        () => skip(text),
        (error) => error instanceof BencodeError && error.at === at,
        text,
      );
    }
  });

  it("refuses every cut of a value", () => {
    const whole = "d4:listli1e3:abcd1:xi-5eee6:number" + "i42ee";
    for (let length = 0; length < whole.length; length++)
      assert.throws(() => skip(whole.slice(0, length)), BencodeError);
    assert.equal(skip(whole), whole.length);
  });

  it("bounds depth and number of values", () => {
    assert.equal(skip("l".repeat(8) + "e".repeat(8)), 16);
    assert.throws(() => skip("l".repeat(9) + "e".repeat(9)), /nested deeper than 8 at byte 8/);
    assert.equal(skip(`l${"0:".repeat(99)}e`), 200);
    assert.throws(() => skip(`l${"0:".repeat(100)}e`), /more than 100 values at byte 199/);
    assert.throws(() => skip("l".repeat(1_000_000)), BencodeError);
  });

  it("passes what the package encodes, and the package decodes what passed", () => {
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.maxSafeInteger(),
        fc.string(),
        fc.array(tie("value"), { maxLength: 4 }),
        // The package decodes into plain objects, in which "__proto__" is no key like others.
        fc.dictionary(
          fc.string().filter((key) => key !== "__proto__"),
          tie("value"),
          { maxKeys: 4, noNullPrototype: true },
        ),
      ),
    }));
    const limits = { depthMax: 100, valuesMax: 10_000 };
    check(
      fc.property(value, (tree) => {
        const bytes = bencode.encode(tree);
        assert.equal(skipValue(bytes, 0, limits), bytes.length);
        assert.deepEqual(bencode.encode(bencode.decode(bytes)), bytes);
      }),
      300,
    );
  });
});

describe("dictionarySpans", () => {
  it("finds values by key, in any order", () => {
    const bytes = bytesOf("xxd1:zi1e1:a3:abc0:lee");
    const texts = [...dictionarySpans(bytes, 2)].map(([key, { start, end }]) => [
      key,
      bytes.toString("latin1", start, end),
    ]);
    assert.deepEqual(texts, [
      ["z", "i1e"],
      ["a", "3:abc"],
      ["", "le"],
    ]);
  });

  it("keeps keys apart that are the same as text", () => {
    const bytes = bytesOf("d1:\xffi1e1:\xfei2e4:\xef\xbb\xbfai3e1:ai4e9:__proto__i5ee");
    assert.deepEqual(
      [...dictionarySpans(bytes, 0).keys()],
      ["\xff", "\xfe", "\xef\xbb\xbfa", "a", "__proto__"],
    );
  });

  it("refuses a key that comes twice", () => {
    assert.throws(() => dictionarySpans(bytesOf("d1:ai1e1:bi2e1:ai3ee"), 0), /a second key "a" at byte 13/);
  });
});

describe("forEachItem", () => {
  it("visits the items in order", () => {
    const bytes = bytesOf("li1el1:ae0:e");
    const items: string[] = [];
    forEachItem(bytes, 0, ({ start, end }) => items.push(bytes.toString("latin1", start, end)));
    assert.deepEqual(items, ["i1e", "l1:ae", "0:"]);
  });
});
