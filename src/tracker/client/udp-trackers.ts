// The client's side of UDP trackers (BEP 15): requests of all torrents over one socket for each kind of address that they go to, and each that
// they are to come from.
//
//   request ──▶ waits for a connection id ──▶ sent ──answer──▶ done
//                    │        ▲                 │ silence of 15 × 2^n s: sent again, after TRIES in vain: TRACKER_TIMEOUT
//              connect sent   └── id too old ───┘
//
// One file, because requests, connection ids and sockets wait for each other, and end together.
//
// Always: an answer counts only if it has the transaction id of a request that is under way, 32 bits that nobody can guess, and comes
// from the address and port that was asked; all else is dropped and counted. A connection id is used for a minute. A tracker that is
// asked by many torrents at once is connected to once. Sockets are there from the first request on, and keep Node.js alive only while
// there is one.

import { TrackerError } from "../../base/errors.js";
import type { Ground, Timer } from "../../base/ground.js";
import { reasonAgainstSource, type SourceFor } from "../../base/network-address.js";
import { addressText, compactAddress } from "../../codec/compact-address.js";
import {
  ADDRESS_WORDS,
  type DatagramBatch,
  type DatagramHandler,
  type DatagramSocket,
  type Datagrams,
  READABLE,
} from "../../native/datagrams.js";
import * as udp from "../protocol/udp.js";
import {
  type AnnounceAnswer,
  type AnnounceEvent,
  type AnnounceRequest,
  PEERS_MAX,
  type PeerEndpoint,
  printableText,
  type ScrapeEntry,
} from "./announce.js";

/** Silence until a request is sent for the second time; it doubles each time. */
const RETRY_MS = 15_000;
/** 15, 30 and 60 seconds. BEP 15 has nine, an hour and more: whoever asks has other trackers, and asks again later. */
const TRIES = 3;
const CONNECTION_ID_MS = 60_000;
/** Trackers whose connection ids are remembered. */
const TRACKERS_MAX = 256;
/** A request with the longest path, an answer with as many peers as a datagram of 4 KiB has. */
const SLOT_BYTES = 4096;
const RECEIVE_ENTRIES = 16;
/** Of a turn; whoever floods us has the next turn, too. */
const RECEIVE_BATCHES = 8;
const ERROR_BYTES_MAX = 1024;

const EVENTS: Readonly<Record<AnnounceEvent, number>> = {
  none: udp.EVENT_NONE,
  started: udp.EVENT_STARTED,
  completed: udp.EVENT_COMPLETED,
  stopped: udp.EVENT_STOPPED,
  // BEP 21 has it for HTTP only.
  paused: udp.EVENT_NONE,
};

export interface UdpTrackersOptions {
  readonly datagrams: Datagrams;
  readonly ground: Ground;
  /** By default the system chooses. */
  readonly sourceFor?: SourceFor | undefined;
}

/** One tracker at one address. */
interface Far {
  readonly key: string;
  readonly address: Uint8Array;
  readonly port: number;
  idHigh: number;
  idLow: number;
  idAtMs: number;
  connecting: Request | undefined;
  readonly waiting: Set<Request>;
  /** Requests of whatever state, the one for a connection id among them. */
  users: number;
}

interface Request {
  readonly far: Far;
  readonly line: Line;
  readonly action: number;
  readonly transaction: number;
  tries: number;
  timer: Timer | undefined;
  readonly write: (view: DataView, at: number, far: Far, transaction: number) => number;
  /** The answer, as long as the call takes. */
  readonly done: (view: DataView, at: number, length: number) => void;
  readonly failed: (error: TrackerError) => void;
}

/** A socket with its memory. */
interface Line {
  readonly socket: DatagramSocket;
  readonly incoming: DatagramBatch;
  readonly outgoing: DatagramBatch;
  readonly handler: DatagramHandler;
  /** Requests that are under way; it is watched while there are any. */
  users: number;
}

export interface UdpTrackersCounters {
  sent: number;
  answers: number;
  /** Datagrams that answer nothing: late, doubled, forged. */
  unasked: number;
}

export class UdpTrackers {
  readonly counters: UdpTrackersCounters = { sent: 0, answers: 0, unasked: 0 };
  readonly #options: UdpTrackersOptions;
  readonly #requests = new Map<number, Request>();
  readonly #fars = new Map<string, Far>();
  /** By the address that they are bound to. */
  readonly #lines = new Map<string, Line>();
  readonly #dice = new Uint32Array(1);
  #isClosed = false;

  constructor(options: UdpTrackersOptions) {
    this.#options = options;
  }

  /** Requests that are under way, those for connection ids included. */
  get pending(): number {
    return this.#requests.size;
  }

  /** `host` is numeric; `path` is that of the tracker's URL, "/" for none. Rejects TrackerError; an abort by `signal` is TRACKER_CLOSED. */
  announce(
    { host, port, path }: { host: string; port: number; path: string },
    request: AnnounceRequest,
    signal?: AbortSignal,
  ): Promise<AnnounceAnswer> {
    const ip = compactAddress(request.ip ?? "");
    const fields: udp.AnnounceFields = {
      ...request,
      event: EVENTS[request.event],
      ip: ip?.length === 4 ? new DataView(ip.buffer).getUint32(0) : 0,
      port: host.includes(":") ? request.ports.v6 : request.ports.v4,
    };
    const write = (view: DataView, at: number, { idHigh, idLow }: Far, transaction: number): number => {
      const length = udp.writeAnnounceRequest(view, at, idHigh, idLow, transaction, fields);
      return path === "/" ? length : udp.appendUrlData(view, at, length, Buffer.from(path, "latin1"));
    };
    const isV6 = host.includes(":");
    return this.#ask(host, port, udp.ACTION_ANNOUNCE, write, signal, (view, at, length) => ({
      interval: view.getUint32(at + udp.RESPONSE_INTERVAL_AT),
      minInterval: undefined,
      seeders: view.getUint32(at + udp.RESPONSE_SEEDERS_AT),
      leechers: view.getUint32(at + udp.RESPONSE_LEECHERS_AT),
      downloads: undefined,
      peers: readPeers(view, at, length, isV6 ? udp.ENDPOINT_BYTES_V6 : udp.ENDPOINT_BYTES_V4),
      warning: undefined,
      trackerId: undefined,
      externalIp: undefined,
    }));
  }

  /** Up to SCRAPE_HASHES_MAX torrents. Rejects as announce(). */
  scrape(
    { host, port }: { host: string; port: number },
    infoHashes: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<ScrapeEntry[]> {
    const hashes = infoHashes.slice(0, udp.SCRAPE_HASHES_MAX);
    const write = (view: DataView, at: number, { idHigh, idLow }: Far, transaction: number): number =>
      udp.writeScrapeRequest(view, at, idHigh, idLow, transaction, hashes);
    return this.#ask(host, port, udp.ACTION_SCRAPE, write, signal, (view, at, length) => {
      const entries: ScrapeEntry[] = [];
      for (const [index, hash] of hashes.entries()) {
        const entry = at + udp.RESPONSE_SCRAPE_AT + index * udp.SCRAPE_ENTRY_BYTES;
        if (entry + udp.SCRAPE_ENTRY_BYTES > at + length) break;
        entries.push({
          infoHash: Buffer.from(hash).toString("hex"),
          seeders: view.getUint32(entry),
          downloads: view.getUint32(entry + 4),
          leechers: view.getUint32(entry + 8),
        });
      }
      return entries;
    });
  }

  /** Whoever waits hears TRACKER_CLOSED. */
  close(): void {
    this.#isClosed = true;
    for (const request of [...this.#requests.values()])
      this.#fail(request, new TrackerError("TRACKER_CLOSED", "the session was closed"));
    for (const { socket } of this.#lines.values()) socket.close();
    this.#lines.clear();
    this.#fars.clear();
  }

  async #ask<Answer>(
    host: string,
    port: number,
    action: number,
    write: Request["write"],
    signal: AbortSignal | undefined,
    read: (view: DataView, at: number, length: number) => Answer,
  ): Promise<Answer> {
    if (this.#isClosed || signal?.aborted === true)
      throw new TrackerError("TRACKER_CLOSED", "nobody waits for the answer any more");
    const line = this.#lineFor(host);
    const far = this.#farAt(host, port);
    let request: Request | undefined;
    let abort = (): void => {};
    try {
      return await new Promise<Answer>((resolve, reject) => {
        request = this.#begin(
          line,
          far,
          action,
          write,
          (view, at, length) => resolve(read(view, at, length)),
          reject,
        );
        const asked = request;
        abort = () =>
          this.#fail(asked, new TrackerError("TRACKER_CLOSED", "nobody waits for the answer any more"));
        signal?.addEventListener("abort", abort, { once: true });
        this.#proceed(asked);
      });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  // ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

  #begin(
    line: Line,
    far: Far,
    action: number,
    write: Request["write"],
    done: Request["done"],
    failed: Request["failed"],
  ): Request {
    let transaction = 0;
    do {
      this.#options.ground.fillRandom(new Uint8Array(this.#dice.buffer), 0);
      transaction = this.#dice[0] ?? 0;
    } while (this.#requests.has(transaction));
    const request = { far, line, action, transaction, tries: 0, timer: undefined, write, done, failed };
    this.#requests.set(transaction, request);
    far.users++;
    if (line.users++ === 0) line.socket.watch(line.handler, READABLE);
    return request;
  }

  /** Sends it, or sees to it that there is a connection id first. */
  #proceed(request: Request): void {
    const { far } = request;
    if (this.#options.ground.nowMs() - far.idAtMs < CONNECTION_ID_MS) {
      this.#send(request);
      return;
    }
    far.waiting.add(request);
    if (far.connecting !== undefined) return;
    far.connecting = this.#begin(
      request.line,
      far,
      udp.ACTION_CONNECT,
      (view, at, _far, transaction) => udp.writeConnectRequest(view, at, transaction),
      (view, at) => {
        far.connecting = undefined;
        far.idHigh = view.getUint32(at + udp.RESPONSE_CONNECTION_ID_AT);
        far.idLow = view.getUint32(at + udp.RESPONSE_CONNECTION_ID_AT + 4);
        far.idAtMs = this.#options.ground.nowMs();
        const waiting = [...far.waiting];
        far.waiting.clear();
        for (const each of waiting) this.#send(each);
      },
      (error) => {
        far.connecting = undefined;
        for (const each of [...far.waiting]) this.#fail(each, error);
      },
    );
    this.#send(far.connecting);
  }

  #send(request: Request): void {
    const { far, line, transaction, write } = request;
    const { socket, outgoing } = line;
    outgoing.lengths[0] = write(outgoing.view, 0, far, transaction);
    writeBytes(outgoing.addresses, far.address);
    writeBytes(outgoing.ports, Uint8Array.of(far.port >>> 8, far.port & 0xff));
    // A full queue drops it, as the network might: it is sent again.
    const refusedBefore = socket.counters.refused;
    socket.send(outgoing, 0, 1);
    this.counters.sent++;
    if (socket.counters.refused > refusedBefore) {
      const error = new TrackerError("TRACKER_UNREACHABLE", `no way to ${addressText(far.address)}`);
      this.#fail(request, error);
      return;
    }
    const ms = RETRY_MS * 2 ** request.tries;
    request.timer?.close();
    request.timer = this.#options.ground.after(ms, () => this.#silent(request));
  }

  #silent(request: Request): void {
    if (++request.tries === TRIES) {
      const seconds = (RETRY_MS * (2 ** TRIES - 1)) / 1000;
      this.#fail(request, new TrackerError("TRACKER_TIMEOUT", `no answer within ${seconds} s`));
    } else if (request.action === udp.ACTION_CONNECT) this.#send(request);
    else this.#proceed(request);
  }

  #end(request: Request): boolean {
    if (!this.#requests.delete(request.transaction)) return false;
    request.timer?.close();
    request.far.waiting.delete(request);
    request.far.users--;
    const { line } = request;
    if (--line.users === 0) line.socket.watch(line.handler, 0);
    return true;
  }

  #fail(request: Request, error: TrackerError): void {
    const { far } = request;
    if (!this.#end(request)) return;
    request.failed(error);
    if (far.connecting === undefined || far.users > 1) return;
    // Nobody waits for the connection id any more.
    this.#end(far.connecting);
    far.connecting = undefined;
  }

  // ── trackers ─────────────────────────────────────────────────────────────────────────────────────────────────

  #farAt(host: string, port: number): Far {
    const address = compactAddress(host);
    if (address === undefined)
      throw new TrackerError("TRACKER_URL", `not a numeric address: ${printableText(host)}`);
    const key = `${addressText(address)} ${port}`;
    const known = this.#fars.get(key);
    if (known !== undefined) return known;
    if (this.#fars.size >= TRACKERS_MAX)
      for (const [each, far] of this.#fars) if (far.users === 0) this.#fars.delete(each);
    const far: Far = {
      key,
      address,
      port,
      idHigh: 0,
      idLow: 0,
      idAtMs: Number.NEGATIVE_INFINITY,
      connecting: undefined,
      waiting: new Set(),
      users: 0,
    };
    this.#fars.set(key, far);
    return far;
  }

  // ── sockets ──────────────────────────────────────────────────────────────────────────────────────────────────

  #lineFor(far: string): Line {
    const { datagrams, sourceFor } = this.#options;
    const isV6 = far.includes(":");
    const source = sourceFor?.(far);
    const reason = reasonAgainstSource(source, far);
    if (reason !== undefined) throw new TrackerError("TRACKER_UNREACHABLE", reason);
    const host = source ?? (isV6 ? "::" : "0.0.0.0");
    const there = this.#lines.get(host);
    if (there !== undefined) return there;
    let socket: DatagramSocket;
    try {
      socket = datagrams.bind({ host, port: 0 });
    } catch (error) {
      const why = source === undefined ? `no IPv${isV6 ? 6 : 4} here` : `it cannot be asked from ${source}`;
      throw new TrackerError("TRACKER_UNREACHABLE", why, { cause: error });
    }
    const line: Line = {
      socket,
      incoming: socket.makeBatch(RECEIVE_ENTRIES, SLOT_BYTES),
      outgoing: socket.makeBatch(1, SLOT_BYTES),
      handler: { datagramsReady: () => this.#receive(line) },
      users: 0,
    };
    this.#lines.set(host, line);
    return line;
  }

  #receive({ socket, incoming }: Line): void {
    for (let batch = 0; batch < RECEIVE_BATCHES && !this.#isClosed; batch++) {
      const count = socket.receive(incoming);
      if (count === 0) return;
      for (let entry = 0; entry < count; entry++) this.#received(incoming, entry);
    }
  }

  #received(batch: DatagramBatch, entry: number): void {
    const at = entry * batch.slotBytes;
    const length = Math.min(batch.slotBytes, batch.lengths[entry] ?? 0);
    const action = udp.responseAction(batch.view, at, length);
    const transaction = action < 0 ? 0 : batch.view.getUint32(at + udp.RESPONSE_TRANSACTION_AT);
    const request = action < 0 ? undefined : this.#requests.get(transaction);
    if (request === undefined || !isFrom(batch, entry, request.far)) {
      this.counters.unasked++;
      return;
    }
    if (action === udp.ACTION_ERROR) {
      this.counters.answers++;
      // It may be the id that it does not like.
      request.far.idAtMs = Number.NEGATIVE_INFINITY;
      const text = batch.bytes.subarray(
        at + udp.ERROR_RESPONSE_BYTES_MIN,
        at + Math.min(length, ERROR_BYTES_MAX),
      );
      const reason = printableText(Buffer.from(text).toString("utf8"));
      this.#fail(request, new TrackerError("TRACKER_FAILURE", reason || "it gives no reason"));
    } else if (action === request.action) {
      this.counters.answers++;
      this.#end(request);
      request.done(batch.view, at, length);
    } else this.counters.unasked++;
  }
}

function readPeers(view: DataView, at: number, length: number, size: number): PeerEndpoint[] {
  const peers: PeerEndpoint[] = [];
  const end = at + length;
  for (let from = at + udp.RESPONSE_PEERS_AT; from + size <= end && peers.length < PEERS_MAX; from += size) {
    const host = addressText(new Uint8Array(view.buffer, view.byteOffset + from, size - 2));
    const port = view.getUint16(from + size - 2);
    if (host !== undefined && port > 0) peers.push({ host, port });
  }
  return peers;
}

/** Sets what the first entry of a table has, in network byte order. */
function writeBytes(table: Uint32Array | Uint16Array, bytes: Uint8Array): void {
  const all = new Uint8Array(table.buffer, table.byteOffset, table.byteLength);
  all.fill(0);
  all.set(bytes);
}

function isFrom(batch: DatagramBatch, entry: number, { address, port }: Far): boolean {
  const { addresses, ports } = batch;
  const from = new Uint8Array(
    addresses.buffer,
    addresses.byteOffset + 4 * ADDRESS_WORDS * entry,
    address.length,
  );
  const [high = 0, low = 0] = new Uint8Array(ports.buffer, ports.byteOffset + 2 * entry, 2);
  return ((high << 8) | low) === port && from.every((byte, index) => byte === address[index]);
}
