// How full a turn of the loop is: how many sockets are ready in it, and what was heard of them. Whoever receives asks here for its share.
//
// A turn that takes long is long for everybody. Bytes of blocks are cheap and messages are dear, so each has a bound for all sockets of a
// turn together. Shares of bytes are those of sockets that used theirs up in the turn before: a thousand that say a word each leave the
// turn to the one that brings blocks.
//
// Always: one object for each loop, which nobody but the loop begins; where there is room, nobody is charged for messages.

import { MIB, RECEIVE_BUFFER_BYTES } from "../base/limits.js";

/** What all sockets together may bring in a turn: more would fill the pool with one long stretch of each piece after the other. */
const BYTES_PER_TURN = 4 * MIB;
/** What one of several may bring before it is another's turn. */
const BYTES_PER_WAKE_MAX = 4 * RECEIVE_BUFFER_BYTES;
/** A message costs about as much time as so many bytes of blocks. */
export const BYTES_PER_MESSAGE = 256;
/** What all sockets together may say in a turn: some ten milliseconds. */
const MESSAGES_PER_TURN = BYTES_PER_TURN / BYTES_PER_MESSAGE;
/** While there is room, so many messages of one are nobody's burden: a whole batch of requests, however many sockets there are. */
const UNCHARGED_BYTES_MIN = 256 * BYTES_PER_MESSAGE;
/** Sockets that may come to use up their share in a turn, beside those that did in the one before. */
const MORE_HEAVY = 3;
/** For how many turns, about, one in which many sockets are ready tells how many there are. */
const TURNS_REMEMBERED = 64;

export class TurnLoad {
  readyCount = 1;
  /** The most sockets that were ready in a turn lately: it rises at once and falls slowly. */
  readyLately = 1;
  /** Bytes that a socket may bring in this turn, of which a call is finished. */
  bytesShare = BYTES_PER_WAKE_MAX;
  /** Of what the messages of a socket cost (in bytes), what it is not charged for in this turn. */
  unchargedBytes = BYTES_PER_WAKE_MAX;
  #heavy = 0;
  #bytes = 0;
  #messages = 0;
  #isEnding = false;

  /** A turn in which so many sockets are ready; one of none takes nothing of the last one's place. */
  begin(readyCount: number): void {
    if (readyCount === 0) return;
    const heavy = Math.min(readyCount, this.#heavy + MORE_HEAVY);
    const isBusy = 2 * this.#messages >= MESSAGES_PER_TURN;
    const equalBytes = shareOf(readyCount);
    this.readyCount = readyCount;
    this.readyLately = Math.max(readyCount, this.readyLately * (1 - 1 / TURNS_REMEMBERED));
    this.bytesShare = readyCount === 1 ? BYTES_PER_TURN : shareOf(heavy);
    this.unchargedBytes = isBusy ? equalBytes : Math.max(equalBytes, UNCHARGED_BYTES_MIN);
    this.#heavy = 0;
    this.#bytes = 0;
    this.#messages = 0;
    this.#isEnding = false;
  }

  /** All sockets were told: what is heard at the end of the turn is told of by nobody in the next one. */
  end(): void {
    this.#isEnding = true;
  }

  /** What a socket brought. `isHeavy`: it may have more. */
  heard(bytes: number, messages: number, isHeavy: boolean): void {
    this.#bytes += bytes;
    this.#messages += messages;
    if (isHeavy) this.#heavy++;
  }

  /** All that a turn has room for was heard: a call each is left. */
  get isFull(): boolean {
    return this.#bytes >= BYTES_PER_TURN;
  }

  /** Messages took all the time that a turn has for them: the next one tells of whoever is not heard now. */
  get isTalkedOut(): boolean {
    return this.#messages >= MESSAGES_PER_TURN && !this.#isEnding;
  }
}

function shareOf(count: number): number {
  return Math.min(BYTES_PER_WAKE_MAX, Math.trunc(BYTES_PER_TURN / count));
}
