// The contract of byte streams (src/client/stream/byte-stream.ts) as tests, over any implementation.

import assert from "node:assert/strict";
import { it } from "node:test";
import type { ByteStream } from "../../../../src/client/stream/byte-stream.js";
import { bytesOf } from "../../../support/data.js";
import { EAGAIN, READABLE, WRITABLE } from "../../../support/memory-network.js";
import { entryOf } from "../../../support/required.js";

/** A place for streams to live in: one slab, one plan, and turns. */
export interface StreamWorld {
  readonly slab: Uint8Array;
  readonly plan: Float64Array;
  /** Below the streams lie buffers that nobody asks: what is in them counts as taken. */
  readonly hasBuffersBelow?: boolean;
  /** Both ends of a connection; the first has connected and was not opened, nor asked whether it stands. */
  pair(): Promise<[ByteStream, ByteStream]>;
  /** A stream to where nobody listens. */
  refused(): Promise<ByteStream>;
  /** A descriptor for drainFile with these bytes. */
  file(bytes: Uint8Array): number;
  /** Lets turns pass until `done`, or fails. */
  until(done: () => boolean, what: string): Promise<void>;
  /** Lets some turns pass. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const SEND_AT = 0;
const RECEIVE_AT = 1 << 20;

class Recorder {
  readonly events: number[] = [];
  onEvent: (events: number) => void = () => {};

  socketReady(events: number): void {
    this.events.push(events);
    this.onEvent(events);
  }
}

/** Sends `bytes` whole, in plans of `parts` entries. */
async function send(world: StreamWorld, stream: ByteStream, bytes: Uint8Array, parts: number): Promise<void> {
  let sent = 0;
  while (sent < bytes.length) {
    const length = Math.min(bytes.length - sent, 40_000);
    world.slab.set(bytes.subarray(sent, sent + length), SEND_AT);
    const share = Math.ceil(length / parts);
    let count = 0;
    for (let at = 0; at < length; at += share, count++) {
      world.plan[2 * count] = SEND_AT + at;
      world.plan[2 * count + 1] = Math.min(share, length - at);
    }
    const result = stream.drain(0, count, false);
    if (result === EAGAIN) await world.settle();
    else {
      assert.ok(result > 0, `sent: ${result}`);
      sent += result;
    }
  }
}

/** Receives what is there into three entries that lie apart, the last first in memory. */
function receive(world: StreamWorld, stream: ByteStream, lengths: readonly number[]): Buffer | number {
  let at = RECEIVE_AT + 300_000;
  lengths.forEach((length, index) => {
    at -= length + 10;
    world.plan[2 * index] = at;
    world.plan[2 * index + 1] = length;
  });
  const result = stream.fill(0, lengths.length);
  if (result <= 0) return result;
  const parts: Buffer[] = [];
  let left = result;
  lengths.forEach((length, index) => {
    const start = entryOf(world.plan, 2 * index);
    const part = Math.min(length, left);
    parts.push(Buffer.from(world.slab.subarray(start, start + part)));
    left -= part;
  });
  return Buffer.concat(parts);
}

async function opened(world: StreamWorld): Promise<{
  client: ByteStream;
  server: ByteStream;
  clientSees: Recorder;
  serverSees: Recorder;
}> {
  const [client, server] = await world.pair();
  const [clientSees, serverSees] = [new Recorder(), new Recorder()];
  clientSees.onEvent = () => client.watch(0);
  assert.equal(client.open(clientSees, WRITABLE), 0);
  assert.equal(server.open(serverSees, 0), 0);
  await world.until(() => clientSees.events.length > 0, "the connecting side is told");
  assert.equal(client.established(), 0);
  return { client, server, clientSees, serverSees };
}

export function testByteStreams(make: () => Promise<StreamWorld>): void {
  const inWorld = (body: (world: StreamWorld) => Promise<void>) => async (): Promise<void> => {
    const world = await make();
    try {
      await body(world);
    } finally {
      await world.close();
    }
  };

  it(
    "brings bytes in order, each once, into entries in the order of the plan",
    inWorld(async (world) => {
      const { client, server, serverSees } = await opened(world);
      const bytes = bytesOf(7, 300_000);
      let received = Buffer.alloc(0);
      const lengths = [5, 13_000, 8, 1, 30_000];
      serverSees.onEvent = () => {
        const got = receive(world, server, lengths);
        if (typeof got === "number") assert.equal(got, EAGAIN);
        else received = Buffer.concat([received, got]);
      };
      server.watch(READABLE);
      await send(world, client, bytes, 3);
      await world.until(() => received.length === bytes.length, "all bytes arrive");
      assert.ok(received.equals(bytes));
      assert.equal(receive(world, server, lengths), EAGAIN, "and nothing else");
      client.close();
      server.close();
    }),
  );

  it(
    "returns less than the plan holds only when nothing is left",
    inWorld(async (world) => {
      const { client, server, serverSees } = await opened(world);
      await send(world, client, bytesOf(1, 1000), 1);
      server.watch(READABLE);
      serverSees.onEvent = () => server.watch(0);
      await world.until(() => serverSees.events.length > 0, "the bytes are told");
      assert.equal((receive(world, server, [400]) as Buffer).length, 400);
      assert.equal((receive(world, server, [400, 1000]) as Buffer).length, 600);
      assert.equal(receive(world, server, [1]), EAGAIN);
      client.close();
      server.close();
    }),
  );

  it(
    "tells what the other side has not taken, and that it has",
    inWorld(async (world) => {
      const { client, server, serverSees } = await opened(world);
      world.plan[0] = 0;
      world.plan[1] = 100_000;
      let sent = 0;
      for (let took = client.drain(0, 1, false); took > 0; took = client.drain(0, 1, false)) sent += took;
      await world.settle();
      const left = client.unacknowledgedBytes();
      const leastLeft = world.hasBuffersBelow === true ? 0 : 1;
      assert.ok(left >= leastLeft && left <= sent, `${left} of ${sent}`);
      let received = 0;
      serverSees.onEvent = () => {
        const got = receive(world, server, [30_000, 13_000]);
        received += typeof got === "number" ? 0 : got.length;
      };
      server.watch(READABLE);
      await world.until(() => received === sent, "all is taken");
      await world.until(() => client.unacknowledgedBytes() === 0, "and acknowledged");
      client.close();
      server.close();
    }),
  );

  it(
    "tells readiness level-triggered, only what is watched, and not while paused",
    inWorld(async (world) => {
      const { client, server, serverSees } = await opened(world);
      await send(world, client, bytesOf(1, 10), 1);
      await world.settle();
      assert.deepEqual(serverSees.events, [], "nobody watches");
      server.watch(READABLE);
      await world.until(() => serverSees.events.length >= 3, "told each turn until it is received");
      assert.ok(serverSees.events.every((events) => events === READABLE));
      server.watch(0);
      serverSees.events.length = 0;
      await world.settle();
      assert.deepEqual(serverSees.events, []);
      assert.equal((receive(world, server, [100]) as Buffer).length, 10);
      server.watch(READABLE);
      await world.settle();
      assert.deepEqual(serverSees.events, [], "received: nothing is ready");
      server.watch(READABLE | WRITABLE);
      await world.until(() => serverSees.events.includes(WRITABLE), "there is room to send");
      client.close();
      server.close();
    }),
  );

  it(
    "stays silent below the low-water mark, and tells the end all the same",
    inWorld(async (world) => {
      const { client, server, serverSees } = await opened(world);
      server.setLowWater(1000);
      server.watch(READABLE);
      await send(world, client, bytesOf(1, 500), 1);
      await world.settle();
      assert.deepEqual(serverSees.events, []);
      client.close();
      await world.until(() => serverSees.events.length > 0, "the end is told");
      assert.equal((receive(world, server, [1000]) as Buffer).length, 500, "what came before it first");
      assert.equal(receive(world, server, [1000]), 0);
      server.close();
    }),
  );

  it(
    "says −EAGAIN when the other side receives nothing, and goes on when it does",
    inWorld(async (world) => {
      const { client, server, clientSees } = await opened(world);
      const chunk = bytesOf(3, 60_000);
      world.slab.set(chunk, SEND_AT);
      let sent = 0;
      for (let tries = 0; tries < 100_000; tries++) {
        world.plan.set([SEND_AT, chunk.length]);
        const result = client.drain(0, 1, false);
        if (result === EAGAIN) break;
        assert.ok(result > 0);
        sent += result;
      }
      assert.ok(sent > 0);
      clientSees.events.length = 0;
      clientSees.onEvent = () => client.watch(0);
      client.watch(WRITABLE);
      let received = 0;
      await world.until(() => {
        const got = receive(world, server, [60_000, 60_000, 60_000]);
        if (typeof got !== "number") received += got.length;
        return received === sent;
      }, "all that was taken arrives");
      await world.until(() => clientSees.events.includes(WRITABLE), "there is room again");
      client.close();
      server.close();
    }),
  );

  it(
    "sends bytes of a file, and says 0 when the file is shorter",
    inWorld(async (world) => {
      const { client, server } = await opened(world);
      const bytes = bytesOf(5, 5000);
      const fd = world.file(bytes);
      if (client.isEncrypted === true) return;
      assert.equal(client.drainFile(fd, 1000, 3000), 3000);
      assert.equal(client.drainFile(fd, 5000, 10), 0);
      let received = Buffer.alloc(0);
      await world.until(() => {
        const got = receive(world, server, [10_000]);
        if (typeof got !== "number") received = Buffer.concat([received, got]);
        return received.length === 3000;
      }, "the file's bytes arrive");
      assert.ok(received.equals(bytes.subarray(1000, 4000)));
      client.close();
      server.close();
    }),
  );

  it(
    "fails with an errno, and calls nobody, once the other side is gone",
    inWorld(async (world) => {
      const { client, server, serverSees } = await opened(world);
      server.close();
      await world.settle();
      let result = 0;
      await world.until(() => {
        world.plan.set([SEND_AT, 1000]);
        result = client.drain(0, 1, false);
        return result < 0 && result !== EAGAIN;
      }, "sending fails");
      assert.ok(result < 0);
      assert.deepEqual(serverSees.events, [], "a closed stream is told nothing");
      client.close();
    }),
  );

  it(
    "says why a connection could not be made",
    inWorld(async (world) => {
      const stream = await world.refused();
      const sees = new Recorder();
      sees.onEvent = () => stream.watch(0);
      assert.equal(stream.open(sees, WRITABLE), 0);
      await world.until(() => sees.events.length > 0, "the failure is told");
      assert.ok((entryOf(sees.events, 0) & WRITABLE) !== 0);
      assert.ok(stream.established() < 0);
      stream.close();
    }),
  );

  it(
    "may be closed inside its own event",
    inWorld(async (world) => {
      const { client, server, serverSees } = await opened(world);
      await send(world, client, bytesOf(1, 10), 1);
      serverSees.onEvent = () => server.close();
      server.watch(READABLE);
      await world.until(() => serverSees.events.length > 0, "the bytes are told");
      await world.settle();
      assert.equal(serverSees.events.length, 1);
      client.close();
    }),
  );
}
