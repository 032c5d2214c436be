// The addon's engine (src/native/binding.ts) over a simulated network: sockets are ends of links in memory, jobs take virtual time, and
// timers and dice are the machine's. Files are real ones, since what is done to them takes no time that anybody sees.
//
// Always: a job touches the memory that it names when it ends and not before, so that memory which was given away too early shows; jobs
// end in an order that follows from the seed; a descriptor's number is used again at once, as the system does.
//
// One file, because it is one class: the engine has many short methods, and all of them look at the same descriptors and jobs.

import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { MAPPING_ADDRESS_STRIDE } from "../../src/base/limits.js";
import { transform } from "../../src/client/stream/rc4.js";
import {
  DIGEST_FINISH,
  DIGEST_START,
  JOB_HEADER_WORDS,
  JobKind,
  type NativeBinding,
  type NativeEngine,
  type SocketAddress,
} from "../../src/native/binding.js";
import { entryOf, required } from "./required.js";
import { EAGAIN, ECONNREFUSED, READABLE, StreamEnd } from "./simulated-link.js";
import type { Machine } from "./simulated-network.js";

const FIRST_FD = 3;
const FIRST_PORT = 40_000;
const COSTS = 6;
const EIO = -5;
const EBADF = -9;
const EINVAL = -22;
const ENOTSUP = -95;

interface Listening {
  readonly port: number;
  readonly waiting: StreamEnd[];
}

interface Socket {
  readonly listening?: Listening;
  readonly end?: StreamEnd;
  watched: number;
  /** What is not sent when it is closed is dropped. */
  discards?: boolean;
}

interface Job {
  readonly kind: number;
  readonly tag: number;
  readonly handle: number;
  readonly offset: number;
  readonly argument: number;
  /** Pairs. */
  readonly memory: Float64Array;
  readonly endsMs: number;
}

type EngineOptions = Parameters<NativeBinding["createEngine"]>[0];

export class SimulatedEngine implements NativeEngine {
  readonly slab: Uint8Array;
  readonly ordinaryBuffers = true;
  readonly plan: Float64Array;
  readonly ready: Int32Array;
  readonly jobs: Float64Array;
  readonly completions: Float64Array;
  readonly costs = new Float64Array(COSTS);
  readonly #machine: Machine;
  readonly #sockets = new Map<number, Socket>();
  readonly #mappings = new Map<number, Uint8Array>();
  readonly #digests = new Map<number, Hash | undefined>();
  #digestsMade = 0;
  #mappingsMade = 0;
  #portsUsed = 0;
  /** In the order in which they end. */
  #pending: Job[] = [];
  #callback: (readyCount: number, completionCount: number) => void = () => {};
  #isClosed = false;
  /** Of the turn that is told, or was last. */
  #readyCount = 0;
  /** Pairs (descriptor, events). */
  readonly #found: number[] = [];

  constructor(machine: Machine, options: EngineOptions) {
    this.#machine = machine;
    this.slab = new Uint8Array(options.slabBytes);
    this.plan = new Float64Array(2 * options.planEntries);
    this.ready = new Int32Array(2 * options.readyEntries);
    this.completions = new Float64Array(2 * options.completionEntries);
    this.jobs = new Float64Array(options.jobWords);
    machine.engines.push(this);
  }

  // ── sockets ──────────────────────────────────────────────────────────────────────────────────────────────────

  listen(_host: string, port: number, _backlog: number): number {
    const listening: Listening = { port: port === 0 ? this.#nextPort() : port, waiting: [] };
    this.#machine.listening.set(listening.port, (end) => listening.waiting.push(end as StreamEnd));
    return this.#addSocket({ listening, watched: 0 });
  }

  accept(fd: number): number {
    const end = this.#sockets.get(fd)?.listening?.waiting.shift();
    return end === undefined ? EAGAIN : this.#addSocket({ end, watched: 0 });
  }

  connect(host: string, port: number): number {
    const machine = this.#machine;
    const end = new StreamEnd(machine, machine.nextAddress(), this.#nextPort(), host, port);
    machine.network.later(end.delayMs, () => this.#arrive(end));
    return this.#addSocket({ end, watched: 0 });
  }

  /** A connection that we began reaches the other machine, whose answer takes its way back. */
  #arrive(end: StreamEnd): void {
    const { network } = this.#machine;
    const there = network.machineAt(end.remoteHost);
    const accept = there?.isDead === false ? there.listening.get(end.remotePort) : undefined;
    if (end.isClosed || this.#machine.isDead || network.isSilent(end.remoteHost)) return;
    if (accept === undefined || there === undefined) {
      network.later(end.delayMs, () => {
        end.error = ECONNREFUSED;
      });
      return;
    }
    const other = new StreamEnd(there, there.host, end.remotePort, end.host, end.port);
    end.other = other;
    other.other = end;
    other.isEstablished = true;
    accept(other);
    network.later(end.delayMs, () => {
      end.isEstablished = true;
    });
  }

  socketError(fd: number): number {
    return this.#endOf(fd).error;
  }

  localAddress(fd: number): SocketAddress | number {
    const socket = this.#sockets.get(fd);
    const port = socket?.listening?.port ?? socket?.end?.port;
    return port === undefined ? EBADF : { host: this.#machine.host, port };
  }

  remoteAddress(fd: number): SocketAddress | number {
    const end = this.#sockets.get(fd)?.end;
    return end === undefined ? EBADF : { host: end.remoteHost, port: end.remotePort };
  }

  setBufferSizes(): number {
    return 0;
  }

  setNoDelay(): number {
    return 0;
  }

  setReceiveLowWater(fd: number, bytes: number): number {
    this.#endOf(fd).lowWaterBytes = bytes;
    return 0;
  }

  setUnsentBytesMax(fd: number, bytes: number): number {
    this.#endOf(fd).unsentBytesMax = bytes;
    return 0;
  }

  discardUnsentAtClose(fd: number): number {
    const socket = this.#sockets.get(fd);
    if (socket === undefined) return EBADF;
    socket.discards = true;
    return 0;
  }

  unacknowledgedBytes(fd: number): number {
    return this.#endOf(fd).unacknowledgedBytes;
  }

  closeSocket(fd: number): number {
    const socket = this.#sockets.get(fd);
    if (socket === undefined) return EBADF;
    this.#sockets.delete(fd);
    this.#mask(fd, 0);
    if (socket.listening !== undefined) this.#machine.listening.delete(socket.listening.port);
    socket.end?.close(socket.discards === true);
    return 0;
  }

  bindDatagrams(): number {
    return ENOTSUP;
  }

  shareDatagrams(): number {
    return ENOTSUP;
  }

  connectDatagrams(): number {
    return ENOTSUP;
  }

  readv(fd: number, first: number, count: number): number {
    const end = this.#endOf(fd);
    if (end.error < 0) return end.error;
    let received = 0;
    for (let entry = first; entry < first + count; entry++) {
      const target = this.#bytesAt(entryOf(this.plan, 2 * entry), entryOf(this.plan, 2 * entry + 1));
      const got = end.take(target);
      received += got;
      if (got < target.length) break;
    }
    return received > 0 ? received : end.emptyAnswer;
  }

  writev(fd: number, first: number, count: number, _more: boolean): number {
    const end = this.#endOf(fd);
    let sent = 0;
    for (let entry = first; entry < first + count; entry++) {
      const bytes = this.#bytesAt(entryOf(this.plan, 2 * entry), entryOf(this.plan, 2 * entry + 1));
      const took = end.send(bytes);
      if (took < 0) return sent > 0 ? sent : took;
      sent += took;
      if (took < bytes.length) break;
    }
    return sent;
  }

  sendfile(fd: number, fileFd: number, offset: number, length: number): number {
    const bytes = new Uint8Array(length);
    const got = readSync(fileFd, bytes, 0, length, offset);
    return got === 0 ? 0 : this.#endOf(fd).send(bytes.subarray(0, got));
  }

  readCached(fileFd: number, offset: number, first: number, count: number): number {
    // As often as not it is not in the cache, and a job has to read it.
    if (this.#machine.ground.random() < 0.5) return EAGAIN;
    return readInto(
      fileFd,
      offset,
      Array.from({ length: count }, (_, index) =>
        this.#bytesAt(entryOf(this.plan, 2 * (first + index)), entryOf(this.plan, 2 * (first + index) + 1)),
      ),
    );
  }

  watch(fd: number, events: number): number {
    const socket = this.#sockets.get(fd);
    if (socket === undefined) return EBADF;
    socket.watched = events;
    this.#mask(fd, events);
    return 0;
  }

  onReady(callback: (readyCount: number, completionCount: number) => void): void {
    this.#callback = callback;
  }

  /** Takes back what is told in this turn but for `events`: the next socket may have the same descriptor. */
  #mask(fd: number, events: number): void {
    for (let index = 0; index < this.#readyCount; index++)
      if (this.ready[2 * index] === fd)
        this.ready[2 * index + 1] = entryOf(this.ready, 2 * index + 1) & events;
  }

  #addSocket(socket: Socket): number {
    let fd = FIRST_FD;
    while (this.#sockets.has(fd)) fd++;
    this.#sockets.set(fd, socket);
    return fd;
  }

  #endOf(fd: number): StreamEnd {
    const end = this.#sockets.get(fd)?.end;
    if (end === undefined) throw new Error(`descriptor ${fd} is no open stream`);
    return end;
  }

  #nextPort(): number {
    return FIRST_PORT + this.#portsUsed++;
  }

  // ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────

  #bytesAt(address: number, length: number): Uint8Array {
    if (address < MAPPING_ADDRESS_STRIDE) return this.slab.subarray(address, address + length);
    const mapping = this.#mappings.get(Math.floor(address / MAPPING_ADDRESS_STRIDE));
    if (mapping === undefined) throw new Error("an address of a mapping that is gone");
    const at = address % MAPPING_ADDRESS_STRIDE;
    return mapping.subarray(at, at + length);
  }

  copy(from: number, to: number, length: number): void {
    this.#bytesAt(to, length).set(this.#bytesAt(from, length));
  }

  rc4(state: Uint8Array, first: number, count: number, bytes: number, to: number): number {
    let done = 0;
    for (let entry = first; entry < first + count && done < bytes; entry++) {
      const length = Math.min(bytes - done, entryOf(this.plan, 2 * entry + 1));
      const from = this.#bytesAt(entryOf(this.plan, 2 * entry), length);
      const target = to < 0 ? from : this.#bytesAt(to + done, length);
      if (target !== from) target.set(from);
      transform(state, target);
      done += length;
    }
    return done;
  }

  /** Memory of its own: no file is behind it, so that only `memory` storage can be had. */
  map(_fd: number, length: number): number {
    const index = ++this.#mappingsMade;
    this.#mappings.set(index, new Uint8Array(length));
    return index * MAPPING_ADDRESS_STRIDE;
  }

  unmap(address: number): number {
    return this.#mappings.delete(Math.floor(address / MAPPING_ADDRESS_STRIDE)) ? 0 : EINVAL;
  }

  isIntact(): boolean {
    return true;
  }

  clockCosts(): void {}

  // ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────

  submit(words: number): number {
    const table = this.jobs;
    let count = 0;
    for (let at = 0; at < words; count++) {
      const pairs = entryOf(table, at + 5);
      const end = at + JOB_HEADER_WORDS + 2 * pairs;
      const kind = entryOf(table, at);
      this.#add({
        kind,
        tag: entryOf(table, at + 1),
        handle: entryOf(table, at + 2),
        offset: entryOf(table, at + 3),
        argument: entryOf(table, at + 4),
        memory: table.slice(at + JOB_HEADER_WORDS, end),
        endsMs: this.#machine.network.nowMs + this.#msOf(kind),
      });
      at = end;
    }
    return count;
  }

  #msOf(kind: number): number {
    const most = kind === JobKind.write || kind === JobKind.copy || kind === JobKind.sync ? 12 : 3;
    return 1 + Math.floor(this.#machine.ground.random() * most);
  }

  #add(job: Job): void {
    const at = this.#pending.findIndex(({ endsMs }) => endsMs > job.endsMs);
    this.#pending.splice(at < 0 ? this.#pending.length : at, 0, job);
  }

  get jobsPending(): number {
    return this.#pending.length;
  }

  openDigest(): number {
    this.#digests.set(this.#digestsMade, undefined);
    return this.#digestsMade++;
  }

  closeDigest(digest: number): void {
    this.#digests.delete(digest);
  }

  #carryOut(job: Job): number {
    const writes = job.kind === JobKind.write || job.kind === JobKind.copy;
    if (writes && this.#machine.writeFault < 0) {
      const fault = this.#machine.writeFault;
      this.#machine.writeFault = 0;
      return fault;
    }
    const parts = (): Uint8Array[] => {
      const list: Uint8Array[] = [];
      for (let at = 0; at < job.memory.length; at += 2)
        list.push(this.#bytesAt(entryOf(job.memory, at), entryOf(job.memory, at + 1)));
      return list;
    };
    switch (job.kind) {
      case JobKind.write: {
        let at = job.offset;
        for (const part of parts()) at += writeSync(job.handle, part, 0, part.length, at);
        return at - job.offset;
      }
      case JobKind.read:
        return readInto(job.handle, job.offset, parts());
      case JobKind.copy: {
        let at = job.offset;
        for (const part of parts()) {
          this.#bytesAt(at, part.length).set(part);
          at += part.length;
        }
        return at - job.offset;
      }
      case JobKind.digest:
        return this.#feed(job, parts());
      case JobKind.digestFiles:
        return this.#feedFiles(job);
      case JobKind.digestPaths:
        return this.#feedPaths(job);
      default:
        return 0;
    }
  }

  #feed(job: Job, parts: readonly Uint8Array[]): number {
    if ((job.argument & DIGEST_START) !== 0) this.#digests.set(job.handle, createHash("sha1"));
    const hash = this.#digests.get(job.handle);
    if (hash === undefined) throw new Error("a digest is fed that was not begun");
    let bytes = 0;
    for (const part of parts) {
      hash.update(part);
      bytes += part.length;
    }
    if ((job.argument & DIGEST_FINISH) !== 0) {
      this.#bytesAt(job.offset, 20).set(hash.digest());
      this.#digests.set(job.handle, undefined);
    }
    return bytes;
  }

  #feedFiles(job: Job): number {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < job.memory.length; at += 4) {
      const part = new Uint8Array(entryOf(job.memory, at + 2));
      if (readInto(entryOf(job.memory, at), entryOf(job.memory, at + 1), [part]) < part.length) return EIO;
      parts.push(part);
    }
    return this.#feed(job, parts);
  }

  #feedPaths(job: Job): number {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < job.memory.length; at += 4) {
      const path = this.#bytesAt(entryOf(job.memory, at), entryOf(job.memory, at + 1) - 1);
      const part = new Uint8Array(entryOf(job.memory, at + 3));
      let fd: number;
      try {
        fd = openSync(Buffer.from(path), "r");
      } catch (error) {
        return (error as NodeJS.ErrnoException).errno ?? EIO;
      }
      const bytes = readInto(fd, entryOf(job.memory, at + 2), [part]);
      closeSync(fd);
      if (bytes < part.length) return EIO;
      parts.push(part);
    }
    return this.#feed(job, parts);
  }

  // ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** One turn of the loop, if there is anything to tell. */
  step(): boolean {
    if (this.#isClosed) return false;
    const completionCount = this.#complete();
    const readyCount = this.#listReady();
    if (completionCount + readyCount === 0) return false;
    const ready = this.ready.subarray(0, 2 * readyCount).join(" ");
    const done = this.completions.subarray(0, 2 * completionCount).join(" ");
    this.#machine.network.note(`${this.#machine.host} turn: ready ${ready}, done ${done}`);
    this.#callback(readyCount, completionCount);
    return true;
  }

  #complete(): number {
    const max = this.completions.length / 2;
    let count = 0;
    while (
      count < max &&
      (this.#pending[0]?.endsMs ?? Number.POSITIVE_INFINITY) <= this.#machine.network.nowMs
    ) {
      const job = required(this.#pending.shift(), "an entry of pending");
      this.completions[2 * count] = job.tag;
      this.completions[2 * count + 1] = this.#carryOut(job);
      count++;
    }
    return count;
  }

  /** Beginning with any of them: the system promises no order. */
  #listReady(): number {
    const found = this.#found;
    found.length = 0;
    for (const [fd, { watched, listening, end }] of this.#sockets) {
      if (watched === 0) continue;
      const able =
        end === undefined
          ? required(listening, "listening").waiting.length > 0
            ? READABLE
            : 0
          : end.readyEvents;
      if ((able & watched) !== 0) found.push(fd, able & watched);
    }
    const pairs = found.length / 2;
    const first = pairs > 1 ? Math.floor(this.#machine.ground.random() * pairs) : 0;
    const count = Math.min(pairs, this.ready.length / 2);
    for (let index = 0; index < count; index++) {
      const from = 2 * ((first + index) % pairs);
      this.ready[2 * index] = entryOf(found, from);
      this.ready[2 * index + 1] = entryOf(found, from + 1);
    }
    this.#readyCount = count;
    return count;
  }

  get nextMs(): number {
    let next = this.#pending[0]?.endsMs ?? Number.POSITIVE_INFINITY;
    for (const { end } of this.#sockets.values()) if (end !== undefined) next = Math.min(next, end.nextMs);
    return next;
  }

  /** Ends of streams that stand. */
  get streams(): StreamEnd[] {
    return [...this.#sockets.values()].flatMap(({ end }) => (end?.isEstablished === true ? [end] : []));
  }

  /** The machine is dead: its connections break. */
  die(): void {
    for (const end of this.streams) end.break();
    this.#isClosed = true;
  }

  close(): void {
    if (this.#pending.length > 0) throw new Error("jobs are pending");
    for (const fd of [...this.#sockets.keys()]) this.closeSocket(fd);
    this.#isClosed = true;
  }
}

function readInto(fd: number, offset: number, parts: readonly Uint8Array[]): number {
  let at = offset;
  for (const part of parts) {
    const got = readSync(fd, part, 0, part.length, at);
    at += got;
    if (got < part.length) break;
  }
  return at - offset;
}

/** The addon of one machine. */
export function makeSimulatedBinding(machine: Machine): NativeBinding {
  return {
    createEngine: (options) => new SimulatedEngine(machine, options),
    createDatagramBatch: () => {
      throw new Error("there are no datagrams here");
    },
    reserveMemory: (bytes) => new ArrayBuffer(bytes),
    preferLargePages: () => {},
    releasePages: () => {},
    populatePages: () => {},
    prefetch: () => {},
    resourceUsage: () => ({
      userMicros: 0,
      systemMicros: 0,
      minorFaults: 0,
      majorFaults: 0,
      voluntarySwitches: 0,
      involuntarySwitches: 0,
    }),
    descriptorLimit: () => machine.descriptors.total,
    lockByte: () => 0,
    lookAtFiles: () => {
      throw new Error("no torrents are made here");
    },
    digestVariants: [],
    O_DIRECT: 0,
    EAGAIN,
    EINPROGRESS: -115,
    ECANCELED: -125,
    ENOTSUP,
    EINVAL,
    ENOBUFS: -105,
    EMFILE: -24,
    ENFILE: -23,
    ENOMEM: -12,
  };
}
