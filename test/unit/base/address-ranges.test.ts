// Lists of addresses that are kept out: each kind of line, what is no line of any kind, and the search against looking at all ranges.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AddressRanges } from "../../../src/base/address-ranges.js";
import { check } from "../../support/property.js";

function v4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

describe("AddressRanges", () => {
  const cases: [string, string, readonly string[], readonly string[]][] = [
    [
      ".dat of eMule",
      "001.002.003.000 - 001.002.003.255 , 000 , Some organisation, Ltd.\n9.0.0.0-9.0.0.9,127,x\n8.0.0.0 - 8.0.0.9 , 128 , fine",
      ["1.2.3.0", "1.2.3.255", "9.0.0.9", "::ffff:1.2.3.4"],
      ["1.2.2.255", "1.2.4.0", "8.0.0.1", "::1"],
    ],
    [
      ".p2p of PeerGuardian, with colons in names",
      "Evil: Corp:1.2.3.4-1.2.3.8\r\n:5.0.0.0-5.0.0.0",
      ["1.2.3.4", "1.2.3.8", "5.0.0.0"],
      ["1.2.3.3", "1.2.3.9", "5.0.0.1"],
    ],
    [
      "CIDR and single addresses, IPv6 among them",
      "# a comment\n\n10.1.2.3/8\n2001:db8::/32 # all of it\n192.0.2.7\nfe80::1",
      ["10.0.0.0", "10.255.255.255", "2001:db8:ffff::1", "192.0.2.7", "fe80::1"],
      ["11.0.0.0", "2001:db9::", "192.0.2.8", "fe80::2"],
    ],
    [
      "first and last of IPv6, whole halves, and everything",
      "2001:db8::5 - 2001:db8::9\n2001:db8:0:1:: - 2001:db8:0:2:ffff:ffff:ffff:ffff\n2001:db8:0:3::/64",
      ["2001:db8::5", "2001:db8:0:1::7", "2001:db8:0:3:ffff::"],
      ["2001:db8::4", "2001:db8::a", "2001:db8:0:4::"],
    ],
  ];
  for (const [kind, text, inside, outside] of cases)
    it(`reads ${kind}`, () => {
      const ranges = AddressRanges.parse(text);
      assert.equal(ranges.linesSkipped, 0);
      for (const host of inside) assert.equal(ranges.has(host), true, host);
      for (const host of outside) assert.equal(ranges.has(host), false, host);
    });

  it("counts lines that say nothing, and takes ranges together that overlap or touch", () => {
    const ranges = AddressRanges.parse(
      "1.2.3.4-\nhello\n1.2.3.0/33\n4.0.0.9-4.0.0.1\n300.1.1.1\n5.0.0.0/24\n5.0.1.0/24\n5.0.0.7\n2001::1-1.2.3.4",
    );
    assert.equal(ranges.linesSkipped, 6);
    assert.equal(ranges.count, 1);
    assert.equal(ranges.has("5.0.1.255"), true);
    assert.equal(ranges.has("example.org"), false);
    assert.equal(AddressRanges.parse("0.0.0.0/0\n::/0").count, 2);
  });

  it("finds what looking at all ranges finds, in both kinds of addresses", () => {
    const range = fc
      .tuple(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 60 }))
      .map(([first, length]) => [first, first + length] as const);
    const property = fc.property(fc.array(range, { maxLength: 40 }), (list) => {
      const six = (address: number): string =>
        `2001:db8::${(address >> 4).toString(16)}:${(address & 15).toString(16)}`;
      const at = (address: number): number => (address >> 4) * 65_536 + (address & 15);
      const lines = list.flatMap(([first, last]) => [
        `${v4(first)}-${v4(last)}`,
        `${six(first)} - ${six(last)}`,
      ]);
      const ranges = AddressRanges.parse(lines.join("\n"));
      for (let address = 0; address < 3100; address += 7) {
        const isIn = list.some(([first, last]) => first <= address && address <= last);
        assert.equal(ranges.has(v4(address)), isIn, v4(address));
        const isInSix = list.some(([first, last]) => at(first) <= at(address) && at(address) <= at(last));
        assert.equal(ranges.has(six(address)), isInSix, six(address));
      }
    });
    check(property, 100);
  });
});
