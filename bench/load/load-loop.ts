// What the load generators stand on: one engine of the addon, its sockets by number, and an end that always tells what was
// done. A load generator is light, not polite: it trusts the torrent that it was given, and ends a connection at the
// first thing that it does not understand.
//
// Always: after close() no socket is open, and the program can end.

import { fstatSync } from "node:fs";
import { describeErrno, messageOf } from "../../src/base/errors.js";
import { loadBinding, type NativeBinding, type NativeEngine, READABLE } from "../../src/native/binding.js";
import { there } from "../measuring/ends.js";

/** Received bytes lie from RECEIVE_AT on; what the last receive left over is put right before them. */
export const CARRY_BYTES_MAX = 1024;
export const RECEIVE_AT = 4096;
export const RECEIVE_BYTES = 256 * 1024;
/** Messages and headers are written here, and sent before anything else is written here. */
export const SCRATCH_AT = RECEIVE_AT + RECEIVE_BYTES;
export const SCRATCH_BYTES = 128 * 1024;
const LISTEN_BACKLOG = 1024;
const EXIT_FAILED = 1;
const NEWLINE = 10;
const ALIVE_MS = 60_000;

export interface LoadSocket {
  ready(events: number): void;
}

export class LoadLoop {
  readonly engine: NativeEngine;
  readonly wouldBlock: number;
  readonly #sockets: (LoadSocket | undefined)[] = [];
  #closed = false;

  /** `binding`: the addon, or what a test gives instead. */
  constructor(binding: NativeBinding = loadBinding()) {
    this.wouldBlock = binding.EAGAIN;
    this.engine = binding.createEngine({
      slabBytes: SCRATCH_AT + SCRATCH_BYTES,
      planEntries: 1024,
      readyEntries: 1024,
      completionEntries: 16,
      jobWords: 16,
    });
    this.engine.onReady((readyCount) => {
      const { ready } = this.engine;
      for (let index = 0; index < readyCount; index++)
        this.#sockets[there(ready[2 * index])]?.ready(there(ready[2 * index + 1]));
    });
  }

  add(fd: number, socket: LoadSocket, events: number): void {
    this.#sockets[fd] = socket;
    refuse(this.engine.watch(fd, events), "watch a socket");
  }

  remove(fd: number): void {
    this.#sockets[fd] = undefined;
    this.engine.closeSocket(fd);
  }

  /** Accepts connections at `host`; `accepted` gets their descriptors. Returns where. */
  listen(host: string, port: number, accepted: (fd: number) => void): { host: string; port: number } {
    const { engine } = this;
    const listener = engine.listen(host, port, LISTEN_BACKLOG);
    refuse(listener, `listen at ${host}:${port}`);
    const address = engine.localAddress(listener);
    if (typeof address === "number") throw new Error(describeErrno(address));
    const ready = (): void => {
      for (let fd = engine.accept(listener); fd >= 0; fd = engine.accept(listener)) accepted(fd);
    };
    this.add(listener, { ready }, READABLE);
    return address;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.engine.close();
  }
}

export function refuse(result: number, doing: string): void {
  if (result < 0) throw new Error(`cannot ${doing}: ${describeErrno(result)}`);
}

export function printLine(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/**
 * Calls `end` once on Ctrl-C, on SIGTERM, and when whoever started us closes our standard input, or dies. Calls `tell` for
 * each line of standard input.
 */
export function whenTold(end: () => void, tell: () => void = () => {}): void {
  let told = false;
  // Without a socket the program would end by itself, and tell nothing.
  const alive = setInterval(() => {}, ALIVE_MS);
  const once = (): void => {
    if (told) return;
    told = true;
    clearInterval(alive);
    process.stdin.destroy();
    end();
  };
  process.on("SIGINT", once);
  process.on("SIGTERM", once);
  // Only a pipe says by its end that somebody has gone: /dev/null is at its end from the start.
  const input = fstatSync(0);
  if (!input.isFIFO() && !input.isSocket()) return;
  process.stdin.on("data", (chunk: Buffer) => {
    for (const byte of chunk) if (byte === NEWLINE) tell();
  });
  process.stdin.on("end", once);
  process.stdin.on("error", once);
  process.stdin.resume();
}

/** Seconds and CPU seconds from its making on. */
export class Stopwatch {
  readonly #startedMs = performance.now();
  readonly #cpu = process.cpuUsage();

  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  get cpuSeconds(): number {
    const { user, system } = process.cpuUsage(this.#cpu);
    return (user + system) / 1e6;
  }
}

/** Runs a load generator's program; says in one line why it failed. */
export function runLoad(main: () => Promise<void>): void {
  const fail = (error: unknown): never => {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(EXIT_FAILED);
  };
  process.on("uncaughtException", fail);
  main().catch(fail);
}

/** A whole number from the command line. Throws for anything else. */
export function whole(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`a whole number is expected instead of "${text}"`);
}

/** "127.0.0.1:6881". */
export function addressOf(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(":");
  if (colon <= 0) throw new Error(`HOST:PORT is expected instead of "${text}"`);
  return { host: text.slice(0, colon), port: whole(text.slice(colon + 1), 0) };
}
