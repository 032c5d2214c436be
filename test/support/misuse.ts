// What programs without a type checker may hand in, and what they are to be told.

import assert from "node:assert/strict";
import { UsageError } from "../../src/base/errors.js";

const UNFIT: Readonly<Record<string, readonly unknown[]>> = {
  flag: [null, 0, "yes", {}],
  whole: [null, -2, 1.5, Number.NaN, 2 ** 60, "5", true, [5], 5n, Symbol("five")],
  rate: [null, 0, -1, Number.NaN, "5", [5], 5n],
  text: [null, 5, {}, ["x"]],
  texts: [null, "x", [5], {}],
  file: [null, "", 5, {}],
  listens: [null, 5, "x", [null], [5], [{}], [{ host: 5, port: 5 }], [{ host: "127.0.0.1", port: 65_536 }]],
  nodes: [null, "x", [null], [{ host: "a.example", port: 5 }], [{ host: "127.0.0.1", port: 0 }]],
  address: [null, 5, "127.0.0.1:5", {}, { host: "127.0.0.1" }, { host: "127.0.0.1", port: -1 }],
  bytes: [null, 5, "x".repeat(20), [1], new Uint16Array(20)],
  id: [null, "x".repeat(20), new Uint8Array(19), new Uint8Array(21)],
  words: [null, 5, [1, 2, 3, 4], new Uint32Array(3), new Uint8Array(16)],
  set: [null, 5, ["x"], {}],
  callback: [null, 5, "x", {}],
  part: [null, 5, {}],
  table: [null, 5, "x", [], { nobodyHasThis: 1 }],
  signal: [null, 5, {}, new AbortController()],
};

export type Unfit = keyof typeof UNFIT;

/** Each of these options, with each value that is none of its kind, and one that nobody has. */
export function* unfitOptions(
  kinds: Readonly<Record<string, Unfit>>,
): Generator<{ readonly name: string; readonly value: unknown }> {
  for (const [name, kind] of Object.entries(kinds))
    for (const value of UNFIT[kind] ?? []) yield { name, value };
  yield { name: "nobodyHasThis", value: true };
}

/** Calls with each of them: it is refused, with the name of what was wrong. */
export async function refusesUnfit(
  kinds: Readonly<Record<string, Unfit>>,
  call: (options: Readonly<Record<string, unknown>>) => unknown,
): Promise<void> {
  const nameOf: Readonly<Record<string, RegExp>> = { bootstrap: /bootstrap|a node of the DHT/ };
  for (const { name, value } of unfitOptions(kinds))
    await assert.rejects(
      async () => call({ [name]: value }),
      (error) => {
        assert.ok(error instanceof UsageError, `${name}: ${String(value)}: ${String(error)}`);
        assert.equal(error.code, "USAGE_OPTION");
        assert.match(error.message, nameOf[name] ?? new RegExp(name));
        return true;
      },
      `${name}: ${typeof value}`,
    );
}
