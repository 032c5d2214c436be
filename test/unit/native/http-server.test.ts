// Whom an HTTP server has room for: connections that say they come from far away, which no socket of this machine can.

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { EventEmitter } from "node:events";
import { Duplex } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { present } from "../../../src/base/assert.js";
import { SITE_TIMES } from "../../../src/base/network-address.js";
import { ClientAddresses } from "../../../src/native/client-address.js";
import { HttpServer } from "../../../src/native/http-server.js";

const PER_ADDRESS = 2;
/** On which Node.js tells of each request that an HTTP server gets, and of the server. */
const REQUESTS = "http.server.request.start";

/** A server, and the emitter of node:http that connections come to. */
async function start(t: TestContext): Promise<{ server: HttpServer; connections: EventEmitter }> {
  const server: HttpServer = new HttpServer(
    new ClientAddresses([]),
    { connectionsPerAddressMax: PER_ADDRESS },
    (_request, response) => server.answer(response, 200, "text/plain", "here"),
  );
  const { host, port } = await server.listen({ host: "127.0.0.1", port: 0 });
  t.after(() => server.close());
  let connections: EventEmitter | undefined;
  const listener = (message: unknown): void => {
    connections = (message as { server: EventEmitter }).server;
  };
  subscribe(REQUESTS, listener);
  await (await fetch(`http://${host}:${port}/`, { headers: { connection: "close" } })).text();
  unsubscribe(REQUESTS, listener);
  return { server, connections: present(connections, "a request was answered") };
}

describe("an HTTP server", { timeout: 60_000 }, () => {
  it("has so many connections of an address or /64, and eight times as many of a /48, until some are over", async (t) => {
    const { server, connections } = await start(t);
    const open = new Set<Duplex>();
    const comeFrom = (hosts: readonly string[]): number => {
      const before = open.size;
      for (const remoteAddress of hosts) {
        const socket = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
        connections.emit("connection", Object.assign(socket, { remoteAddress }));
        if (!socket.destroyed) open.add(socket);
      }
      return open.size - before;
    };
    const site = Array.from({ length: 100 }, (_, network) => `2001:db8:1:${network.toString(16)}::1`);
    assert.equal(comeFrom(["192.0.2.1", "192.0.2.1", "192.0.2.1"]), PER_ADDRESS);
    assert.equal(comeFrom(["2001:db8:2::1", "2001:db8:2::2", "2001:db8:2::3"]), PER_ADDRESS);
    assert.equal(comeFrom(site), SITE_TIMES * PER_ADDRESS);
    assert.equal(server.counters.tooManyOfAddress, 2 + 100 - SITE_TIMES * PER_ADDRESS);
    const closed = [...open].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    for (const socket of open) socket.destroy();
    await Promise.all(closed);
    open.clear();
    assert.equal(comeFrom(site), SITE_TIMES * PER_ADDRESS);
    for (const socket of open) socket.destroy();
  });
});
