// The extension handshake (BEP 10): what we say in it, and what is read of a peer's.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PeerError } from "../../../../src/base/errors.js";
import { decodeExtensionHandshake, encodeExtensionHandshake } from "../../../../src/client/wire/extension.js";

const decode = (text: string) => decodeExtensionHandshake(Buffer.from(text, "latin1"));
const ours = { v: "scatterwire 0.1", p: 6881, reqq: 2048, uploadOnly: true, yourip: "10.1.2.3" };

describe("extension handshake", () => {
  it("is the dictionary of BEP 10, its keys in order", () => {
    const text = Buffer.from(encodeExtensionHandshake(ours)).toString("latin1");
    const expected =
      "d1:mde1:pi6881e4:reqqi2048e11:upload_onlyi1e1:v15:scatterwire 0.16:yourip4:\x0a\x01\x02\x03e";
    assert.equal(text, expected);
  });

  it("gives back what was encoded", () => {
    const bytes = encodeExtensionHandshake({
      ...ours,
      m: { ut_metadata: 3 },
      metadataSize: 31_235,
      yourip: "2001:db8::1",
    });
    assert.deepEqual(decodeExtensionHandshake(bytes), {
      m: new Map([["ut_metadata", 3]]),
      v: ours.v,
      p: 6881,
      reqq: 2048,
      uploadOnly: true,
      metadataSize: 31_235,
      yourip: "2001:db8:0:0:0:0:0:1",
    });
  });

  it("leaves out what is not to be said", () => {
    const bytes = encodeExtensionHandshake({
      v: "x",
      p: 0,
      reqq: 1,
      uploadOnly: false,
      yourip: "no address",
    });
    assert.equal(Buffer.from(bytes).toString("latin1"), "d1:mde4:reqqi1e1:v1:xe");
  });

  it("reads bytes inside other bytes, and ignores what follows", () => {
    const around = Buffer.from("....d4:reqqi7ee....");
    assert.equal(decodeExtensionHandshake(around.subarray(4)).reqq, 7);
  });

  it("leaves out what has another type or is out of range", () => {
    const cases = [
      "de",
      "d1:mi1ee",
      "d1:mle1:p3:abc4:reqq0:11:upload_onlyle1:vi1e6:youripi1ee",
      "d13:metadata_sizei0e1:pi0e4:reqqi0ee",
      "d13:metadata_sizei-1e1:pi65536e4:reqqi99999999999999999999ee",
      "d1:pi-1e6:yourip5:abcdee",
      "d1:md1:bi256e1:ci-1e1:d1:1ee",
      "d1:md1:ai1e1:ai2eee",
      `d1:md81:${"n".repeat(81)}i1eee`,
    ];
    for (const text of cases) assert.deepEqual(decode(text), { m: new Map() }, text);
  });

  it("gives a version without control characters, and not a long one", () => {
    assert.equal(decode("d1:v10:a\x1b[31mb\r\nce").v, "a[31mbc");
    assert.equal(decode(`d1:v200:${"x".repeat(200)}e`).v, "x".repeat(80));
    assert.equal(decode("d1:v2:\xc3\xa9e").v, "é");
  });

  it("has ids by name, whatever the name", () => {
    const { m } = decode("d1:md11:ut_metadatai2e6:ut_pexi0e9:__proto__i9eee");
    assert.deepEqual(
      [...m],
      [
        ["ut_metadata", 2],
        ["ut_pex", 0],
        ["__proto__", 9],
      ],
    );
  });

  it("refuses what is no dictionary, at once", () => {
    const bad = [
      "",
      "le",
      "i1e",
      "d",
      "d1:a",
      "dl-3:ee",
      "d1:al-3:eee",
      "d-3:e",
      `d1:a${"l".repeat(16_000)}`,
      "d1:ai1e1:ai2ee",
    ];
    bad.push(`d1:v16400:${"x".repeat(16_400)}e`, `d1:al${"le".repeat(4000)}ee`);
    for (const text of bad) {
      const malformed = (error: unknown) =>
        error instanceof PeerError && error.code === "PEER_MESSAGE_MALFORMED";
      assert.throws(() => decode(text), malformed, text.slice(0, 40));
    }
  });
});
