// Ids and lengths of messages are those of their BEPs.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MESSAGE_BODIES, MessageId } from "../../../../src/client/wire/messages.js";

describe("messages", () => {
  it("has the ids of BEP 3, 5, 6 and 10", () => {
    const ids = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 20];
    assert.deepEqual(Object.values(MessageId), ids);
  });

  it("says how long the body of each message is, and of no other", () => {
    const known = MESSAGE_BODIES.flatMap((body, id) => (body === undefined ? [] : [id]));
    assert.deepEqual(known, Object.values(MessageId));
    const bytesOf = (id: number) => MESSAGE_BODIES[id]?.bytes;
    assert.deepEqual([0, 4, 6, 8, 9, 13, 14, 16, 17].map(bytesOf), [0, 4, 12, 12, 2, 4, 0, 12, 4]);
    const variable = MESSAGE_BODIES.flatMap((body, id) => (body?.isVariable === true ? [id] : []));
    assert.deepEqual(variable, [MessageId.bitfield, MessageId.piece, MessageId.extended]);
  });
});
