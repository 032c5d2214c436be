// What some nodes of a simulated DHT do to whoever asks them. Liars name nodes that are nowhere, reflectors name a victim at many ports, and
// sybils name each other: one attacker's addresses, each with an id next to whatever is looked for, and with nobody's peers. Careful ones
// pick ids that lie no nearer than the nearest of a large network may by chance, and so do reflectors. Dawdlers answer as honest nodes do, as late as
// an answer still counts. Impostors name the honest nodes that are nearest to the target, each with an id that is not its own.
//
// Always: but for impostors' names, what is named lies nearer to the target than any honest node does, which is the worst that can be told. The same question
// gets the same answer, and an endpoint has one id.

import { there } from "../measuring/ends.js";
import type { ImplicitAnswer } from "./implicit-nodes.js";
import { mix } from "./mix.js";

export const HOSTILE_KINDS = [
  "liars",
  "reflectors",
  "sybils",
  "careful-sybils",
  "dawdlers",
  "impostors",
] as const;
export type HostileKind = (typeof HOSTILE_KINDS)[number];

export interface Hostile {
  readonly kind: HostileKind;
  /** Of the nodes that stand in tables and answer. */
  readonly share: number;
}

const ID_BYTES = 20;
/** Nodes of an answer. */
export const NAMED = 8;
/** Bytes that a made-up id shares with the target: among ten million nodes the nearest shares 24 bits. */
const NEAR_BYTES = 5;
const CAREFUL_NEAR_BYTES = 3;
/** Where honest nodes are. */
export const NODE_PORT = 6881;
const FIRST_PORT = 1024;
const PORTS = 2 ** 16 - FIRST_PORT;
/** Behind all honest nodes, and before where their peers are. */
const NOWHERE = 0x30000000;
const NOWHERE_ADDRESSES = 2 ** 26;
/** One address: 64.0.0.1. */
const VICTIM = 0x40000001;
/** 64 networks of 64 addresses. */
const SYBIL_BASE = 0x48000000;
const SYBIL_NETWORKS = 64;
const SYBIL_ADDRESSES = 4096;
const SECOND_MS = 1000;
/** A query fails after 10 s, of which the way there and back takes a part. */
const DAWDLE_MS = 9000;

export class HostileNodes {
  /** Datagrams to those who were only named: all of them, and the most that the victim got in one second. */
  toNamed = 0;
  victimMostPerSecond = 0;
  readonly #hostile: Hostile;
  readonly #seed: number;
  /** Ids of sybils' endpoints, as they were named. */
  readonly #ids = new Map<number, Uint8Array>();
  readonly #id = new Uint8Array(ID_BYTES);
  #second = -1;
  #inSecond = 0;

  constructor(hostile: Hostile, seed: number) {
    this.#hostile = hostile;
    this.#seed = seed;
  }

  /** How long each of them waits before it answers, in milliseconds. */
  get answersAfterMs(): number {
    return this.#hostile.kind === "dawdlers" ? DAWDLE_MS : 0;
  }

  /** Whether what they answer is not true. */
  get lies(): boolean {
    return this.#hostile.kind !== "dawdlers";
  }

  /** Whether the node of that rank is the attacker's. */
  has(rank: number): boolean {
    return mix(rank, this.#seed, 9) / 2 ** 32 < this.#hostile.share;
  }

  /** Whether somebody at that address is: an address that only the attacker names. */
  isMadeUp(address: number): boolean {
    return address >= SYBIL_BASE && address < SYBIL_BASE + 256 * SYBIL_NETWORKS;
  }

  /** A datagram to nobody's node: the id that it is answered with, or undefined. */
  take(address: number, port: number, nowMs: number): Uint8Array | undefined {
    if (address === VICTIM) this.#countVictim(nowMs);
    if (address === VICTIM || (address >= NOWHERE && address < NOWHERE + NOWHERE_ADDRESSES)) this.toNamed++;
    return this.#ids.get(address * 0x10000 + port);
  }

  /** Names eight nodes near a target. `who`: a number of whoever names them; `honest`: where those are that are nearest to it. */
  name(
    who: number,
    target: Uint8Array,
    targetAt: number,
    answer: ImplicitAnswer,
    honest: () => readonly number[],
  ): void {
    const about = mix(
      there(target[targetAt + 2]) * 256 + there(target[targetAt + 3]),
      there(target[targetAt + 4]),
      12,
    );
    const { kind } = this.#hostile;
    const nearBytes = kind === "liars" || kind === "sybils" ? NEAR_BYTES : CAREFUL_NEAR_BYTES;
    const misnamed = kind === "impostors" ? honest() : [];
    for (let index = 0; index < NAMED; index++) {
      const chance = mix(who, about, 100 + index);
      this.#id.set(target.subarray(targetAt, targetAt + ID_BYTES));
      for (let at = nearBytes; at < ID_BYTES; at++) this.#id[at] = mix(chance, this.#seed, 20 + at) & 0xff;
      // One that is named as if it were far away is not asked at all.
      if (kind === "impostors" && chance % 2 === 0) this.#id[1] = there(this.#id[1]) ^ (1 + (chance & 0x3f));
      this.#tell(chance, about, answer, misnamed[index] ?? VICTIM);
    }
  }

  #tell(chance: number, about: number, answer: ImplicitAnswer, misnamed: number): void {
    switch (this.#hostile.kind) {
      case "dawdlers":
        return;
      case "impostors":
        answer.node(this.#id, 0, misnamed, NODE_PORT);
        return;
      case "liars":
        answer.node(this.#id, 0, NOWHERE + (chance % NOWHERE_ADDRESSES), FIRST_PORT);
        return;
      case "reflectors":
        answer.node(this.#id, 0, VICTIM, FIRST_PORT + (chance % PORTS));
        return;
      case "sybils":
      case "careful-sybils": {
        const number = chance % SYBIL_ADDRESSES;
        const address =
          SYBIL_BASE + 256 * (number % SYBIL_NETWORKS) + 1 + Math.floor(number / SYBIL_NETWORKS);
        // A port for each thing that is looked for, so that the id that it is named with stays its own.
        const port = FIRST_PORT + (about % PORTS);
        const key = address * 0x10000 + port;
        const known = this.#ids.get(key);
        if (known === undefined) this.#ids.set(key, this.#id.slice());
        answer.node(known ?? this.#id, 0, address, port);
      }
    }
  }

  #countVictim(nowMs: number): void {
    const second = Math.floor(nowMs / SECOND_MS);
    if (second !== this.#second) this.#inSecond = 0;
    this.#second = second;
    this.victimMostPerSecond = Math.max(this.victimMostPerSecond, ++this.#inSecond);
  }
}
