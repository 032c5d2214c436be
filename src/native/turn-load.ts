// How full a turn of the loop is: how many sockets are ready in it, and what was heard of them. Whoever receives asks here for its share.
//
// A turn that takes long is long for everybody. Bytes of blocks are cheap and messages are dear, so each has a bound for all sockets of a
// turn together. Shares of bytes are those of sockets that used theirs up with blocks in the turn before: a thousand that say a word each, or
// a thousand, leave the turn to the one that brings blocks.
//
// While blocks come, those that bring none (who talk, knock, or ask) have a part of each turn's time as well: whoever brings blocks is heard
// in every turn, so that what it brings in a second is what it brings in a turn, as often as there are turns. The others are heard in rounds,
// each once in one, which takes as many turns as it needs.
//
// Always: one object for each loop, which nobody but the loop begins; where there is room, nobody is charged for messages.

import { KIB, MIB, RECEIVE_BUFFER_BYTES } from "../base/limits.js";

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
/**
 * While blocks come, those that bring none have so long of a turn, and as much again for each MiB of blocks in the turn before: about as
 * long as those take.
 */
const TALK_US = 1000;
const TALK_BYTES_PER_US = MIB / TALK_US;
/** A socket that brings so many bytes of blocks when it is heard shows that blocks come, for so many turns. */
const FLOW_BYTES = 16 * KIB;
const FLOW_TURNS = 64;
/** Rounds are numbered with small integers, and begin anew. */
const ROUNDS_MASK = 2 ** 30 - 1;

export class TurnLoad {
  readyCount = 1;
  /** The most sockets that were ready in a turn lately: it rises at once and falls slowly. */
  readyLately = 1;
  /** Bytes that a socket may bring in this turn, of which a call is finished. */
  bytesShare = BYTES_PER_WAKE_MAX;
  /** Of what the messages of a socket cost (in bytes), what it is not charged for in this turn. */
  unchargedBytes = BYTES_PER_WAKE_MAX;
  /** Of those that bring no blocks, each is heard once in a round while there is no time for all. */
  round = 1;
  readonly #nowMs: (() => number) | undefined;
  #heavy = 0;
  #bytes = 0;
  /** Of those that brought blocks. */
  #blockBytes = 0;
  #messages = 0;
  #isEnding = false;
  /** Turns for which blocks count as coming. */
  #flowTurns = 0;
  /** So long those that bring no blocks are heard in this turn; and when the first of them was, which is no small integer at any time. */
  #talkUs = TALK_US;
  #talkBeganMs = Number.NEGATIVE_INFINITY;
  /** Somebody was not heard in this turn because its time was over. */
  #hasPutOff = false;

  /** `nowMs`: the time, with fractions; without it talk is bounded by its messages only. */
  constructor(nowMs?: () => number) {
    this.#nowMs = nowMs;
  }

  /** A turn in which so many sockets are ready; one of none takes nothing of the last one's place. */
  begin(readyCount: number): void {
    if (readyCount === 0) return;
    const heavy = Math.min(readyCount, this.#heavy + MORE_HEAVY);
    const isBusy = 2 * this.#messages >= MESSAGES_PER_TURN;
    const equalBytes = shareOf(readyCount);
    this.readyCount = readyCount;
    this.readyLately = Math.max(readyCount, this.readyLately * (1 - 1 / TURNS_REMEMBERED));
    // Where talk makes turns long, whoever brings blocks has as much of them as it can bring.
    if (readyCount === 1) this.bytesShare = BYTES_PER_TURN;
    else if (this.#hasPutOff) this.bytesShare = Math.trunc(BYTES_PER_TURN / Math.max(1, this.#heavy));
    else this.bytesShare = shareOf(heavy);
    this.unchargedBytes = isBusy ? equalBytes : Math.max(equalBytes, UNCHARGED_BYTES_MIN);
    if (this.#flowTurns > 0) this.#flowTurns--;
    if (!this.#hasPutOff) this.round = (this.round + 1) & ROUNDS_MASK;
    this.#hasPutOff = false;
    this.#talkBeganMs = Number.NEGATIVE_INFINITY;
    this.#talkUs = TALK_US + Math.trunc(this.#blockBytes / TALK_BYTES_PER_US);
    this.#heavy = 0;
    this.#bytes = 0;
    this.#blockBytes = 0;
    this.#messages = 0;
    this.#isEnding = false;
  }

  /**
   * True if one that brings no blocks, and was last heard in the round `heardIn`, is heard now: it notes the round then. Of whoever is not, the
   * loop tells again.
   */
  mayTalk(heardIn: number): boolean {
    if (this.#flowTurns === 0 || this.#nowMs === undefined || this.#isEnding) return true;
    if (this.#hasPutOff || heardIn === this.round) return false;
    const nowMs = this.#nowMs();
    // One is always heard.
    if (this.#talkBeganMs === Number.NEGATIVE_INFINITY) this.#talkBeganMs = nowMs;
    else this.#hasPutOff = 1000 * (nowMs - this.#talkBeganMs) > this.#talkUs;
    return !this.#hasPutOff;
  }

  /** All sockets were told: what is heard at the end of the turn is told of by nobody in the next one. */
  end(): void {
    this.#isEnding = true;
  }

  /** What a socket brought. `isBlocks`: blocks above all. `hasMore`: it used up its share. */
  heard(bytes: number, messages: number, isBlocks: boolean, hasMore: boolean): void {
    this.#bytes += bytes;
    this.#messages += messages;
    if (!isBlocks) return;
    this.#blockBytes += bytes;
    if (bytes >= FLOW_BYTES) this.#flowTurns = FLOW_TURNS;
    if (hasMore) this.#heavy++;
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
