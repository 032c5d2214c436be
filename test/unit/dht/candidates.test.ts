// Whom a lookup takes for a node that it may ask, where one owner has many networks.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeBoundCounters } from "../../../src/dht/bound-counters.js";
import { ANSWERED, ASKED, Candidates, FAILED, UNTRIED } from "../../../src/dht/candidates.js";
import { Contact } from "../../../src/dht/contact.js";
import { KrpcReader } from "../../../src/dht/krpc-reader.js";

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

  it("asks an endpoint once that is named with several ids, and counts it with the one that it has", () => {
    const host = {
      family: 6,
      limitsNetworks: true,
      bounds: makeBoundCounters(),
      isOurs: () => false,
      isPossible: () => true,
    } as const;
    const candidates = new Candidates(host, TARGET, true);
    const teller = nodeAt(9, 9, 100);
    // As if it were far away, as if it were nearest, and as it is.
    const [far, near, real] = [nodeAt(1, 1, 90), nodeAt(1, 1, 1), nodeAt(1, 1, 40)];
    for (const contact of [far, near, real, nodeAt(2, 2, 50)]) candidates.add(contact, teller);
    const asked = candidates.next(UNTRIED);
    assert.ok(asked?.contact === near);
    candidates.asked(asked);
    candidates.add(nodeAt(1, 1, 3), teller);
    asked.state = FAILED;
    const answer = new KrpcReader();
    answer.bytes = real.compact;
    answer.idAt = 0;
    const itself = candidates.answeredAs(asked, answer);
    assert.equal(itself?.state, ANSWERED);
    assert.deepEqual(itself.contact.compact, real.compact);
    assert.deepEqual(candidates.found(), [itself]);
    const next = candidates.next(UNTRIED);
    assert.deepEqual(next?.contact.compact, nodeAt(2, 2, 50).compact);
    next.state = ASKED;
    assert.equal(candidates.next(UNTRIED), undefined, "nobody else is at the same endpoint");
    candidates.checkInvariants(1, 0);
  });
});
