// Whom a lookup takes for a node that it may ask, where one owner has many networks.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeBoundCounters } from "../../../src/dht/bound-counters.js";
import { Candidates, UNTRIED } from "../../../src/dht/candidates.js";
import { Contact } from "../../../src/dht/contact.js";

const TARGET = new Uint8Array(20).fill(0x80);

/** A node of IPv6, the nearer to TARGET the smaller `nearness` is. */
function nodeAt(site: number, network: number, nearness: number): Contact {
  const compact = new Uint8Array(38);
  compact.set(TARGET);
  compact[2] = 0x80 ^ (nearness + 1);
  compact.set([0x20, 1, 0xd, 0xb8, site >> 8, site & 255, network >> 8, network & 255], 20);
  compact.set([0x1a, 0xe1], 36);
  return new Contact(compact, 6);
}

describe("Candidates", () => {
  it("takes four nodes of a /48 that others told of, and counts the others", () => {
    const bounds = makeBoundCounters();
    const host = {
      family: 6,
      limitsNetworks: true,
      bounds,
      isOurs: () => false,
      isPossible: () => true,
    } as const;
    const candidates = new Candidates(host, TARGET, true);
    const teller = nodeAt(9, 9, 100);
    // The nearest, each in a /64 of its own: all of one owner.
    for (let network = 0; network < 50; network++) candidates.add(nodeAt(1, network, network), teller);
    for (let site = 2; site < 12; site++) candidates.add(nodeAt(site, 0, 60 + site), teller);
    assert.equal(bounds.networkFull, 46);
    const sites: number[] = [];
    for (let next = candidates.next(UNTRIED); next !== undefined; next = candidates.next(UNTRIED)) {
      sites.push(next.contact.compact[25] ?? 0);
      next.state = UNTRIED + 1;
    }
    assert.deepEqual(sites, [1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });
});
