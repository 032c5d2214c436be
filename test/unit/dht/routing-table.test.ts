// The shared table beside a list of all that came in: it finds the nearest of those it has, keeps what its header promises, and whoever holds
// a snapshot of it sees no change.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeBoundCounters } from "../../../src/dht/bound-counters.js";
import { Contact } from "../../../src/dht/contact.js";
import { compareDistance, derivedId } from "../../../src/dht/node-id.js";
import { BUCKET_CONTACTS, RoutingTable } from "../../../src/dht/routing-table.js";
import { makeRandom } from "../../support/property.js";
import { entryOf } from "../../support/required.js";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

function makeContact(random: () => number, address?: readonly number[]): Contact {
  const compact = Uint8Array.from({ length: 26 }, () => Math.floor(256 * random()));
  if (address !== undefined) compact.set(address, 20);
  const contact = new Contact(compact, 4);
  contact.answeredMs = 0;
  return contact;
}

describe(`the DHT's table (SEED=${SEED})`, () => {
  it("finds the nearest of those it has, through thousands of comings and failures", () => {
    const random = makeRandom(SEED);
    const table = new RoutingTable({ family: 4 });
    const root = makeContact(random).compact.slice(0, 20);
    for (let index = 0; index < 8; index++) table.addLocal(derivedId(root, index));
    const all = new Set<Contact>();
    const near: Contact[] = [];
    for (let step = 0; step < 4000; step++) {
      if (random() < 0.7) {
        const contact = makeContact(random);
        table.insert(contact);
        all.add(contact);
      } else {
        const [first] = entryOf(table.buckets, Math.floor(random() * table.buckets.length)).contacts;
        if (first !== undefined) {
          first.failures++;
          table.failed(first);
        }
      }
      if (step % 50 !== 0) continue;
      table.checkInvariants();
      const held = table.buckets.flatMap(({ contacts }) => contacts);
      const target = makeContact(random).compact;
      held.sort((a, b) => compareDistance(target, 0, a.compact, 0, b.compact, 0));
      const count = table.closest(target, 0, BUCKET_CONTACTS, near);
      assert.deepEqual(near.slice(0, count), held.slice(0, BUCKET_CONTACTS));
    }
    assert.ok(table.buckets.length > 16, "buckets around each of our ids are split");
  });

  it("does not change what somebody holds", () => {
    const random = makeRandom(SEED + 1);
    const table = new RoutingTable({ family: 4 });
    table.addLocal(makeContact(random).compact.slice(0, 20));
    for (let step = 0; step < 100; step++) table.insert(makeContact(random));
    const { buckets } = table;
    const before = JSON.stringify(buckets.map(({ contacts }) => contacts.map(({ compact }) => [...compact])));
    for (let step = 0; step < 500; step++) table.insert(makeContact(random));
    for (const bucket of buckets) for (const contact of bucket.contacts) table.remove(contact);
    const after = JSON.stringify(buckets.map(({ contacts }) => contacts.map(({ compact }) => [...compact])));
    assert.equal(after, before);
    assert.notEqual(table.buckets, buckets);
    table.checkInvariants();
  });

  it("gives one subscriber one place, one network two in a bucket, and an id to whoever had it first", () => {
    const random = makeRandom(SEED + 2);
    const bounds = makeBoundCounters();
    const table = new RoutingTable({ family: 4, bounds });
    table.addLocal(makeContact(random).compact.slice(0, 20));
    assert.ok(table.insert(makeContact(random, [5, 6, 7, 8, 1, 1])));
    assert.ok(!table.insert(makeContact(random, [5, 6, 7, 8, 1, 2])), "the same address");
    assert.ok(table.insert(makeContact(random, [5, 6, 7, 9, 1, 1])));
    assert.ok(!table.insert(makeContact(random, [5, 6, 7, 10, 1, 1])), "the third of a network");
    const known = makeContact(random, [9, 9, 9, 9, 1, 1]);
    assert.ok(table.insert(known));
    const same = known.compact.slice();
    same.set([8, 8, 8, 8], 20);
    const liar = new Contact(same, 4);
    liar.answeredMs = 0;
    assert.ok(!table.insert(liar), "somebody else's id");
    assert.deepEqual([bounds.networkFull, bounds.idsTaken, bounds.idsChanged], [2, 1, 0]);
    table.checkInvariants();
    const free = new RoutingTable({ family: 4, limitsNetworks: false });
    for (let port = 1; port < 6; port++) assert.ok(free.insert(makeContact(random, [127, 0, 0, 1, 0, port])));
  });

  it("gives a place that is free to whose id belongs to its address, before others", () => {
    const random = makeRandom(SEED + 5);
    const bounds = makeBoundCounters();
    const table = new RoutingTable({ family: 4, bounds });
    const contacts = Array.from({ length: BUCKET_CONTACTS + 6 }, () => makeContact(random));
    for (const [index, contact] of contacts.entries()) {
      // The secure one takes longest to answer; one that is as secure has failed.
      contact.isSecure = index === BUCKET_CONTACTS + 2 || index === BUCKET_CONTACTS + 4;
      contact.failures = index === BUCKET_CONTACTS + 4 ? 1 : 0;
      contact.roundTripMs = contact.isSecure ? 900 : 100 - index;
      assert.equal(table.insert(contact), index < BUCKET_CONTACTS);
    }
    table.remove(entryOf(contacts, 0));
    assert.ok(entryOf(table.buckets, 0).contacts.includes(entryOf(contacts, BUCKET_CONTACTS + 2)));
    assert.equal(bounds.insecurePassedOver, 1);
    table.remove(entryOf(contacts, 1));
    assert.ok(
      entryOf(table.buckets, 0).contacts.includes(entryOf(contacts, BUCKET_CONTACTS + 5)),
      "then to who answers soonest",
    );
    assert.equal(bounds.insecurePassedOver, 1);
    table.checkInvariants();
  });

  it("takes whoever changes its id for a stranger", () => {
    const random = makeRandom(SEED + 3);
    const bounds = makeBoundCounters();
    const table = new RoutingTable({ family: 4, bounds });
    const first = makeContact(random, [1, 2, 3, 4, 5, 6]);
    const second = makeContact(random, [1, 2, 3, 4, 5, 6]);
    assert.ok(table.insert(first));
    assert.ok(table.insert(second));
    assert.equal(table.find(second.compact, 20), second);
    assert.equal(bounds.idsChanged, 1);
    assert.equal(table.count, 1);
    table.checkInvariants();
  });

  it("puts together what is left when a virtual node of ours goes", () => {
    const random = makeRandom(SEED + 4);
    const table = new RoutingTable({ family: 4 });
    const id = makeContact(random).compact.slice(0, 20);
    table.addLocal(id);
    for (let step = 0; step < 2000; step++) table.insert(makeContact(random));
    const before = table.buckets.length;
    for (const bucket of table.buckets.slice())
      for (const contact of bucket.contacts.slice(1)) table.remove(contact);
    table.removeLocal(id);
    table.checkInvariants();
    assert.ok(table.buckets.length < before, `${table.buckets.length} of ${before}`);
  });
});
