// From how many waiting bytes on a peer of a high rate is worth a wake-up: from half a receive on, which saves a sixth of the CPU, and
// where more is outstanding from twice, and from four times as many on; from sixteen times as many where it is near and no other socket is ready:
// what waits for us would close the window of one that is far. A turn of the loop costs the same whatever it brings, and most
// while its code is not compiled yet. Where several sockets are ready, a turn is worth its cost without that, and what waits at each
// of them leaves the processor's cache before it is received: 8 peers at 512 KiB each cost a tenth more than at 128.
//
// Always: so much is sure to come, unless the peer falls silent, since twice as many bytes are outstanding at least.

import { BLOCK_SIZE, BLOCKS_AT_ONCE, RECEIVE_BUFFER_BYTES } from "../../base/limits.js";

const LOW_WATER_BYTES_MIN = RECEIVE_BUFFER_BYTES / 2;
const LOW_WATER_BYTES_MAX = 4 * LOW_WATER_BYTES_MIN;
const LOW_WATER_BYTES_ALONE = 16 * LOW_WATER_BYTES_MIN;
/** A mark is set where so many times as many bytes are outstanding, and stays while half as many are: each change is a system call. */
const SET_FROM = 4;
const KEPT_FROM = 2;

/** The mark, in bytes, where it is `now`, so many bytes are outstanding, and so many sockets are ready in a turn. 1: the first byte is worth it. */
export function lowWaterFor(
  now: number,
  outstandingBytes: number,
  readyCount: number,
  isNear: boolean,
): number {
  const most =
    isNear && readyCount === 1
      ? LOW_WATER_BYTES_ALONE
      : Math.max(LOW_WATER_BYTES_MIN, LOW_WATER_BYTES_MAX / readyCount);
  if (now > 1 && now <= most && outstandingBytes >= KEPT_FROM * now && outstandingBytes < 2 * SET_FROM * now)
    return now;
  let bytes = LOW_WATER_BYTES_ALONE;
  while (bytes >= LOW_WATER_BYTES_MIN && (bytes > most || outstandingBytes < SET_FROM * bytes)) bytes /= 2;
  return bytes >= LOW_WATER_BYTES_MIN ? bytes : 1;
}

/**
 * How many blocks one receive may well find where a socket waits for so many bytes: more come while those are received. Beyond what
 * any receive takes it takes no more than the peer's share of the turn.
 */
export function blocksAtOnce(lowWaterBytes: number, shareBytes: number): number {
  const bytes = Math.min(2 * lowWaterBytes, shareBytes);
  return Math.max(BLOCKS_AT_ONCE, Math.floor(bytes / BLOCK_SIZE));
}
