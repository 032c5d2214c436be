// Bytes that are nearly right: samples with a few changes of the kinds that break parsers.

import fc from "fast-check";

type Change = (bytes: Buffer) => Buffer;

/** A place in the bytes, as a fraction, so that it fits whatever the changes before it have left. */
const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

const change: fc.Arbitrary<Change> = fc.oneof(
  // Another byte.
  fc.tuple(place, fc.nat({ max: 255 })).map(
    ([at, byte]): Change =>
      (bytes) => {
        const changed = Buffer.from(bytes);
        changed[Math.floor(at * bytes.length)] = byte;
        return changed;
      },
  ),
  // A stretch cut out, or everything behind a place.
  fc.tuple(place, fc.oneof(fc.nat({ max: 8 }), fc.constant(1e9))).map(
    ([at, count]): Change =>
      (bytes) => {
        const start = Math.floor(at * bytes.length);
        return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + count)]);
      },
  ),
  // A stretch that comes twice.
  fc.tuple(place, fc.nat({ max: 40 })).map(
    ([at, count]): Change =>
      (bytes) => {
        const start = Math.floor(at * bytes.length);
        return Buffer.concat([bytes.subarray(0, start + count), bytes.subarray(start)]);
      },
  ),
  // Something put in.
  fc
    .tuple(
      place,
      fc.constantFrom("e", "d", "l", "i", "-", "0", "9", "99999999999", ":", "0:", "-1:", "le", "de", "i-0e"),
    )
    .map(
      ([at, text]): Change =>
        (bytes) => {
          const start = Math.floor(at * bytes.length);
          return Buffer.concat([bytes.subarray(0, start), Buffer.from(text), bytes.subarray(start)]);
        },
    ),
);

/** One of the samples after one to four changes. */
export function mutationsOf(samples: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const changes = fc.array(change, { minLength: 1, maxLength: 4 });
  return fc
    .tuple(fc.constantFrom(...samples), changes)
    .map(([sample, steps]) => steps.reduce((bytes, step) => step(bytes), sample));
}
