// The loop's one entry into TypeScript: ready sockets and completed jobs come in a batch, handlers run, and what
// they left to do (bytes to send, jobs to hand over) is done once at the end of the turn.
//
// Always: a handler is called only while its socket is registered, even if another handler of the same batch
// closed it. Turn hooks run after all handlers of the batch, then jobs are flushed. What one of them throws is a bug of ours
// (listeners of the program are not called from here): it becomes an `uncaughtException`, and the others get their turn.

import { assert } from "../base/assert.js";
import type { Ground } from "../base/ground.js";
import {
  COMPLETION_ENTRIES_MAX,
  JOB_WORDS_MAX,
  PLAN_ENTRIES_MAX,
  READY_ENTRIES_MAX,
} from "../base/limits.js";
import { throwAsUncaught } from "../base/user-calls.js";
import { WorkList } from "../base/work-list.js";
import type { NativeBinding, NativeEngine } from "./binding.js";
import { JobQueue } from "./jobs.js";
import { TurnLoad } from "./turn-load.js";
import { systemWorld, type World } from "./world.js";

export interface SocketHandler {
  /** `events`: READABLE and WRITABLE bits. A socket in error is both; the next call on it tells. */
  socketReady(events: number): void;
}

/** Something with work for the end of the turn. It asks once per turn with {@link Reactor.atTurnEnd}. */
export interface TurnHook {
  turnEnded(): void;
}

/** Told around every turn, before the first handler and after the last hook. */
export interface TurnObserver {
  turnBegins(): void;
  turnEnds(): void;
}

export class Reactor {
  readonly binding: NativeBinding;
  /** Time, timers and chance, for all that runs in this loop. */
  readonly ground: Ground;
  readonly engine: NativeEngine;
  readonly jobs: JobQueue;
  /** How full this turn is. */
  readonly load: TurnLoad;
  #handlers: (SocketHandler | undefined)[] = [];
  readonly #hooks = new WorkList<TurnHook>();
  #observer: TurnObserver | undefined;
  #idleWaiters: (() => void)[] = [];
  #inTurn = false;
  #turnScheduled = false;
  #closed = false;
  readonly #runScheduledTurn = () => {
    this.#turnScheduled = false;
    if (!this.#closed) this.#turn(0, 0);
  };

  constructor(slabBytes: number, world: Pick<World, "binding" | "ground"> = systemWorld()) {
    this.binding = world.binding;
    this.ground = world.ground;
    this.load = new TurnLoad(() => this.ground.nowMs());
    this.engine = this.binding.createEngine({
      slabBytes,
      planEntries: PLAN_ENTRIES_MAX,
      readyEntries: READY_ENTRIES_MAX,
      completionEntries: COMPLETION_ENTRIES_MAX,
      jobWords: JOB_WORDS_MAX,
    });
    this.jobs = new JobQueue(this.engine);
    this.engine.onReady((readyCount, completionCount) => this.#turn(readyCount, completionCount));
  }

  /** Watches `fd` for `events` and calls `handler` when one is there. Returns 0 or −errno. */
  register(fd: number, handler: SocketHandler, events: number): number {
    assert(this.#handlers[fd] === undefined, "a socket has one handler");
    this.#handlers[fd] = handler;
    return this.engine.watch(fd, events);
  }

  /** Calls another handler for a socket that is registered, from now on. */
  handOver(fd: number, handler: SocketHandler): void {
    assert(this.#handlers[fd] !== undefined, "a watched socket is registered");
    this.#handlers[fd] = handler;
  }

  /** Changes what is waited for; 0 pauses. */
  watch(fd: number, events: number): void {
    assert(this.#handlers[fd] !== undefined, "a watched socket is registered");
    this.engine.watch(fd, events);
  }

  /** Closes a socket that was registered, or was not yet. */
  closeSocket(fd: number): void {
    this.#handlers[fd] = undefined;
    this.engine.closeSocket(fd);
  }

  onTurn(observer: TurnObserver): void {
    this.#observer = observer;
  }

  /** Resolves when no job is in flight. */
  idle(): Promise<void> {
    if (this.jobs.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Runs `hook` once at the end of this turn; outside a turn, at the end of the running microtasks. */
  atTurnEnd(hook: TurnHook): void {
    this.#hooks.push(hook);
    if (!this.#inTurn && !this.#turnScheduled) {
      this.#turnScheduled = true;
      queueMicrotask(this.#runScheduledTurn);
    }
  }

  /** Frees the slab. All jobs must have been answered. */
  close(): void {
    if (this.#closed) return;
    assert(this.jobs.inFlight === 0, "no job names the slab when it is freed");
    this.#closed = true;
    this.#handlers = [];
    this.#hooks.clear();
    this.engine.close();
  }

  /**
   * Hooks may ask for hooks (a flush that unchokes): the list is read while it grows, and is bounded by the
   * connections, each of which asks at most once before it ran.
   */
  #runHooks(): void {
    const hooks = this.#hooks;
    for (let index = 0; index < hooks.count; index++) {
      try {
        hooks.at(index).turnEnded();
      } catch (error) {
        throwAsUncaught(error);
      }
    }
    hooks.clear();
  }

  #turn(readyCount: number, completionCount: number): void {
    this.#inTurn = true;
    this.load.begin(readyCount);
    this.#observer?.turnBegins();
    try {
      // Completions first: they bring slots home, which the sockets need.
      this.jobs.deliver(completionCount);
      const ready = this.engine.ready;
      for (let index = 0; index < readyCount; index++) {
        const handler = this.#handlers[ready[2 * index]!];
        const events = ready[2 * index + 1]!;
        if (handler === undefined || events === 0) continue;
        try {
          handler.socketReady(events);
        } catch (error) {
          throwAsUncaught(error);
        }
      }
      this.load.end();
      this.#runHooks();
      if (this.#closed) return;
      this.#observer?.turnEnds();
      // Those whom the end of the turn woke ask for its end again, and nothing promises a next turn.
      this.#runHooks();
      if (this.#closed) return;
      this.jobs.flush();
      if (this.#idleWaiters.length > 0 && this.jobs.inFlight === 0)
        for (const resolve of this.#idleWaiters.splice(0)) resolve();
    } finally {
      this.#inTurn = false;
    }
  }
}
