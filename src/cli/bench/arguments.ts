// What the verbs of `bench` understand on their command lines alike.

import { byteCount } from "../output.js";

/** "268435456" or "256M" in bytes. Throws ExitError with the status for wrong usage. */
export const parseSize = byteCount("--size", 16_384, 2 ** 40);
