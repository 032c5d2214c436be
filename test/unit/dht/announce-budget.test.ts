// Ports that a node of the DHT keeps of an address, of its /64 and of its /48, for one torrent.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AnnounceBudget, PORTS_MAX } from "../../../src/dht/announce-budget.js";

const HASH = Uint32Array.of(1, 2, 3, 4, 5);
const OTHER_HASH = Uint32Array.of(1, 2, 3, 4, 6);

describe("AnnounceBudget", () => {
  /** How many of announces from so many /64s of a site are taken. */
  const taken = (budget: AnnounceBudget, site: number, networks: number, hash = HASH, nowMs = 0): number => {
    let count = 0;
    for (let network = 0; network < networks; network++)
      for (let port = 0; port < PORTS_MAX + 1; port++) {
        const bytes = Uint8Array.of(0x20, 1, 0xd, 0xb8, site >> 8, site & 255, network >> 8, network & 255);
        if (budget.take(new Uint32Array(bytes.buffer), 0, 2, hash, nowMs)) count++;
      }
    return count;
  };

  it("a /64 has its own, and a /48 eight times as many, whatever of it they come from", () => {
    const budget = new AnnounceBudget(Uint32Array.of(7, 9));
    assert.equal(taken(budget, 1, 1), PORTS_MAX);
    assert.equal(taken(budget, 2, 1000), 8 * PORTS_MAX);
    assert.equal(taken(budget, 3, 1), PORTS_MAX, "of another site");
    assert.equal(taken(budget, 2, 1000, OTHER_HASH), 8 * PORTS_MAX, "of another torrent");
    assert.equal(taken(budget, 2, 1000, HASH, 600_000), 8, "one more for each of eight, ten minutes later");
  });

  it("an IPv4 address has its own, whoever is next to it", () => {
    const budget = new AnnounceBudget(Uint32Array.of(7, 9));
    for (let address = 1; address <= 100; address++) {
      const words = new Uint32Array(Uint8Array.of(192, 0, 2, address).buffer);
      let count = 0;
      for (let port = 0; port < PORTS_MAX + 1; port++) if (budget.take(words, 0, 1, HASH, 0)) count++;
      assert.equal(count, PORTS_MAX);
    }
  });
});
