// Which of two connections with one peer stays, seen from both ends.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CROSSING_MS, newcomerStays } from "../../../../src/client/torrent/duplicates.js";
import { check } from "../../../support/property.js";

const LOW = new Uint8Array(20).fill(1);
const HIGH = new Uint8Array(20).fill(2);

describe("newcomerStays", () => {
  it("both ends keep the same one of two that crossed, in whichever order each sees them", () => {
    check(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 0, max: CROSSING_MS - 1 }),
        (a, b, orderAtA, orderAtB, ageMs) => {
          if (Buffer.compare(a, b) === 0) return;
          // Of the two, which was begun by A, stays at an end that is `ours`; `outgoingFirst` is the one that stood first there.
          const staysAt = (
            ours: Uint8Array,
            theirs: Uint8Array,
            outgoingFirst: boolean,
          ): "outgoing" | "incoming" => {
            const link = (incoming: boolean) => ({ host: "10.0.0.1", incoming, sinceMs: 0 });
            const newcomer = newcomerStays(link(outgoingFirst), link(!outgoingFirst), ours, theirs, ageMs);
            return newcomer === outgoingFirst ? "incoming" : "outgoing";
          };
          const atA = staysAt(a, b, orderAtA);
          const atB = staysAt(b, a, orderAtB);
          assert.notEqual(atA, atB, "what is outgoing at one end is incoming at the other");
          assert.equal(atA, Buffer.compare(a, b) > 0 ? "outgoing" : "incoming");
        },
      ),
      300,
    );
  });

  it("two of one direction did not cross: the first one stays", () => {
    for (const incoming of [false, true])
      for (const [ours, theirs] of [
        [LOW, HIGH],
        [HIGH, LOW],
      ] as const)
        assert.equal(
          newcomerStays(
            { host: "10.0.0.1", incoming, sinceMs: 10 },
            { host: "10.0.0.1", incoming, sinceMs: 0 },
            ours,
            theirs,
            20,
          ),
          false,
        );
  });

  it("one that stands for long stays, but for one that claims the id of a peer which we reached elsewhere", () => {
    const stays = (
      newcomer: { host: string; incoming: boolean },
      other: { host: string; incoming: boolean },
    ): boolean =>
      newcomerStays({ ...newcomer, sinceMs: CROSSING_MS }, { ...other, sinceMs: 0 }, LOW, HIGH, CROSSING_MS);
    const [reached, claims] = [
      { host: "10.0.0.1", incoming: false },
      { host: "10.0.0.2", incoming: true },
    ];
    assert.equal(stays(claims, reached), false, "who came to us with its id later is sent away");
    assert.equal(stays(reached, claims), true, "who came to us with its id before makes room");
    assert.equal(stays({ host: "10.0.0.1", incoming: true }, reached), false);
    assert.equal(stays(reached, { host: "10.0.0.1", incoming: true }), false);
  });
});
