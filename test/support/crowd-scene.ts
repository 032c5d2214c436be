// A place in virtual time where some behave and a crowd does not: sessions, and the lab's crowd (bench/load/crowd.ts) at one of them.
//
// Always: what happens follows from the seed; when a scene is closed, all slots of all its sessions are home.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Crowd, type Kind, STEP_MS } from "../../bench/load/crowd.js";
import { LoadLoop } from "../../bench/load/load-loop.js";
import { sessionCoreOf } from "../../src/client/session/session.js";
import {
  createTorrentFile,
  type Metainfo,
  parseMetainfo,
  Session,
  type SessionOptions,
  type Torrent,
  type TorrentOptions,
} from "../../src/index.js";
import { bytesOf } from "./data.js";
import { type Machine, SimulatedNetwork, type Wire } from "./simulated-network.js";

export const PORT = 6881;
/** Of the bytes of a scene's torrent, as bytesOf() makes them. */
export const SCENE_DATA_SEED = 3;
/** Nothing takes as long, unless it never ends. */
const END_MS = 30 * 60_000;
const CROWD_HOST = "10.1.0.0";

/** What a scene is about, and where a seed has it. */
export interface SceneTorrent {
  readonly metainfo: Metainfo;
  readonly folder: string;
}

/** So many bytes in a file of `folder`. */
export async function makeSceneTorrent(
  folder: string,
  bytes: number,
  pieceLength: number,
): Promise<SceneTorrent> {
  writeFileSync(join(folder, "data.bin"), bytesOf(SCENE_DATA_SEED, bytes));
  return {
    metainfo: parseMetainfo(await createTorrentFile(join(folder, "data.bin"), { pieceLength })),
    folder,
  };
}

export interface Guest {
  readonly machine: Machine;
  readonly session: Session;
  readonly torrent: Torrent;
}

export class CrowdScene {
  readonly network: SimulatedNetwork;
  readonly #seed: number;
  readonly #shared: SceneTorrent;
  readonly #wire: Wire;
  readonly #sessions: Session[] = [];

  /** `wire`: of those of whom nothing else is said. */
  constructor(seed: number, shared: SceneTorrent, wire: Wire) {
    this.network = new SimulatedNetwork(seed);
    this.#seed = seed;
    this.#shared = shared;
    this.#wire = wire;
  }

  /** A session that listens, and has the torrent open. */
  async join(
    host: string,
    role: "seeds" | "downloads" | TorrentOptions,
    wire: Wire = this.#wire,
    options: SessionOptions = {},
  ): Promise<Guest> {
    const { metainfo, folder } = this.#shared;
    const machine = this.network.addMachine(host, wire);
    const session = new Session(options, machine);
    this.#sessions.push(session);
    await this.#until(session.listen({ host, port: PORT }), "a session listens");
    const seeding: TorrentOptions = { directory: folder, readOnly: true };
    const torrentOptions = role === "seeds" ? seeding : role === "downloads" ? { storage: "memory" } : role;
    const torrent = session.addInBackground(metainfo, torrentOptions as TorrentOptions);
    await this.#until(torrent.ready, "a torrent opens");
    return { machine, session, torrent };
  }

  /**
   * So many connections to `target`, each of one of the kinds, and each from a network of its own, where it is not said that all come from
   * one. Resolves at `untilMs`, or when all have come.
   */
  async crowd(
    target: Machine,
    kinds: readonly Kind[],
    untilMs: number,
    connections: number,
    host?: string,
  ): Promise<void> {
    const { network } = this;
    const machine = network.addMachine(host ?? CROWD_HOST, this.#wire);
    if (host === undefined) network.giveAddresses(machine, addressesOf(connections));
    const crowd = new Crowd({
      loop: new LoadLoop(machine.binding),
      target: { host: target.host, port: PORT },
      metainfo: this.#shared.metainfo,
      connections,
      seed: this.#seed,
      kinds,
      nowMs: () => network.nowMs,
    });
    machine.ground.every(STEP_MS, () => crowd.step());
    const hasCome = (): boolean => network.nowMs >= untilMs && crowd.made >= connections;
    await network.run(hasCome, END_MS, "the crowd has come");
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.network.nowMs + ms;
    await this.network.run(() => this.network.nowMs >= untilMs, ms + 1000, "time passes");
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) {
      await this.#until(session.close(), "a session closes");
      assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {}, "all slots are home");
    }
  }

  #until<Value>(promise: Promise<Value>, what: string): Promise<Value> {
    return this.network.until(promise, END_MS, what);
  }
}

/** So many addresses, each a network of its own. */
export function addressesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `10.1.${(index >> 8) + 1}.${index & 255}`);
}
