// A network of machines in memory over virtual time. Each machine has an engine (simulated-engine.ts), timers and dice of its own, and
// a World for one session; the network has the time, the links between machines, and the order in which they get their turns.
//
// Always: everything that happens follows from the seed and from what the test does. Time passes only when no machine has anything to
// do now, or all have had TURNS_PER_MS turns in one millisecond. Microtasks of a machine's turn have run before the next one's.

import { createHash } from "node:crypto";
import { DescriptorBudget } from "../../src/base/descriptor-budget.js";
import type { Ground, Timer } from "../../src/base/ground.js";
import type { World } from "../../src/native/world.js";
import { makeRandom } from "./property.js";
import { required } from "./required.js";
import { makeSimulatedBinding, type SimulatedEngine } from "./simulated-engine.js";
import { Uplink } from "./simulated-link.js";

const TURNS_PER_MS = 4;
const DESCRIPTORS = 65_536;

/** How a machine is connected. */
export interface Wire {
  /** One way to the middle of the network, in milliseconds. */
  readonly delayMs: number;
  /** What it can send, all its connections together. */
  readonly bytesPerMs: number;
  /** Bytes of one direction of a connection that were sent and not received. */
  readonly windowBytes: number;
}

class SimulatedTimer implements Timer {
  dueMs = 0;
  readonly repeats: boolean;
  readonly callback: () => void;
  readonly #ms: number;
  #closed = false;
  readonly #ground: SimulatedGround;

  constructor(ground: SimulatedGround, ms: number, repeats: boolean, callback: () => void) {
    this.#ground = ground;
    this.#ms = Math.max(1, ms);
    this.repeats = repeats;
    this.callback = callback;
    this.refresh();
  }

  ref(): void {}

  unref(): void {}

  refresh(): void {
    if (this.#closed) return;
    this.dueMs = this.#ground.nowMs() + this.#ms;
    // Behind those of the same moment that were set before.
    this.#ground.timers.delete(this);
    this.#ground.timers.add(this);
  }

  close(): void {
    this.#closed = true;
    this.#ground.timers.delete(this);
  }
}

class SimulatedGround implements Ground {
  readonly timers = new Set<SimulatedTimer>();
  readonly random: () => number;
  readonly #network: SimulatedNetwork;

  constructor(network: SimulatedNetwork, seed: number) {
    this.#network = network;
    this.random = makeRandom(seed);
  }

  nowMs(): number {
    return this.#network.nowMs;
  }

  after(ms: number, callback: () => void): Timer {
    return new SimulatedTimer(this, ms, false, callback);
  }

  every(ms: number, callback: () => void): Timer {
    return new SimulatedTimer(this, ms, true, callback);
  }

  fillRandom(bytes: Uint8Array, from: number): void {
    for (let at = from; at < bytes.length; at++) bytes[at] = Math.floor(256 * this.random());
  }

  /** Runs what is due. True if anything was. */
  runDue(): boolean {
    const now = this.nowMs();
    const due = [...this.timers].filter((timer) => timer.dueMs <= now).sort((a, b) => a.dueMs - b.dueMs);
    for (const timer of due) {
      if (!this.timers.has(timer)) continue;
      if (timer.repeats) timer.refresh();
      else this.timers.delete(timer);
      timer.callback();
    }
    return due.length > 0;
  }

  get nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const timer of this.timers) next = Math.min(next, timer.dueMs);
    return next;
  }
}

/** One machine: what one session runs on. */
export class Machine implements World {
  readonly network: SimulatedNetwork;
  readonly host: string;
  readonly wire: Wire;
  readonly ground: SimulatedGround;
  readonly descriptors = new DescriptorBudget(DESCRIPTORS);
  readonly binding = makeSimulatedBinding(this);
  readonly engines: SimulatedEngine[] = [];
  readonly uplink = new Uplink(this);
  /** Ports at which connections are accepted. */
  readonly listening = new Map<number, (from: unknown) => void>();
  /** What connections from here come from, in turn, where that is not its own address. */
  addresses: readonly string[] = [];
  isDead = false;
  /** The next write of a block to storage fails so: −errno. */
  writeFault = 0;
  #connects = 0;

  constructor(network: SimulatedNetwork, host: string, wire: Wire, seed: number) {
    this.network = network;
    this.host = host;
    this.wire = wire;
    this.ground = new SimulatedGround(network, seed);
  }

  /** The power goes: nobody here does anything any more, and the others find their connections reset. */
  kill(): void {
    this.isDead = true;
    this.network.note(`${this.host} is killed`);
    for (const engine of this.engines) engine.die();
  }

  /** What the next connection from here comes from. */
  nextAddress(): string {
    return this.addresses[this.#connects++ % this.addresses.length] ?? this.host;
  }

  /** Does what there is to do now. True if there was anything. */
  step(): boolean {
    this.uplink.carry();
    let happened = this.ground.runDue();
    for (const engine of this.engines) happened = engine.step() || happened;
    return happened;
  }

  get nextMs(): number {
    const next = Math.min(this.ground.nextMs, this.uplink.nextMs);
    return this.engines.reduce((least, engine) => Math.min(least, engine.nextMs), next);
  }
}

interface Event {
  readonly dueMs: number;
  readonly run: () => void;
}

export class SimulatedNetwork {
  nowMs = 0;
  readonly random: () => number;
  readonly machines = new Map<string, Machine>();
  /** All that happened, one line each. */
  readonly trace: string[] = [];
  /** Called after each turn of a machine, when its microtasks have run. */
  afterTurn: (machine: Machine) => void = () => {};
  /** Addresses at which nobody answers, not even to refuse. */
  isSilent: (host: string) => boolean = () => false;
  readonly #events: Event[] = [];
  readonly #byAddress = new Map<string, Machine>();

  constructor(seed: number) {
    this.random = makeRandom(seed);
  }

  /** A whole number from `min` to `max`. */
  pick(min: number, max: number): number {
    return min + Math.floor(this.random() * (max - min + 1));
  }

  addMachine(host: string, wire: Wire): Machine {
    const machine = new Machine(this, host, wire, this.pick(0, 0x7fffffff));
    this.machines.set(host, machine);
    return machine;
  }

  /** Whose address it is. */
  machineAt(host: string): Machine | undefined {
    return this.machines.get(host) ?? this.#byAddress.get(host);
  }

  /** Connections from the machine come from those addresses in turn, of which each is a network of its own. */
  giveAddresses(machine: Machine, addresses: readonly string[]): void {
    machine.addresses = addresses;
    for (const address of addresses) this.#byAddress.set(address, machine);
  }

  note(line: string): void {
    this.trace.push(`${this.nowMs} ${line}`);
  }

  /** The trace in one number. */
  get digest(): string {
    return createHash("sha1").update(this.trace.join("\n")).digest("hex");
  }

  /** Does `run` after so long. */
  later(ms: number, run: () => void): void {
    const dueMs = this.nowMs + ms;
    const at = this.#events.findIndex((event) => event.dueMs > dueMs);
    this.#events.splice(at < 0 ? this.#events.length : at, 0, { dueMs, run });
  }

  /** Lets time pass until `done`. Rejects after `msMax` of virtual time, or when nothing will ever happen. */
  async run(done: () => boolean, msMax: number, what: string): Promise<void> {
    const end = this.nowMs + msMax;
    await settled();
    while (!done()) {
      let turns = 0;
      while (turns < TURNS_PER_MS && !done() && (await this.#turn())) turns++;
      if (done()) return;
      this.nowMs = turns === TURNS_PER_MS ? this.nowMs + 1 : this.#nextMs(what);
      if (this.nowMs > end) throw new Error(`did not happen in ${msMax} ms of virtual time: ${what}`);
    }
  }

  /** Waits for what a machine promised while time passes. */
  async until<Value>(promise: Promise<Value>, msMax: number, what: string): Promise<Value> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await this.run(() => isSettled, msMax, what);
    return promise;
  }

  async #turn(): Promise<boolean> {
    let happened = false;
    while ((this.#events[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= this.nowMs) {
      required(this.#events.shift(), "an entry of events").run();
      happened = true;
      await settled();
    }
    for (const machine of [...this.machines.values()]) {
      if (machine.isDead || !machine.step()) continue;
      happened = true;
      await settled();
      if (!machine.isDead) this.afterTurn(machine);
    }
    return happened;
  }

  /** When something happens next. */
  #nextMs(what: string): number {
    let next = this.#events[0]?.dueMs ?? Number.POSITIVE_INFINITY;
    for (const machine of this.machines.values()) if (!machine.isDead) next = Math.min(next, machine.nextMs);
    if (next === Number.POSITIVE_INFINITY) throw new Error(`nothing will ever happen any more: ${what}`);
    return Math.max(this.nowMs, Math.ceil(next));
  }
}

/** All microtasks have run, and those that they made. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
