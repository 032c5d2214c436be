// The lookup cache: it keeps nodes near keys that were looked up, forgets those that fail, stays within its bounds, and after its cleanup has
// what keys of interest need and no more.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Contact } from "../../../src/dht/contact.js";
import { LookupCache } from "../../../src/dht/lookup-cache.js";
import { compareDistance } from "../../../src/dht/node-id.js";
import { makeRandom } from "../../support/property.js";
import { entryOf } from "../../support/required.js";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

function makeContact(random: () => number): Contact {
  return new Contact(
    Uint8Array.from({ length: 26 }, () => Math.floor(256 * random())),
    4,
  );
}

describe(`the lookup cache (SEED=${SEED})`, () => {
  it("keeps the nearest of a key, whatever order they answer in", () => {
    const random = makeRandom(SEED);
    const cache = new LookupCache();
    const key = makeContact(random).compact.slice(0, 20);
    cache.anchor(key, 0);
    const all = Array.from({ length: 3000 }, () => makeContact(random));
    for (const contact of all) cache.answered(contact);
    cache.checkInvariants();
    cache.clean(1);
    cache.checkInvariants();
    assert.ok(cache.contactCount <= 10, `${cache.contactCount} are kept for one key`);
    all.sort((a, b) => compareDistance(key, 0, a.compact, 0, b.compact, 0));
    const out: Contact[] = [];
    const count = cache.near(key, 16, out);
    const kept = new Set(out.slice(0, count));
    const missing = all.slice(0, 4).filter((contact) => !kept.has(contact));
    assert.ok(missing.length <= 2, "natural order is close to nearness");
    const before = cache.contactCount;
    cache.failed(entryOf(out, 0));
    assert.equal(cache.contactCount, before - 1);
    cache.checkInvariants();
  });

  it("keeps nobody who may have picked its id for the key", () => {
    const random = makeRandom(SEED + 7);
    const cache = new LookupCache();
    const contact = makeContact(random);
    cache.anchor(contact.compact.slice(0, 20), 0);
    contact.isPicked = true;
    cache.answered(contact);
    assert.equal(cache.contactCount, 0);
    contact.isPicked = false;
    cache.answered(contact);
    assert.equal(cache.contactCount, 1);
  });

  it("keeps nothing without keys, and nothing of keys that are over", () => {
    const random = makeRandom(SEED + 1);
    const cache = new LookupCache({ anchorMs: 1000, anchorsMax: 3, contactsMax: 50 });
    cache.answered(makeContact(random));
    assert.equal(cache.contactCount, 0);
    for (let index = 0; index < 5; index++) cache.anchor(makeContact(random).compact.slice(0, 20), 0);
    assert.equal(cache.anchorCount, 3);
    for (let index = 0; index < 500; index++) cache.answered(makeContact(random));
    assert.ok(cache.contactCount <= 50);
    cache.checkInvariants();
    cache.clean(1000);
    assert.deepEqual([cache.anchorCount, cache.contactCount], [0, 0]);
    cache.checkInvariants();
  });

  for (const [name, bounds] of [
    ["keys", { anchorsMax: 20, contactsMax: 5000 }],
    ["nodes", { anchorsMax: 5000, contactsMax: 150 }],
  ] as const)
    it(`has room for new ones when there are as many ${name} as may be: those of long ago go`, () => {
      const random = makeRandom(SEED + 2);
      const cache = new LookupCache(bounds);
      const out: Contact[] = [];
      for (let index = 0; index < 300; index++) {
        const key = makeContact(random).compact.slice(0, 20);
        cache.anchor(key, index);
        const near = Array.from({ length: 12 }, () => {
          const contact = makeContact(random);
          contact.compact.set(key.subarray(0, 4), 0);
          return contact;
        });
        for (const contact of near) cache.answered(contact);
        const count = cache.near(key, 24, out);
        const kept = new Set(out.slice(0, count));
        assert.ok(near.filter((contact) => kept.has(contact)).length >= 8, `key ${index} has its nodes`);
        if (index % 50 === 0) cache.checkInvariants();
      }
      cache.checkInvariants();
    });
});
