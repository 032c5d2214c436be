// What the verbs of `bench` understand on their command lines alike.

import { EXIT_USAGE, ExitError } from "../output.js";

/** "268435456" or "256M" in bytes. Throws ExitError with the status for wrong usage. */
export function parseSize(text: string): number {
  const match = /^(\d+)([KMG]?)$/i.exec(text);
  const unit = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[match?.[2]?.toUpperCase() ?? ""] ?? 1;
  const size = Number(match?.[1]) * unit;
  if (match !== null && size >= 16_384 && size <= 2 ** 40) return size;
  throw new ExitError(EXIT_USAGE, `--size takes a number of bytes such as 268435456 or 256M, not "${text}"`);
}
