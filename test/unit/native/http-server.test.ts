// Whom an HTTP server has room for: connections that say they come from far away, which no socket of this machine can. What it does with requests that
// come in one piece, over real sockets.

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type EventEmitter, once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { present } from "../../../src/base/assert.js";
import { SITE_TIMES } from "../../../src/base/network-address.js";
import { ClientAddresses } from "../../../src/native/client-address.js";
import { HttpServer, type UpgradeHandler } from "../../../src/native/http-server.js";

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

describe("what a request asks for", { timeout: 60_000 }, () => {
  /** What a handler sees of a request, or the status without it. */
  const seen = async (t: TestContext, head: string): Promise<string> => {
    const server: HttpServer = new HttpServer(new ClientAddresses([]), {}, (request, response) =>
      server.answer(response, 200, "text/plain", `${request.headers.host} ${request.url}`),
    );
    const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
    t.after(() => server.close());
    const socket = connect(port, "127.0.0.1");
    socket.write(`${head}Connection: close\r\n\r\n`);
    let said = "";
    for await (const bytes of socket) said += (bytes as Buffer).toString("latin1");
    const [status = "", ...rest] = said.split("\r\n");
    return status.includes("200") ? (rest.at(-1) ?? "") : status.slice(9, 12);
  };
  const get = (target: string, hosts = "Host: a\r\n"): string => `GET ${target} HTTP/1.1\r\n${hosts}`;

  it("is the same where it is a whole URL, which names the host", async (t) => {
    assert.equal(await seen(t, get("/announce?x=%2F")), "a /announce?x=%2F");
    assert.equal(await seen(t, get("http://b.example:6969/announce?x=/y")), "b.example:6969 /announce?x=/y");
    assert.equal(await seen(t, get("HTTPS://[::1]:80/")), "[::1]:80 /");
    assert.equal(await seen(t, get("http://b")), "b /");
    assert.equal(await seen(t, get("http://b?x")), "b /?x");
    assert.equal(await seen(t, "GET http://b/x HTTP/1.0\r\n"), "b /x");
  });

  it("cannot be told of another kind of URL, of one with a user, or of two hosts or none", async (t) => {
    assert.equal(await seen(t, get("ftp://b/x")), "400");
    assert.equal(await seen(t, get("http://user@b/x")), "400");
    assert.equal(await seen(t, get("http:///x")), "400");
    assert.equal(await seen(t, get("/x", "Host: a\r\nHost: a\r\n")), "400");
    assert.equal(await seen(t, get("/x", "")), "400");
    assert.equal(await seen(t, get("http://b/x", "")), "400");
  });

  it("is the same path where letters of it are escaped, and another one where what is escaped means something", async (t) => {
    assert.equal(await seen(t, get("/%61nnounce%2d%7E?x=%61")), "a /announce-~?x=%61");
    assert.equal(await seen(t, get("/%2Fannounce%25%3f%")), "a /%2Fannounce%25%3f%");
    assert.equal(await seen(t, get("//announce")), "a //announce");
  });

  it("is nobody's where it is no path", async (t) => {
    assert.equal(await seen(t, "OPTIONS * HTTP/1.1\r\nHost: a\r\n"), "a *");
  });
});

const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

describe("requests that come in one piece", { timeout: 60_000 }, () => {
  interface Running {
    readonly server: HttpServer;
    readonly port: number;
  }
  const run = async (
    t: TestContext,
    handler: (response: ServerResponse, server: HttpServer) => void,
    upgrade?: UpgradeHandler,
  ): Promise<Running> => {
    const server: HttpServer = new HttpServer(
      new ClientAddresses([]),
      {},
      (_request, response) => handler(response, server),
      upgrade,
    );
    const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
    t.after(() => server.close());
    return { server, port };
  };
  const here = (response: ServerResponse, server: HttpServer): void =>
    server.answer(response, 200, "text/plain", "here");
  const open = async (t: TestContext, port: number): Promise<Socket> => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    t.after(() => socket.destroy());
    // The server may close it with bytes that it has not read.
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  };
  const untilClosed = async (socket: Socket): Promise<string> => {
    let said = "";
    socket.on("data", (bytes: Buffer) => {
      said += bytes.toString("latin1");
    });
    socket.once("end", () => socket.end());
    await once(socket, "close");
    return said;
  };
  const answersIn = (said: string): number => said.match(/200 OK/g)?.length ?? 0;

  it("are answered a few in a turn of the loop, and one who asks once need not wait for all of them", async (t) => {
    let begun = 0;
    let begunInTurn = 0;
    let begunInTurnMax = 0;
    const { port } = await run(t, (response, server) => {
      begun++;
      if (begunInTurn++ === 0)
        setImmediate(() => {
          begunInTurnMax = Math.max(begunInTurnMax, begunInTurn);
          begunInTurn = 0;
        });
      here(response, server);
    });
    const honest = await open(t, port);
    const many = await Promise.all(Array.from({ length: 8 }, () => open(t, port)));
    const answered = many.map(untilClosed);
    for (const socket of many) socket.write(REQUEST.repeat(250));
    await Promise.race(many.map((socket) => once(socket, "data")));
    honest.write(REQUEST);
    await once(honest, "data");
    assert.ok(begun < 1000, `${begun} of 2001 were begun before it was answered`);
    for (const socket of many) socket.end();
    assert.deepEqual(
      (await Promise.all(answered)).map(answersIn),
      many.map(() => 250),
      "each of them has its answer, also after the connection's other half was closed",
    );
    assert.ok(begunInTurnMax <= 64, `${begunInTurnMax} were begun in one turn`);
  });

  it("are begun one after the other, and are not for whoever leaves before", async (t) => {
    const responses: ServerResponse[] = [];
    let heard = (): void => {};
    const next = (): Promise<void> =>
      new Promise((resolve) => {
        heard = resolve;
      });
    const { server, port } = await run(t, (response) => {
      responses.push(response);
      heard();
    });
    const socket = await open(t, port);
    const closed = untilClosed(socket);
    let asked = next();
    socket.write(REQUEST.repeat(3));
    for (let index = 0; index < 2; index++) {
      await asked;
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(responses.length, index + 1);
      asked = next();
      here(present(responses[index], "it was asked"), server);
    }
    await asked;
    socket.end();
    const left = present(responses[2], "it was asked");
    if (!left.closed) await once(left, "close");
    await closed;
    assert.equal(server.counters.requests, 3);
  });

  it("may not be more than wait for an answer: then the connection is closed, and counted", async (t) => {
    const { server, port } = await run(t, here);
    const socket = await open(t, port);
    socket.write(REQUEST.repeat(255).padEnd(64 * 1024, "x"));
    await untilClosed(socket);
    assert.equal(server.counters.tooManyAtOnce, 1);
    assert.equal(server.counters.requests, 1);
  });

  it("are followed by another protocol, which is told all that comes behind", async (t) => {
    let told = "";
    const { port } = await run(t, here, (_request, socket, head) => {
      told += head.toString();
      socket.on("data", (bytes: Buffer) => {
        told += bytes.toString();
        if (told.endsWith("end")) socket.end(told);
      });
    });
    const socket = await open(t, port);
    const said = untilClosed(socket);
    const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n";
    socket.write(`${REQUEST}${upgrade}first\r\n\r\nsecond`);
    await once(socket, "data");
    while (told === "") await new Promise((resolve) => setImmediate(resolve));
    socket.write("third\r\n\r\nend");
    assert.match(await said, /herefirst\r\n\r\nsecondthird\r\n\r\nend$/);
  });

  it("make room between them for what others say in another protocol, of which no more is read than waits", async (t) => {
    const length = 2 ** 20;
    let inTurn = 0;
    let inTurnMax = 0;
    let aheadMax = 0;
    let wrong = 0;
    const given: number[] = [];
    const { port } = await run(t, here, (request, socket) => {
      const index = given.push(0) - 1;
      const before = request.socket.bytesRead;
      socket.write("go");
      socket.on("data", (bytes: Buffer) => {
        const at = given[index] ?? 0;
        given[index] = at + bytes.length;
        for (const [offset, byte] of bytes.entries()) if (byte !== ((at + offset) * 7) % 251) wrong++;
        aheadMax = Math.max(aheadMax, request.socket.bytesRead - before - at);
        if (inTurn === 0)
          setImmediate(() => {
            inTurnMax = Math.max(inTurnMax, inTurn);
            inTurn = 0;
          });
        inTurn += bytes.length;
        if (given[index] === length) socket.end();
      });
    });
    const many = await Promise.all(Array.from({ length: 8 }, () => open(t, port)));
    const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n";
    for (const socket of many) socket.write(upgrade);
    await Promise.all(many.map((socket) => once(socket, "data")));
    const closed = many.map(untilClosed);
    const bytes = Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 7) % 251));
    for (const socket of many) socket.write(bytes);
    await Promise.all(closed);
    assert.deepEqual(given, Array(many.length).fill(length));
    assert.equal(wrong, 0);
    assert.ok(inTurnMax <= 64 * 2048, `${inTurnMax} bytes were given in one turn`);
    assert.ok(aheadMax <= 2 * 64 * 1024, `${aheadMax} bytes were read and not given`);
  });
});
