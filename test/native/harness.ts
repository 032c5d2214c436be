// What the native tests share: engines that are closed when a test ends, plans and jobs without ceremony, and waiting
// for readiness as a promise. Only loopback addresses, only ports that the system chose.

import { strict as assert } from "node:assert";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import {
  JOB_HEADER_WORDS,
  loadBinding,
  type NativeEngine,
  type SocketAddress,
} from "../../src/native/binding.js";
import { entryOf, required } from "../support/required.js";

export const binding = loadBinding();

export interface Sizes {
  slabBytes: number;
  planEntries: number;
  readyEntries: number;
  completionEntries: number;
  jobWords: number;
}

export const SIZES: Sizes = {
  slabBytes: 1 << 20,
  planEntries: 1024,
  readyEntries: 64,
  completionEntries: 64,
  jobWords: 16384,
};

/** Runs when the test is over, whatever came of it. */
export type Cleanup = Pick<TestContext, "after">;

export interface Job {
  kind: number;
  tag?: number;
  handle?: number;
  offset?: number;
  argument?: number;
  memory?: [address: number, length: number][];
}

/** One turn of the loop, as the engine told it. */
export interface Turn {
  ready: { fd: number; events: number }[];
  completions: { tag: number; result: number }[];
}

export class TestEngine {
  readonly engine: NativeEngine;
  readonly turns: Turn[] = [];
  /** Called for each turn, while the shared lists still hold it. */
  onTurn: (turn: Turn) => void = () => {};
  #waiters: { test: () => boolean; resolve: () => void; reject: (reason: unknown) => void }[] = [];

  constructor(
    context: Cleanup,
    sizes: Partial<Sizes & { ordinaryBuffers: boolean; digestVariant: string }> = {},
  ) {
    this.engine = binding.createEngine({ ...SIZES, ...sizes });
    context.after(async () => {
      await this.until(() => this.engine.jobsPending === 0);
      this.engine.close();
    });
    this.engine.onReady((readyCount, completionCount) => {
      const { ready, completions } = this.engine;
      const turn: Turn = { ready: [], completions: [] };
      for (let at = 0; at < readyCount; at++) {
        turn.ready.push({ fd: entryOf(ready, 2 * at), events: entryOf(ready, 2 * at + 1) });
      }
      for (let at = 0; at < completionCount; at++) {
        turn.completions.push({
          tag: entryOf(completions, 2 * at),
          result: entryOf(completions, 2 * at + 1),
        });
      }
      this.turns.push(turn);
      try {
        this.onTurn(turn);
      } catch (error) {
        // The test that waits fails by it, and not the process.
        for (const waiter of this.#waiters) waiter.reject(error);
      }
      for (const waiter of this.#waiters) if (waiter.test()) waiter.resolve();
    });
  }

  /** Resolves when `test` holds after a turn, or holds already. The runner's timeout ends it otherwise. */
  until(test: () => boolean): Promise<void> {
    if (test()) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ test, resolve, reject }));
  }

  /** Watches `fd` until one of `events` is there; leaves it unwatched. */
  async ready(fd: number, events: number): Promise<void> {
    const from = this.turns.length;
    assert.equal(this.engine.watch(fd, events), 0);
    await this.until(() =>
      this.turns.slice(from).some((turn) => turn.ready.some((entry) => entry.fd === fd)),
    );
    this.engine.watch(fd, 0);
  }

  plan(...pairs: [address: number, length: number][]): void {
    for (const [index, pair] of pairs.entries()) this.engine.plan.set(pair, 2 * index);
  }

  readv(fd: number, ...pairs: [address: number, length: number][]): number {
    this.plan(...pairs);
    return this.engine.readv(fd, 0, pairs.length);
  }

  writev(fd: number, ...pairs: [address: number, length: number][]): number {
    this.plan(...pairs);
    return this.engine.writev(fd, 0, pairs.length, false);
  }

  /** Waits for bytes, then takes them. */
  async receive(fd: number, ...pairs: [address: number, length: number][]): Promise<number> {
    await this.ready(fd, 1);
    return this.readv(fd, ...pairs);
  }

  put(address: number, text: string): void {
    this.engine.slab.set(Buffer.from(text), address);
  }

  text(address: number, length: number): string {
    return Buffer.from(this.engine.slab.subarray(address, address + length)).toString("latin1");
  }

  /** Words of the jobs, for submit(). */
  describe(...jobs: Job[]): number {
    let at = 0;
    for (const { kind, tag = 0, handle = 0, offset = 0, argument = 0, memory = [] } of jobs) {
      this.engine.jobs.set([kind, tag, handle, offset, argument, memory.length, ...memory.flat()], at);
      at += JOB_HEADER_WORDS + 2 * memory.length;
    }
    return at;
  }

  /** Submits one job and answers its result. */
  async run(job: Job): Promise<number> {
    const tag = Math.random();
    const done = () => this.turns.some((turn) => turn.completions.some((entry) => entry.tag === tag));
    assert.equal(this.engine.submit(this.describe({ ...job, tag })), 1);
    await this.until(done);
    return required(
      this.turns.flatMap((turn) => turn.completions).find((entry) => entry.tag === tag),
      "one of flat map",
    ).result;
  }

  /** A connection of this engine with itself: both ends, and the listener closed again. */
  async pair(host = "127.0.0.1"): Promise<[outgoing: number, incoming: number]> {
    const listener = this.listen(host);
    const outgoing = this.engine.connect(host, this.port(listener));
    assert.ok(outgoing >= 0, `connect: ${outgoing}`);
    await this.ready(listener, 1);
    const incoming = this.engine.accept(listener);
    assert.ok(incoming >= 0, `accept: ${incoming}`);
    await this.ready(outgoing, 2);
    assert.equal(this.engine.socketError(outgoing), 0);
    this.engine.closeSocket(listener);
    return [outgoing, incoming];
  }

  listen(host = "127.0.0.1"): number {
    const listener = this.engine.listen(host, 0, 1024);
    assert.ok(listener >= 0, `listen: ${listener}`);
    return listener;
  }

  port(fd: number): number {
    return (this.engine.localAddress(fd) as SocketAddress).port;
  }
}

/** A folder that is gone after the test. */
export function temporaryFolder(context: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), "scatterwire-native-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A new file, open for reading and writing until the test ends. */
export function temporaryFile(context: Cleanup): { fd: number; path: string } {
  const path = join(temporaryFolder(context), "file");
  const fd = openSync(path, "w+");
  context.after(() => closeSync(fd));
  return { fd, path };
}
