// A tracker with worker threads, on loopback: all of them answer for all torrents, whoever asks; lists, counts and downloads are the
// same for all; and what happens when one of them is ended.

import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { TrackerService, type TrackerServiceOptions } from "../../../../src/tracker/index.js";
import * as udp from "../../../../src/tracker/protocol/udp.js";

const HASH = Buffer.from("123456789abcdef123456789abcdef123456789a", "hex");
const OTHER = Buffer.alloc(20, 7);
const CLIENTS = 32;
const TOKEN = "0123456789abcdef";

/** A client of its own port: which thread hears it is the kernel's choice. */
class Client {
  readonly #socket: Socket;
  readonly #port: number;
  #id: Buffer = Buffer.alloc(8);
  #transaction = 0;
  #heard: Buffer[] = [];

  constructor(t: TestContext, port: number) {
    this.#socket = createSocket("udp4");
    this.#port = port;
    t.after(() => this.#socket.close());
    this.#socket.on("message", (message) => this.#heard.push(message));
  }

  /** Sends until it is answered: datagrams may be lost. */
  async #ask(request: Uint8Array): Promise<DataView> {
    const transaction = ++this.#transaction;
    new DataView(request.buffer).setUint32(12, transaction);
    for (;;) {
      this.#heard = [];
      this.#socket.send(request, this.#port, "127.0.0.1");
      for (let turn = 0; turn < 100; turn++) {
        const answer = this.#heard.find((each) => each.readUInt32BE(4) === transaction);
        if (answer !== undefined) return new DataView(answer.buffer, answer.byteOffset, answer.length);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }

  async connect(): Promise<void> {
    const view = new DataView(new ArrayBuffer(16));
    udp.writeConnectRequest(view, 0, 0);
    const answer = await this.#ask(new Uint8Array(view.buffer));
    this.#id = Buffer.from(answer.buffer, answer.byteOffset + 8, 8);
  }

  /** Seeders, leechers, and the ports of the peers that it is told of. */
  async announce(
    port: number,
    hash: Uint8Array = HASH,
    event: number = udp.EVENT_STARTED,
  ): Promise<number[][]> {
    const view = new DataView(new ArrayBuffer(98));
    const done = event === udp.EVENT_COMPLETED;
    udp.writeAnnounceRequest(view, 0, this.#id.readUInt32BE(0), this.#id.readUInt32BE(4), 0, {
      infoHash: hash,
      peerId: HASH,
      downloaded: 0,
      left: done ? 0 : 1,
      uploaded: 0,
      event,
      ip: 0,
      key: 0,
      numWant: 200,
      port,
    });
    const answer = await this.#ask(new Uint8Array(view.buffer));
    const peers = Array.from({ length: (answer.byteLength - 20) / 6 }, (_, at) =>
      answer.getUint16(24 + 6 * at),
    );
    return [[answer.getUint32(16), answer.getUint32(12)], peers.sort((a, b) => a - b)];
  }

  /** Seeders, downloads, leechers. */
  async scrape(hash: Uint8Array = HASH): Promise<number[]> {
    const request = new Uint8Array(36);
    const view = new DataView(request.buffer);
    request.set(this.#id);
    view.setUint32(8, udp.ACTION_SCRAPE);
    request.set(hash, 16);
    const answer = await this.#ask(request);
    return [answer.getUint32(8), answer.getUint32(12), answer.getUint32(16)];
  }
}

interface Place {
  readonly service: TrackerService;
  readonly clients: readonly [Client, ...Client[]];
  readonly warnings: readonly string[];
  portOf(protocol: string): number;
}

async function start(t: TestContext, options: Partial<TrackerServiceOptions> = {}): Promise<Place> {
  const warnings: string[] = [];
  const service = await TrackerService.start({
    udp: [{ host: "127.0.0.1", port: 0 }],
    store: { bytesMax: 2 ** 26 },
    workers: 3,
    onWarning: (message) => warnings.push(message),
    ...options,
  });
  t.after(() => service.close());
  const portOf = (protocol: string): number =>
    service.listening.find((each) => each.protocol === protocol)?.port ?? 0;
  const [first, ...others] = Array.from({ length: CLIENTS }, () => new Client(t, portOf("udp")));
  assert.ok(first !== undefined);
  const clients: [Client, ...Client[]] = [first, ...others];
  await Promise.all(clients.map((client) => client.connect()));
  return { service, clients, warnings, portOf };
}

async function until(test: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await test())) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("worker threads of a tracker", { timeout: 180_000 }, () => {
  const folder = mkdtemp(join(tmpdir(), "scatterwire-workers-"));
  after(async () => rm(await folder, { recursive: true, force: true }));

  it("answer for all torrents, whichever hears an announce, and HTTP with them", async (t) => {
    const { service, clients, portOf } = await start(t, { http: [{ host: "127.0.0.1", port: 0 }] });
    for (const [index, client] of clients.entries()) {
      const [counts, peers] = await client.announce(1000 + index);
      assert.deepEqual(counts, [0, index + 1]);
      assert.deepEqual(
        peers,
        Array.from({ length: index }, (_, before) => 1000 + before),
      );
    }
    const hash = [...HASH].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    const answer = await fetch(
      `http://127.0.0.1:${portOf("http")}/announce?info_hash=${hash}&port=99&left=0`,
    );
    assert.match(await answer.text(), new RegExp(`8:completei1e10:incompletei${CLIENTS}e`));
    for (const client of clients.slice(0, 8)) assert.deepEqual(await client.scrape(), [1, 0, CLIENTS]);
    assert.equal(service.counters().totals.peersV4, CLIENTS + 1);
    // Each thread says ten times a second what it has counted.
    await until(() => service.counters().udp.scrapes === 8);
    const counters = service.counters();
    assert.equal(counters.udp.announces, CLIENTS);
    assert.equal(counters.workers?.threads, 3);
    await service.close();
    assert.deepEqual(service.counters().udp, counters.udp, "nothing is lost at the end");
  });

  it("take new lists all", async (t) => {
    const { service, clients } = await start(t, { rules: { deny: new Set([OTHER.toString("hex")]) } });
    const isTold = async (hash: Uint8Array): Promise<boolean[]> =>
      Promise.all(
        clients.map(async (client, index) => ((await client.announce(1000 + index, hash))[0]?.[1] ?? 0) > 0),
      );
    assert.ok((await isTold(HASH)).every((told) => told));
    assert.ok((await isTold(OTHER)).every((told) => !told));
    service.replaceRules({ allow: new Set([OTHER.toString("hex")]) });
    // A thread takes them between two turns of its loop.
    await until(async () => (await isTold(OTHER)).every((told) => told));
    assert.ok((await isTold(HASH)).every((told) => !told));
    await until(() => service.counters().admission.refused >= 2 * CLIENTS);
  });

  it("take entries of a list one by one, those that begin later too, and no copy of the list for each", async (t) => {
    const deny = new Set([OTHER.toString("hex")]);
    for (let number = 0; number < 100_000; number++) deny.add(number.toString(16).padStart(40, "0"));
    const { service, clients, portOf } = await start(t, {
      metrics: { host: "127.0.0.1", port: 0 },
      token: TOKEN,
      rules: { deny },
    });
    const operate = async (method: string, path: string): Promise<number> => {
      const headers = { authorization: `Bearer ${TOKEN}` };
      const answer = await fetch(`http://127.0.0.1:${portOf("metrics")}/api/${path}`, { method, headers });
      await answer.text();
      return answer.status;
    };
    const isTold = async (hash: Uint8Array): Promise<boolean[]> =>
      Promise.all(
        clients.map(async (client, index) => ((await client.announce(1000 + index, hash))[0]?.[1] ?? 0) > 0),
      );
    assert.ok((await isTold(HASH)).every((told) => told));
    const beforeBytes = process.memoryUsage.rss();
    for (let number = 0; number < 100; number++)
      for (const method of ["PUT", "DELETE"])
        assert.equal(await operate(method, `lists/deny/${number.toString(16).padStart(40, "f")}`), 200);
    // A copy is 6 MiB.
    const moreMiB = (process.memoryUsage.rss() - beforeBytes) / 2 ** 20;
    assert.ok(moreMiB < 400, `${moreMiB} MiB for 200 changes`);
    await operate("PUT", `lists/deny/${HASH.toString("hex")}`);
    await operate("DELETE", `lists/deny/${OTHER.toString("hex")}`);
    const hold = async (): Promise<boolean> =>
      (await isTold(HASH)).every((told) => !told) && (await isTold(OTHER)).every((told) => told);
    await until(hold);
    for (let worker = 1; worker <= 3; worker++) {
      await until(async () => (await operate("POST", `workers/${worker}/restart`)) === 202);
      await until(() => service.counters().workers?.restarts === worker);
    }
    assert.ok(await hold(), "who begins later knows of them");
    service.replaceRules({ deny: new Set([OTHER.toString("hex")]) });
    await until(async () => (await isTold(HASH)).every((told) => told));
    assert.ok(
      (await isTold(OTHER)).every((told) => !told),
      "new lists are whole",
    );
  });

  it("are replaced when they end, while the others answer, and what waited for one is answered", async (t) => {
    const { service, clients, warnings, portOf } = await start(t, {
      metrics: { host: "127.0.0.1", port: 0 },
      token: TOKEN,
    });
    await Promise.all(clients.map((client, index) => client.announce(1000 + index)));
    for (let round = 0; round < 6; round++) {
      const restart = `http://127.0.0.1:${portOf("metrics")}/api/workers/${1 + (round % 3)}/restart`;
      assert.equal((await fetch(restart, { method: "POST" })).status, 401);
      const headers = { authorization: `Bearer ${TOKEN}` };
      // It is not there for a moment after it was ended.
      await until(async () => (await fetch(restart, { method: "POST", headers })).status === 202);
      await Promise.all(clients.map((client, index) => client.announce(1000 + index)));
      await until(() => service.counters().workers?.restarts === round + 1);
    }
    const { partsCleared } = service.counters().workers ?? { partsCleared: 0 };
    if (partsCleared === 0)
      assert.equal(service.counters().totals.peersV4, CLIENTS, "swarms outlive threads");
    assert.equal(warnings.length, 6);
    assert.match(warnings[0] ?? "", /worker thread 1 ended, and is replaced/);
    await Promise.all(clients.map((client, index) => client.announce(1000 + index)));
    assert.equal(service.killWorker(3), false);
  });

  it("count downloads together, and keep them", async (t) => {
    const downloadsFile = join(await folder, "downloads");
    const { service, clients } = await start(t, { downloadsFile });
    await Promise.all(clients.map((client, index) => client.announce(1000 + index)));
    await Promise.all(
      clients.map((client, index) => client.announce(1000 + index, HASH, udp.EVENT_COMPLETED)),
    );
    assert.deepEqual(await clients[0].scrape(), [CLIENTS, CLIENTS, 0]);
    await service.close();
    const again = await start(t, { downloadsFile, workers: 2 });
    for (const client of again.clients) assert.deepEqual(await client.scrape(), [0, CLIENTS, 0]);
    await again.service.close();
    // Without threads it is the same file.
    const alone = await start(t, { downloadsFile, workers: 1 });
    assert.deepEqual(await alone.clients[0].scrape(), [0, CLIENTS, 0]);
  });

  it("are none, and hold nothing, where a port cannot be had or an option makes no sense", async (t) => {
    const { portOf } = await start(t, { workers: 1 });
    const taken = { host: "127.0.0.1", port: portOf("udp") };
    const refused = (options: Partial<TrackerServiceOptions>, code: string): Promise<void> =>
      assert.rejects(TrackerService.start({ udp: [], workers: 2, ...options }), { code });
    await refused({ udp: [{ host: "127.0.0.1", port: 0 }, taken] }, "LISTEN_FAILED");
    await refused({ workers: 65 }, "USAGE_OPTION");
    await refused({ workers: 2.5 }, "USAGE_OPTION");
    await refused({ store: { bytesMax: 5 } }, "USAGE_OPTION");
  });
});
