// A program in a simulated network that calls whatever there is to call, in any state and order, also from listeners, while connections
// break and disks are full. What it does, and when, follows from the seed.
//
// One file, because it is one list: of all calls, with what each may be answered.

import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sessionCoreOf } from "../../src/client/session/session.js";
import {
  type BlockLease,
  type Metainfo,
  RECEIVE_MODES,
  ScatterwireError,
  Session,
  type Torrent,
  type TorrentOptions,
} from "../../src/index.js";
import { entryOf, required } from "./required.js";
import { SimulatedNetwork } from "./simulated-network.js";

export const CALLS = 400;
const CALLS_IN_LISTENERS_SHARE = 0.03;
const SESSIONS_MAX = 4;
const TORRENTS_MAX = 8;
const FAULTS_SHARE = 0.03;
const LEASE_MS_MAX = 2000;
const ENOSPC = -28;
const PORT = 6881;
const PEERS_NAMED = 3;
const STEP_MS = 50;
const SETTLED_MS_MAX = 10 * 60_000;
const DONE_MS_MAX = 10 * 60_000;
const WIRE = { delayMs: 3, bytesPerMs: 1000, windowBytes: 131_072 };
const EVENTS = [
  "metadata",
  "metadataProgress",
  "checking",
  "ready",
  "piece",
  "done",
  "peerConnected",
  "peerDisconnected",
  "warning",
  "failed",
  "outOfPeers",
] as const;

/** What sessions share. */
export interface SharedFiles {
  readonly bytes: Uint8Array;
  readonly metainfo: Metainfo;
  readonly contents: readonly Buffer[];
}

/** One torrent that a program added. */
interface Added {
  readonly torrent: Torrent;
  readonly session: Session;
  readonly shared: SharedFiles;
  /** It may be asked for all that there is, in the end: it keeps what it verifies. */
  readonly keeps: boolean;
  /** Somebody has to take its blocks. */
  readonly lends: boolean;
}

export class SimulatedProgram {
  readonly network: SimulatedNetwork;
  readonly #shareds: readonly SharedFiles[];
  readonly #seedFolder: string;
  readonly #folder: string;
  readonly #sessions = new Set<Session>();
  readonly #added: Added[] = [];
  readonly #promised = new Map<Promise<unknown>, string>();
  readonly #calls: string[] = [];
  #folders = 0;
  #hosts = 0;
  #isQuiet = false;
  readonly #failures: Error[] = [];
  completed = 0;

  constructor(seed: number, shareds: readonly SharedFiles[], seedFolder: string, folder: string) {
    this.network = new SimulatedNetwork(seed);
    this.#shareds = shareds;
    this.#seedFolder = seedFolder;
    this.#folder = folder;
    this.network.afterTurn = () => {
      for (const session of this.#sessions) sessionCoreOf(session).checkInvariants();
      const [failure] = this.#failures;
      if (failure !== undefined) throw failure;
    };
  }

  get #one(): number {
    return this.network.random();
  }

  #chance(share: number): boolean {
    return this.network.random() < share;
  }

  #of<Value>(values: readonly Value[]): Value {
    return entryOf(values, this.network.pick(0, values.length - 1));
  }

  async run(): Promise<void> {
    const { network } = this;
    for (let call = 0; call < CALLS; call++) {
      if (this.#chance(FAULTS_SHARE)) this.#fail();
      this.#callAny();
      await this.#pass(this.#chance(0.6) ? 0 : network.pick(1, 400));
    }
    this.#isQuiet = true;
    for (const machine of network.machines.values()) machine.writeFault = 0;
    const [host, seeder] = this.#makeSession("enabled");
    await network.until(seeder.listen({ host, port: PORT }), 1000, "a seed listens");
    for (const { metainfo } of this.#shareds) {
      const seeding = seeder.addInBackground(metainfo, { directory: this.#seedFolder, readOnly: true });
      await network.until(seeding.ready, 60_000, "a seed opens");
    }
    for (const added of this.#added.filter(({ keeps }) => keeps)) await this.#complete(added, host);
    for (const session of this.#sessions) this.#keep("close() at the end", session.close());
    await this.#await(() => this.#promised.size === 0 || this.#failures.length > 0, "everything settles");
    const [failure] = this.#failures;
    if (failure !== undefined) throw failure;
    await this.#pass(LEASE_MS_MAX + 1);
    for (const session of this.#sessions)
      assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {}, "all slots are home");
  }

  /** A connection breaks, or a disk is full for one write. */
  #fail(): void {
    const machines = [...this.network.machines.values()];
    if (machines.length === 0) return;
    const machine = this.#of(machines);
    if (this.#chance(0.2)) machine.writeFault = ENOSPC;
    else
      for (const engine of machine.engines)
        for (const stream of engine.streams) if (this.#chance(0.3)) stream.break();
  }

  /** Waits for what takes time of the real world as well: folders are moved and removed by it. */
  async #await(isDone: () => boolean, what: string): Promise<void> {
    for (let passed = 0; !isDone(); passed += STEP_MS) {
      assert.ok(passed < SETTLED_MS_MAX, `did not happen: ${what}`);
      await this.#pass(STEP_MS);
      await sleep(1);
    }
  }

  async #pass(ms: number): Promise<void> {
    let hasPassed = false;
    this.network.later(ms, () => {
      hasPassed = true;
    });
    await this.network.run(() => hasPassed, ms + 1, "time passes");
  }

  /** What was called last, and what is still promised. */
  describe(): string {
    return `the last calls:\n${this.#calls.slice(-25).join("\n")}\npromised: ${[...this.#promised.values()].join(", ")}`;
  }

  /** Whatever it went through, it has all of its data once nobody gets in its way. */
  async #complete({ torrent, session, shared, lends }: Added, host: string): Promise<void> {
    const { network } = this;
    if (["closed", "failed"].includes(torrent.state) || !session.torrents.has(torrent)) return;
    session.setRateLimits({ maxDownloadBytesPerSecond: 0, maxUploadBytesPerSecond: 0 });
    session.setIpFilter(undefined);
    for (const each of session.bans) session.unban(each);
    torrent.setRateLimits({ maxDownloadBytesPerSecond: 0, maxUploadBytesPerSecond: 0 });
    torrent.resume();
    torrent.addPeer({ host, port: PORT });
    const isOpen = (): boolean => !["metadata", "checking"].includes(torrent.state);
    await this.#await(isOpen, "a torrent opens");
    if (torrent.state === "failed") return;
    torrent.select({ files: [...shared.contents.keys()], priority: 4 });
    // Whoever took its blocks may have had all that was wanted then.
    if (lends) void this.#takeBlocks(torrent);
    await network.until(torrent.done, DONE_MS_MAX, "all of it is there");
    assert.ok(torrent.have.isFull);
    await this.#compare(torrent, shared);
    this.completed++;
  }

  async #compare(torrent: Torrent, { contents, metainfo }: SharedFiles): Promise<void> {
    const data = Buffer.concat(contents);
    for (let piece = 0; piece < metainfo.pieces.length / 20; piece++) {
      const begin = piece * metainfo.pieceLength;
      const length = Math.min(16_384, data.length - begin);
      const lease = await this.network.until(torrent.read(piece, 0, length), 10_000, "a block is read");
      assert.ok(data.subarray(begin, begin + length).equals(lease.bytes), `piece ${piece}`);
      lease.release();
    }
  }

  #makeSession(
    encryption = this.#of(["disabled", "enabled", "required"] as const),
  ): [host: string, session: Session] {
    const host = `10.0.${this.#hosts >> 8}.${++this.#hosts & 255}`;
    const poolBytes = this.#of([1, 2, 8]) * 1_048_576;
    const session = new Session(
      { poolBytes, maxPeers: this.#of([2, 50]), encryption },
      this.network.addMachine(host, WIRE),
    );
    this.#sessions.add(session);
    return [host, session];
  }

  /** Calls; what is thrown or rejected has to be meant for programs. */
  #call(name: string, call: () => unknown): void {
    this.#calls.push(`${this.network.nowMs} ms: ${name}`);
    try {
      const result = call();
      if (result instanceof Promise) this.#keep(name, result);
    } catch (error) {
      this.#judge(name, error);
    }
  }

  #keep(name: string, promise: Promise<unknown>): void {
    this.#promised.set(promise, name);
    const settled = (): boolean => this.#promised.delete(promise);
    promise.then(settled, (error: unknown) => {
      settled();
      this.#judge(name, error);
    });
  }

  #judge(name: string, error: unknown): void {
    if (error instanceof ScatterwireError) return;
    this.#failures.push(new Error(`${name}: ${String(error)}`, { cause: error }));
  }

  #callAny(): void {
    const { network } = this;
    const dice = this.#one;
    const sessions = [...this.#sessions];
    if (sessions.length === 0 || (dice < 0.03 && sessions.length < SESSIONS_MAX)) {
      const [host, session] = this.#makeSession();
      this.#call("listen()", () => session.listen({ host, port: PORT }));
      return;
    }
    const session = this.#of(sessions);
    if (dice < 0.12 && this.#added.length < TORRENTS_MAX * sessions.length) this.#add(session);
    else if (dice < 0.125) this.#call("close() of a session", () => session.close());
    else if (dice < 0.18) this.#callSession(session);
    else if (this.#added.length > 0) this.#callTorrent(this.#of(this.#added));
    else
      this.#call("listen() again", () =>
        session.listen({ host: this.#host(), port: network.pick(0, 70_000) }),
      );
  }

  #host(): string {
    return `10.0.0.${this.network.pick(0, this.#hosts + 1)}`;
  }

  #add(session: Session): void {
    const shared = this.#of(this.#shareds);
    const storage = this.#of(["memory", "file", "file", "null"] as const);
    const isSeed = this.#chance(0.3);
    const directory = isSeed
      ? this.#seedFolder
      : this.#chance(0.2)
        ? join(this.#folder, "shared")
        : this.#newFolder();
    const options: TorrentOptions = {
      ...(isSeed ? { readOnly: true, directory } : { storage, ...(storage === "file" ? { directory } : {}) }),
      peers: Array.from({ length: Math.min(PEERS_NAMED, this.#hosts) }, () => ({
        host: this.#host(),
        port: PORT,
      })),
      ...(this.#chance(0.1) ? { verify: false } : {}),
      ...(this.#chance(0.1) ? { preallocate: true } : {}),
      ...(this.#chance(0.1) ? { maxPeers: 1 } : {}),
      ...this.#lending(),
      ...(this.#chance(0.1) ? { signal: this.#signal() } : {}),
      ...(this.#chance(0.2) ? { receiveMode: this.#of(RECEIVE_MODES) } : {}),
    };
    const source = this.#chance(0.2) ? `magnet:?xt=urn:btih:${shared.metainfo.infoHashHex}` : shared.bytes;
    this.#call(
      `add ${JSON.stringify({ ...options, signal: options.signal !== undefined, magnet: typeof source === "string" })}`,
      () => {
        const torrent = session.addInBackground(source, options);
        const keeps = storage !== "null" && !isSeed && options.verify !== false;
        const lends = options.lendBlocks === true;
        this.#added.push({ torrent, session, shared, keeps, lends });
        if (lends) void this.#takeBlocks(torrent);
        // What never ends of itself is not waited for.
        torrent.done.catch((error: unknown) => this.#judge("done", error));
        torrent.ready.catch((error: unknown) => this.#judge("ready", error));
        for (const event of EVENTS)
          torrent.on(event, () => {
            if (!this.#isQuiet && this.#chance(CALLS_IN_LISTENERS_SHARE)) this.#callAny();
          });
      },
    );
  }

  #lending(): TorrentOptions {
    const dice = this.#one;
    if (dice < 0.1) return { lendBlocks: true };
    return dice < 0.2 ? { onBlock: (lease) => this.#releaseLater(lease) } : {};
  }

  /** Every lease comes back, some of them late. */
  #releaseLater(lease: BlockLease): void {
    this.network.later(this.#chance(0.8) ? 0 : this.network.pick(0, LEASE_MS_MAX), () => lease.release());
  }

  /** Takes them as long as there are some, and breaks off now and then. */
  async #takeBlocks(torrent: Torrent): Promise<void> {
    try {
      for (;;) {
        let isOver = true;
        for await (const lease of torrent.blocks()) {
          this.#releaseLater(lease);
          isOver = !this.#chance(0.05);
          if (!isOver) break;
        }
        if (isOver) return;
      }
    } catch (error) {
      this.#judge("blocks()", error);
    }
  }

  #signal(): AbortSignal {
    const controller = new AbortController();
    this.network.later(this.network.pick(0, 20_000), () => {
      if (!this.#isQuiet) controller.abort();
    });
    return controller.signal;
  }

  #newFolder(): string {
    return join(this.#folder, `folder-${this.#folders++}`);
  }

  #callSession(session: Session): void {
    const { network } = this;
    const rate = this.#of([0, 10_000, 10_000_000]);
    const host = this.#host();
    const calls: Readonly<Record<string, () => unknown>> = {
      "setRateLimits()": () => session.setRateLimits({ maxDownloadBytesPerSecond: rate }),
      "ban()": () => session.ban(host),
      "unban()": () => session.unban(host),
      "setIpFilter()": () =>
        session.setIpFilter(this.#chance(0.5) ? undefined : { has: (ip) => ip.endsWith(".3") }),
      "looks at the session": () => [session.stats(), session.dump(), session.counters(), session.costs()],
      "listen() once more": () => session.listen({ host, port: network.pick(0, 70_000) }),
    };
    const name = this.#of(Object.keys(calls));
    this.#call(name, required(calls[name], "a call"));
  }

  #callTorrent({ torrent }: Added): void {
    const { network } = this;
    const files = [network.pick(0, 4)];
    const pieces = Array.from({ length: network.pick(0, 10) }, () => network.pick(0, 45));
    const priority = network.pick(-1, 8);
    const address = { host: this.#host(), port: this.#of([PORT, PORT, PORT, 0, 9]) };
    const calls: Readonly<Record<string, () => unknown>> = {
      "pause()": () => torrent.pause(),
      "resume()": () => torrent.resume(),
      "resume() again": () => torrent.resume(),
      "recheck()": () => torrent.recheck(),
      "move()": () => torrent.move(this.#chance(0.8) ? this.#newFolder() : join(this.#folder, "shared")),
      "remove()": () => (this.#chance(0.1) ? torrent.remove({ data: this.#chance(0.5) }) : undefined),
      "close()": () => (this.#chance(0.1) ? torrent.close() : undefined),
      "select() files": () => torrent.select({ files, priority }),
      "select() pieces": () => torrent.select({ pieces, priority }),
      "setPriorities()": () => torrent.setPriorities([priority, priority]),
      "setRateLimits()": () =>
        torrent.setRateLimits({ maxDownloadBytesPerSecond: this.#of([0, 10_000, -1]) }),
      "setReceiveMode()": () => torrent.setReceiveMode(this.#of(RECEIVE_MODES)),
      "addPeer()": () => torrent.addPeer(address),
      "forgetPeer()": () => torrent.forgetPeer(address),
      "announce()": () => torrent.announce(),
      "read()": async () =>
        this.#releaseLater(await torrent.read(network.pick(0, 45), this.#of([0, 16_384]), 16_384)),
      "createReadStream()": () => this.#stream(torrent),
      "ends connections": () => {
        for (const connection of torrent.connections()) if (this.#chance(0.5)) connection.disconnect();
      },
      "changes connections": () => {
        for (const connection of torrent.connections()) {
          connection.setReceiveMode(this.#of(RECEIVE_MODES));
          connection.setRateLimits({ maxDownloadBytesPerSecond: this.#of([0, 1_000_000]) });
        }
      },
      "looks at the torrent": () => [
        torrent.stats(),
        torrent.progress(),
        torrent.peers(),
        torrent.have,
        torrent.name,
      ],
      "looks at its files": () => torrent.files,
    };
    const name = this.#of(Object.keys(calls));
    this.#call(`${name} while ${torrent.state}`, required(calls[name], "a call"));
  }

  #stream(torrent: Torrent): void {
    const stream = torrent.createReadStream(this.network.pick(0, 4));
    stream.on("error", (error) => this.#judge("a stream", error));
    if (this.#chance(0.7)) stream.resume();
    this.network.later(this.network.pick(0, 2000), () => stream.destroy());
  }
}
