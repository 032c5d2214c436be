// How many bytes may pass in a second, in one direction: of a session, of a torrent, of a connection.
//
//   time ──▶ RateLimit (session) ──┐
//   time ──▶ RateLimit (torrent) ──┼─ the least of them ─▶ Throttle (connection) ─ allowance ─▶ bytes pass
//   time ──▶ RateLimit (own)     ──┘          ▲
//                                  RateQueue: who waits, in order; one timer for all
//
// A limit fills with time and is drawn from before bytes pass, so no more ever passes than time allowed. Whoever finds it empty waits in the
// queue of its direction; when the timer wakes them, what there is is shared out among those that wait, at the front of the queue first.
//
// One file, because limits, their queue and throttles share one account: what one gives up the others have.
//
// Always: what passed is what time allowed since the limit was set, and one block for each connection at the most that had to be
// finished on credit, which is paid back before anything else passes: by all with time, and by its connection with its next turns, which
// others have. After silence no more than BURST_MS of a limit goes at once. A throttle
// that waits is in the queue once; an allowance that is not used in time goes back. Nothing here runs while nothing is limited.

import { assert } from "./assert.js";
import type { Ground, Timer } from "./ground.js";
import { BLOCK_SIZE, PIECE_HEADER_BYTES } from "./limits.js";

/** What a limit keeps for whoever comes next. */
const BURST_MS = 200;
/** A share is as much as a limit allows in so long, and a whole block at the most: less would be all calls and no bytes. */
const SHARE_MS = 100;
const SHARE_BYTES_MAX = BLOCK_SIZE + PIECE_HEADER_BYTES;
/** Between two times that the queue is looked at. */
const LOOK_MS_MIN = 10;
const LOOK_MS_MAX = 100;
/** Where the loop was busy for longer, the rest is lost; what is kept of it is kept for twice as long. */
const LATE_MS_MAX = 1000;
const LATE_KEPT = 2;

export class RateLimit {
  /** 0: there is none. */
  #bytesPerSecond = 0;
  /** Bytes that may pass now; below 0 where some passed on credit. */
  #bytes = 0;
  #filledAtMs = 0;
  /** For so long the loop was busy of late: what was allowed meanwhile is kept besides. */
  #lateMs = 0;
  /** Throttles that it holds back, and those of them that a round has not come to. */
  throttles = 0;
  waiting = 0;

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  get isSet(): boolean {
    return this.#bytesPerSecond > 0;
  }

  /** Changes it, whatever is under way. 0: no limit. */
  set(bytesPerSecond: number, nowMs: number): void {
    if (this.isSet) this.fill(nowMs, 0);
    else this.#bytes = 0;
    this.#bytesPerSecond = bytesPerSecond;
    this.#filledAtMs = nowMs;
    this.#lateMs = 0;
    this.#bytes = Math.min(this.#bytes, this.#bytesMax);
  }

  /** The least that is worth a call. */
  get shareBytes(): number {
    return Math.max(1, Math.min(SHARE_BYTES_MAX, Math.floor((this.#bytesPerSecond * SHARE_MS) / 1000)));
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Time passed. `lateMs`: for so long nobody could look. */
  fill(nowMs: number, lateMs: number): void {
    const elapsedMs = nowMs - this.#filledAtMs;
    this.#filledAtMs = nowMs;
    this.#lateMs = Math.max(lateMs, this.#lateMs - elapsedMs / LATE_KEPT);
    this.#bytes = Math.min(this.#bytes + (elapsedMs * this.#bytesPerSecond) / 1000, this.#bytesMax);
  }

  take(bytes: number): void {
    this.#bytes -= bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Milliseconds until there are so many bytes. */
  msUntil(bytes: number): number {
    return ((bytes - this.#bytes) * 1000) / this.#bytesPerSecond;
  }

  get #bytesMax(): number {
    return Math.max(2 * this.shareBytes, ((BURST_MS + this.#lateMs) * this.#bytesPerSecond) / 1000);
  }
}

/** Both directions of a session, a torrent or a connection. */
export class RateLimits {
  readonly download = new RateLimit();
  readonly upload = new RateLimit();

  /** As they are; 0: none. */
  get now(): { readonly maxDownloadBytesPerSecond: number; readonly maxUploadBytesPerSecond: number } {
    return {
      maxDownloadBytesPerSecond: this.download.bytesPerSecond,
      maxUploadBytesPerSecond: this.upload.bytesPerSecond,
    };
  }
}

/** What a program says of both; what is left out stays as it is, and 0 is no limit. */
export interface RateLimitChange {
  /** Bytes per second that come in; 0: any number. */
  readonly maxDownloadBytesPerSecond?: number | undefined;
  /** Bytes per second that go out; 0: any number. */
  readonly maxUploadBytesPerSecond?: number | undefined;
}

/** What limits the connections of a session: its own limits, and who waits. */
export class RateControl {
  readonly limits = new RateLimits();
  readonly download: RateQueue;
  readonly upload: RateQueue;
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
    this.download = new RateQueue(ground);
    this.upload = new RateQueue(ground);
  }

  /** Changes limits of this session, or of something in it. */
  change(limits: RateLimits, change: RateLimitChange): void {
    const nowMs = this.#ground.nowMs();
    const { maxDownloadBytesPerSecond: download, maxUploadBytesPerSecond: upload } = change;
    if (download !== undefined) limits.download.set(download, nowMs);
    if (upload !== undefined) limits.upload.set(upload, nowMs);
  }

  close(): void {
    this.download.close();
    this.upload.close();
  }

  checkInvariants(): void {
    this.download.checkInvariants();
    this.upload.checkInvariants();
  }
}

/** Whoever is held back. */
export interface ThrottleUser {
  /** Some bytes may pass now: ask again. */
  mayPass(): void;
}

/** One connection in one direction, while there is a limit for it. */
export class Throttle {
  readonly #queue: RateQueue;
  readonly #user: ThrottleUser;
  #limits: readonly RateLimit[] = [];
  /** Bytes that may pass, and that were taken off the limits. */
  #allowance = 0;
  /** What passed on credit, a block of it at the most, and for which it has not let turns of its own pass. */
  #owedBytes = 0;
  /** In whole milliseconds, as a connection keeps all times. */
  #waitsSinceMs = 0;
  #waitedMs = 0;
  isWaiting = false;
  /** In the list of those whose allowance goes back if it is not used. */
  isLent = false;

  constructor(queue: RateQueue, user: ThrottleUser) {
    this.#queue = queue;
    this.#user = user;
  }

  get limits(): readonly RateLimit[] {
    return this.#limits;
  }

  /** What holds it back from now on; none: nothing does. */
  setLimits(limits: readonly RateLimit[]): void {
    this.giveBack();
    const wasWaiting = this.isWaiting;
    if (wasWaiting) this.#queue.leave(this);
    for (const limit of this.#limits) limit.throttles--;
    this.#limits = limits;
    for (const limit of limits) limit.throttles++;
    if (wasWaiting) this.go();
  }

  /**
   * Bytes that may pass now; 0: none, and the user is called when some may. `hasBegun`: it waits in the middle of a block, and comes
   * before those that do not.
   */
  ask(hasBegun: boolean): number {
    if (this.#allowance >= 1) return Math.floor(this.#allowance);
    if (this.isWaiting) return 0;
    const share = this.#queue.isAwaited ? 0 : this.#queue.shareNow(this);
    if (share > 0) {
      // Nobody waits whom it held up.
      this.#owedBytes = 0;
      this.lend(share);
      return share;
    }
    this.isWaiting = true;
    this.#waitsSinceMs = this.#queue.wholeMs();
    this.#queue.join(this, hasBegun);
    return 0;
  }

  /** Some may pass that were taken off the limits. */
  lend(bytes: number): void {
    for (const limit of this.#limits) limit.take(bytes);
    this.#allowance += bytes;
    if (this.isLent) return;
    this.isLent = true;
    this.#queue.lent(this);
  }

  /** So many passed; more than was allowed where something had to be finished. */
  passed(bytes: number): void {
    this.#allowance -= bytes;
    if (this.#allowance >= 0) return;
    for (const limit of this.#limits) limit.take(-this.#allowance);
    this.#owedBytes = Math.min(SHARE_BYTES_MAX, this.#owedBytes - this.#allowance);
    this.#allowance = 0;
  }

  get owes(): boolean {
    return this.#owedBytes > 0;
  }

  /** It could have so many bytes now. True if it had them already, on credit, and others have its turn. */
  passesOn(share: number): boolean {
    if (this.#owedBytes <= 0) return false;
    const isAwaited = this.#limits.some(({ waiting }) => waiting > 1);
    this.#owedBytes = isAwaited ? Math.max(0, this.#owedBytes - share) : 0;
    return isAwaited;
  }

  /** What may pass and does not is for others. */
  giveBack(): void {
    if (this.#allowance === 0) return;
    for (const limit of this.#limits) limit.giveBack(this.#allowance);
    this.#allowance = 0;
  }

  /** It waits no longer. */
  go(): void {
    if (!this.isWaiting) return;
    this.#waitedMs += this.#queue.wholeMs() - this.#waitsSinceMs;
    this.isWaiting = false;
    this.#user.mayPass();
  }

  /** For how long it has waited, in all: time that nobody else is to blame for. */
  get waitedMs(): number {
    return this.#waitedMs + this.waitsForMs;
  }

  /** For how long it has waited now; 0: it does not. */
  get waitsForMs(): number {
    return this.isWaiting ? this.#queue.wholeMs() - this.#waitsSinceMs : 0;
  }

  /** The connection is over. */
  close(): void {
    this.giveBack();
    if (this.isWaiting) this.#queue.leave(this);
    this.isWaiting = false;
    for (const limit of this.#limits) limit.throttles--;
    this.#limits = [];
  }
}

/** Those that wait in one direction of a session. */
export class RateQueue {
  readonly #ground: Ground;
  /** In the middle of a block, and all others; those that left are taken out in the next round. */
  #begun: Throttle[] = [];
  #waiting: Throttle[] = [];
  #lent: Throttle[] = [];
  #timer: Timer | undefined;
  #isArmed = false;
  #dueMs = 0;
  readonly #look = () => this.#round();

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  wholeMs(): number {
    return Math.trunc(this.#ground.nowMs());
  }

  get isAwaited(): boolean {
    return this.#begun.length + this.#waiting.length > 0;
  }

  join(throttle: Throttle, hasBegun: boolean): void {
    (hasBegun && !throttle.owes ? this.#begun : this.#waiting).push(throttle);
    for (const limit of throttle.limits) limit.waiting++;
    this.#arm();
  }

  leave(throttle: Throttle): void {
    this.#remove(this.#begun, throttle);
    this.#remove(this.#waiting, throttle);
  }

  lent(throttle: Throttle): void {
    this.#lent.push(throttle);
    this.#arm();
  }

  /** What one may have at once while nobody waits: no more than its part of each limit; 0: too little. */
  shareNow(throttle: Throttle): number {
    const nowMs = this.#ground.nowMs();
    const lateMs = this.#lateMs(nowMs);
    for (const limit of throttle.limits) limit.fill(nowMs, lateMs);
    return shareOf(throttle, (limit) => limit.throttles);
  }

  close(): void {
    this.#timer?.close();
    this.#timer = undefined;
  }

  /** For tests, between two turns. */
  checkInvariants(): void {
    for (const throttle of [...this.#begun, ...this.#waiting])
      assert(throttle.isWaiting && throttle.limits.length > 0, "who is in the queue waits for a limit");
    assert(!this.isAwaited || this.#isArmed, "whoever waits is woken");
  }

  #lateMs(nowMs: number): number {
    return this.#isArmed ? Math.min(LATE_MS_MAX, Math.max(0, nowMs - this.#dueMs)) : 0;
  }

  /** Takes back what was not used, and shares out what there is. */
  #round(): void {
    const nowMs = this.#ground.nowMs();
    const lateMs = this.#lateMs(nowMs);
    this.#isArmed = false;
    for (const throttle of this.#lent) {
      throttle.isLent = false;
      throttle.giveBack();
    }
    this.#lent.length = 0;
    for (const queue of [this.#begun, this.#waiting])
      for (const throttle of queue) for (const limit of throttle.limits) limit.fill(nowMs, lateMs);
    const [begun, waiting] = [this.#begun, this.#waiting];
    this.#begun = [];
    this.#waiting = [];
    const granted: Throttle[] = [];
    const passedOn: Throttle[] = [];
    this.#shareOut(begun, this.#begun, granted, passedOn);
    this.#shareOut(waiting, this.#waiting, granted, passedOn);
    this.#waiting.push(...passedOn);
    // Whoever asks again at once comes behind all that wait on.
    for (const throttle of granted) throttle.go();
    if (this.isAwaited || this.#lent.length > 0) this.#arm();
  }

  /** Those for whom there is too little wait on, in their order; those that pass their turn on, behind all others. */
  #shareOut(queue: readonly Throttle[], waitOn: Throttle[], granted: Throttle[], passedOn: Throttle[]): void {
    for (const throttle of queue) {
      const share = shareOf(throttle, (limit) => limit.waiting);
      if (share === 0) {
        waitOn.push(throttle);
        continue;
      }
      if (throttle.passesOn(share)) {
        passedOn.push(throttle);
        continue;
      }
      for (const limit of throttle.limits) limit.waiting--;
      throttle.lend(share);
      granted.push(throttle);
    }
  }

  #remove(queue: Throttle[], throttle: Throttle): void {
    const at = queue.indexOf(throttle);
    if (at < 0) return;
    queue.splice(at, 1);
    for (const limit of throttle.limits) limit.waiting--;
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    const ms = this.#lookMs();
    this.#dueMs = this.#ground.nowMs() + ms;
    this.#timer?.close();
    this.#timer = this.#ground.after(ms, this.#look);
    this.#timer.unref();
  }

  /** When the first of those that wait can go on. */
  #lookMs(): number {
    let ms = LOOK_MS_MAX;
    for (const queue of [this.#begun, this.#waiting])
      for (const throttle of queue) {
        let its = 0;
        const share = leastShare(throttle);
        for (const limit of throttle.limits) its = Math.max(its, limit.msUntil(share));
        if (its < ms) ms = its;
        if (ms <= LOOK_MS_MIN) return LOOK_MS_MIN;
      }
    return Math.ceil(ms);
  }
}

function leastShare(throttle: Throttle): number {
  let least = SHARE_BYTES_MAX;
  for (const limit of throttle.limits) least = Math.min(least, limit.shareBytes);
  return least;
}

/** Its part of each limit, of so many; the least share where the part would be less, if there is as much; else 0. */
function shareOf(throttle: Throttle, partsOf: (limit: RateLimit) => number): number {
  const least = leastShare(throttle);
  let part = Number.POSITIVE_INFINITY;
  for (const limit of throttle.limits) {
    if (limit.bytes < least) return 0;
    part = Math.min(part, limit.bytes / Math.max(1, partsOf(limit)));
  }
  return Math.max(least, Math.floor(part));
}
