// The UDP tracker protocol, byte by byte as BEP 15 draws it, and whatever bytes come.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import * as udp from "../../../../src/tracker/protocol/udp.js";
import { check } from "../../../support/property.js";

const AT = 8;

function memory(): { view: DataView; hex: (length: number) => string } {
  const view = new DataView(new ArrayBuffer(2048));
  return { view, hex: (length) => Buffer.from(view.buffer, AT, length).toString("hex") };
}

const HASH = Uint8Array.from({ length: 20 }, (_, index) => index);
const PEER_ID = Uint8Array.from({ length: 20 }, (_, index) => 0xe0 + index);

describe("UDP tracker protocol", () => {
  it("writes requests as BEP 15 draws them", () => {
    const { view, hex } = memory();
    assert.equal(udp.writeConnectRequest(view, AT, 0x01020304), 16);
    assert.equal(hex(16), "00000417271019800000000001020304");
    assert.ok(udp.isConnectRequest(view, AT));
    const fields = {
      infoHash: HASH,
      peerId: PEER_ID,
      downloaded: 2 ** 40 + 1,
      left: 2 ** 32,
      uploaded: 3,
      event: udp.EVENT_STARTED,
      ip: 0,
      key: 0xcafebabe,
      numWant: -1,
      port: 6881,
    };
    assert.equal(udp.writeAnnounceRequest(view, AT, 0x11121314, 0x15161718, 0x21222324, fields), 98);
    assert.equal(
      hex(98),
      "11121314151617180000000121222324" +
        "000102030405060708090a0b0c0d0e0f10111213" +
        "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3" +
        "0000010000000001000000010000000000000000000000030000000200000000cafebabeffffffff1ae1",
    );
    assert.equal(udp.readUint64(view, AT + udp.LEFT_AT), 2 ** 32);
    assert.equal(udp.readUint64(view, AT + udp.DOWNLOADED_AT), 2 ** 40 + 1);
    assert.equal(view.getInt32(AT + udp.NUM_WANT_AT), -1);
    assert.equal(view.getUint16(AT + udp.PORT_AT), 6881);
    const scrape = udp.writeScrapeRequest(view, AT, 1, 2, 3, [HASH, PEER_ID]);
    assert.equal(scrape, 56);
    assert.equal(udp.scrapeHashCount(scrape), 2);
    assert.equal(
      hex(56),
      `00000001000000020000000200000003${Buffer.from(HASH).toString("hex")}${Buffer.from(PEER_ID).toString("hex")}`,
    );
  });

  it("writes responses as BEP 15 draws them", () => {
    const { view, hex } = memory();
    assert.equal(udp.writeConnectResponse(view, AT, 0x01020304, 0x11121314, 0x15161718), 16);
    assert.equal(hex(16), "00000000010203041112131415161718");
    assert.equal(udp.responseAction(view, AT, 16), udp.ACTION_CONNECT);
    assert.equal(udp.responseAction(view, AT, 15), -1);
    assert.equal(udp.writeAnnounceResponse(view, AT, 5, 1800, 7, 9), 20);
    assert.equal(hex(20), "0000000100000005000007080000000700000009");
    assert.equal(udp.responseAction(view, AT, 20), udp.ACTION_ANNOUNCE);
    assert.equal(udp.writeScrapeResponse(view, AT, 6), 8);
    udp.writeScrapeEntry(view, AT, 1, 1, 2, 3);
    assert.equal(hex(32).slice(-24), "000000010000000200000003");
    assert.equal(udp.responseAction(view, AT, 8), udp.ACTION_SCRAPE);
    const length = udp.writeErrorResponse(view, AT, 7, Buffer.from("no"));
    assert.equal(hex(length), "00000003000000076e6f");
    assert.equal(udp.responseAction(view, AT, length), udp.ACTION_ERROR);
  });

  it("carries the path of a URL behind an announce, in pieces (BEP 41)", () => {
    for (const size of [0, 1, 255, 256, 700]) {
      const { view } = memory();
      const path = Uint8Array.from({ length: size }, (_, index) => 33 + (index % 90));
      const length = udp.appendUrlData(view, AT, udp.ANNOUNCE_REQUEST_BYTES, path);
      assert.equal(length, 98 + 1 + size + 2 * Math.ceil(size / 255));
      assert.equal(udp.announceRequestLength(view, AT, length), length);
      assert.deepEqual(udp.readUrlData(view, AT, length), path);
      // Nothing behind the end counts.
      assert.equal(udp.announceRequestLength(view, AT, length + 40), length);
    }
  });

  it("options that say they are longer than the datagram are malformed", () => {
    const { view } = memory();
    view.setUint8(AT + 98, 2);
    view.setUint8(AT + 99, 3);
    assert.equal(udp.announceRequestLength(view, AT, 102), -1);
    assert.equal(udp.announceRequestLength(view, AT, 103), 103);
    assert.equal(udp.announceRequestLength(view, AT, 99), -1);
    assert.equal(udp.announceRequestLength(view, AT, 97), -1);
    view.setUint8(AT + 98, 1);
    assert.equal(udp.announceRequestLength(view, AT, 99), 99);
  });

  it("a scrape has whole info hashes, one at least", () => {
    const counts = [15, 16, 17, 35, 36, 37, 56, 16 + 74 * 20].map(udp.scrapeHashCount);
    assert.deepEqual(counts, [-1, -1, -1, -1, 1, -1, 2, 74]);
  });

  it("reads any bytes without leaving the datagram", () => {
    check(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 400 }), (bytes) => {
        // Exactly as long as the datagram: a read behind its end throws.
        const view = new DataView(bytes.slice().buffer);
        udp.isConnectRequest(view, 0);
        const length = udp.announceRequestLength(view, 0, bytes.length);
        assert.ok(length === -1 || (length >= 98 && length <= bytes.length));
        if (length >= 0) assert.ok(udp.readUrlData(view, 0, bytes.length).length < bytes.length);
        udp.scrapeHashCount(bytes.length);
        udp.responseAction(view, 0, bytes.length);
      }),
      2000,
    );
  });
});
