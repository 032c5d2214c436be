// How many newcomers are invited out of turn: by how many are invited beyond the slots, and where there is no room by what our link gives.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KIB } from "../../../../src/base/limits.js";
import { Invitations } from "../../../../src/client/torrent/invitations.js";

const OVERBOOKED = 32;
const LINK_RATE = 1024 * KIB;

describe("Invitations", () => {
  it("as many are welcome in half a second as are invited beyond the slots, and not more after a long silence", () => {
    const invitations = new Invitations();
    invitations.pass(OVERBOOKED, LINK_RATE, 60_000);
    assert.equal(invitations.welcome(1000), OVERBOOKED);
    invitations.pass(OVERBOOKED, LINK_RATE, 60_250);
    assert.equal(invitations.welcome(1000), OVERBOOKED / 2);
    assert.equal(invitations.welcome(1), 0);
    invitations.checkInvariants(OVERBOOKED);
  });

  it("an eighth of our link pays for 64 KiB of each that is tried", () => {
    const invitations = new Invitations();
    invitations.pass(OVERBOOKED, LINK_RATE, 0);
    let tried = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 10) {
      invitations.pass(OVERBOOKED, LINK_RATE, nowMs);
      tried += invitations.try(5);
      invitations.checkInvariants(OVERBOOKED);
    }
    assert.equal(tried, Math.floor((9.99 * LINK_RATE) / 8 / (64 * KIB)));
  });

  it("nobody is welcome, and nobody is tried, while nobody is invited beyond the slots", () => {
    const invitations = new Invitations();
    invitations.pass(0, LINK_RATE, 60_000);
    assert.deepEqual([invitations.welcome(1), invitations.try(1)], [0, 0]);
  });
});
