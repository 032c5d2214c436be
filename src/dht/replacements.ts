// Who of the nodes that wait for a place in a bucket gets the one that is free.

import type { Contact } from "./contact.js";

/** True if `other` would have got the place of one whose id belongs to its address, but that its own does not. */
export function isQuickerOnly(other: Contact, secure: Contact): boolean {
  return !other.isSecure && other.failures === secure.failures && other.roundTripMs < secure.roundTripMs;
}

/**
 * Those that never failed come before those that did, those whose id belongs to their address before others (BEP 42), and those that answer
 * soon before those that take long.
 */
export function bestReplacement(waiting: readonly Contact[]): Contact | undefined {
  let best: Contact | undefined;
  for (const contact of waiting)
    if (
      best === undefined ||
      contact.failures < best.failures ||
      (contact.failures === best.failures &&
        (contact.isSecure === best.isSecure ? contact.roundTripMs < best.roundTripMs : contact.isSecure))
    )
      best = contact;
  return best;
}
