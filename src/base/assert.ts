// Assertions check what this program promises itself. Bytes from a peer, a torrent file or a tracker never
// trip one: those raise a PeerError, a MetainfoError or a StorageError. A failed assertion is our bug.

export class AssertionError extends Error {
  readonly code = "ERR_SCATTERWIRE_ASSERTION";
  override readonly name = "AssertionError";
}

/** Throws {@link AssertionError} unless `condition` holds. The message is a constant: building one costs the hot path. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** `value`, which is there. Throws {@link AssertionError} otherwise; the message is a constant. */
export function present<Value>(value: Value | undefined | null, message: string): Value {
  assert(value !== undefined && value !== null, message);
  return value;
}

/** The entry at `index`, which is within the list. What is done per block or per packet reads the list itself. */
export function entryOf<Entry>(list: ArrayLike<Entry>, index: number): Entry {
  const entry = list[index];
  assert(entry !== undefined, "the index is within the list");
  return entry;
}

/** For the default branch of a switch over a closed union: the compiler proves it is never reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
