// The entries of lists that cannot be empty, or too short, where they are asked for: whoever asks says so, and a list that is ends in an
// assertion and not in "undefined" in a table.

import { present } from "../../src/base/assert.js";

export { entryOf } from "../../src/base/assert.js";

export function firstOf<Item>(items: ArrayLike<Item>): Item {
  return present(items[0], "the list has a first entry");
}

export function lastOf<Item>(items: ArrayLike<Item>): Item {
  return present(items[items.length - 1], "the list has a last entry");
}

/** The value of a name that the table has. */
export function namedIn<Value>(table: Readonly<Record<string, Value | undefined>>, name: string): Value {
  return present(table[name], "the table has the name");
}

/** `value`, which was found just before, or cannot be missing. For the hot loop of a load too: what is read stays where it is read, for V8. */
export function there<Value>(value: Value | undefined): Value {
  return present(value, "what was looked for is there");
}
