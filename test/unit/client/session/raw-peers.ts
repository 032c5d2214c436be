// Peers of few words, for tests of who is let in: sockets that say a handshake and what else they are told to, from any address of
// this machine, addresses that never answer, and a session whose clock and timer the test drives.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, mock } from "node:test";
import type { Timer } from "../../../../src/base/ground.js";
import { HANDSHAKE_BYTES, MIB } from "../../../../src/base/limits.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import { type PeerAddress, Session, type SessionOptions } from "../../../../src/index.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { systemWorld } from "../../../../src/native/world.js";

let idsMade = 0;

/** 20 bytes, another one each time. */
export function anotherId(): Uint8Array {
  const id = Buffer.alloc(20, "-XX0001-");
  id.writeUInt32BE(++idsMade, 16);
  return id;
}

export function handshake(infoHash: Uint8Array, peerId = anotherId()): Buffer {
  const bytes = Buffer.alloc(HANDSHAKE_BYTES);
  encodeHandshake(bytes, 0, { infoHash, peerId });
  return bytes;
}

/** A connection from `from`, which stands when this resolves. Destroyed after the tests. */
export async function knock(to: PeerAddress, from = "127.0.0.1"): Promise<Socket> {
  const socket = connect({ ...to, localAddress: from });
  socket.on("error", () => {});
  after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** One that says its handshake, too, and has heard ours. */
export async function shakeHands(to: PeerAddress, infoHash: Uint8Array, from = "127.0.0.1"): Promise<Socket> {
  const socket = await knock(to, from);
  socket.write(handshake(infoHash));
  await Promise.race([once(socket, "data"), once(socket, "close")]);
  return socket;
}

/** Accepts connections at all addresses of this machine. Closed after the tests. */
export async function serve(onSocket: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    onSocket(socket);
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return { server, port: address.port };
}

/** A port at which no address of 127/8 ever answers: its queue is full, and the kernel says nothing to who knocks. */
export async function silentPort(): Promise<number> {
  const reactor = new Reactor(MIB);
  const fd = reactor.engine.listen("0.0.0.0", 0, 0);
  const address = reactor.engine.localAddress(fd);
  assert.ok(typeof address === "object");
  const { port } = address;
  const first = connect(port, "127.0.0.1");
  await once(first, "connect");
  const second = connect(port, "127.0.0.1").on("error", () => {});
  after(() => {
    first.destroy();
    second.destroy();
    reactor.engine.closeSocket(fd);
    reactor.close();
  });
  return port;
}

/** `count` addresses of 127/8 but those that tests speak from. */
export function manyHosts(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `127.7.${index >> 8}.${index & 255}`);
}

export interface DrivenSession {
  readonly session: Session;
  /** So much time passes, and the session's timer runs once. */
  pass(ms: number): void;
}

/** Sessions made here have no timer but pass(); their clock is ahead of the machine's by all that was passed. */
export function drivenSession(options: SessionOptions = {}): DrivenSession {
  let run: (() => void) | undefined;
  const world = systemWorld();
  const every = (ms: number, callback: () => void): Timer => {
    // The first is the session's own; others belong to what it makes later.
    if (run !== undefined) return world.ground.every(ms, callback);
    run = callback;
    return { ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} };
  };
  const session = new Session(options, { ...world, ground: { ...world.ground, every } });
  return {
    session,
    pass: (ms) => {
      ahead.ms += ms;
      assert.ok(run !== undefined, "a session has a timer");
      run();
    },
  };
}

const ahead = { ms: 0 };
const now = performance.now.bind(performance);

/** From here on until the test file ends, performance.now() is ahead by what pass() says. */
export function driveClock(): void {
  mock.method(performance, "now", () => now() + ahead.ms);
}

/** Until `holds`, turn by turn. Fails after half a minute. */
export async function until(holds: () => boolean): Promise<void> {
  const endMs = now() + 30_000;
  while (!holds()) {
    assert.ok(now() < endMs, "what was waited for came");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Some turns of the loop, in which whatever is ready on loopback is done. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}
