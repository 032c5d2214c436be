// Who has a place at a server, and who makes room.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServerPlaces } from "../../../src/base/server-places.js";

class Connection {
  destroyed = false;

  destroy(): void {
    this.destroyed = true;
  }
}

describe("the places of a server", () => {
  it("are taken from those that ask for nothing, the one first that has waited longest", () => {
    const places = new ServerPlaces<Connection>(3);
    const [a, b, c, d, e, f] = Array.from({ length: 6 }, () => new Connection()) as [
      ...[Connection, Connection, Connection, Connection, Connection, Connection],
    ];
    for (const each of [a, b, c]) assert.ok(places.came(each));
    places.asked(a);
    // It has waited since now.
    places.asked(b);
    places.answered(b);
    assert.ok(places.isFull);
    assert.ok(places.came(d));
    assert.ok(places.came(e));
    assert.deepEqual([...places], [a, d, e]);
    assert.deepEqual(
      [a, b, c].map(({ destroyed }) => destroyed),
      [false, true, true],
    );
    // All are being answered.
    for (const each of [d, e]) places.asked(each);
    assert.equal(places.came(f), false);
    places.left(a);
    assert.ok(places.came(f));
    assert.equal(places.count, 3);
  });

  it("are left to whoever has asked several things until all of them are answered", () => {
    const places = new ServerPlaces<Connection>(1);
    const [first, second] = [new Connection(), new Connection()];
    assert.ok(places.came(first));
    places.asked(first);
    places.asked(first);
    places.answered(first);
    assert.equal(places.came(second), false);
    assert.equal(first.destroyed, false);
    places.answered(first);
    assert.ok(places.came(second));
    assert.ok(first.destroyed);
  });

  it("are not kept for whoever was closed while it was answered", () => {
    const places = new ServerPlaces<Connection>(1);
    const [first, second] = [new Connection(), new Connection()];
    assert.ok(places.came(first));
    places.asked(first);
    first.destroy();
    places.left(first);
    places.answered(first);
    assert.ok(places.came(second));
    assert.deepEqual([...places], [second]);
  });
});
