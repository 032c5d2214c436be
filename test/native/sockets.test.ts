// Sockets: connecting, accepting and closing, and the errno of each thing that goes wrong.

import { strict as assert } from "node:assert";
import { once } from "node:events";
import { closeSync, readdirSync, readlinkSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { constants } from "node:os";
import { test } from "node:test";
import { READABLE, type SocketAddress, WRITABLE } from "../../src/native/binding.js";
import { binding, TestEngine, temporaryFile } from "./harness.js";

const { errno } = constants;

for (const host of ["127.0.0.1", "::1"]) {
  test(`a connection over ${host}: both ends know both addresses`, async (t) => {
    const engine = new TestEngine(t);
    const [outgoing, incoming] = await engine.pair(host);
    const near = engine.engine.localAddress(outgoing) as SocketAddress;
    const far = engine.engine.remoteAddress(outgoing) as SocketAddress;
    assert.equal(near.host, host);
    assert.equal(far.host, host);
    assert.deepEqual(engine.engine.remoteAddress(incoming), near);
    assert.deepEqual(engine.engine.localAddress(incoming), far);
  });
}

test("a host that is no numeric address is EINVAL", (t) => {
  const { engine } = new TestEngine(t);
  for (const host of ["", "localhost", "127.0.0.1.2", "::g", "[::1]"]) {
    assert.equal(engine.listen(host, 0, 1), binding.EINVAL, host);
    assert.equal(engine.connect(host, 1), binding.EINVAL, host);
  }
});

for (const [host, source] of [
  ["127.0.0.1", "127.0.0.7"],
  ["::1", "::1"],
] as const)
  test(`a connection to ${host} comes from ${source} where that is said`, async (t) => {
    const engine = new TestEngine(t);
    const listener = engine.listen(host);
    const fd = engine.engine.connect(host, engine.port(listener), source);
    await engine.ready(listener, READABLE);
    const incoming = engine.engine.accept(listener);
    assert.equal((engine.engine.remoteAddress(incoming) as SocketAddress).host, source);
    assert.deepEqual(engine.engine.remoteAddress(incoming), engine.engine.localAddress(fd));
  });

test("a connection from an address of another kind, of nobody here, or from no address is an errno, and leaves no socket", (t) => {
  const { engine } = new TestEngine(t);
  const before = readdirSync("/proc/self/fd").length;
  assert.equal(engine.connect("127.0.0.1", 1, "::1"), -errno.EAFNOSUPPORT);
  assert.equal(engine.connect("::1", 1, "127.0.0.1"), -errno.EAFNOSUPPORT);
  assert.equal(engine.connect("127.0.0.1", 1, "192.0.2.1"), -errno.EADDRNOTAVAIL);
  assert.equal(engine.connect("127.0.0.1", 1, "localhost"), binding.EINVAL);
  assert.equal(readdirSync("/proc/self/fd").length, before);
  assert.throws(() => engine.connect("127.0.0.1", 1, 7 as never), TypeError);
});

test("accept without a waiting connection is EAGAIN", (t) => {
  const engine = new TestEngine(t);
  assert.equal(engine.engine.accept(engine.listen()), binding.EAGAIN);
});

test("a port that is listened at is EADDRINUSE", (t) => {
  const engine = new TestEngine(t);
  const port = engine.port(engine.listen());
  assert.equal(engine.engine.listen("127.0.0.1", port, 1), -errno.EADDRINUSE);
});

test("IPv6's any-address leaves the port free for IPv4", (t) => {
  const engine = new TestEngine(t);
  const port = engine.port(engine.listen("::"));
  assert.ok(engine.engine.listen("0.0.0.0", port, 1) >= 0);
});

test("a connection that is refused says so, once", async (t) => {
  const engine = new TestEngine(t);
  const listener = engine.listen();
  const port = engine.port(listener);
  engine.engine.closeSocket(listener);
  const fd = engine.engine.connect("127.0.0.1", port);
  if (fd < 0) {
    assert.equal(fd, -errno.ECONNREFUSED);
    return;
  }
  await engine.ready(fd, WRITABLE);
  assert.equal(engine.engine.socketError(fd), -errno.ECONNREFUSED);
  assert.equal(engine.engine.socketError(fd), 0);
});

test("a reset by the peer arrives as an errno of readv", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing, incoming] = await engine.pair();
  engine.put(0, "never read");
  engine.writev(incoming, [0, 10]);
  engine.engine.closeSocket(outgoing); // with bytes unread: a reset, not an end
  await engine.ready(incoming, READABLE);
  assert.equal(engine.readv(incoming, [0, 10]), -errno.ECONNRESET);
});

test("sending to a peer that is gone is an errno, not a signal", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing, incoming] = await engine.pair();
  engine.engine.closeSocket(outgoing);
  await engine.ready(incoming, READABLE);
  let result = 0;
  for (let tries = 0; tries < 100 && result >= 0; tries++) result = engine.writev(incoming, [0, 4096]);
  assert.ok(result === -errno.EPIPE || result === -errno.ECONNRESET, String(result));
});

test("buffer sizes and delays are set; 0 leaves a size alone", async (t) => {
  const { engine, ...rest } = new TestEngine(t);
  void rest;
  const listener = engine.listen("127.0.0.1", 0, 1);
  assert.equal(engine.setBufferSizes(listener, 65536, 0), 0);
  assert.equal(engine.setBufferSizes(listener, 0, 65536), 0);
  assert.equal(engine.setNoDelay(listener, true), 0);
  assert.equal(engine.setNoDelay(listener, false), 0);
});

test("what is no socket of this engine is EBADF", (t) => {
  const { engine } = new TestEngine(t);
  // 0 is open, and none of ours: it must stay open.
  assert.equal(engine.closeSocket(0), -errno.EBADF);
  assert.equal(engine.watch(0, READABLE), -errno.EBADF);
  for (const fd of [-1, 99999]) {
    assert.equal(engine.closeSocket(fd), -errno.EBADF);
    assert.equal(engine.watch(fd, READABLE), -errno.EBADF);
    assert.equal(engine.accept(fd), -errno.EBADF);
    assert.equal(engine.socketError(fd), -errno.EBADF);
    assert.equal(engine.localAddress(fd), -errno.EBADF);
    assert.equal(engine.remoteAddress(fd), -errno.EBADF);
    assert.equal(engine.setNoDelay(fd, true), -errno.EBADF);
  }
});

test("what the host opened is no socket of this engine, whatever is asked of it", async (t) => {
  const engine = new TestEngine(t);
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const fd = (server as unknown as { _handle: { fd: number } })._handle.fd;
  assert.ok(fd > 2);
  const native = engine.engine;
  engine.plan([0, 10]);
  const file = temporaryFile(t);
  writeSync(file.fd, "a");
  for (const result of [
    native.accept(fd),
    native.localAddress(fd),
    native.setBufferSizes(fd, 4096, 4096),
    native.setNoDelay(fd, true),
    native.setReceiveLowWater(fd, 1),
    native.setUnsentBytesMax(fd, 1),
    native.discardUnsentAtClose(fd),
    native.readv(fd, 0, 1),
    native.writev(fd, 0, 1, false),
    native.sendfile(fd, file.fd, 0, 1),
  ])
    assert.equal(result, -errno.EBADF);
});

test("a socket that the host closed behind our back, and whose number comes back", async (t) => {
  const engine = new TestEngine(t);
  const lost = engine.listen();
  assert.equal(engine.engine.watch(lost, READABLE), 0);
  closeSync(lost);
  // The same number: the lowest that is free.
  const found = engine.listen();
  assert.equal(found, lost);
  assert.equal(engine.engine.watch(found, READABLE), 0);
  const outgoing = engine.engine.connect("127.0.0.1", engine.port(found));
  assert.ok(outgoing >= 0);
  await engine.until(() => engine.turns.some(({ ready }) => ready.some(({ fd }) => fd === found)));
  assert.ok(engine.engine.accept(found) >= 0);
  assert.equal(engine.engine.closeSocket(found), 0);
});

test("closing the engine closes its sockets", { skip: process.platform !== "linux" }, async (t) => {
  const sockets = () =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
      } catch {
        return false; // the folder's own descriptor
      }
    }).length;
  const engine = new TestEngine(t);
  const before = sockets();
  await engine.pair();
  engine.engine.watch(engine.listen(), READABLE);
  assert.equal(sockets(), before + 3);
  engine.engine.close();
  assert.equal(sockets(), before);
});

test("a socket with a low-water mark counts as readable from so many bytes on, and again from one when it is lowered", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing, incoming] = await engine.pair();
  assert.equal(engine.engine.setReceiveLowWater(incoming, 10), 0);
  engine.engine.watch(incoming, READABLE);
  // The other end is told of what comes back, so that readiness of the first had its turn before.
  assert.equal(engine.writev(outgoing, [0, 9]), 9);
  engine.writev(incoming, [0, 1]);
  await engine.ready(outgoing, READABLE);
  assert.ok(!engine.turns.some((turn) => turn.ready.some(({ fd }) => fd === incoming)));
  assert.equal(engine.writev(outgoing, [0, 1]), 1);
  await engine.ready(incoming, READABLE);
  assert.equal(engine.readv(incoming, [100, 4]), 4);
  assert.equal(engine.engine.setReceiveLowWater(incoming, 1), 0);
  assert.equal(await engine.receive(incoming, [100, 50]), 6);
  assert.equal(engine.engine.setReceiveLowWater(outgoing, 1000), 0);
  engine.engine.closeSocket(incoming);
  assert.equal(await engine.receive(outgoing, [100, 50]), 1, "the end of the stream is told in any case");
});

/** Writes until the socket takes no more. Returns how many bytes it took. */
function fillUp(engine: TestEngine, fd: number): number {
  let written = 0;
  for (let took = 1; took > 0; written += Math.max(0, took)) took = engine.writev(fd, [0, 16_384]);
  return written;
}

test("a socket takes no more than what was bounded of what cannot leave, and again when that is raised", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing, incoming] = await engine.pair();
  for (const fd of [outgoing, incoming]) assert.equal(engine.engine.setBufferSizes(fd, 4096, 1 << 20), 0);
  assert.equal(engine.engine.setUnsentBytesMax(outgoing, 16_384), 0);
  const first = fillUp(engine, outgoing);
  assert.ok(first <= 256 * 1024, `${first} bytes`);
  assert.equal(engine.engine.setUnsentBytesMax(outgoing, 2 ** 31 - 1), 0);
  const more = fillUp(engine, outgoing);
  assert.ok(more > 512 * 1024, `${more} bytes more`);
});

test("what was not sent when a socket is closed comes after all, unless it is to be discarded", async (t) => {
  const engine = new TestEngine(t);
  for (const discards of [false, true]) {
    const [outgoing, incoming] = await engine.pair();
    assert.equal(engine.engine.setBufferSizes(outgoing, 0, 1 << 20), 0);
    const written = fillUp(engine, outgoing);
    if (discards) assert.equal(engine.engine.discardUnsentAtClose(outgoing), 0);
    engine.engine.closeSocket(outgoing);
    let received = 0;
    for (;;) {
      const got = await engine.receive(incoming, [0, 65_536]);
      if (got <= 0) break;
      received += got;
    }
    if (discards) assert.ok(received < written, `${received} of ${written}`);
    else assert.equal(received, written);
  }
});
