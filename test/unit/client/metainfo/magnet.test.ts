// What is read from magnet links, and which texts are none.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseMagnet } from "../../../../src/client/metainfo/magnet.js";
import { UsageError } from "../../../../src/index.js";
import { check } from "../../../support/property.js";

const HEX = "0123456789abcdef0123456789abcdef01234567";
const LINK = `magnet:?xt=urn:btih:${HEX}`;

/** RFC 4648, written the slow way. */
function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  return (bits.match(/.{5}/g) ?? []).map((five) => digits[Number.parseInt(five, 2)]).join("");
}

describe("parseMagnet", () => {
  it("takes an info hash, and nothing more is needed", () => {
    const magnet = parseMagnet(LINK);
    assert.equal(Buffer.from(magnet.infoHash).toString("hex"), HEX);
    const { infoHash: _, ...rest } = magnet;
    assert.deepEqual(rest, { trackers: [], peers: [], webSeeds: [] });
  });

  it("takes name, trackers, peers, web seeds and the files that are wanted", () => {
    const magnet = parseMagnet(
      `${LINK.toUpperCase().replace("MAGNET:?XT", "magnet:?xt")}&dn=a+b%20%C3%BC&tr=http%3A%2F%2Fa%2Fx%3Fy%3D1&tr.1=udp://b:1&tr=udp://b:1` +
        "&x.pe=192.0.2.1:6881&x.pe=[2001:db8::1]:80&x.pe=host.example:1&x.pe=1.2.3.4:0&x.pe=::1:5&ws=http://w/&so=4-6,0,5&x.y=1&",
    );
    assert.equal(magnet.name, "a b ü");
    assert.deepEqual(magnet.trackers, ["http://a/x?y=1", "udp://b:1"]);
    assert.deepEqual(magnet.peers, [
      { host: "192.0.2.1", port: 6881 },
      { host: "2001:db8::1", port: 80 },
    ]);
    assert.deepEqual(magnet.webSeeds, ["http://w/"]);
    assert.deepEqual(magnet.selectOnly, [0, 4, 5, 6]);
  });

  it("a hybrid torrent is its first version", () => {
    const link = `magnet:?xt=urn:btmh:1220${"ab".repeat(32)}&xt=urn:btih:${HEX}&xt=urn:btih:${HEX.toUpperCase()}`;
    assert.equal(Buffer.from(parseMagnet(link).infoHash).toString("hex"), HEX);
  });

  it("says what is wrong with a link that is none", () => {
    const cases: [string, RegExp][] = [
      ["http://a", /begins with "magnet:\?", not with "http:\/\/a"/],
      ["magnet:?dn=a", /no info hash/],
      ["magnet:?xt=urn:btih:abc", /40 hexadecimal digits, or 32 of base 32, not the 3 of "abc"/],
      [`magnet:?xt=urn:btih:${"g".repeat(40)}`, /not the 40 of/],
      [`magnet:?xt=urn:btmh:1220${"ab".repeat(32)}`, /version 2 only/],
      [`${LINK}&xt=urn:btih:${"f".repeat(40)}`, /two torrents/],
      [`${LINK}&dn=%ff`, /percent-encoded/],
      [`${LINK}&so=3-1`, /"3-1"/],
      [`${LINK}&so=a`, /"0,2,4-6"/],
      [`${LINK}&so=0-999999999`, /more than 100000 files/],
      [`${LINK}&dn=${"x".repeat(65_536)}`, /at most 65536/],
    ];
    for (const [link, reason] of cases) {
      assert.throws(
        () => parseMagnet(link),
        (error) => {
          assert.ok(error instanceof UsageError && error.code === "USAGE_MAGNET", `${error}`);
          assert.match(error.message, reason);
          return true;
        },
      );
    }
    assert.throws(() => parseMagnet(5 as never), { code: "USAGE_MAGNET", message: /not number/ });
  });

  it("property: what was written into a link is read from it, in hex and in base 32", () => {
    const bytes = fc.uint8Array({ minLength: 20, maxLength: 20 });
    const text = fc
      .string({ minLength: 1, unit: "grapheme" })
      .map((s) => s.trim())
      .filter((s) => s !== "");
    const files = fc.uniqueArray(fc.nat(5000), { minLength: 1, maxLength: 20 });
    const property = fc.property(
      bytes,
      text,
      fc.uniqueArray(text, { maxLength: 5 }),
      files,
      fc.boolean(),
      (hash, name, trackers, so, inHex) => {
        const digits = inHex ? Buffer.from(hash).toString("hex") : base32(hash);
        const tr = trackers.map((url) => `&tr=${encodeURIComponent(url)}`).join("");
        const link = `magnet:?dn=${encodeURIComponent(name)}${tr}&so=${so.join(",")}&xt=urn:btih:${digits}`;
        const magnet = parseMagnet(link);
        assert.deepEqual(magnet.infoHash, hash);
        assert.equal(magnet.name, name);
        assert.deepEqual(magnet.trackers, trackers);
        assert.deepEqual(
          magnet.selectOnly,
          [...so].sort((a, b) => a - b),
        );
      },
    );
    check(property, 300);
  });

  it("property: any text is a magnet or ends in USAGE_MAGNET", () => {
    const part = fc.oneof(
      fc.string(),
      fc.constantFrom("xt=", "urn:btih:", HEX, "&", "so=", "x.pe=", "%", "-", ",", "1", "tr=", "magnet:?"),
    );
    const property = fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      try {
        assert.equal(parseMagnet(`magnet:?${parts.join("")}`).infoHash.length, 20);
      } catch (error) {
        assert.ok(error instanceof UsageError && error.code === "USAGE_MAGNET", `${error}`);
      }
    });
    check(property, 500);
  });
});
