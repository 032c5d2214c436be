// A crowd: many connections to one client, each of which misbehaves in a way of its own (misbehaviours.ts), drawn by dice with a seed.
//
// Always: whoever is sent away, or went, comes back as somebody else, after a while or at once, as it is its way; time and loop are
// handed in, so that a crowd is the same over real sockets and in a simulation.

import { HANDSHAKE_BYTES } from "../../src/base/limits.js";
import { readUint32 } from "../../src/client/wire/decode.js";
import { encodeHandshake, makePeerId } from "../../src/client/wire/handshake.js";
import { MessageId } from "../../src/client/wire/messages.js";
import type { Metainfo, PeerAddress } from "../../src/index.js";
import { READABLE } from "../../src/native/binding.js";
import { entryOf } from "../measuring/ends.js";
import { type ConnectionOptions, LoadConnection } from "./load-connection.js";
import { type LoadLoop, RECEIVE_AT, RECEIVE_BYTES } from "./load-loop.js";
import { type CrowdPeer, IDLE, MISBEHAVIOURS, type Misbehaviour } from "./misbehaviours.js";

/** Connections are begun a few at a time, so that the client's queue of them does not overflow. */
const CONNECTS_PER_STEP = 50;
/** Between two calls of step(). */
export const STEP_MS = 25;
const COMES_BACK_MS = 500;
/** Why a connection ended that nobody refused. */
const LEFT = "left";
const SEED_STEP = 0x6d2b79f5;

/** What all of them share. */
interface Place {
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly totalLength: number;
  dice(sides: number): number;
  nowMs(): number;
}

class CrowdConnection extends LoadConnection implements CrowdPeer {
  readonly #place: Place;
  readonly #way: Misbehaviour;
  isInABlock = false;
  owed: Uint8Array = new Uint8Array(0);
  readonly #handshake: Uint8Array;
  #isOpen = false;
  /** When it acts next. */
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(options: ConnectionOptions, place: Place, way: Misbehaviour) {
    super(options);
    this.#place = place;
    this.#way = way;
    this.#handshake = new Uint8Array(HANDSHAKE_BYTES);
    encodeHandshake(this.#handshake, 0, options);
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

  handshake(): Uint8Array {
    return this.#handshake;
  }

  dice(sides: number): number {
    return this.#place.dice(sides);
  }

  /** What the client does not read is not said: nothing piles up here. */
  send(...messages: readonly Uint8Array[]): void {
    if (!this.closed && this.sendControl()) this.sendBytes(Buffer.concat(messages));
  }

  swallow(bytes: number): void {
    if (this.closed) return;
    const { engine, wouldBlock } = this.loop;
    engine.plan[0] = RECEIVE_AT;
    engine.plan[1] = Math.min(bytes, RECEIVE_BYTES);
    const received = engine.readv(this.fd, 0, 1);
    if (received === 0 || (received < 0 && received !== wouldBlock)) this.close("the other side has gone");
  }

  leave(): void {
    this.close(LEFT);
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

  /** Not all at the same time, but for those that are here for a moment only. */
  #begin(): void {
    if (this.#way.act === undefined) return;
    this.#dueMs = this.#place.nowMs() + (this.#way.storms === true ? 0 : this.dice(1000));
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

/** The name of a misbehaviour, or one that has none. */
export type Kind = string | Misbehaviour;

export interface CrowdOptions {
  readonly loop: LoadLoop;
  /** Whom it crowds. */
  readonly target: PeerAddress;
  readonly metainfo: Pick<Metainfo, "infoHash" | "pieceLength" | "totalLength" | "pieces">;
  readonly connections: number;
  readonly seed: number;
  /** Names of misbehaviours, or "idle", or ways of the caller's own; undefined: each that has a name. */
  readonly kinds?: readonly Kind[] | undefined;
  nowMs(): number;
}

export class Crowd {
  /** Connections that were made, and those of them that the client ended. */
  made = 0;
  refused = 0;
  readonly #options: CrowdOptions;
  readonly #place: Place;
  readonly #ways: readonly Misbehaviour[];
  readonly #all = new Set<CrowdConnection>();
  /** When each that is not here comes. */
  readonly #dueMs: number[];

  constructor(options: CrowdOptions) {
    const { pieces, pieceLength, totalLength } = options.metainfo;
    const pieceCount = pieces.length / 20;
    const dice = makeDice(options.seed);
    this.#options = options;
    this.#place = { pieceCount, pieceLength, totalLength, dice, nowMs: options.nowMs };
    this.#ways = waysNamed(options.kinds);
    this.#dueMs = Array.from({ length: options.connections }, () => 0);
  }

  /** Time passed: whoever is due connects, and whoever is here does what it does. */
  step(): void {
    const nowMs = this.#options.nowMs();
    const due = this.#dueMs;
    for (let begun = 0; begun < CONNECTS_PER_STEP; begun++) {
      const [next] = due;
      if (next === undefined || next > nowMs) break;
      due.shift();
      this.#connect(nowMs);
    }
    for (const peer of this.#all) peer.tick(nowMs);
  }

  #connect(nowMs: number): void {
    const { loop, target, metainfo } = this.#options;
    const fd = loop.engine.connect(target.host, target.port);
    if (fd < 0) {
      this.#dueMs.push(nowMs + COMES_BACK_MS);
      return;
    }
    this.made++;
    const { dice } = this.#place;
    const way = entryOf(this.#ways, dice(this.#ways.length));
    const onClosed = (reason: string): void => {
      this.#all.delete(peer);
      if (reason !== LEFT) this.refused++;
      const goneMs = this.#options.nowMs();
      if (way.storms === true) this.#dueMs.unshift(goneMs);
      else this.#dueMs.push(goneMs + COMES_BACK_MS + dice(COMES_BACK_MS));
    };
    const { infoHash } = metainfo;
    const options = { loop, fd, infoHash, peerId: makePeerId(), connecting: true, onClosed };
    const peer = new CrowdConnection(options, this.#place, way);
    this.#all.add(peer);
    peer.start();
  }
}

function waysNamed(kinds: readonly Kind[] | undefined): Misbehaviour[] {
  if (kinds === undefined) return Object.values(MISBEHAVIOURS);
  return kinds.map((name) => {
    if (typeof name !== "string") return name;
    if (name === "idle") return IDLE;
    const way = Object.entries(MISBEHAVIOURS).find(([each]) => each === name);
    if (way === undefined) throw new Error(`there is no misbehaviour called "${name}"`);
    return way[1];
  });
}
