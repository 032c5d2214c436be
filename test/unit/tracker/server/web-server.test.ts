// WebSockets of a tracker on loopback: offers and answers between two, and strangers who say too much, too fast, or nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { WebSocket } from "ws";
import { TrackerService } from "../../../../src/tracker/index.js";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import { Admission } from "../../../../src/tracker/server/admission.js";
import { WebServer } from "../../../../src/tracker/server/web-server.js";
import { WebSwarms } from "../../../../src/tracker/server/web-swarms.js";
import { entryOf, required } from "../../../support/required.js";

const HASH = "h".repeat(20);
const TORRENTS_OF_ONE = 256;
const LEFT_PER_TURN = 2048;

async function open(t: TestContext, port: number, path = "/"): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  t.after(() => socket.terminate());
  await once(socket, "open");
  return socket;
}

const announceText = (letter: string, more: object = {}): string =>
  JSON.stringify({ action: "announce", info_hash: HASH, peer_id: letter.repeat(20), left: 1, ...more });

async function next(socket: WebSocket): Promise<Record<string, unknown>> {
  const [data] = (await once(socket, "message")) as [Buffer];
  return JSON.parse(data.toString()) as Record<string, unknown>;
}

async function startService(
  t: TestContext,
  keys?: ReadonlySet<string>,
): Promise<{ service: TrackerService; port: number }> {
  const service = await TrackerService.start({
    udp: [],
    http: [{ host: "127.0.0.1", port: 0 }],
    webSockets: true,
    store: { bytesMax: 2 ** 24 },
    ...(keys === undefined ? {} : { rules: { keys } }),
  });
  t.after(() => service.close());
  return { service, port: entryOf(service.listening, 0).port };
}

describe("a tracker over WebSockets", () => {
  it("relays an offer and its answer, beside HTTP at the same port", async (t) => {
    const { service, port } = await startService(t);
    const a = await open(t, port);
    const b = await open(t, port, "/announce");
    a.send(announceText("a"));
    assert.equal((await next(a))["incomplete"], 1);
    const offered = next(a);
    b.send(announceText("b", { offers: [{ offer: { type: "offer", sdp: "1" }, offer_id: "o" }] }));
    assert.deepEqual((await offered)["offer"], { type: "offer", sdp: "1" });
    const answered = next(b);
    const answer = { answer: { type: "answer", sdp: "2" }, offer_id: "o", to_peer_id: "b".repeat(20) };
    a.send(announceText("a", answer));
    assert.deepEqual((await answered)["answer"], { type: "answer", sdp: "2" });
    assert.equal(required(service.counters().web, "web").openConnections, 2);
    a.terminate();
    while (required(service.counters().web, "web").openConnections > 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const closed = once(b, "close");
    await service.close();
    await closed;
  });

  it("wants a key where there are keys", async (t) => {
    const { port } = await startService(t, new Set(["sesame"]));
    await open(t, port, "/sesame/announce");
    await open(t, port, "/announce/sesame");
    const refused = new WebSocket(`ws://127.0.0.1:${port}/announce`);
    const [error] = (await once(refused, "error")) as [Error];
    assert.match(error.message, /403/);
  });

  it("answers pings", async (t) => {
    const { port } = await startService(t);
    const socket = await open(t, port);
    socket.ping("here");
    const [data] = (await once(socket, "pong")) as [Buffer];
    assert.equal(data.toString(), "here");
  });

  it("closes at once who breaks the protocol, and would stay", { timeout: 15_000 }, async (t) => {
    const { service, port } = await startService(t);
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    t.after(() => socket.destroy());
    socket.on("error", () => {});
    socket.write(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    await once(socket, "data");
    // A text without a mask, as only servers send.
    socket.write(Buffer.from([0x81, 2, 0x7b, 0x7d]));
    socket.resume();
    await once(socket, "end");
    while (service.counters().http.openConnections > 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(service.counters().web?.openConnections, 0);
  });

  it("closes who says too much, too long, or nonsense", async (t) => {
    const { service, port } = await startService(t);
    const closed = async (say: (socket: WebSocket) => void): Promise<void> => {
      const socket = await open(t, port);
      socket.on("error", () => {});
      const end = once(socket, "close");
      say(socket);
      await end;
    };
    await closed((socket) => {
      for (let count = 0; count < 400; count++) socket.send(announceText("a"));
    });
    for (const sign of ["ping", "pong"] as const)
      await closed((socket) => {
        for (let count = 0; count < 400; count++) socket[sign]();
      });
    await closed((socket) => socket.send("x".repeat(70_000)));
    await closed((socket) => {
      for (let count = 0; count < 20; count++) socket.send("{");
    });
    const { tooFast, malformed } = required(service.counters().web, "web");
    assert.equal(tooFast, 3);
    assert.ok(malformed >= 9);
    const socket = await open(t, port);
    socket.send(announceText("a"));
    assert.equal((await next(socket))["incomplete"], 1);
  });
});

describe("WebSockets of whoever reads nothing", () => {
  it("keep 256 KiB and a message: what comes then is dropped and counted", async (t) => {
    const store = new PeerStore({ key: Uint32Array.of(1, 2, 3, 4), bytesMax: 2 ** 20 });
    const web = await WebServer.make(new WebSwarms(store, new Admission(store, {})), 600_000);
    const server = createServer();
    const sockets: Socket[] = [];
    server.on("upgrade", (request, socket, head) => {
      sockets.push(socket as Socket);
      web.accept(request, socket, head, "loopback");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      web.close();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const deaf = await open(t, port);
    deaf.send(announceText("d"));
    await next(deaf);
    deaf.pause();
    const sdp = "x".repeat(16_000);
    // As many as an allowance lasts for, from one after the other, until what the system holds is full.
    for (let round = 0; round < 200 && web.counters.unread < 10; round++) {
      const teller = await open(t, port);
      for (let sent = 0; sent < 250; sent++)
        teller.send(announceText("t", { offers: [{ offer: { type: "offer", sdp }, offer_id: `${sent}` }] }));
      // It is closed when all before that was heard.
      teller.resume();
      teller.close();
      await once(teller, "close");
    }
    assert.ok(web.counters.unread >= 10, "what was not read was dropped");
    assert.ok((sockets[0]?.writableLength ?? 0) <= 256 * 1024 + 65_536, "and not kept");
  });
});

/** A server that takes WebSockets, until the test ends. */
async function startServer(
  t: TestContext,
  pingIntervalMs: number,
  Swarms: typeof WebSwarms = WebSwarms,
): Promise<{ web: WebServer; swarms: WebSwarms; port: number }> {
  const store = new PeerStore({ key: Uint32Array.of(1, 2, 3, 4), bytesMax: 2 ** 20 });
  const swarms = new Swarms(store, new Admission(store, {}));
  const web = await WebServer.make(swarms, pingIntervalMs);
  const server = createServer();
  server.on("upgrade", (request, socket, head) => web.accept(request, socket, head, "loopback"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    web.close();
    server.close();
  });
  return { web, swarms, port: (server.address() as AddressInfo).port };
}

describe("WebSockets that give no sign of life", () => {
  it("are closed, and so are those that join nothing; who answers pings stays", async (t) => {
    const { web, port } = await startServer(t, 300);
    const idle = await open(t, port);
    const deaf = new WebSocket(`ws://127.0.0.1:${port}/`, { autoPong: false });
    t.after(() => deaf.terminate());
    await once(deaf, "open");
    const alive = await open(t, port);
    deaf.send(announceText("d"));
    alive.send(announceText("a"));
    await Promise.all([once(idle, "close"), once(deaf, "close")]);
    assert.equal(web.counters.silent, 2);
    assert.equal(alive.readyState, alive.OPEN);
    alive.send(announceText("a"));
    assert.equal((await next(alive))["action"], "announce");
  });
});

describe("WebSockets that are gone", () => {
  it("leave their swarms some in a turn of the loop, and all in the end", async (t) => {
    const perTurn = [0];
    class CountingSwarms extends WebSwarms {
      override remove(...what: Parameters<WebSwarms["remove"]>): number {
        const left = super.remove(...what);
        perTurn.push((perTurn.pop() ?? 0) + left);
        return left;
      }
    }
    const { swarms, port } = await startServer(t, 600_000, CountingSwarms);
    const sockets = [];
    for (const letter of "abcdefghijkl") {
      const socket = await open(t, port);
      const heard = new Promise<void>((resolve) => {
        let count = 0;
        socket.on("message", () => {
          if (++count === TORRENTS_OF_ONE) resolve();
        });
      });
      for (let torrent = 0; torrent < TORRENTS_OF_ONE; torrent++)
        socket.send(announceText(letter, { info_hash: `torrent ${torrent}`.padEnd(20) }));
      await heard;
      sockets.push(socket);
    }
    assert.equal(swarms.torrents, TORRENTS_OF_ONE);
    for (const socket of sockets) socket.terminate();
    while (swarms.torrents > 0) {
      perTurn.push(0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(Math.max(...perTurn) <= LEFT_PER_TURN, perTurn.join());
    assert.equal(
      perTurn.reduce((sum, left) => sum + left),
      sockets.length * TORRENTS_OF_ONE,
    );
  });
});
