// Sockets for datagrams: one contract, held by the system's sockets in batches, by the portable way, and by the network in
// memory; and what only the system has, truncated datagrams, errors of binding, descriptors.

import { strict as assert } from "node:assert";
import { constants } from "node:os";
import { describe, test } from "node:test";
import { UsageError } from "../../src/base/errors.js";
import { DatagramNetwork } from "../../src/native/datagram-network.js";
import {
  ADDRESS_WORDS,
  type DatagramBatch,
  type DatagramSocket,
  type Datagrams,
  READABLE,
  type SharableSocket,
  SystemDatagrams,
} from "../../src/native/datagrams.js";
import { Reactor } from "../../src/native/reactor.js";
import { entryOf, required } from "../support/required.js";
import { binding, type Cleanup } from "./harness.js";

const { errno } = constants;

interface Place {
  readonly datagrams: Datagrams;
  /** Lets the network do its work until `test` holds. */
  until(test: () => boolean): Promise<void>;
}

function systemPlace(portable: boolean): (context: Cleanup) => Place {
  return (context) => {
    const reactor = new Reactor(4096);
    context.after(() => reactor.close());
    return {
      datagrams: new SystemDatagrams(reactor, portable),
      until: async (test) => {
        while (!test()) await new Promise((resolve) => setImmediate(resolve));
      },
    };
  };
}

function memoryPlace(): Place {
  const network = new DatagramNetwork();
  return {
    datagrams: network,
    until: (test) => {
      for (let step = 0; step < 1000 && !test(); step++) network.run(network.nowMs + 1);
      return test() ? Promise.resolve() : Promise.reject(new Error("nothing came"));
    },
  };
}

function bytesAt(array: Uint32Array | Uint16Array, index: number, length: number): number[] {
  return [...new Uint8Array(array.buffer, array.byteOffset + index * array.BYTES_PER_ELEMENT, length)];
}

function write(batch: DatagramBatch, entry: number, text: string, to?: DatagramSocket): void {
  batch.bytes.set(Buffer.from(text), entry * batch.slotBytes);
  batch.lengths[entry] = Buffer.byteLength(text);
  if (to === undefined) {
    batch.ports[entry] = 0;
    return;
  }
  const address =
    to.family === 4 ? to.address.host.split(".").map(Number) : [...new Array<number>(15).fill(0), 1];
  const words = new Uint8Array(
    batch.addresses.buffer,
    batch.addresses.byteOffset + 4 * ADDRESS_WORDS * entry,
    16,
  );
  words.fill(0);
  words.set(address);
  const port = new Uint8Array(batch.ports.buffer, batch.ports.byteOffset + 2 * entry, 2);
  port.set([to.address.port >>> 8, to.address.port & 0xff]);
}

function text(batch: DatagramBatch, entry: number): string {
  const at = entry * batch.slotBytes;
  return Buffer.from(batch.bytes.subarray(at, at + entryOf(batch.lengths, entry))).toString();
}

/** Everything that comes to a socket, as [text, port of the sender]. */
class Listener {
  readonly heard: [string, number][] = [];
  readonly errors: number[] = [];
  readonly batch: DatagramBatch;
  readonly socket: DatagramSocket;

  constructor(socket: DatagramSocket) {
    this.socket = socket;
    this.batch = socket.makeBatch(8, 64);
    socket.watch(this, READABLE);
  }

  datagramsReady(): void {
    for (;;) {
      const count = this.socket.receive(this.batch);
      if (count === 0) return;
      if (count < 0) this.errors.push(count);
      for (let entry = 0; entry < count; entry++) {
        const [high, low] = bytesAt(this.batch.ports, entry, 2);
        this.heard.push([text(this.batch, entry), (required(high, "high") << 8) | required(low, "low")]);
      }
    }
  }
}

const PLACES: [string, (context: Cleanup) => Place][] = [
  ["the system's sockets, in batches", systemPlace(false)],
  ["the system's sockets, one by one", systemPlace(true)],
  ["a network in memory", () => memoryPlace()],
];

for (const [name, makePlace] of PLACES) {
  describe(name, () => {
    for (const host of ["127.0.0.1", "::1"]) {
      test(`${host}: a batch arrives whole and in order, and each datagram says where it came from`, async (t) => {
        const place = makePlace(t);
        const [near, far] = [0, 0].map((port) => place.datagrams.bind({ host, port }));
        const listener = new Listener(required(far, "far"));
        const batch = required(near, "near").makeBatch(20, 64);
        for (let entry = 0; entry < 20; entry++) write(batch, entry, `number ${entry}`, far);
        assert.equal(required(near, "near").send(batch, 0, 20), 20);
        await place.until(() => listener.heard.length === 20);
        const expected = Array.from({ length: 20 }, (_, entry) => [
          `number ${entry}`,
          required(near, "near").address.port,
        ]);
        assert.deepEqual(listener.heard, expected);
        assert.equal(required(far, "far").counters.received, 20);
        assert.equal(required(near, "near").counters.sent, 20);
        const words = bytesAt(listener.batch.addresses, 0, 16);
        const address = host === "::1" ? [...new Array<number>(15).fill(0), 1] : [127, 0, 0, 1];
        assert.deepEqual(words, [...address, ...new Array<number>(16 - address.length).fill(0)]);
      });
    }

    test("what came is answered in place, entry by entry", async (t) => {
      const place = makePlace(t);
      const server = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
      const client = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
      const batch = server.makeBatch(4, 64);
      server.watch(
        {
          datagramsReady: () => {
            for (let count = server.receive(batch); count > 0; count = server.receive(batch))
              assert.equal(server.send(batch, 0, count), count);
          },
        },
        READABLE,
      );
      const listener = new Listener(client);
      const out = client.makeBatch(10, 64);
      for (let entry = 0; entry < 10; entry++) write(out, entry, `echo ${entry}`, server);
      assert.equal(client.send(out, 0, 10), 10);
      await place.until(() => listener.heard.length === 10);
      assert.deepEqual(
        listener.heard.map(([said]) => said),
        Array.from({ length: 10 }, (_, entry) => `echo ${entry}`),
      );
    });

    test("a datagram that is longer than a slot tells that its end is missing; an empty one is one", async (t) => {
      const place = makePlace(t);
      const server = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
      const client = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
      const lengths: number[] = [];
      const batch = server.makeBatch(4, 16);
      server.watch(
        {
          datagramsReady: () => {
            for (let count = server.receive(batch); count > 0; count = server.receive(batch))
              lengths.push(...batch.lengths.subarray(0, count));
          },
        },
        READABLE,
      );
      const out = client.makeBatch(3, 64);
      write(out, 0, "x".repeat(17), server);
      write(out, 1, "", server);
      write(out, 2, "x".repeat(16), server);
      assert.equal(client.send(out, 0, 3), 3);
      await place.until(() => lengths.length === 3);
      assert.ok(entryOf(lengths, 0) > 16, `${lengths[0]} is more than a slot has`);
      assert.deepEqual(lengths.slice(1), [0, 16]);
    });

    test("nobody at the other end: whoever is connected is told once, and the socket goes on", async (t) => {
      const place = makePlace(t);
      const gone = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
      const address = gone.address;
      gone.close();
      const client = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
      client.connect(address);
      const listener = new Listener(client);
      const out = client.makeBatch(1, 64);
      write(out, 0, "hello");
      assert.equal(client.send(out, 0, 1), 1);
      await place.until(() => listener.errors.length > 0);
      assert.deepEqual(listener.errors, [-errno.ECONNREFUSED]);
      const back = place.datagrams.bind({ host: "127.0.0.1", port: address.port });
      const other = new Listener(back);
      assert.equal(client.send(out, 0, 1), 1);
      await place.until(() => other.heard.length > 0);
      assert.deepEqual(other.heard, [["hello", client.address.port]]);
    });

    test("a datagram that cannot be sent costs itself and nothing else", async (t) => {
      const place = makePlace(t);
      const server = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
      const client = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
      const listener = new Listener(server);
      // Longer than any IPv4 datagram.
      const out = client.makeBatch(3, 65_536);
      write(out, 0, "before", server);
      write(out, 1, "x".repeat(65_530), server);
      write(out, 2, "behind", server);
      assert.equal(client.send(out, 0, 3), 3);
      await place.until(() => listener.heard.length === 2);
      assert.deepEqual(
        listener.heard.map(([said]) => said),
        ["before", "behind"],
      );
      assert.equal(client.counters.refused, 1);
    });

    test("a port that is taken says so, unless all who bind it share it", async (t) => {
      const place = makePlace(t);
      const first = place.datagrams.bind({ host: "127.0.0.1", port: 0, reusePort: true });
      const { port } = first.address;
      assert.throws(
        () => place.datagrams.bind({ host: "127.0.0.1", port }),
        (error) =>
          error instanceof UsageError && error.code === "LISTEN_FAILED" && /EADDRINUSE/.test(error.message),
      );
      const second = place.datagrams.bind({ host: "127.0.0.1", port, reusePort: true });
      const both = [new Listener(first), new Listener(second)];
      const heard = () => both.reduce((sum, listener) => sum + listener.heard.length, 0);
      for (let sender = 0; sender < 32; sender++) {
        const client = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
        const out = client.makeBatch(1, 64);
        write(out, 0, `${sender}`, first);
        assert.equal(client.send(out, 0, 1), 1);
      }
      await place.until(() => heard() === 32);
      assert.ok(both.every((listener) => listener.heard.length > 0));
    });

    test("a host that is no numeric address is refused", (t) => {
      const place = makePlace(t);
      assert.throws(() => place.datagrams.bind({ host: "localhost", port: 0 }), /EINVAL/);
    });
  });
}

test("a full send queue is told, and costs nothing that was sent before", () => {
  const network = new DatagramNetwork({ sendQueueMax: 3 });
  const client = network.bind({ host: "127.0.0.1", port: 0 });
  const batch = client.makeBatch(5, 64);
  for (let entry = 0; entry < 5; entry++) write(batch, entry, "x", client);
  assert.equal(client.send(batch, 0, 5), 3);
  assert.equal(client.counters.queueFull, 1);
  network.run(5);
  assert.equal(client.send(batch, 3, 2), 2);
});

test("misuse of a batch throws, and touches nothing", (t) => {
  const place = systemPlace(false)(t);
  assert.ok(place);
  for (const [entries, slotBytes] of [
    [0, 64],
    [1025, 64],
    [1, 0],
    [1, 12],
    [1, 65_544],
    [Number.NaN, 64],
    [1, Number.POSITIVE_INFINITY],
  ] as const) {
    assert.throws(() => binding.createDatagramBatch(entries, slotBytes, 4, false), RangeError);
  }
  const batch = binding.createDatagramBatch(4, 64, 4, false);
  for (const [first, count] of [
    [0, 0],
    [0, 5],
    [4, 1],
    [3, 2],
    [-1, 1],
    [0.5, 1],
    [2 ** 32, 1],
  ] as const) {
    assert.throws(() => batch.send(0, first, count), RangeError, `${first}, ${count}`);
  }
  assert.throws(() => batch.receive(0, 5), RangeError);
  assert.throws(() => batch.receive("0" as never, 1), TypeError);
  // Lengths are in memory that anybody writes: they are looked at before the kernel is asked.
  batch.ports[0] = 1;
  for (const length of [-1, 65, 2 ** 31 - 1]) {
    batch.lengths[0] = length;
    assert.equal(batch.send(0, 0, 1), -errno.EMSGSIZE);
  }
  assert.equal(batch.receive(-1, 1), -errno.EBADF);
});

test("the system counts a datagram's true length, however short the slot", async (t) => {
  const place = systemPlace(false)(t);
  const server = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
  const client = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
  const out = client.makeBatch(1, 2048);
  write(out, 0, "x".repeat(2000), server);
  client.send(out, 0, 1);
  const batch = server.makeBatch(1, 16);
  await place.until(() => server.receive(batch) === 1);
  assert.equal(batch.lengths[0], 2000);
});

test("a socket that two loops share stays bound, and keeps what waits in it, until both have closed it", async (t) => {
  const place = systemPlace(false)(t);
  const other = systemPlace(false)(t);
  const server = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
  const client = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
  const out = client.makeBatch(1, 64);
  const sharing = other.datagrams as SystemDatagrams;
  const descriptor = (server as SharableSocket).descriptor;
  for (const text of ["first", "second"]) {
    const shared = sharing.share(descriptor);
    assert.deepEqual(shared.address, server.address);
    write(out, 0, text, server);
    client.send(out, 0, 1);
    const batch = shared.makeBatch(1, 64);
    await other.until(() => shared.receive(batch) === 1);
    assert.equal(Buffer.from(batch.bytes.subarray(0, batch.lengths[0])).toString(), text);
    shared.close();
  }
  server.close();
  assert.throws(() => sharing.share(descriptor), { code: "LISTEN_FAILED" });
});

test("what waits at a socket is bounded by receiveBufferBytes, and what comes beyond is dropped by the system", async (t) => {
  const place = systemPlace(false)(t);
  const bytes = 16_384;
  const server = place.datagrams.bind({ host: "127.0.0.1", port: 0, receiveBufferBytes: bytes });
  const client = place.datagrams.bind({ host: "127.0.0.1", port: 0 });
  const out = client.makeBatch(1, 1024);
  write(out, 0, "x".repeat(1024), server);
  for (let sent = 0; sent < 1000; sent++) client.send(out, 0, 1);
  const batch = server.makeBatch(64, 1024);
  let received = 0;
  // Linux doubles what it is asked for, for what it needs itself.
  await place.until(() => {
    const count = server.receive(batch);
    received += count;
    return count === 0 && received > 0;
  });
  assert.ok(received * 1024 <= 2 * bytes, `${received} datagrams of 1 KiB waited`);
});
