// Filters of BEP 33: the published one comes out, estimates are near, who exaggerates is left out, and a node's filters forget within two
// stretches and stay within their bounds.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addToFilter, estimateOf, estimateTogether } from "../../../src/dht/scrape-filter.js";
import { SCRAPE_TORRENTS_MAX, ScrapeFilters } from "../../../src/dht/scrape-filters.js";

const PUBLISHED =
  "F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAEFE5EEDB1FBFAFF67F6ABFF5E43DDBCA3FD9B9FFDF4FFD3E9DFF12D1BDF59DB53DBE9FA5B7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE148246C2BC5DBFF7E7EFDCF24FD8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81FC7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3FA1FC77BFE07FFF905B7B7FFC7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5BFAF2E9EBFFFFEECD67ADBF7C67F17EFD5D75EBA6FFEBA7FFF47A91EB1BFBB53E8ABFB5762ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6FD8F72EF";

const filterOf = (addresses: readonly Uint8Array[]): Uint8Array => {
  const filter = new Uint8Array(256);
  for (const address of addresses) addToFilter(filter, 0, address);
  return filter;
};
const v4 = (number: number): Uint8Array => Uint8Array.of(10, number >> 16, number >> 8, number);

describe("a filter of addresses", () => {
  it("is the one that BEP 33 prints for the addresses that it names", () => {
    const addresses = Array.from({ length: 256 }, (_, at) => Uint8Array.of(192, 0, 2, at));
    for (let at = 0; at <= 0x3e7; at++) {
      const address = new Uint8Array(16);
      address.set([0x20, 0x01, 0x0d, 0xb8]);
      address.set([at >> 8, at & 0xff], 14);
      addresses.push(address);
    }
    const filter = filterOf(addresses);
    assert.equal(Buffer.from(filter).toString("hex").toUpperCase(), PUBLISHED);
    assert.ok(Math.abs(estimateOf(filter) - 1224.9308) < 0.001, `${estimateOf(filter)}`);
  });

  it("says none of none, and a number of a full one", () => {
    assert.equal(estimateOf(new Uint8Array(256)), 0);
    assert.ok(estimateOf(new Uint8Array(256).fill(0xff)) < 10_000);
    assert.equal(estimateTogether([]), 0);
  });

  it("counts an address once that several nodes know, and leaves out who exaggerates", () => {
    const all = Array.from({ length: 200 }, (_, at) => v4(at));
    const filters = Array.from({ length: 7 }, (_, node) => filterOf(all.filter((_, at) => at % 7 !== node)));
    const estimate = estimateTogether(filters);
    assert.ok(estimate > 180 && estimate < 220, `${estimate} of 200`);
    assert.equal(estimateTogether([...filters, new Uint8Array(256).fill(0xff)]), estimate);
  });
});

describe("the filters of a node", () => {
  const hashOf = (number: number): Uint8Array => {
    const hash = new Uint8Array(20);
    new DataView(hash.buffer).setUint32(8, number);
    return hash;
  };
  const counts = (filters: ScrapeFilters): number[] =>
    [filters.seeds, filters.peers].map((filter) => Math.round(estimateOf(filter)));

  it("know seeds apart from others, and forget both in time", () => {
    const filters = new ScrapeFilters();
    const minute = 60_000;
    assert.equal(filters.copy(hashOf(1), 0), false);
    for (let at = 0; at < 10; at++) filters.announced(hashOf(1), v4(at), at < 3, 0);
    assert.ok(filters.copy(hashOf(1), minute));
    assert.deepEqual(counts(filters), [3, 7]);
    filters.announced(hashOf(1), v4(99), true, 30 * minute);
    filters.copy(hashOf(1), 31 * minute);
    assert.deepEqual(counts(filters), [4, 7]);
    filters.copy(hashOf(1), 50 * minute);
    assert.deepEqual(counts(filters), [1, 0]);
    filters.copy(hashOf(1), 500 * minute);
    assert.deepEqual(counts(filters), [0, 0]);
  });

  it("are bounded: the torrent that was announced longest ago makes room", () => {
    const filters = new ScrapeFilters();
    for (let torrent = 0; torrent < 2 * SCRAPE_TORRENTS_MAX; torrent++) {
      filters.announced(hashOf(torrent), v4(torrent), false, 0);
      if (torrent % 1000 === 0) filters.announced(hashOf(0), v4(1), true, 0);
    }
    assert.equal(filters.bytes, 1024 * SCRAPE_TORRENTS_MAX);
    assert.equal(filters.replaced, SCRAPE_TORRENTS_MAX);
    assert.ok(filters.copy(hashOf(0), 0), "it was announced again and again");
    assert.ok(!filters.copy(hashOf(1), 0));
    assert.ok(filters.copy(hashOf(2 * SCRAPE_TORRENTS_MAX - 1), 0));
    assert.deepEqual(counts(filters), [0, 1], "and has nothing of who was there before");
  });
});
