// Load for a UDP tracker, a process of its own: simulated peers connect, announce and scrape as fast as the tracker answers.
//
//   node tracker-load.js JSON        with TrackerLoadOptions; prints a line when it is ready, one every second, and one at the end
//
// It is the other half of a measurement, so it is light: batches of datagrams, templates of requests, nothing allocated. It ends
// after its time, or when its standard input does. Always: it sends to the tracker it was given and to nobody else.

import { renameSync, writeFileSync } from "node:fs";
import { messageOf } from "../../src/base/errors.js";
import { type DatagramBatch, type DatagramSocket, SystemDatagrams } from "../../src/native/datagrams.js";
import { Reactor } from "../../src/native/reactor.js";
import {
  ACTION_ANNOUNCE,
  ACTION_AT,
  ACTION_CONNECT,
  ACTION_SCRAPE,
  ANNOUNCE_REQUEST_BYTES,
  ANNOUNCE_RESPONSE_BYTES_MIN,
  CONNECT_REQUEST_BYTES,
  CONNECTION_ID_AT,
  DOWNLOADED_AT,
  ENDPOINT_BYTES_V4,
  ENDPOINT_BYTES_V6,
  EVENT_AT,
  EVENT_COMPLETED,
  EVENT_STARTED,
  INFO_HASH_AT,
  INFO_HASH_BYTES,
  LEFT_AT,
  NUM_WANT_AT,
  PORT_AT,
  RESPONSE_CONNECTION_ID_AT,
  RESPONSE_TRANSACTION_AT,
  SCRAPE_HASHES_AT,
  TRANSACTION_AT,
  UPLOADED_AT,
  writeConnectRequest,
} from "../../src/tracker/protocol/udp.js";
import { entryOf, firstOf, there } from "../measuring/ends.js";
import { percentiles } from "./percentiles.js";
import { Population } from "./tracker-population.js";

export interface TrackerLoadOptions {
  readonly host: string;
  readonly port: number;
  /** Which of the load processes this is, and of how many: each has its share of the peers. */
  readonly worker: number;
  readonly workers: number;
  /** 0: until standard input ends. */
  readonly durationSeconds: number;
  /** Worker i sends from 127.0.0.(1 + i). */
  readonly multipleClientIpv4s: boolean;
  readonly socketsPerWorker: number;
  readonly receiveBufferBytes: number;
  readonly torrents: number;
  readonly peers: number;
  readonly scrapeTorrentsMax: number;
  readonly peersWanted: number;
  readonly weightConnect: number;
  readonly weightAnnounce: number;
  readonly weightScrape: number;
  readonly seederProbability: number;
  /** Each announce names a torrent that nobody has heard of: what a tracker's bounds are for. */
  readonly freshTorrents?: boolean;
  /** Send while so large a share of all requests was answered; undefined: while `window` at the most are under way. */
  readonly throttle?: number;
  readonly window: number;
  /**
   * Where to write how many announces of each torrent were answered, now and then and at the end: a Uint32Array, under another name first.
   * Whoever started several of these adds theirs up.
   */
  readonly statisticsFile?: string;
  /** What is there sends everything back as it is; all that comes counts as an error response. */
  readonly echo?: boolean;
}

/** Requests that go out with one system call, and answers that come with one. */
const BATCH = 64;
const REQUEST_SLOT_BYTES = 5 * 64;
const RESPONSE_SLOT_BYTES = 2048;
const BYTES_OF_PEERS = 50;
/** Turns of the loop without a look at the clock. */
const TURNS_PER_LOOK = 256;
const FIRST_ID_TRIES = 100;
const LOST_AFTER_MS = 250;
/** Clients use an id for a minute (BEP 15); a load that never connects by its weights renews its ids all the same. */
const ID_MS = 45_000;
const LINES_PER_STATISTIC = 5;

interface Counts {
  requests: number;
  connects: number;
  announces: number;
  scrapes: number;
  errors: number;
  peers: number;
}

class Sender {
  readonly counts: Counts = { requests: 0, connects: 0, announces: 0, scrapes: 0, errors: 0, peers: 0 };
  readonly #options: TrackerLoadOptions;
  readonly #population: Population;
  readonly #sockets: DatagramSocket[];
  readonly #out: DatagramBatch;
  readonly #in: DatagramBatch;
  /** Connection ids of the sockets: high and low. */
  readonly #ids: Uint32Array;
  /** What slot i of `out` holds already: an announce's fields that never change. */
  readonly #template: Uint8Array;
  readonly #announced: Uint32Array;
  readonly #endpointBytes: number;
  readonly #connectBelow: number;
  readonly #announceBelow: number;
  readonly #seederBelow: number;
  #peer: number;
  readonly #peersEnd: number;
  #answered = 0;
  #lost = 0;
  #answeredAtLook = 0;
  #lookMs = 0;
  #idsMs = 0;
  /** Of each socket: whether its next batch begins with a connect. */
  readonly #idDue: Uint8Array;

  constructor(options: TrackerLoadOptions, reactor: Reactor) {
    this.#options = options;
    const { host, socketsPerWorker, worker, workers, peers } = options;
    const ipv6 = host.includes(":");
    const own = ipv6 ? "::1" : options.multipleClientIpv4s ? `127.0.0.${1 + worker}` : "127.0.0.1";
    const datagrams = new SystemDatagrams(reactor);
    this.#sockets = Array.from({ length: socketsPerWorker }, () => {
      const socket = datagrams.bind({ host: own, port: 0, receiveBufferBytes: options.receiveBufferBytes });
      socket.connect({ host, port: options.port });
      return socket;
    });
    const first = firstOf(this.#sockets);
    this.#out = first.makeBatch(BATCH, REQUEST_SLOT_BYTES);
    this.#in = first.makeBatch(BATCH, RESPONSE_SLOT_BYTES);
    this.#out.ports.fill(0);
    this.#template = new Uint8Array(BATCH);
    this.#ids = new Uint32Array(2 * socketsPerWorker);
    this.#idDue = new Uint8Array(socketsPerWorker);
    this.#endpointBytes = ipv6 ? ENDPOINT_BYTES_V6 : ENDPOINT_BYTES_V4;
    this.#population = new Population({
      torrents: options.torrents,
      peers,
      scrapeTorrentsMax: options.scrapeTorrentsMax,
      seed: 0xa0a0,
    });
    this.#announced = new Uint32Array(options.statisticsFile === undefined ? 0 : options.torrents);
    const weights = options.weightConnect + options.weightAnnounce + options.weightScrape;
    this.#connectBelow = (options.weightConnect / weights) * 2 ** 32;
    this.#announceBelow = ((options.weightConnect + options.weightAnnounce) / weights) * 2 ** 32;
    this.#seederBelow = options.seederProbability * 2 ** 32;
    this.#peer = Math.floor((peers * worker) / workers);
    this.#peersEnd = Math.floor((peers * (worker + 1)) / workers);
  }

  get population(): Population {
    return this.#population;
  }

  /** A connection id for each socket; throws when the tracker says nothing for as long as it is asked. */
  async begin(): Promise<void> {
    for (let second = 0; second < 5; second++) {
      for (const [index, socket] of this.#sockets.entries()) {
        this.#out.lengths[0] = writeConnectRequest(this.#out.view, 0, index);
        this.#out.ports[0] = 0;
        socket.send(this.#out, 0, 1);
      }
      for (let tries = 0; tries < FIRST_ID_TRIES; tries++) {
        for (let index = 0; index < this.#sockets.length; index++) this.#receive(index);
        if (this.counts.connects >= this.#sockets.length) break;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      if (this.counts.connects >= this.#sockets.length) break;
    }
    if (this.counts.connects < this.#sockets.length) throw new Error("the tracker does not answer");
    this.counts.connects = 0;
    this.#answered = 0;
    this.#template.fill(0);
  }

  /** One round over the sockets. */
  turn(): void {
    for (let index = 0; index < this.#sockets.length; index++) {
      if (this.#maySend()) this.#send(index);
      this.#receive(index);
    }
  }

  /** What was not answered for so long is lost, and others may be sent in its place. */
  look(nowMs: number): void {
    if (nowMs - this.#lookMs < LOST_AFTER_MS) return;
    if (this.#answered === this.#answeredAtLook) this.#lost = this.counts.requests - this.#answered;
    this.#answeredAtLook = this.#answered;
    this.#lookMs = nowMs;
    if (nowMs - this.#idsMs < ID_MS) return;
    if (this.#idsMs > 0) this.#idDue.fill(1);
    this.#idsMs = nowMs;
  }

  writeStatistics(): void {
    const { statisticsFile } = this.#options;
    if (statisticsFile === undefined) return;
    writeFileSync(`${statisticsFile}.new`, this.#announced);
    renameSync(`${statisticsFile}.new`, statisticsFile);
  }

  #maySend(): boolean {
    const { throttle, window } = this.#options;
    const sent = this.counts.requests;
    if (throttle === undefined) return sent - this.#lost - this.#answered < window;
    return sent === 0 || this.#answered / sent >= throttle || (this.#population.roll() & 0xff) === 0;
  }

  #send(index: number): void {
    const { view, lengths } = this.#out;
    const population = this.#population;
    for (let entry = 0; entry < BATCH; entry++) {
      const at = entry * REQUEST_SLOT_BYTES;
      const dice = population.roll();
      const isDue = entry === 0 && this.#idDue[index] === 1;
      if (isDue || dice < this.#connectBelow) {
        this.#idDue[index] = 0;
        lengths[entry] = writeConnectRequest(view, at, index);
        this.#template[entry] = 0;
        continue;
      }
      view.setUint32(at + CONNECTION_ID_AT, there(this.#ids[2 * index]));
      view.setUint32(at + CONNECTION_ID_AT + 4, there(this.#ids[2 * index + 1]));
      const peer = this.#peer;
      this.#peer = peer + 1 === this.#peersEnd ? this.#peersEnd - this.#share() : peer + 1;
      view.setUint32(at + TRANSACTION_AT, peer);
      lengths[entry] =
        dice < this.#announceBelow ? this.#announce(entry, at, peer) : this.#scrape(entry, at, peer);
    }
    this.counts.requests += entryOf(this.#sockets, index).send(this.#out, 0, BATCH);
  }

  #share(): number {
    const { peers, worker, workers } = this.#options;
    return this.#peersEnd - Math.floor((peers * worker) / workers);
  }

  #announce(entry: number, at: number, peer: number): number {
    const { view, bytes } = this.#out;
    if (this.#template[entry] === 0) {
      bytes.fill(0, at + INFO_HASH_AT, at + ANNOUNCE_REQUEST_BYTES);
      view.setUint32(at + ACTION_AT, ACTION_ANNOUNCE);
      view.setUint32(at + DOWNLOADED_AT + 4, BYTES_OF_PEERS);
      view.setUint32(at + UPLOADED_AT + 4, BYTES_OF_PEERS);
      view.setUint32(at + NUM_WANT_AT, this.#options.peersWanted);
      this.#template[entry] = 1;
    }
    if (this.#options.freshTorrents === true) this.#freshHash(at + INFO_HASH_AT);
    else this.#hash(at + INFO_HASH_AT, there(this.#population.torrentOf[peer]));
    const seeder = this.#population.roll() < this.#seederBelow;
    view.setUint32(at + LEFT_AT + 4, seeder ? 0 : BYTES_OF_PEERS);
    view.setUint32(at + EVENT_AT, seeder ? EVENT_COMPLETED : EVENT_STARTED);
    view.setUint16(at + PORT_AT, there(this.#population.portOf[peer]));
    return ANNOUNCE_REQUEST_BYTES;
  }

  #scrape(entry: number, at: number, peer: number): number {
    this.#template[entry] = 0;
    this.#out.view.setUint32(at + ACTION_AT, ACTION_SCRAPE);
    const first = this.#population.scrapeFirstOf(peer);
    const count = there(this.#population.scrapeCountOf[peer]);
    for (let index = 0; index < count; index++)
      this.#hash(
        at + SCRAPE_HASHES_AT + index * INFO_HASH_BYTES,
        there(this.#population.scraped[first + index]),
      );
    return SCRAPE_HASHES_AT + count * INFO_HASH_BYTES;
  }

  #hash(at: number, torrent: number): void {
    const { words } = this.#out;
    const { hashes } = this.#population;
    const to = at >>> 2;
    const from = torrent * 5;
    for (let word = 0; word < 5; word++) words[to + word] = there(hashes[from + word]);
  }

  #freshHash(at: number): void {
    const { words } = this.#out;
    for (let word = at >>> 2; word < (at >>> 2) + 5; word++) words[word] = this.#population.roll();
  }

  #receive(index: number): void {
    const batch = this.#in;
    const count = entryOf(this.#sockets, index).receive(batch);
    if (count <= 0) return;
    const { view, lengths } = batch;
    const { counts } = this;
    for (let entry = 0; entry < count; entry++) {
      const at = entry * RESPONSE_SLOT_BYTES;
      const length = there(lengths[entry]);
      const action = length < 8 ? -1 : view.getUint32(at);
      if (action === ACTION_ANNOUNCE && length >= ANNOUNCE_RESPONSE_BYTES_MIN) {
        counts.announces++;
        counts.peers += ((length - ANNOUNCE_RESPONSE_BYTES_MIN) / this.#endpointBytes) | 0;
        if (this.#announced.length > 0) {
          const peer = view.getUint32(at + RESPONSE_TRANSACTION_AT);
          const torrent = there(this.#population.torrentOf[peer]);
          this.#announced[torrent] = there(this.#announced[torrent]) + 1;
        }
      } else if (action === ACTION_CONNECT && length >= CONNECT_REQUEST_BYTES) {
        counts.connects++;
        this.#ids[2 * index] = view.getUint32(at + RESPONSE_CONNECTION_ID_AT);
        this.#ids[2 * index + 1] = view.getUint32(at + RESPONSE_CONNECTION_ID_AT + 4);
      } else if (action === ACTION_SCRAPE) counts.scrapes++;
      else counts.errors++;
    }
    this.#answered += count;
  }
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

async function main(): Promise<void> {
  const options = JSON.parse(entryOf(process.argv, 2)) as TrackerLoadOptions;
  const reactor = new Reactor(4096);
  const sender = new Sender(options, reactor);
  let stopped = false;
  process.stdin.resume().once("end", () => {
    stopped = true;
  });
  process.stdin.once("error", () => {
    stopped = true;
  });
  if (options.echo !== true) await sender.begin();
  const popularity = options.worker === 0 ? sender.population.popularity() : [];
  print({ ready: true, torrents: popularity.length, peersPerTorrent: percentiles(popularity) });
  const started = performance.now();
  const cpuAtStart = process.cpuUsage();
  let told = started;
  let lines = 0;
  for (let now = started; !stopped; now = performance.now()) {
    if (options.durationSeconds > 0 && now - started >= 1000 * options.durationSeconds) break;
    if (now - told >= 1000) {
      told = now;
      if (++lines % LINES_PER_STATISTIC === 0) sender.writeStatistics();
      print({ seconds: (now - started) / 1000, ...sender.counts });
    }
    sender.look(now);
    for (let turn = 0; turn < TURNS_PER_LOOK; turn++) sender.turn();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { user, system } = process.cpuUsage(cpuAtStart);
  sender.writeStatistics();
  print({
    seconds: (performance.now() - started) / 1000,
    ...sender.counts,
    cpuSeconds: (user + system) / 1e6,
  });
  reactor.close();
  process.stdin.destroy();
}

try {
  await main();
} catch (error) {
  console.error(`scatterwire: ${messageOf(error)}`);
  process.exitCode = 1;
  process.stdin.destroy();
}
