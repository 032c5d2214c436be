// The typed boundary to the addon, and the only file that loads it. Native code holds memory and makes system
// calls; it knows no BitTorrent. Nothing here allocates or throws on the hot path: results are bytes or a negative
// errno; an exception means that the caller misused the boundary.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, sep } from "node:path";
import { markAsUntransferable } from "node:worker_threads";
import { UsageError } from "../base/errors.js";
import { HASH_LANES, MAPPING_ADDRESS_STRIDE, PAGE_SIZE, PLAN_ENTRIES_MAX } from "../base/limits.js";
import { COST_NAMES } from "../base/metrics/costs.js";
import { findAddon, packageRoot, prebuiltFile } from "./addon-file.js";

/** What a watched socket is waiting for, and what a ready one can do; bits. */
export const READABLE = 1;
export const WRITABLE = 2;

/** The state of a stream cipher: a permutation of 256 bytes, and two counters. */
export const RC4_STATE_BYTES = 258;

/** Kinds of jobs for the addon's threads; word 0 of a submitted job. */
export const JobKind = {
  /**
   * pwritev(handle = fd, offset = file offset) from the listed memory. `argument`: 0, or WRITE_IN_TURN. Result: bytes (all of
   * them) or −errno.
   */
  write: 0,
  /** preadv(handle = fd, offset = file offset) into the listed memory. Result: bytes (fewer only at the end of the file) or −errno. */
  read: 1,
  /**
   * Feeds the listed memory to digest `handle`. `argument` bit 0: start anew first; bit 1: finish, and store the
   * digest (20 bytes for SHA-1) at address `offset`. Result: bytes fed. Jobs of one digest must not overlap in
   * time: submit the next when the last is complete. Jobs of different digests run side by side in one thread, which
   * costs a quarter each where the processor has wide registers: have many pending.
   */
  digest: 2,
  /** fallocate(handle = fd, offset, argument = length in bytes). Result: 0 or −errno. */
  allocate: 3,
  /** fdatasync(handle = fd). Result: 0 or −errno. */
  sync: 4,
  /** memcpy of the listed memory, one after the other, to address `offset`. Result: bytes. */
  copy: 5,
  /**
   * As digest, but feeds bytes of open files, which the thread that hashes reads itself. Instead of memory, each stretch has two
   * pairs: (descriptor, file offset) and (length, 0). Result: bytes fed, −EIO where a file ends too early, or −errno.
   */
  digestFiles: 6,
  /**
   * As digestFiles, of files that the thread that hashes opens and closes itself. Each stretch has two pairs: (address, bytes) of a path in
   * the slab that ends with its only zero, and (file offset, length). `argument` says with DIGEST_OPEN_FILES how many files may be open at
   * one time, 1 to PATHS_OPEN_MAX. Result: bytes fed, −EIO where a file ends too early, −EINVAL for what is no regular file, or −errno.
   */
  digestPaths: 7,
} as const;
export type JobKind = (typeof JobKind)[keyof typeof JobKind];
/**
 * Not at the same time as others of the same descriptor that say so: for writes through the page cache, of which the kernel
 * runs one at a time anyway. O_DIRECT ones run side by side.
 */
export const WRITE_IN_TURN = 1;
export const DIGEST_START = 1;
export const DIGEST_FINISH = 2;
/** Times the number of files that a JobKind.digestPaths may hold open. */
export const DIGEST_OPEN_FILES = 4;
export const PATHS_OPEN_MAX = 4;
/** Words that lookAtFiles() writes for each name. */
export const LOOK_WORDS = 4;
/** Words before the (address, length) pairs of a job: kind, tag, handle, offset, argument, pair count. */
export const JOB_HEADER_WORDS = 6;

/** Whom else a locked byte of a file keeps away: nobody (it is let go), those who want it for themselves, or everybody. */
export const ByteLock = { none: 0, shared: 1, exclusive: 2 } as const;
export type ByteLock = (typeof ByteLock)[keyof typeof ByteLock];

/** Words of 32 bits that the address of one datagram has. IPv4 uses the first, and the others are 0. */
export const ADDRESS_WORDS = 4;

/** What both sides count on. The addon exports its own under these names: an addon that was built from other sources is refused. */
const SHARED_CONSTANTS: Readonly<Record<string, number>> = {
  READABLE,
  WRITABLE,
  ...Object.fromEntries(Object.entries(JobKind).map(([name, kind]) => [`JobKind.${name}`, kind])),
  WRITE_IN_TURN,
  DIGEST_START,
  DIGEST_FINISH,
  DIGEST_OPEN_FILES,
  PATHS_OPEN_MAX,
  LOOK_WORDS,
  JOB_HEADER_WORDS,
  "COST_NAMES.length": COST_NAMES.length,
  PAGE_SIZE,
  PLAN_ENTRIES_MAX,
  MAPPING_ADDRESS_STRIDE,
  HASH_LANES,
  ADDRESS_WORDS,
  ...Object.fromEntries(Object.entries(ByteLock).map(([name, kind]) => [`ByteLock.${name}`, kind])),
};

export interface SocketAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * One engine: one slab, one poller, one queue of file jobs. A session makes one; closing it frees everything.
 * Shared arrays are views of memory that native code reads and writes during calls and before callbacks only.
 */
export interface NativeEngine {
  /** The slab, page-aligned at its start, `slabBytes` long. Address 0 is its first byte. */
  readonly slab: Uint8Array;
  /** Whether the shared arrays show ordinary ArrayBuffers, as in hosts that refuse external ones: their memory belongs to JavaScript. */
  readonly ordinaryBuffers: boolean;
  /** PLAN_ENTRIES_MAX pairs (address, length in bytes). */
  readonly plan: Float64Array;
  /** READY_ENTRIES_MAX pairs (fd, READABLE | WRITABLE). */
  readonly ready: Int32Array;
  /** JOB_WORDS_MAX words; see {@link submit}. */
  readonly jobs: Float64Array;
  /** COMPLETION_ENTRIES_MAX pairs (tag, result). */
  readonly completions: Float64Array;

  /** What was spent since the start while clockCosts was on, in nanoseconds; one number per COST_NAMES of metrics/costs.ts. */
  readonly costs: Float64Array;

  /** TCP, non-blocking, close-on-exec, SO_REUSEADDR; `host` is a numeric IPv4 or IPv6 address. fd or −errno (−EINVAL: host is not numeric). */
  listen(host: string, port: number, backlog: number): number;
  /** fd of the next connection (non-blocking, close-on-exec, TCP_NODELAY) or −errno (−EAGAIN: none waits). */
  accept(fd: number): number;
  /**
   * fd of a connection under way (EINPROGRESS counts as success; writable or an error follows), TCP_NODELAY set; or −errno. `source`: this
   * machine's address to connect from (−EAFNOSUPPORT: of the other kind, −EADDRNOTAVAIL: none of this machine's).
   */
  connect(host: string, port: number, source?: string): number;
  /** SO_ERROR of a socket as 0 or −errno; reading it clears it. */
  socketError(fd: number): number;
  /** Address, or −errno. */
  localAddress(fd: number): SocketAddress | number;
  remoteAddress(fd: number): SocketAddress | number;
  /** SO_RCVBUF and SO_SNDBUF in bytes; 0 leaves one as it is. 0 or −errno. */
  setBufferSizes(fd: number, receiveBytes: number, sendBytes: number): number;
  setNoDelay(fd: number, on: boolean): number;
  /** SO_RCVLOWAT: the socket is ready to be read from so many bytes on (or at the end of the stream). 0 or −errno. */
  setReceiveLowWater(fd: number, bytes: number): number;
  /** TCP_NOTSENT_LOWAT: the socket takes nothing, and is not ready to be written to, while so many bytes wait that have not left. 0 or −errno. */
  setUnsentBytesMax(fd: number, bytes: number): number;
  /** What is not sent when the socket is closed is dropped then, and the other side finds the connection reset. 0 or −errno. */
  discardUnsentAtClose(fd: number): number;
  /** Bytes that the other side has not acknowledged yet, or −errno (−ENOTSUP where nobody tells). */
  unacknowledgedBytes(fd: number): number;
  /** Stops watching, then closes. 0 or −errno. */
  closeSocket(fd: number): number;

  /**
   * UDP, bound, non-blocking, close-on-exec; an IPv6 one takes IPv6 only. SO_REUSEPORT by option; SO_RCVBUF and SO_SNDBUF in
   * bytes, 0 leaves them. fd or −errno (−EINVAL: host is not numeric).
   */
  bindDatagrams(
    host: string,
    port: number,
    reusePort: boolean,
    receiveBufferBytes: number,
    sendBufferBytes: number,
  ): number;
  /** Another descriptor of a socket that another thread's engine has bound: it lasts while one of them is open. fd or −errno. */
  shareDatagrams(fd: number): number;
  /** The socket knows this far end only from here on; ICMP errors of it are told by the next call. 0 or −errno. */
  connectDatagrams(fd: number, host: string, port: number): number;

  /** readv over plan entries first … first + count − 1. Bytes, 0 at the end of the stream, or −errno. One system call. */
  readv(fd: number, first: number, count: number): number;
  /** writev (MSG_NOSIGNAL; `more`: MSG_MORE where there is one). Bytes or −errno. One system call. */
  writev(fd: number, first: number, count: number, more: boolean): number;
  /** sendfile of `length` bytes of `fileFd` from `offset`. Bytes or −errno. One system call. */
  sendfile(fd: number, fileFd: number, offset: number, length: number): number;
  /** preadv of what is in the page cache already (RWF_NOWAIT): bytes, maybe fewer than asked, or −EAGAIN; −ENOTSUP where there is no such call. */
  readCached(fileFd: number, offset: number, first: number, count: number): number;
  /** memmove between any two addresses. */
  copy(from: number, to: number, length: number): void;
  /**
   * Transforms the first `bytes` bytes of plan entries first … first + count − 1 by the stream cipher whose state (RC4_STATE_BYTES) is
   * given, and goes on with it: in place, or to address `to` where that is ≥ 0. How many bytes there were.
   */
  rc4(state: Uint8Array, first: number, count: number, bytes: number, to: number): number;

  /** Whether calls and jobs are timed into `costs`. Off at first: looking at a clock costs something too. */
  clockCosts(on: boolean): void;

  /** Watches a socket for `events` (bits; 0 stops). Level-triggered. 0 or −errno. */
  watch(fd: number, events: number): number;
  /**
   * Called once per loop turn in which something happened, with the pairs now in `ready` and in `completions`.
   * What does not fit comes at the next turn.
   */
  onReady(callback: (readyCount: number, completionCount: number) => void): void;

  /**
   * Takes the jobs in jobs[0 … words − 1], each JOB_HEADER_WORDS words and its pairs, to the addon's threads.
   * Returns how many jobs. The memory they name must stay as it is until their completion is delivered.
   */
  submit(words: number): number;
  /** A new digest, to be used by digest jobs. A small number ≥ 0. */
  openDigest(algorithm: "sha1" | "sha256"): number;
  closeDigest(digest: number): void;

  /**
   * Maps `length` bytes of a file from its start, shared. Address of the first byte (≥ MAPPING_ADDRESS_STRIDE) or
   * −errno: −EFBIG from MAPPING_ADDRESS_STRIDE on, −EINVAL for a file that is not that long. `populate`: MAP_POPULATE where
   * there is one.
   */
  map(fd: number, length: number, writable: boolean, populate: boolean): number;
  /** Unmaps what `map` returned. No job or plan may name it any more. 0 or −errno. */
  unmap(address: number): number;
  /**
   * Whether touching the mapping that `address` lies in has found all of the file so far. False: somebody cut the file short (or its
   * disk fails), and zeros stand in for the rest; jobs that name the mapping answer −EFAULT from then on.
   */
  isIntact(address: number): boolean;

  /** Jobs that were submitted and whose completion was not delivered yet. */
  readonly jobsPending: number;
  /** Closes sockets, mappings and digests. Throws if jobs are pending. */
  close(): void;
}

/**
 * Memory for datagrams, and the system calls on it. Entry i has the bytes payload[i × slotBytes …], lengths[i], 4 words of address
 * (IPv4: the first) and a port; address and port are as in packets, in network byte order, whatever the machine's.
 */
export interface NativeDatagramBatch {
  /** As those of engines. */
  readonly ordinaryBuffers: boolean;
  readonly payload: Uint8Array;
  readonly lengths: Int32Array;
  readonly addresses: Uint32Array;
  readonly ports: Uint16Array;
  /** Up to `count` datagrams into entries 0 and following. How many, or −errno. A length above slotBytes: the end was cut off. */
  receive(fd: number, count: number): number;
  /** Sends entries first … first + count − 1; port 0: to where the socket is connected to. How many were taken, or why not the first: −errno. */
  send(fd: number, first: number, count: number): number;
}

export interface NativeBinding {
  /** Throws RangeError when there is not enough memory. `slabBytes`: a multiple of the page size. */
  createEngine(options: {
    slabBytes: number;
    planEntries: number;
    readyEntries: number;
    completionEntries: number;
    jobWords: number;
    /**
     * One of `digestVariants`, to compute all digests with, for tests and measurements; RangeError if it is not there.
     * Without it, or the environment's SCATTERWIRE_DIGEST, the cheapest for the number of digests at hand, as measured.
     */
    digestVariant?: string;
  }): NativeEngine;
  /**
   * `entries` up to 1024, `slotBytes` a multiple of 8 up to 65536, of sockets of one family. `portable`: a system call for each
   * datagram, as where there is no recvmmsg. Throws RangeError when there is not enough memory.
   */
  createDatagramBatch(
    entries: number,
    slotBytes: number,
    family: 4 | 6,
    portable: boolean,
  ): NativeDatagramBatch;
  /**
   * Zeros, `bytes` of them at least and 2^32 − 2^20 at the most, that take none of the machine's memory until they are touched; on
   * large pages where there are some. Throws RangeError when the address space has no room for them.
   */
  reserveMemory(bytes: number): ArrayBuffer;
  /** Has large pages, where there are some, for memory that was reserved elsewhere and not touched yet. */
  preferLargePages(memory: Uint8Array): void;
  /** Has a thread of the process's pool find the machine's memory for what will be written to, so that nobody waits for it then. */
  populatePages(memory: Uint8Array): void;
  /** Gives whole pages of memory that holds zeros only back to the machine, until they are touched again. */
  releasePages(memory: Uint8Array): void;
  /**
   * Asks the processor to bring runs of words near, and does not wait for it: `runs` has `count` pairs of a place in `words` and a number of
   * words, of which 512 count. A run that is not in `words` is passed over. One call costs as much as some ten lines.
   */
  prefetch(words: Uint32Array, runs: Int32Array, count: number): void;
  /** user and system CPU time of this process (getrusage) in microseconds, page faults, context switches. */
  resourceUsage(): {
    userMicros: number;
    systemMicros: number;
    minorFaults: number;
    majorFaults: number;
    voluntarySwitches: number;
    involuntarySwitches: number;
  };
  /** Descriptors that this process may have open (the soft limit of RLIMIT_NOFILE), Infinity where there is no limit. */
  descriptorLimit(): number;
  /**
   * Locks the byte at `offset` for this open file, until the end of the descriptor or another call. 0, −EAGAIN if another open file, of
   * whatever thread or process, is in the way, or −errno.
   */
  lockByte(fd: number, offset: number, kind: ByteLock): number;
  /**
   * Looks at files of a folder, at once and on this thread: `names` has a zero behind each. LOOK_WORDS for each of them go to `found`: bytes,
   * milliseconds since 1970 of the last change (as in node:fs), device, inode. Bytes are −1 for what is no regular file, cannot be looked
   * at, or (with `opening`) cannot be opened to be read. How many names there was room for.
   */
  lookAtFiles(folder: string, names: string, found: Float64Array, opening: boolean): number;
  /** The ways this machine can compute digests; a number at the end of a name says how many of them at one time. */
  readonly digestVariants: readonly string[];
  /** O_DIRECT of this platform, or 0 where there is none. */
  readonly O_DIRECT: number;
  /** Negative errno values that callers compare with. */
  readonly EAGAIN: number;
  readonly EINPROGRESS: number;
  readonly ECANCELED: number;
  readonly ENOTSUP: number;
  readonly EINVAL: number;
  readonly ENOBUFS: number;
  readonly EMFILE: number;
  readonly ENFILE: number;
  readonly ENOMEM: number;
}

let loaded: NativeBinding | undefined;

/**
 * The addon; loads it at the first call. Throws UsageError `ADDON_MISSING`, which says what is missing and how to build it. What needs no
 * addon (torrent files, connections over streams of the program's own) never calls this.
 */
export function loadBinding(): NativeBinding {
  if (loaded !== undefined) return loaded;
  const path = process.env["SCATTERWIRE_ADDON"] ?? findAddon();
  let reason: unknown;
  try {
    if (path !== undefined) {
      const binding = createRequire(import.meta.url)(path) as NativeBinding & {
        readonly constants?: unknown;
      };
      requireSameConstants(binding.constants);
      loaded = withFixedMemory(binding);
      return loaded;
    }
  } catch (error) {
    reason = error;
  }
  if ((reason as NodeJS.ErrnoException | undefined)?.code === "ERR_DLOPEN_DISABLED")
    throw new UsageError(
      "ADDON_MISSING",
      "the native addon cannot be loaded: this process may load none (start Node.js with --allow-addons beside --permission, or without --no-addons)",
      { cause: reason },
    );
  const what =
    path !== undefined && existsSync(path)
      ? `cannot be loaded (${(reason as Error).message})`
      : `is not built, and the package brings none that fits (${basename(prebuiltFile())})`;
  const how = packageRoot().includes(`${sep}node_modules${sep}`)
    ? "npm rebuild scatterwire"
    : "npm run build:addon";
  throw new UsageError(
    "ADDON_MISSING",
    `the native addon ${what}: run \`${how}\` (needs a C++20 compiler, make and python3)`,
    { cause: reason },
  );
}

/** Throws an error that names the first constant that is another, or missing. */
function requireSameConstants(found: unknown): void {
  const theirs = new Map<string, unknown>(Object.entries(found ?? {}));
  for (const [name, ours] of Object.entries(SHARED_CONSTANTS)) {
    const value = theirs.get(name);
    if (value !== ours)
      throw new Error(
        `it was built from other sources: ${name} is ${value ?? "missing"} there, and ${ours} here`,
      );
  }
}

/**
 * Jobs run in shared memory while JavaScript goes on: where that belongs to its ArrayBuffer (hosts like Electron), transferring the
 * buffer to a worker would free it under them. So nobody may. External ones Node.js marks itself; marked a second time, they
 * cannot be detached when the environment ends, for which later lines (24, 26) abort the process.
 */
function withFixedMemory(binding: NativeBinding): NativeBinding {
  return {
    ...binding,
    createEngine: (options) => {
      const engine = binding.createEngine(options);
      if (engine.ordinaryBuffers)
        for (const { buffer } of [engine.slab, engine.plan]) markAsUntransferable(buffer);
      return engine;
    },
    createDatagramBatch: (...options) => {
      const batch = binding.createDatagramBatch(...options);
      if (batch.ordinaryBuffers) markAsUntransferable(batch.payload.buffer);
      return batch;
    },
  };
}
