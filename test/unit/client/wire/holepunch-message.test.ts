// Messages of the holepunch extension (BEP 55).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeHolepunch } from "../../../../src/client/wire/holepunch-message.js";

describe("holepunch messages (BEP 55)", () => {
  it("name what is to be done, with whom, or why not", () => {
    assert.deepEqual(decodeHolepunch(Buffer.from("0000c0000201c8d500000000", "hex")), {
      kind: "rendezvous",
      host: "192.0.2.1",
      port: 51413,
      error: "none",
    });
    const v6 = Buffer.from("010120010db80000000000000000000000011ae100000000", "hex");
    assert.deepEqual(decodeHolepunch(v6), {
      kind: "connect",
      host: "2001:db8:0:0:0:0:0:1",
      port: 6881,
      error: "none",
    });
    assert.equal(decodeHolepunch(Buffer.from("0200c0000201c8d500000002", "hex")).error, "not connected");
    assert.equal(decodeHolepunch(Buffer.from("0200c0000201c8d5ffffffff", "hex")).error, undefined);
  });

  it("of another kind, family or length are refused", () => {
    for (const hex of [
      "",
      "00",
      "0300c0000201c8d500000000",
      "0002c0000201c8d500000000",
      "0000c0000201c8d5000000",
      "0001c0000201c8d500000000",
    ])
      assert.throws(() => decodeHolepunch(Buffer.from(hex, "hex")), { code: "PEER_MESSAGE_MALFORMED" });
  });
});
