// What a test knows to be there: where it is not, the test fails at once and says what is missing, and not later, somewhere else, with a TypeError.

import assert from "node:assert/strict";

/** `value`, which is there. `what` it is, for the message. */
export function required<Value>(value: Value | undefined | null, what: string): Value {
  if (value === undefined || value === null) assert.fail(`${what} is missing`);
  return value;
}

/** What a list has at `index`, or at so many from its end: −1 is its last. */
export function entryOf<Value>(
  list: { readonly length: number; readonly [index: number]: Value },
  index: number,
): Value & {} {
  const value = list[index < 0 ? list.length + index : index];
  if (value === undefined || value === null)
    assert.fail(`entry ${index} is missing, of ${list.length} entries`);
  return value;
}
