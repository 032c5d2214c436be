// Ids: nearness, derived ids that part the key space evenly, and ids that belong to addresses (BEP 42).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { compactAddress } from "../../../src/codec/compact-address.js";
import {
  commonBits,
  compareDistance,
  derivedId,
  idBit,
  isSecureId,
  secureId,
} from "../../../src/dht/node-id.js";
import { check } from "../../support/property.js";
import { entryOf, required } from "../../support/required.js";

const anId = fc.uint8Array({ minLength: 20, maxLength: 20 });

function distance(a: Uint8Array, b: Uint8Array): bigint {
  return a.reduce((sum, byte, at) => (sum << 8n) | BigInt(byte ^ entryOf(b, at)), 0n);
}

describe("ids of the DHT", () => {
  it("compares distances as exclusive ors of whole numbers are compared", () => {
    check(
      fc.property(anId, anId, anId, (target, a, b) => {
        const expected = distance(target, a) - distance(target, b);
        const sign = expected < 0n ? -1 : expected > 0n ? 1 : 0;
        assert.equal(Math.sign(compareDistance(target, 0, a, 0, b, 0)), sign);
      }),
      500,
    );
  });

  it("counts the bits that two ids share", () => {
    check(
      fc.property(anId, fc.integer({ min: 0, max: 159 }), (a, bit) => {
        const b = a.slice();
        b[bit >> 3] = entryOf(b, bit >> 3) ^ (0x80 >> (bit & 7));
        assert.equal(commonBits(a, 0, b, 0), bit);
        assert.notEqual(idBit(a, 0, bit), idBit(b, 0, bit));
        assert.equal(commonBits(a, 0, a, 0), 160);
      }),
      300,
    );
  });

  it("derives exactly one id for each prefix, for every power of two", () => {
    const root = Uint8Array.from({ length: 20 }, (_, at) => 17 * at + 3);
    for (let bits = 0; bits <= 10; bits++) {
      const prefixes = new Set<number>();
      for (let index = 0; index < 2 ** bits; index++) {
        const id = derivedId(root, index);
        prefixes.add((((entryOf(id, 0) << 8) | entryOf(id, 1)) >> (16 - bits)) & (2 ** bits - 1));
        assert.deepEqual(id.subarray(4), root.subarray(4));
      }
      assert.equal(prefixes.size, 2 ** bits);
    }
    assert.deepEqual(derivedId(root, 0), root);
  });

  it("gives addresses the ids that BEP 42 shows", () => {
    for (const [host, dice, first, second, third] of [
      ["124.31.75.21", 1, 0x5f, 0xbf, 0xb8],
      ["21.75.31.124", 86, 0x5a, 0x3c, 0xe8],
      ["65.23.51.170", 22, 0xa5, 0xd4, 0x30],
      ["84.124.73.14", 65, 0x1b, 0x03, 0x20],
      ["43.213.53.83", 90, 0xe5, 0x6f, 0x68],
    ] as const) {
      const address = required(compactAddress(host), "compact address");
      const id = secureId(new Uint8Array(20), address, dice);
      assert.deepEqual([id[0], id[1], entryOf(id, 2) & 0xf8, id[19]], [first, second, third, dice], host);
      assert.ok(isSecureId(id, 0, address, 0, 4));
      const other = required(compactAddress("93.184.216.34"), "compact address");
      assert.ok(!isSecureId(id, 0, other, 0, 4), "another address has other ids");
    }
  });

  it("lets addresses of the machine and of local networks have any id", () => {
    for (const host of [
      "127.0.0.1",
      "10.1.2.3",
      "192.168.0.7",
      "172.16.3.4",
      "169.254.1.1",
      "::1",
      "fe80::1",
    ]) {
      const address = required(compactAddress(host), "compact address");
      assert.ok(isSecureId(new Uint8Array(20), 0, address, 0, address.length), host);
    }
    const address = required(compactAddress("2001:db8::1"), "compact address");
    assert.ok(!isSecureId(new Uint8Array(20), 0, address, 0, 16));
    assert.ok(isSecureId(secureId(new Uint8Array(20), address, 9), 0, address, 0, 16));
  });
});
