// A swarm of whole sessions in a simulated network: one seed and leechers that know each other, of which some are killed, some leave,
// some are slow, and some have a disk that is full for a moment. What happens, and when, follows from the seed.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { MIB } from "../../src/base/limits.js";
import { sessionCoreOf } from "../../src/client/session/session.js";
import {
  type Metainfo,
  RECEIVE_MODES,
  SEND_MODES,
  Session,
  type Torrent,
  type TorrentOptions,
} from "../../src/index.js";
import { entryOf, required } from "./required.js";
import { type Machine, SimulatedNetwork } from "./simulated-network.js";

const PORT = 6881;
const ENOSPC = -28;
/** Virtual time in which a swarm must be done. */
const SWARM_MS_MAX = 10 * 60_000;
/**
 * Connections break for so long, however few are left: whoever is the last one to download loses each of them before a block can come, and
 * has to find its way back to the others when that is over.
 */
const BREAKING_MS = 60_000;
const TRACE_LINES_SHOWN = 20;
type Fate = "stays" | "dies" | "leaves" | "full disk";
const FATES: readonly Fate[] = ["stays", "stays", "stays", "dies", "leaves", "full disk"];
/** Of peers that nobody can do without, by index: each fate is met in every run. */
const SURE_FATES: ReadonlyMap<number, Fate> = new Map([
  [2, "dies"],
  [3, "full disk"],
  [6, "dies"],
  [7, "leaves"],
]);
/** What meets those is early enough to find them at work. */
const SURE_MS_MAX = 400;
const FATE_MS_MAX = 3000;

export interface SwarmOptions {
  readonly peers: number;
  /** Connections that break, and how many of the peers meet a fate. */
  readonly faults: boolean;
}

/** What all peers of a swarm are about. */
export interface SharedTorrent {
  readonly metainfo: Metainfo;
  readonly data: Buffer;
  /** Where the seed has it. */
  readonly folder: string;
}

interface Peer {
  readonly machine: Machine;
  readonly session: Session;
  readonly options: TorrentOptions;
  torrent: Torrent;
  /** Left on purpose. */
  isGone: boolean;
  restarts: number;
}

export interface SwarmResult {
  readonly trace: readonly string[];
  readonly digest: string;
  readonly virtualMs: number;
  readonly finished: number;
  readonly killed: number;
  readonly left: number;
  /** Downloads that failed for a full disk and were added anew. */
  readonly restarted: number;
  readonly connectionsBroken: number;
}

class Swarm {
  readonly #network: SimulatedNetwork;
  readonly #shared: SharedTorrent;
  readonly #folder: string;
  readonly #options: SwarmOptions;
  readonly #peers: Peer[] = [];
  #broken = 0;
  #left = 0;

  constructor(seed: number, shared: SharedTorrent, folder: string, options: SwarmOptions) {
    this.#network = new SimulatedNetwork(seed);
    this.#shared = shared;
    this.#folder = folder;
    this.#options = options;
    this.#network.afterTurn = (machine) => this.#check(machine);
  }

  async run(): Promise<SwarmResult> {
    const network = this.#network;
    for (let index = 0; index < this.#options.peers; index++) await this.#addPeer(index);
    assert.equal(entryOf(this.#peers, 0).torrent.state, "seeding", "the seed has everything");
    if (this.#options.faults) this.#scheduleFaults();
    await network.run(() => this.#isDone, SWARM_MS_MAX, "all that stay have everything");
    const finished = this.#peers.filter((peer) => this.#stays(peer));
    for (const peer of finished) await this.#compare(peer);
    for (const { machine, session } of this.#peers) {
      if (machine.isDead) continue;
      await network.until(session.close(), SWARM_MS_MAX, "a session closes");
      assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {}, "all slots are home");
      assert.equal(sessionCoreOf(session).reactor.jobs.inFlight, 0);
    }
    return {
      trace: network.trace,
      digest: network.digest,
      virtualMs: network.nowMs,
      finished: finished.length,
      killed: this.#peers.filter(({ machine }) => machine.isDead).length,
      left: this.#left,
      restarted: this.#peers.reduce((sum, { restarts }) => sum + restarts, 0),
      connectionsBroken: this.#broken,
    };
  }

  /** Who is how far, and what happened last: for the message of a failure. */
  describe(): string {
    const peers = this.#peers.map((peer) => {
      const { machine, torrent, isGone } = peer;
      const fate = machine.isDead ? "killed" : isGone ? "left" : torrent.state;
      const { piecesVerified, peers } = torrent.progress();
      return `${machine.host}: ${fate}, ${piecesVerified} pieces, ${peers} peers, ${peer.restarts} restarts`;
    });
    return [...peers, "", ...this.#network.trace.slice(-TRACE_LINES_SHOWN)].join("\n");
  }

  async #addPeer(index: number): Promise<void> {
    const network = this.#network;
    const machine = network.addMachine(`10.0.0.${index + 1}`, {
      delayMs: network.pick(0, 40),
      // The seed is fast enough; every fifth of the others is slow.
      bytesPerMs: index === 0 ? 4000 : index % 5 === 4 ? network.pick(20, 60) : network.pick(200, 2000),
      windowBytes: network.pick(2, 16) * 16_384,
    });
    const session = new Session(
      {
        poolBytes: network.pick(1, 4) * MIB,
        receiveMode: entryOf(RECEIVE_MODES, index % RECEIVE_MODES.length),
        // A mapping has no file behind it here.
        sendMode: entryOf(
          SEND_MODES.filter((mode) => mode !== "mapped"),
          network.pick(0, 1),
        ),
        trace: ({ peer, event, timeMs: _, ...details }) =>
          network.note(`${machine.host} ${peer} ${event} ${JSON.stringify(details)}`),
      },
      machine,
    );
    await network.until(session.listen({ host: machine.host, port: PORT }), 1000, "a session listens");
    const peers = this.#peers.map(({ machine: { host } }) => ({ host, port: PORT }));
    const directory = join(this.#folder, `${index}`);
    mkdirSync(directory, { recursive: true });
    const options: TorrentOptions =
      index === 0
        ? { directory: this.#shared.folder, readOnly: true }
        : { directory, peers, storage: index % 2 === 0 ? "memory" : "file" };
    const torrent = session.addInBackground(this.#shared.metainfo, options);
    const peer: Peer = { machine, session, options, torrent, isGone: false, restarts: 0 };
    this.#peers.push(peer);
    this.#listen(peer);
    await this.#network.until(torrent.ready, 10_000, "a torrent opens");
  }

  #listen(peer: Peer): void {
    const { machine, torrent } = peer;
    const note = (text: string): void => this.#network.note(`${machine.host} ${text}`);
    torrent.on("piece", (piece) => note(`piece ${piece}`));
    torrent.on("pieceFailed", (piece) => note(`piece ${piece} is wrong`));
    torrent.on("done", () => note("done"));
    torrent.on("peerDisconnected", ({ host }, error) => note(`lost ${host}: ${error?.message}`));
    torrent.on("failed", (error) => {
      note(`failed: ${(error as { code?: string }).code}`);
      assert.equal((error as { code?: string }).code, "STORAGE_NO_SPACE", `${error.message}`);
      // The program makes room, and begins again.
      peer.restarts++;
      void torrent.close().then(() => {
        peer.torrent = peer.session.addInBackground(this.#shared.metainfo, peer.options);
        this.#listen(peer);
      });
    });
  }

  #scheduleFaults(): void {
    const network = this.#network;
    for (const [index, peer] of this.#peers.entries()) {
      if (index === 0) continue;
      const drawn = entryOf(FATES, network.pick(0, FATES.length - 1));
      const fate = SURE_FATES.get(index) ?? drawn;
      const ms = network.pick(100, SURE_FATES.has(index) ? SURE_MS_MAX : FATE_MS_MAX);
      // What a killed program had open stays open in this process: such a peer has no files.
      if (fate === "dies" && peer.options.storage === "memory") network.later(ms, () => peer.machine.kill());
      if (fate === "leaves") network.later(ms, () => this.#leave(peer));
      if (fate === "full disk")
        network.later(ms, () => {
          peer.machine.writeFault = ENOSPC;
        });
    }
    const breakOne = (): void => {
      const streams = this.#peers.flatMap(({ machine }) =>
        machine.isDead ? [] : machine.engines.flatMap((engine) => engine.streams),
      );
      const stream = streams[network.pick(0, Math.max(0, streams.length - 1))];
      if (stream !== undefined) {
        network.note(`${stream.host} ${stream.remoteHost} breaks`);
        stream.break();
        this.#broken++;
      }
      if (!this.#isDone && network.nowMs < BREAKING_MS) network.later(network.pick(20, 300), breakOne);
    };
    network.later(100, breakOne);
  }

  #leave(peer: Peer): void {
    if (peer.torrent.state === "seeding") return;
    peer.isGone = true;
    this.#left++;
    this.#network.note(`${peer.machine.host} leaves`);
    void peer.session.close();
  }

  #stays({ machine, isGone }: Peer): boolean {
    return !machine.isDead && !isGone;
  }

  get #isDone(): boolean {
    return this.#peers.every((peer) => !this.#stays(peer) || peer.torrent.state === "seeding");
  }

  /** All parts of the session of a machine count right. */
  #check(machine: Machine): void {
    for (const peer of this.#peers)
      if (peer.machine === machine) sessionCoreOf(peer.session).checkInvariants();
  }

  /** Every byte is the one that was shared. */
  async #compare({ torrent, options, machine }: Peer): Promise<void> {
    const { data, metainfo } = this.#shared;
    if (options.storage === "file") {
      const path = join(required(options.directory, "directory"), metainfo.name);
      assert.ok(readFileSync(path).equals(data), `${machine.host} has all bytes right`);
      return;
    }
    for (let at = 0; at < data.length; ) {
      const piece = Math.floor(at / metainfo.pieceLength);
      const begin = at % metainfo.pieceLength;
      const length = Math.min(16_384, metainfo.pieceLength - begin, data.length - at);
      const lease = await this.#network.until(torrent.read(piece, begin, length), 10_000, "a block is read");
      assert.ok(data.subarray(at, at + length).equals(lease.bytes), `${machine.host} has byte ${at} right`);
      lease.release();
      at += length;
    }
  }
}

/** Runs one swarm to its end. Rejects what went wrong. */
export async function runSwarm(
  seed: number,
  shared: SharedTorrent,
  folder: string,
  options: SwarmOptions,
): Promise<SwarmResult> {
  const swarm = new Swarm(seed, shared, folder, options);
  // A bug in a handler of a turn is thrown where nobody waits for it.
  let uncaught: unknown;
  const note = (error: unknown): void => {
    uncaught ??= error;
  };
  process.on("uncaughtException", note);
  try {
    const result = await swarm.run();
    if (uncaught !== undefined) throw uncaught;
    return result;
  } catch (error) {
    const cause = uncaught ?? error;
    if (cause instanceof Error) cause.message += `\n\n${swarm.describe()}`;
    throw cause;
  } finally {
    process.off("uncaughtException", note);
  }
}
