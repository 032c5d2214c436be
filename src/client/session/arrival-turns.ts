// Who of those that come again is let in next: sockets that were accepted, of which nothing is read, and for which nothing is made before it is their turn.
// Whoever is greeted, leaves, and comes again at once, waits here instead for all others that do so, and is not in the kernel's queue meanwhile, where
// it would hold up whoever comes for the first time.
//
// Always: so many are let in as PAUSE_MS passed, and no more than BURST_MAX at once; networks have their turns one after the other. A socket that waits
// has a descriptor of the budget.

import { present } from "../../base/assert.js";
import type { DescriptorBudget } from "../../base/descriptor-budget.js";
import type { Ground, Timer } from "../../base/ground.js";
import { chargedTo } from "../../base/network-address.js";
import type { TurnHook } from "../../native/reactor.js";
import type { PeerAddress } from "../options.js";

/** A greeting, and what becomes of it, costs a tenth to a fifth of a millisecond: those that come again have a twelfth of a processor at the most. */
const PAUSE_MS = 2;
/** Those whose turns passed while the loop was busy. */
const BURST_MAX = 8;
/** Of one network, or of a /48 of IPv6; one, where half of the places are taken. */
const OF_NETWORK_MAX = 4;

export interface ArrivalHost {
  readonly ground: Ground;
  readonly descriptors: DescriptorBudget;
  /** Runs `hook` once at the end of this turn. */
  atTurnEnd(hook: TurnHook): void;
  /** It is its turn; the socket is the host's. */
  enters(fd: number, remote: PeerAddress): void;
  close(fd: number): void;
}

interface Waiting {
  readonly fd: number;
  readonly remote: PeerAddress;
}

export class ArrivalTurns implements TurnHook {
  readonly #host: ArrivalHost;
  readonly #max: number;
  /** By network, or site; whose turn is next first. */
  readonly #lines = new Map<string, Waiting[]>();
  #count = 0;
  /** When the next one may be let in. */
  #dueMs = Number.NEGATIVE_INFINITY;
  #isComing = false;
  #timer: Timer | undefined;

  /** `max`: sockets that wait at one time. */
  constructor(host: ArrivalHost, max: number) {
    this.#host = host;
    this.#max = max;
  }

  get count(): number {
    return this.#count;
  }

  /** A socket that was accepted waits for its turn, which does not come inside this call. False: there is no place, and it stays the caller's. */
  add(fd: number, remote: PeerAddress): boolean {
    const { descriptors } = this.#host;
    const name = lineOf(remote.host);
    const line = this.#lines.get(name) ?? [];
    const most = 2 * this.#count < this.#max ? OF_NETWORK_MAX : 1;
    if (line.length >= most || this.#count >= this.#max) return false;
    if (!descriptors.hasRoom("connection") || !descriptors.take("connection")) return false;
    line.push({ fd, remote });
    this.#lines.set(name, line);
    this.#count++;
    this.#comeBack();
    return true;
  }

  turnEnded(): void {
    this.#isComing = false;
    const nowMs = this.#host.ground.nowMs();
    this.#dueMs = Math.max(this.#dueMs, nowMs - BURST_MAX * PAUSE_MS);
    try {
      while (this.#count > 0 && this.#dueMs + PAUSE_MS <= nowMs) {
        this.#dueMs += PAUSE_MS;
        const { fd, remote } = this.#next();
        this.#host.enters(fd, remote);
      }
    } finally {
      if (this.#count > 0) this.#comeBack();
    }
  }

  close(): void {
    while (this.#count > 0) this.#host.close(this.#next().fd);
    this.#timer?.close();
    this.#timer = undefined;
  }

  /** Takes out the first of the line whose turn it is, which comes behind all others then. */
  #next(): Waiting {
    const [first] = this.#lines;
    const [name, line] = present(first, "somebody waits");
    const waiting = present(line.shift(), "a line is of some");
    this.#lines.delete(name);
    if (line.length > 0) this.#lines.set(name, line);
    this.#count--;
    this.#host.descriptors.release("connection");
    return waiting;
  }

  #comeBack(): void {
    if (this.#isComing) return;
    this.#isComing = true;
    const pauseMs = Math.max(1, this.#dueMs + PAUSE_MS - this.#host.ground.nowMs());
    this.#timer = this.#host.ground.after(pauseMs, () => {
      this.#timer = undefined;
      this.#host.atTurnEnd(this);
    });
    // Who listens keeps the program alive, and not who waits.
    this.#timer.unref();
  }
}

/** A site has one line, however many networks it has. */
function lineOf(host: string): string {
  const charged = chargedTo(host);
  return present(charged[charged.length - 1], "somebody is charged").name;
}
