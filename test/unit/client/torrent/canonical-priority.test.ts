// BEP 40, by the examples of its text.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { canonicalPriority, crc32c } from "../../../../src/client/torrent/canonical-priority.js";

const at = (host: string, port = 6881): { host: string; port: number } => ({ host, port });

describe("canonicalPriority", () => {
  it("is what BEP 40 says it is", () => {
    assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
    assert.equal(canonicalPriority(at("123.213.32.10"), at("98.76.54.32")), 0xec2d7224);
    assert.equal(canonicalPriority(at("123.213.32.10"), at("123.213.32.234")), 0x99568189);
  });

  it("is the same from both sides, whatever the addresses have in common", () => {
    const hosts = [
      "1.2.3.4",
      "1.2.3.5",
      "1.2.9.5",
      "1.9.9.5",
      "9.9.9.5",
      "2001:db8::1",
      "2001:db8::2",
      "2001:db8:1::1",
    ];
    for (const a of hosts)
      for (const b of hosts)
        assert.equal(canonicalPriority(at(a, 1), at(b, 2)), canonicalPriority(at(b, 2), at(a, 1)));
  });

  it("tells peers of one address apart by port, and says 0 of those that cannot be compared", () => {
    assert.notEqual(
      canonicalPriority(at("1.2.3.4", 1), at("1.2.3.4", 2)),
      canonicalPriority(at("1.2.3.4", 1), at("1.2.3.4", 3)),
    );
    assert.equal(canonicalPriority(at("1.2.3.4"), at("2001:db8::1")), 0);
    assert.equal(canonicalPriority(at("1.2.3.4"), at("nowhere")), 0);
  });
});
