// The client of UDP trackers on a network in memory: with our tracker at the other end, and with one that does what the test says.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import { TrackerError } from "../../../../src/base/errors.js";
import { type DatagramBatch, type DatagramSocket, READABLE } from "../../../../src/native/datagrams.js";
import type { AnnounceAnswer, AnnounceRequest } from "../../../../src/tracker/client/announce.js";
import { UdpTrackers } from "../../../../src/tracker/client/udp-trackers.js";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import * as udp from "../../../../src/tracker/protocol/udp.js";
import { ConnectionIds } from "../../../../src/tracker/server/connection-ids.js";
import { UdpServer } from "../../../../src/tracker/server/udp-server.js";
import { entryOf } from "../../../support/required.js";
import { VirtualDatagrams } from "../../../support/virtual-datagrams.js";

const KEY = Uint32Array.of(1, 2, 3, 4);
const HASH = Uint8Array.from({ length: 20 }, (_, index) => 7 * index);
const SERVER = { host: "10.0.0.1", port: 6969, path: "/" };

function request(port: number, more: Partial<AnnounceRequest> = {}): AnnounceRequest {
  return {
    infoHash: HASH,
    peerId: Uint8Array.from({ length: 20 }, (_, index) => port + index),
    ports: { v4: port, v6: port + 1 },
    uploaded: 1,
    downloaded: 2,
    left: 3,
    event: "started",
    numWant: -1,
    key: 4,
    ...more,
  };
}

function clientIn(world: VirtualDatagrams, last: number): UdpTrackers {
  return new UdpTrackers({
    datagrams: world.network,
    ground: world.ground,
    sourceFor: (far) => (far.includes(":") ? `fd00::${last}` : `10.0.1.${last}`),
  });
}

function serve(world: VirtualDatagrams, host: string): { server: UdpServer; store: PeerStore } {
  const ids = new ConnectionIds(KEY);
  const store = new PeerStore({ key: KEY, bytesMax: 2 ** 24 });
  const socket = world.network.bind({ host, port: SERVER.port });
  const options = { intervalSeconds: 900, peersDefault: 50, peersMax: 200, dice: 1 };
  return { server: new UdpServer(socket, store, ids, options), store };
}

interface Heard {
  readonly atMs: number;
  readonly view: DataView;
  readonly action: number;
  readonly transaction: number;
  answer(write: (view: DataView) => number, from?: DatagramSocket): void;
}

/** A tracker that the test answers for. */
class Puppet {
  readonly heard: Heard[] = [];
  readonly socket: DatagramSocket;
  onHeard: (heard: Heard) => void = () => {};

  constructor(world: VirtualDatagrams, host = SERVER.host, port = SERVER.port) {
    this.socket = world.network.bind({ host, port });
    const batch = this.socket.makeBatch(8, 2048);
    this.socket.watch(
      {
        datagramsReady: () => {
          const count = this.socket.receive(batch);
          for (let entry = 0; entry < count; entry++) this.#take(world.network.nowMs, batch, entry);
        },
      },
      READABLE,
    );
  }

  /** Gives out connection ids, and nothing else. */
  connects(): this {
    this.onHeard = (heard) => {
      if (heard.action === udp.ACTION_CONNECT)
        heard.answer((view) => udp.writeConnectResponse(view, 0, heard.transaction, 5, this.heard.length));
    };
    return this;
  }

  get actions(): number[] {
    return this.heard.map(({ action }) => action);
  }

  #take(atMs: number, batch: DatagramBatch, entry: number): void {
    const at = entry * batch.slotBytes;
    const view = new DataView(batch.bytes.slice(at, at + (batch.lengths[entry] ?? 0)).buffer);
    const address = batch.addresses.slice(4 * entry, 4 * entry + 4);
    const port = batch.ports[entry] ?? 0;
    const heard: Heard = {
      atMs,
      view,
      action: view.getUint32(udp.ACTION_AT),
      transaction: view.getUint32(udp.TRANSACTION_AT),
      answer: (write, from = this.socket) => {
        const out = from.makeBatch(1, 4096);
        out.lengths[0] = write(out.view);
        out.addresses.set(address);
        out.ports[0] = port;
        from.send(out, 0, 1);
      },
    };
    this.heard.push(heard);
    this.onHeard(heard);
  }
}

const codeIs = (code: string) => (error: unknown) => error instanceof TrackerError && error.code === code;

describe("UDP trackers, the client's side", () => {
  for (const [family, host, one, two] of [
    ["IPv4", SERVER.host, { host: "10.0.1.1", port: 7000 }, { host: "10.0.1.2", port: 8000 }],
    [
      "IPv6",
      "fd00::1:1",
      { host: "fd00:0:0:0:0:0:0:1", port: 7001 },
      { host: "fd00:0:0:0:0:0:0:2", port: 8001 },
    ],
  ] as const)
    it(`announces to our tracker over ${family}, which names the peers, and scrapes it`, async () => {
      const world = new VirtualDatagrams(1);
      const { server } = serve(world, host);
      const [first, second] = [clientIn(world, 1), clientIn(world, 2)];
      const at = { ...SERVER, host };
      const empty = await world.until(first.announce(at, request(7000)));
      assert.deepEqual([empty.interval, empty.leechers, empty.seeders], [900, 1, 0]);
      const found = await world.until(second.announce(at, request(8000, { left: 0 })));
      assert.deepEqual([found.leechers, found.seeders], [1, 1]);
      assert.deepEqual(found.peers, [one]);
      const again = await world.until(first.announce(at, request(7000, { event: "none" })));
      assert.deepEqual(again.peers, [two]);
      const [entry, other] = await world.until(first.scrape(at, [HASH, new Uint8Array(20)]));
      assert.deepEqual(entry, {
        infoHash: Buffer.from(HASH).toString("hex"),
        seeders: 1,
        leechers: 1,
        downloads: 0,
      });
      assert.deepEqual([other?.seeders, other?.leechers], [0, 0]);
      // One connection id each served the requests of a minute.
      assert.equal(server.counters.connects, 2);
      assert.deepEqual([server.counters.malformed, first.pending, world.timers], [0, 0, 0]);
      first.close();
      second.close();
    });

  it("says everything that BEP 15 and 41 have", async () => {
    const world = new VirtualDatagrams(2);
    const puppet = new Puppet(world).connects();
    const client = clientIn(world, 1);
    const announced = client.announce(
      { ...SERVER, path: "/announce?key=x" },
      request(7000, { uploaded: 2 ** 40, event: "completed", numWant: 30, ip: "192.0.2.1" }),
    );
    announced.catch(() => {});
    await world.run(100);
    const { view } = entryOf(puppet.heard, 1);
    assert.deepEqual([view.getUint32(0), view.getUint32(4)], [5, 1], "the connection id");
    assert.deepEqual(new Uint8Array(view.buffer, udp.INFO_HASH_AT, 20), HASH);
    assert.equal(udp.readUint64(view, udp.UPLOADED_AT), 2 ** 40);
    assert.equal(udp.readUint64(view, udp.DOWNLOADED_AT), 2);
    assert.equal(udp.readUint64(view, udp.LEFT_AT), 3);
    assert.equal(view.getUint32(udp.EVENT_AT), udp.EVENT_COMPLETED);
    assert.equal(view.getUint32(udp.IP_AT), 0xc0000201);
    assert.equal(view.getUint32(udp.KEY_AT), 4);
    assert.equal(view.getInt32(udp.NUM_WANT_AT), 30);
    assert.equal(view.getUint16(udp.PORT_AT), 7000);
    assert.equal(Buffer.from(udp.readUrlData(view, 0, view.byteLength)).toString(), "/announce?key=x");
    client.close();
    await assert.rejects(announced, codeIs("TRACKER_CLOSED"));
    assert.equal(world.timers, 0);
  });

  it("is sent again after 15 s, then 30, and given up after 60 more", async () => {
    const world = new VirtualDatagrams(3);
    const puppet = new Puppet(world);
    const client = clientIn(world, 1);
    await assert.rejects(world.until(client.announce(SERVER, request(7000))), codeIs("TRACKER_TIMEOUT"));
    const times = puppet.heard.map(({ atMs }) => Math.round(atMs / 1000));
    assert.deepEqual(times, [0, 15, 45]);
    assert.deepEqual(puppet.actions, [0, 0, 0]);
    assert.equal(Math.round(world.network.nowMs / 1000), 105);
    assert.deepEqual([client.pending, world.timers], [0, 0]);
  });

  it("asks for a new connection id when the one it has is a minute old", async () => {
    const world = new VirtualDatagrams(4);
    const puppet = new Puppet(world).connects();
    const client = clientIn(world, 1);
    const announced = assert.rejects(client.announce(SERVER, request(7000)), codeIs("TRACKER_TIMEOUT"));
    await world.run(110_000);
    await announced;
    // At 0, 15 and 45 s with the first id; and again a second time after the minute.
    assert.deepEqual(puppet.actions, [0, 1, 1, 1]);
    const late = client.announce(SERVER, request(7000));
    late.catch(() => {});
    await world.run(100);
    assert.deepEqual(puppet.actions, [0, 1, 1, 1, 0, 1]);
    client.close();
  });

  it("connects once for many torrents, and gives each its own answer", async () => {
    const world = new VirtualDatagrams(5, { jitterMs: 40, latencyMs: 5 });
    const puppet = new Puppet(world);
    puppet.onHeard = (heard) => {
      if (heard.action === udp.ACTION_CONNECT)
        return heard.answer((view) => udp.writeConnectResponse(view, 0, heard.transaction, 1, 2));
      const hash = heard.view.getUint8(udp.INFO_HASH_AT);
      heard.answer((view) => udp.writeAnnounceResponse(view, 0, heard.transaction, 60, hash, 0));
    };
    const client = clientIn(world, 1);
    const hashes = Array.from({ length: 50 }, (_, index) => new Uint8Array(20).fill(index));
    const answers = hashes.map((infoHash) => client.announce(SERVER, request(7000, { infoHash })));
    const told: AnnounceAnswer[] = await world.until(Promise.all(answers));
    assert.deepEqual(
      told.map(({ leechers }) => leechers),
      hashes.map((_, index) => index),
    );
    assert.equal(puppet.actions.filter((action) => action === udp.ACTION_CONNECT).length, 1);
    client.close();
  });

  it("heeds no answer from another address or port, with another transaction, or cut off", async () => {
    const world = new VirtualDatagrams(6);
    const puppet = new Puppet(world);
    const [elsewhere, otherPort] = [new Puppet(world, "10.0.0.2"), new Puppet(world, SERVER.host, 7)];
    const lies = [
      (heard: Heard) =>
        heard.answer((view) => udp.writeConnectResponse(view, 0, heard.transaction, 6, 6), elsewhere.socket),
      (heard: Heard) =>
        heard.answer((view) => udp.writeConnectResponse(view, 0, heard.transaction, 6, 6), otherPort.socket),
      (heard: Heard) =>
        heard.answer((view) => udp.writeConnectResponse(view, 0, heard.transaction ^ 1, 6, 6)),
      (heard: Heard) =>
        heard.answer((view) => udp.writeConnectResponse(view, 0, heard.transaction, 6, 6) - 1),
      (heard: Heard) =>
        heard.answer((view) => udp.writeAnnounceResponse(view, 0, heard.transaction, 6, 6, 6)),
      (heard: Heard) => heard.answer((view) => view.byteLength),
      (heard: Heard) => heard.answer(() => 0),
    ];
    puppet.onHeard = (heard) => {
      for (const lie of lies) lie(heard);
    };
    const client = clientIn(world, 1);
    const announced = client.announce(SERVER, request(7000));
    announced.catch(() => {});
    await world.run(100);
    assert.deepEqual(puppet.actions, [udp.ACTION_CONNECT]);
    assert.equal(client.counters.unasked, lies.length);
    assert.equal(client.counters.answers, 0);
    client.close();
  });

  it("takes peers that are whole, and none without a port", async () => {
    const world = new VirtualDatagrams(7);
    const puppet = new Puppet(world);
    puppet.onHeard = (heard) => {
      if (heard.action === udp.ACTION_CONNECT)
        return heard.answer((view) => udp.writeConnectResponse(view, 0, heard.transaction, 1, 2));
      heard.answer((view) => {
        const length = udp.writeAnnounceResponse(view, 0, heard.transaction, 60, 1, 0);
        new Uint8Array(view.buffer, view.byteOffset + length, 16).set([
          1, 2, 3, 4, 0, 80, 5, 6, 7, 8, 0, 0, 9, 9, 9, 9,
        ]);
        return length + 16;
      });
    };
    const client = clientIn(world, 1);
    const { peers } = await world.until(client.announce(SERVER, request(7000)));
    assert.deepEqual(peers, [{ host: "1.2.3.4", port: 80 }]);
    client.close();
  });

  it("tells what a tracker refuses, without what steers a terminal, and connects anew after it", async () => {
    const world = new VirtualDatagrams(8);
    const puppet = new Puppet(world);
    puppet.onHeard = (heard) => {
      if (heard.action === udp.ACTION_CONNECT)
        return heard.answer((view) => udp.writeConnectResponse(view, 0, heard.transaction, 1, 2));
      const text = Buffer.from(`\u001b[2Jnot here\n${"x".repeat(3000)}`);
      heard.answer((view) => udp.writeErrorResponse(view, 0, heard.transaction, text));
    };
    const client = clientIn(world, 1);
    const failed = await world.until(
      client.announce(SERVER, request(7000)).catch((error: TrackerError) => error),
    );
    assert.ok(failed instanceof TrackerError && failed.code === "TRACKER_FAILURE");
    assert.match(failed.message, /^\[2Jnot here x+…$/);
    await assert.rejects(world.until(client.announce(SERVER, request(7000))), codeIs("TRACKER_FAILURE"));
    assert.deepEqual(puppet.actions, [0, 1, 0, 1]);
    client.close();
  });

  it("reaches its tracker through loss, doubling and reordering", async () => {
    const world = new VirtualDatagrams(9, { loss: 0.3, duplication: 0.3, jitterMs: 300, latencyMs: 20 });
    serve(world, SERVER.host);
    const clients = Array.from({ length: 20 }, (_, index) => clientIn(world, index + 1));
    const all = clients.map((client, index) => client.announce(SERVER, request(7000 + index)));
    const results = await world.until(Promise.allSettled(all));
    const reached = results.filter(({ status }) => status === "fulfilled").length;
    assert.ok(reached >= 15, `${reached} of 20 got an answer`);
    for (const client of clients) assert.equal(client.pending, 0);
  });

  it("forgets who stops waiting", async () => {
    const world = new VirtualDatagrams(10);
    new Puppet(world);
    const client = clientIn(world, 1);
    const stop = new AbortController();
    const announced = assert.rejects(
      client.announce(SERVER, request(7000), stop.signal),
      codeIs("TRACKER_CLOSED"),
    );
    await world.run(100);
    stop.abort();
    await announced;
    assert.deepEqual([client.pending, world.timers], [0, 0]);
    await assert.rejects(client.announce(SERVER, request(7000), stop.signal), codeIs("TRACKER_CLOSED"));
  });
});
