// A secret that whoever may use an interface over HTTP knows.
//
// Always: digests are compared, in constant time: how much of a guess was right shows nowhere.

import { createHash, timingSafeEqual } from "node:crypto";
import { UsageError } from "../base/errors.js";

export const TOKEN_LENGTH_MIN = 16;

export class AccessToken {
  readonly #digest: Buffer;

  /** Throws UsageError for one that could be guessed. */
  constructor(token: string) {
    if (token.length < TOKEN_LENGTH_MIN)
      throw new UsageError("USAGE_OPTION", `a token has ${TOKEN_LENGTH_MIN} characters at least`);
    this.#digest = digestOf(token);
  }

  matches(guess: string | null | undefined): boolean {
    return typeof guess === "string" && timingSafeEqual(digestOf(guess), this.#digest);
  }

  /** True for the header `authorization: Bearer TOKEN`. */
  isBorneBy(authorization: string | undefined): boolean {
    return authorization?.startsWith("Bearer ") === true && this.matches(authorization.slice(7));
  }
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
