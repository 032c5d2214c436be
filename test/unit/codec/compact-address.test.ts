// Addresses as the bytes that protocols carry: every usual form, and back.

import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addressText, compactAddress } from "../../../src/codec/compact-address.js";
import { check } from "../../support/property.js";
import { required } from "../../support/required.js";

const hexOf = (host: string) => {
  const bytes = compactAddress(host);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
};

describe("compactAddress", () => {
  it("reads the usual forms", () => {
    assert.equal(hexOf("127.0.0.1"), "7f000001");
    assert.equal(hexOf("::"), "00".repeat(16));
    assert.equal(hexOf("::1"), `${"00".repeat(15)}01`);
    assert.equal(hexOf("2001:db8::8:800:200c:417a"), "20010db80000000000080800200c417a");
    assert.equal(hexOf("fe80::1%eth0"), "fe800000000000000000000000000001");
    assert.equal(hexOf("::ffff:1.2.3.4"), "00000000000000000000ffff01020304");
    assert.equal(hexOf("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
  });

  it("agrees with Node about what is an address", () => {
    const part = fc.constantFrom("1", "00", "0", "255", "256", "f", "ffff", "10000", "g", "", " ");
    const text = fc.array(fc.oneof(part, fc.constantFrom(".", ":", "::", "1.2.3.4")), { maxLength: 17 });
    check(
      fc.property(
        fc.oneof(
          text.map((parts) => parts.join("")),
          fc.ipV4(),
          fc.ipV6(),
          fc.string(),
        ),
        (host) => {
          const length = { 0: undefined, 4: 4, 6: 16 }[isIP(host)];
          assert.equal(compactAddress(host)?.length, length, JSON.stringify(host));
        },
      ),
      5000,
    );
  });

  it("comes back as text that is the same address", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    check(
      fc.property(bytes, (address) => {
        const text = required(addressText(address), "address text");
        assert.notEqual(isIP(text), 0);
        assert.deepEqual(compactAddress(text), address);
      }),
      500,
    );
    assert.equal(addressText(new Uint8Array(5)), undefined);
  });
});
