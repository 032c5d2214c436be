// A load generator that is a crowd: many connections to one client, each of which misbehaves in a way of its own, drawn by
// dice with a seed. A program of its own, so that its CPU is apart from what is crowded.
//
//   node dist/bench/load/load-crowd.js TORRENT --connect HOST:PORT --connections COUNT [--seed 1] [--kind NAME…]
//
//   --kind             one of misbehaviours.ts, or "idle"; several times: one of those. Default: all but "idle"
//
// Who is sent away comes back after a while, as somebody else. Standard output: {"event":"there"} when all have connected
// once. At the end {"connections","refused","cpuSeconds"}: connections that were made, and those of them that the client ended.

import { parseArgs } from "node:util";
import { readUint32 } from "../../src/client/wire/decode.js";
import { makePeerId } from "../../src/client/wire/handshake.js";
import { MessageId } from "../../src/client/wire/messages.js";
import { readMetainfo } from "../../src/index.js";
import { READABLE } from "../../src/native/binding.js";
import { type ConnectionOptions, LoadConnection } from "./load-connection.js";
import { addressOf, LoadLoop, printLine, runLoad, Stopwatch, whenTold, whole } from "./load-loop.js";
import { type CrowdPeer, IDLE, MISBEHAVIOURS, type Misbehaviour } from "./misbehaviours.js";

/** Connections are begun a few at a time, so that the client's queue of them does not overflow. */
const CONNECTS_PER_STEP = 50;
const STEP_MS = 25;
const COMES_BACK_MS = 500;
const SEED_STEP = 0x6d2b79f5;

/** What all of them share. */
interface Place {
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly totalLength: number;
  dice(sides: number): number;
}

class CrowdConnection extends LoadConnection implements CrowdPeer {
  readonly #place: Place;
  readonly #way: Misbehaviour;
  isInABlock = false;
  #isOpen = false;
  /** When it acts next. */
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(options: ConnectionOptions, place: Place, way: Misbehaviour) {
    super(options);
    this.#place = place;
    this.#way = way;
  }

  get pieceCount(): number {
    return this.#place.pieceCount;
  }

  get pieceLength(): number {
    return this.#place.pieceLength;
  }

  get totalLength(): number {
    return this.#place.totalLength;
  }

  dice(sides: number): number {
    return this.#place.dice(sides);
  }

  /** What the client does not read is not said: nothing piles up here. */
  send(...messages: readonly Uint8Array[]): void {
    if (!this.closed && this.sendControl()) this.sendBytes(Buffer.concat(messages));
  }

  leave(): void {
    this.close("left");
  }

  /** Time passed. */
  tick(nowMs: number): void {
    if (nowMs < this.#dueMs || this.closed) return;
    this.#dueMs = Number.POSITIVE_INFINITY;
    const pauseMs = this.#way.act?.(this);
    if (pauseMs !== undefined) this.#dueMs = nowMs + pauseMs;
  }

  protected override greet(): void {
    if (this.#way.stranger !== true) super.greet();
    else this.#begin();
  }

  protected override opened(): void {
    this.#isOpen = true;
    this.watch(READABLE);
    this.#way.opened?.(this);
    this.#begin();
  }

  protected override message(id: number, at: number): void {
    if (id !== MessageId.request) return;
    const { slab } = this.loop.engine;
    this.#way.requested?.(this, readUint32(slab, at), readUint32(slab, at + 4), readUint32(slab, at + 8));
  }

  protected override proceed(): void {
    this.watch(READABLE);
  }

  protected override watch(events: number): void {
    super.watch(this.#isOpen && this.#way.deaf === true ? events & ~READABLE : events);
  }

  /** Not all at the same time. */
  #begin(): void {
    if (this.#way.act !== undefined) this.#dueMs = performance.now() + this.dice(1000);
  }
}

/** Whole numbers from 0 to below `sides`, the same for the same seed. */
function makeDice(seed: number): (sides: number) => number {
  let state = seed | 0;
  return (sides) => {
    state = (state + SEED_STEP) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * sides);
  };
}

function waysNamed(names: readonly string[] | undefined): Misbehaviour[] {
  if (names === undefined) return Object.values(MISBEHAVIOURS);
  return names.map((name) => {
    if (name === "idle") return IDLE;
    const way = Object.entries(MISBEHAVIOURS).find(([each]) => each === name);
    if (way === undefined) throw new Error(`nobody misbehaves in the way "${name}"`);
    return way[1];
  });
}

const OPTIONS = {
  connect: { type: "string" },
  connections: { type: "string" },
  seed: { type: "string" },
  kind: { type: "string", multiple: true },
} as const;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [torrent] = positionals;
  if (torrent === undefined || values.connect === undefined)
    throw new Error("load-crowd.js TORRENT --connect HOST:PORT --connections COUNT");
  const { infoHash, pieceLength, totalLength, pieces } = await readMetainfo(torrent);
  const target = addressOf(values.connect);
  const wanted = whole(values.connections, 100);
  const dice = makeDice(whole(values.seed, 1));
  const ways = waysNamed(values.kind);
  const place = { pieceCount: pieces.length / 20, pieceLength, totalLength, dice };
  const loop = new LoadLoop();
  const watch = new Stopwatch();
  const all = new Set<CrowdConnection>();
  const due: number[] = Array.from({ length: wanted }, () => 0);
  let made = 0;
  let refused = 0;

  const connect = (): void => {
    const fd = loop.engine.connect(target.host, target.port);
    if (fd < 0) {
      due.push(performance.now() + COMES_BACK_MS);
      return;
    }
    made++;
    const onClosed = (reason: string): void => {
      all.delete(peer);
      if (reason !== "left") refused++;
      due.push(performance.now() + COMES_BACK_MS + dice(COMES_BACK_MS));
    };
    const options = { loop, fd, infoHash, peerId: makePeerId(), connecting: true, onClosed };
    const peer = new CrowdConnection(options, place, ways[dice(ways.length)]!);
    all.add(peer);
    peer.start();
  };
  const step = (): void => {
    const nowMs = performance.now();
    for (let begun = 0; begun < CONNECTS_PER_STEP && due.length > 0 && due[0]! <= nowMs; begun++) {
      due.shift();
      connect();
    }
    for (const peer of all) peer.tick(nowMs);
    if (made >= wanted && !told) {
      told = true;
      printLine({ event: "there" });
    }
  };
  let told = false;
  const timer = setInterval(step, STEP_MS);
  whenTold(() => {
    clearInterval(timer);
    printLine({ connections: made, refused, cpuSeconds: watch.cpuSeconds });
    process.exit(0);
  });
}

runLoad(main);
