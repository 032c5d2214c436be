// Queries of one virtual node that are under way. A query is bound to the endpoint that it went to and to a transaction id that nobody
// can guess; it stalls (its slot may go to another one, while a late answer still counts) and fails by time.
//
// Always: each query ends exactly once, answered or failed; what is under way is bounded. Queries fail in the order they were sent in,
// and a bound that moves makes no difference to that: one queue is enough for all.

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
  /** No answer, an error, or an answer with another id. */
  failed(call: Call): void;
}

/** Hears of each query's end before its listener does. */
export interface CallObserver {
  nodeAnswered(call: Call, answer: KrpcReader): void;
  nodeFailed(call: Call): void;
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

export class Calls {
  readonly #timeout: AdaptiveTimeout;
  readonly #observer: CallObserver;
  readonly #pending = new Map<number, Call>();
  /** In the order they were sent in; those that are over stay until they are first. */
  #queue: Call[] = [];
  #first = 0;
  /** Where those begin that are not stalled yet. */
  #firstFresh = 0;

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

  add(call: Call): void {
    assert(!this.#pending.has(call.transaction) && !this.isFull, "a query has a number of its own");
    this.#pending.set(call.transaction, call);
    this.#queue.push(call);
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
      this.#fail(call);
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
    const queue = this.#queue;
    while (this.#firstFresh < queue.length) {
      const call = queue[this.#firstFresh]!;
      if (!call.isOver) {
        if (nowMs - call.sentMs < this.#timeout.stallMs) break;
        call.isStalled = true;
        call.listener.stalled(call);
      }
      this.#firstFresh++;
    }
    while (this.#first < this.#firstFresh) {
      const call = queue[this.#first]!;
      if (!call.isOver) {
        if (nowMs - call.sentMs < FAILURE_MS) break;
        this.#fail(call);
      }
      this.#first++;
    }
    this.#compact();
  }

  /** Fails everything: the socket closes. */
  close(): void {
    for (const call of [...this.#pending.values()]) this.#fail(call);
    this.#queue = [];
    this.#first = this.#firstFresh = 0;
  }

  checkInvariants(): void {
    let open = 0;
    for (const call of this.#queue.slice(this.#first)) if (!call.isOver) open++;
    assert(open === this.#pending.size, "what is under way waits in the queue");
    assert(
      this.#first <= this.#firstFresh && this.#firstFresh <= this.#queue.length,
      "fresh ones are behind",
    );
  }

  #fail(call: Call): void {
    this.#end(call);
    this.#observer.nodeFailed(call);
    call.listener.failed(call);
  }

  #end(call: Call): void {
    assert(!call.isOver, "a query ends once");
    call.isOver = true;
    this.#pending.delete(call.transaction);
  }

  #compact(): void {
    if (this.#first < CALLS_MAX) return;
    this.#queue = this.#queue.slice(this.#first);
    this.#firstFresh -= this.#first;
    this.#first = 0;
  }
}
