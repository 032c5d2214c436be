// A socket that accepts connections, and what it does when the system has no descriptor left for one.
//
//   accepting ──EMFILE and its like──▶ paused ──a descriptor was closed, or RETRY_MS passed──▶ accepting
//
// A connection that waits keeps the socket readable, so without the pause the loop would spin for as long as there is no descriptor.
//
// Always: one wake-up accepts a bounded number; what waits meanwhile waits in the kernel's queue.

import type { DescriptorBudget } from "../../base/descriptor-budget.js";
import { type NativeBinding, READABLE } from "../../native/binding.js";
import type { Reactor, SocketHandler } from "../../native/reactor.js";
import type { PeerAddress } from "../options.js";

const ACCEPTS_PER_WAKE_MAX = 64;
const RETRY_MS = 1000;

export interface ListenerHost {
  readonly nowMs: number;
  /** A connection came; the socket is the host's. */
  accepted(fd: number, remote: PeerAddress): void;
  /** Accepting pauses. */
  outOfDescriptors(errno: number): void;
}

export class Listener implements SocketHandler {
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #budget: DescriptorBudget;
  readonly #host: ListenerHost;
  #pausedAtMs: number | undefined;
  #closed = false;
  #heardIn = 0;
  readonly #resume = (): void => {
    if (this.#pausedAtMs === undefined || this.#closed) return;
    this.#pausedAtMs = undefined;
    this.#reactor.watch(this.#fd, READABLE);
  };

  /** `fd`: listens already. */
  constructor(reactor: Reactor, fd: number, budget: DescriptorBudget, host: ListenerHost) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.#budget = budget;
    this.#host = host;
    reactor.register(fd, this, READABLE);
  }

  socketReady(): void {
    const { engine, binding, load } = this.#reactor;
    if (!load.mayTalk(this.#heardIn)) return;
    this.#heardIn = load.round;
    for (let count = 0; count < ACCEPTS_PER_WAKE_MAX && !this.#closed; count++) {
      if (count > 0 && !load.mayTalk(0)) return;
      const fd = engine.accept(this.#fd);
      if (fd === binding.EAGAIN) return;
      if (isOutOfDescriptors(fd, binding)) {
        this.#pause(fd);
        return;
      }
      // Anything else was the fault of that connection, which is gone (ECONNABORTED): the next one may be better.
      if (fd < 0) continue;
      const remote = engine.remoteAddress(fd);
      if (typeof remote === "number") engine.closeSocket(fd);
      else this.#host.accepted(fd, remote);
    }
  }

  /** Time passed; about once a second. What holds the descriptors may be none of ours, and closed without our knowing. */
  tick(nowMs: number): void {
    if (this.#pausedAtMs !== undefined && nowMs - this.#pausedAtMs >= RETRY_MS) {
      this.#budget.stopWaiting("connection", this.#resume);
      this.#resume();
    }
  }

  close(): void {
    this.#closed = true;
    this.#budget.stopWaiting("connection", this.#resume);
    this.#reactor.closeSocket(this.#fd);
  }

  #pause(errno: number): void {
    this.#pausedAtMs = this.#host.nowMs;
    this.#reactor.watch(this.#fd, 0);
    this.#budget.wait("connection", this.#resume);
    this.#host.outOfDescriptors(errno);
  }
}

/** True for the errors of a system, or a process, that has no descriptor or no memory for one more socket. */
export function isOutOfDescriptors(errno: number, binding: NativeBinding): boolean {
  const { EMFILE, ENFILE, ENOBUFS, ENOMEM } = binding;
  return errno === EMFILE || errno === ENFILE || errno === ENOBUFS || errno === ENOMEM;
}
