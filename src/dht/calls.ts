// Queries of one virtual node that are under way. A query is bound to the endpoint that it went to and to a transaction id that nobody
// can guess; it stalls (its slot may go to another one, while a late answer still counts) and fails by time.
//
// Always: each query ends exactly once, answered or failed; what is under way is bounded. Queries fail in the order they were sent in,
// and a bound that moves makes no difference to that: one list is enough for all. Nothing is kept of a query that is over, for behind it
// stands a whole lookup.

import { assert } from "../base/assert.js";
import { type AdaptiveTimeout, FAILURE_MS } from "./adaptive-timeout.js";
import type { Contact } from "./contact.js";
import type { KrpcReader } from "./krpc-reader.js";
import { ID_BYTES, sameId } from "./node-id.js";
import type { Sender } from "./sender.js";

/** Of one virtual node: 10 s of 1,600 queries a second that nobody answers. */
export const CALLS_MAX = 16_384;

export interface CallListener {
  /** `answer` holds what came until the call returns. */
  answered(call: Call, answer: KrpcReader): void;
  /** It takes longer than nine in ten do. */
  stalled(call: Call): void;
  /** No answer, an error, or an answer with another id, which is `another` until the call returns. */
  failed(call: Call, another?: KrpcReader): void;
}

/** Why a query failed: by time; by an error that came; by an answer of somebody with another id; for the socket was closed. */
export const FAILED_SILENT = 0;
export const FAILED_ERROR = 1;
export const FAILED_OTHER_ID = 2;
export const FAILED_CLOSED = 3;
export type CallFailure =
  | typeof FAILED_SILENT
  | typeof FAILED_ERROR
  | typeof FAILED_OTHER_ID
  | typeof FAILED_CLOSED;

/** Hears of each query's end before its listener does. */
export interface CallObserver {
  nodeAnswered(call: Call, answer: KrpcReader): void;
  /** `another`: the answer that has another id, until the call returns. */
  nodeFailed(call: Call, why: CallFailure, another?: KrpcReader): void;
}

export interface Call {
  readonly contact: Contact;
  /** METHOD_…. */
  readonly method: number;
  readonly transaction: number;
  readonly sentMs: number;
  /** The contact's id is not known yet: whoever answers at its address is right. */
  readonly anyId: boolean;
  readonly listener: CallListener;
  isStalled: boolean;
  isOver: boolean;
}

/** With its neighbours among those that are under way, in the order they were sent in. */
interface LinkedCall extends Call {
  older: LinkedCall | undefined;
  newer: LinkedCall | undefined;
}

export class Calls {
  readonly #timeout: AdaptiveTimeout;
  readonly #observer: CallObserver;
  readonly #pending = new Map<number, LinkedCall>();
  #oldest: LinkedCall | undefined;
  #newest: LinkedCall | undefined;
  /** The oldest that is not stalled yet. */
  #oldestFresh: LinkedCall | undefined;

  constructor(timeout: AdaptiveTimeout, observer: CallObserver) {
    this.#timeout = timeout;
    this.#observer = observer;
  }

  get count(): number {
    return this.#pending.size;
  }

  get isFull(): boolean {
    return this.#pending.size >= CALLS_MAX;
  }

  isTaken(transaction: number): boolean {
    return this.#pending.has(transaction);
  }

  add(
    contact: Contact,
    method: number,
    transaction: number,
    sentMs: number,
    anyId: boolean,
    listener: CallListener,
  ): void {
    assert(!this.#pending.has(transaction) && !this.isFull, "a query has a number of its own");
    const call: LinkedCall = {
      contact,
      method,
      transaction,
      sentMs,
      anyId,
      listener,
      isStalled: false,
      isOver: false,
      older: this.#newest,
      newer: undefined,
    };
    this.#pending.set(transaction, call);
    if (this.#newest === undefined) this.#oldest = call;
    else this.#newest.newer = call;
    this.#newest = call;
    this.#oldestFresh ??= call;
  }

  /** Ends the query that `answer` is for; false if there is none, or it went to another endpoint. An error is an answer, and fails it. */
  answered(answer: KrpcReader, isError: boolean, sender: Sender, nowMs: number): boolean {
    if (answer.transactionBytes !== 4) return false;
    const { bytes, transactionAt } = answer;
    const transaction =
      ((bytes[transactionAt]! << 24) |
        (bytes[transactionAt + 1]! << 16) |
        (bytes[transactionAt + 2]! << 8) |
        bytes[transactionAt + 3]!) >>>
      0;
    const call = this.#pending.get(transaction);
    if (call === undefined || !sender.isAt(call.contact.compact, ID_BYTES)) return false;
    this.#timeout.sample(nowMs - call.sentMs);
    const isSame = call.anyId || (!isError && sameId(answer.bytes, answer.idAt, call.contact.compact, 0));
    if (isError || !isSame) {
      // Who has another id by now is not the node that we know.
      if (!isError) call.contact.failures = Number.POSITIVE_INFINITY;
      if (isError) this.#fail(call, FAILED_ERROR);
      else this.#fail(call, FAILED_OTHER_ID, answer);
      return true;
    }
    this.#end(call);
    const { contact } = call;
    contact.answeredMs = nowMs;
    contact.roundTripMs = nowMs - call.sentMs;
    contact.failures = 0;
    this.#observer.nodeAnswered(call, answer);
    call.listener.answered(call, answer);
    return true;
  }

  /** Stalls and fails what is due. */
  advance(nowMs: number): void {
    // Whoever hears of it may end others, or send more: what is next is looked up anew each time.
    for (let call = this.#oldestFresh; call !== undefined; call = this.#oldestFresh) {
      if (nowMs - call.sentMs < this.#timeout.stallMs) break;
      this.#oldestFresh = call.newer;
      call.isStalled = true;
      call.listener.stalled(call);
    }
    for (let call = this.#oldest; call?.isStalled === true; call = this.#oldest) {
      if (nowMs - call.sentMs < FAILURE_MS) break;
      this.#fail(call, FAILED_SILENT);
    }
  }

  /** Fails everything: the socket closes. */
  close(): void {
    for (const call of [...this.#pending.values()]) if (!call.isOver) this.#fail(call, FAILED_CLOSED);
  }

  checkInvariants(): void {
    let open = 0;
    let isFresh = false;
    for (let call = this.#oldest; call !== undefined; call = call.newer) {
      open++;
      if (call === this.#oldestFresh) isFresh = true;
      assert(!call.isOver && call.isStalled !== isFresh, "stalled ones come before fresh ones");
      assert(this.#pending.get(call.transaction) === call, "what is listed is under way");
      assert((call.newer?.older ?? call) === call, "neighbours know each other");
    }
    assert(open === this.#pending.size, "what is under way is listed");
    assert(isFresh === (this.#oldestFresh !== undefined), "the oldest fresh one is listed");
  }

  #fail(call: LinkedCall, why: CallFailure, another?: KrpcReader): void {
    this.#end(call);
    this.#observer.nodeFailed(call, why, another);
    call.listener.failed(call, another);
  }

  #end(call: LinkedCall): void {
    assert(!call.isOver, "a query ends once");
    call.isOver = true;
    this.#pending.delete(call.transaction);
    const { older, newer } = call;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    if (this.#oldestFresh === call) this.#oldestFresh = newer;
    // What is over leads to none of the others, which would live as long as it does.
    call.older = call.newer = undefined;
  }
}
