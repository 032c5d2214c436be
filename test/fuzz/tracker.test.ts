// Random, mutated, cut and replayed datagrams at a real socket of a tracker: it goes on, counts each of them once, never says more
// than it was told without a valid connection id, and never announces what nobody announced.

import { strict as assert } from "node:assert";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { it } from "node:test";
import * as udp from "../../src/tracker/protocol/udp.js";
import { Tracker } from "../../src/tracker/server/tracker.js";
import { makeRandom } from "../support/property.js";
import { entryOf } from "../support/required.js";

const SEED = process.env["SEED"] === undefined ? Date.now() & 0x7fffffff : Number(process.env["SEED"]);
const DATAGRAMS = Number(process.env["RUNS"] ?? 4000);
/** So many are sent before it is waited for that they were taken: fewer than a socket's queue holds. */
const PACE = 50;

class Client {
  readonly heard: Buffer[] = [];
  readonly #socket: Socket;
  readonly #port: number;

  constructor(socket: Socket, port: number) {
    this.#socket = socket;
    this.#port = port;
    socket.on("message", (message) => this.heard.push(message));
  }

  send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#socket.send(bytes, this.#port, "127.0.0.1", (error) => (error ? reject(error) : resolve())),
    );
  }

  /** Sends until it is answered, with its action and transaction: datagrams may be lost, and answers to others still come. */
  async ask(bytes: Uint8Array): Promise<DataView> {
    const asked = Buffer.from(bytes).subarray(8, 16);
    const isAnswer = (heard: Buffer): boolean => heard.subarray(0, 8).equals(asked);
    for (;;) {
      this.heard.length = 0;
      await this.send(bytes);
      for (let turn = 0; turn < 1000 && !this.heard.some(isAnswer); turn++)
        await new Promise((resolve) => setImmediate(resolve));
      const heard = this.heard.find(isAnswer);
      if (heard !== undefined) return new DataView(heard.buffer, heard.byteOffset, heard.byteLength);
    }
  }
}

function connectRequest(): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  udp.writeConnectRequest(view, 0, 1);
  return new Uint8Array(view.buffer);
}

function announceRequest(id: DataView, hash: Uint8Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(98));
  udp.writeAnnounceRequest(view, 0, id.getUint32(8), id.getUint32(12), 2, {
    infoHash: hash,
    peerId: hash,
    downloaded: 0,
    left: 1,
    uploaded: 0,
    event: udp.EVENT_STARTED,
    ip: 0,
    key: 0,
    numWant: 10,
    port: 1000,
  });
  return new Uint8Array(view.buffer);
}

it(`whatever datagrams come, a tracker goes on (SEED=${SEED} RUNS=${DATAGRAMS})`, async (t) => {
  const random = makeRandom(SEED);
  const roll = (below: number): number => Math.floor(random() * below);
  const tracker = new Tracker({ udp: [{ host: "127.0.0.1", port: 0 }], store: { bytesMax: 2 ** 24 } });
  t.after(() => tracker.close());
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  const client = new Client(socket, entryOf(tracker.udpAddresses, 0).port);
  const hash = Uint8Array.from({ length: 20 }, () => roll(256));
  const id = await client.ask(connectRequest());
  const whole = announceRequest(id, hash);
  await client.ask(whole);
  const seeds = [connectRequest(), whole, whole.subarray(0, 56), new Uint8Array(0), new Uint8Array(1600)];
  const before = tracker.counters().udp;
  let bytesIn = 0;
  for (let sent = 0; sent < DATAGRAMS; sent++) {
    const bytes = Buffer.concat([
      entryOf(seeds, roll(seeds.length)),
      new Uint8Array(roll(4) === 0 ? roll(1500) : 0),
    ]);
    for (let change = roll(4); change > 0 && bytes.length > 0; change--)
      bytes[roll(bytes.length)] = roll(256);
    // A connection id that is right in all but half of the cases.
    if (bytes.length >= 16 && roll(2) === 0)
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, roll(2 ** 32));
    const cut = roll(5) === 0 ? bytes.subarray(0, roll(bytes.length + 1)) : bytes;
    bytesIn += cut.length;
    await client.send(cut);
    if (sent % PACE === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const last = announceRequest(id, hash);
  // A transaction that no mutation of the first one has.
  new DataView(last.buffer).setUint32(udp.TRANSACTION_AT, 0xfeedbeef);
  const answer = await client.ask(last);
  assert.equal(udp.responseAction(answer, 0, answer.byteLength), udp.ACTION_ANNOUNCE);
  const { udp: counters, totals } = tracker.counters();
  const count = (names: readonly (keyof typeof counters)[]): number =>
    names.reduce((sum, name) => sum + counters[name] - before[name], 0);
  const answered = count(["connects", "announces", "scrapes"]);
  assert.equal(count(["responses"]), answered);
  const ignored = count(["truncated", "tooShort", "unknown", "malformed", "invalidIds", "portZero"]);
  // The kernel may drop some, and the last question may have been asked again.
  assert.ok(answered + ignored > DATAGRAMS / 2, `${answered} and ${ignored} of ${DATAGRAMS}`);
  assert.ok(ignored > DATAGRAMS / 10);
  assert.ok(count(["bytesIn"]) <= bytesIn + 98 * (1 + count(["announces"])));
  assert.ok(totals.torrents >= 1 && totals.bytes < 2 ** 24);
});

it("a flood of torrents from one address stays within its budget and within memory", async (t) => {
  const tracker = new Tracker({
    udp: [{ host: "127.0.0.1", port: 0 }],
    store: { bytesMax: 2 ** 20, newTorrentsPerMinute: 500 },
  });
  t.after(() => tracker.close());
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  const client = new Client(socket, entryOf(tracker.udpAddresses, 0).port);
  const id = await client.ask(connectRequest());
  const bytes = announceRequest(id, new Uint8Array(20));
  for (let sent = 0; sent < 3000; sent++) {
    new DataView(bytes.buffer).setUint32(udp.INFO_HASH_AT, sent);
    await client.send(bytes);
    if (sent % PACE === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await client.ask(bytes);
  const { totals, swarms } = tracker.counters();
  // A minute may end meanwhile, once.
  assert.ok(totals.torrents <= 1000, `${totals.torrents} torrents`);
  assert.ok(swarms.torrentsOverBudget > 500, `${swarms.torrentsOverBudget} were over the budget`);
  assert.ok(totals.bytes <= 2 ** 20);
});

it("what one address was given is worth nothing to another: replayed from there, it brings no byte more than it costs", async (t) => {
  const tracker = new Tracker({ udp: [{ host: "127.0.0.1", port: 0 }], store: { bytesMax: 2 ** 24 } });
  t.after(() => tracker.close());
  const { port } = entryOf(tracker.udpAddresses, 0);
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  const client = new Client(socket, port);
  const id = await client.ask(connectRequest());
  const announce = announceRequest(id, new Uint8Array(20));
  await client.ask(announce);
  const scrape = Buffer.from(announce.subarray(0, 96));
  scrape.writeUInt32BE(udp.ACTION_SCRAPE, udp.ACTION_AT);
  // Somebody else, whose address answers would go to.
  const other = createSocket("udp4");
  t.after(() => other.close());
  other.bind(0, "127.0.0.2");
  await once(other, "listening");
  const thief = new Client(other, port);
  const before = tracker.counters().udp;
  const rounds = 200;
  for (let round = 0; round < rounds; round++) {
    for (const bytes of [announce, scrape, connectRequest()]) await thief.send(bytes);
    if (round % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  // Until all was taken: what comes last is answered last.
  await thief.ask(connectRequest());
  const after = tracker.counters().udp;
  const rose = (name: keyof typeof after): number => after[name] - before[name];
  assert.equal(rose("announces") + rose("scrapes"), 0);
  assert.ok(rose("invalidIds") > rounds, `${rose("invalidIds")} were not answered`);
  assert.equal(rose("bytesOut"), 16 * rose("connects"));
  assert.ok(rose("bytesOut") < rose("bytesIn") / 5, `${rose("bytesOut")} for ${rose("bytesIn")} bytes`);
  assert.ok(thief.heard.every(({ length }) => length === 16));
});
