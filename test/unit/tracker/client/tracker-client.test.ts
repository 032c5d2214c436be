// The client of trackers over real sockets: HTTP and UDP, IPv4 and IPv6, our tracker and servers that mean no good.
//
// It is long because there are many ways to mean no good, and all tests share their servers.

import { strict as assert } from "node:assert";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, it, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import bencode from "bencode";
import { TrackerError } from "../../../../src/base/errors.js";
import { type Ground, SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { READABLE, SystemDatagrams } from "../../../../src/native/datagrams.js";
import type { NameResolver } from "../../../../src/native/names.js";
import { Reactor } from "../../../../src/native/reactor.js";
import type { AnnounceRequest } from "../../../../src/tracker/client/announce.js";
import { TrackerClient } from "../../../../src/tracker/client/tracker-client.js";
import { TrackerService } from "../../../../src/tracker/index.js";
import * as udp from "../../../../src/tracker/protocol/udp.js";
import { CERTIFICATE } from "../../../support/certificate.js";
import { serveHttp } from "../../../support/http-server.js";
import { VirtualDatagrams } from "../../../support/virtual-datagrams.js";

const HASH = Uint8Array.from({ length: 20 }, (_, index) => 11 * index);
const SLAB_BYTES = 2 ** 20;
const TIMEOUT = { timeout: 60_000 };

/** Names that tests use; numeric addresses are themselves. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  localhost: ["127.0.0.1", "::1"],
  "both.example": ["127.0.0.1", "::1"],
  "nowhere.example": [],
  "evil.example": ["127.0.0.1"],
};
const names: NameResolver = {
  resolve: (name) => Promise.resolve(NAMES[name] ?? [name]),
  close: () => {},
};

function request(port: number, more: Partial<AnnounceRequest> = {}): AnnounceRequest {
  return {
    infoHash: HASH,
    peerId: Uint8Array.from({ length: 20 }, (_, index) => (port + index) & 255),
    ports: { v4: port, v6: port },
    uploaded: 0,
    downloaded: 0,
    left: 1,
    event: "started",
    numWant: 50,
    key: 1,
    ...more,
  };
}

let reactor: Reactor;
let client: TrackerClient;

function makeClient(ground: Ground = SYSTEM_GROUND): TrackerClient {
  return new TrackerClient({
    ground,
    datagrams: new SystemDatagrams(reactor),
    names,
    tls: { ca: CERTIFICATE },
  });
}

beforeEach(() => {
  reactor = new Reactor(SLAB_BYTES);
  client = makeClient();
});
afterEach(() => {
  client.close();
  reactor.close();
});

const fails = (code: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof TrackerError, String(error));
  assert.equal(error.code, code, error.message);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};

const answering =
  (fields: Record<string, unknown>) =>
  (_request: IncomingMessage, response: ServerResponse): void => {
    response.end(bencode.encode(fields));
  };

async function startTracker(
  t: TestContext,
  protocol: "http" | "udp",
  hosts: readonly string[],
): Promise<number> {
  const [first = "", ...others] = hosts;
  const store = { bytesMax: 2 ** 22 };
  const at = (host: string, port: number) =>
    protocol === "udp" ? { udp: [{ host, port }] } : { udp: [], http: [{ host, port }] };
  const service = await TrackerService.start({ ...at(first, 0), store });
  t.after(() => service.close());
  const port = service.listening[0]?.port ?? 0;
  for (const host of others) {
    const other = await TrackerService.start({ ...at(host, port), store });
    t.after(() => other.close());
  }
  return port;
}

describe("the client of trackers", () => {
  for (const protocol of ["http", "udp"] as const)
    for (const host of ["127.0.0.1", "::1"])
      it(`announces, finds, scrapes and stops over ${protocol} at ${host}`, TIMEOUT, async (t) => {
        const port = await startTracker(t, protocol, [host]);
        const url = `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}/announce`;
        const first = await client.announce(url, request(7001));
        assert.deepEqual(
          [first.answers.length, first.errors.length, first.answers[0]?.peers.length],
          [1, 0, 0],
        );
        const second = await client.announce(url, request(7002, { left: 0 }));
        const { peers, seeders, leechers } = second.answers[0] ?? assert.fail("an answer");
        assert.deepEqual([peers.length, peers[0]?.port, seeders, leechers], [1, 7001, 1, 1]);
        const scraped = await client.scrape(url, [HASH]);
        assert.deepEqual(scraped, [
          { infoHash: Buffer.from(HASH).toString("hex"), seeders: 1, leechers: 1, downloads: 0 },
        ]);
        await client.announce(url, request(7001, { event: "stopped" }));
        const after = await client.scrape(url, [HASH]);
        assert.deepEqual([after[0]?.seeders, after[0]?.leechers], [1, 0]);
      });

  it("asks at an IPv4 and at an IPv6 address of one name, and tells of each", TIMEOUT, async (t) => {
    for (const protocol of ["http", "udp"] as const) {
      const port = await startTracker(t, protocol, ["127.0.0.1", "::1"]);
      const url = `${protocol}://both.example:${port}/announce`;
      await client.announce(url, request(7001));
      const { answers, errors } = await client.announce(url, request(7002));
      assert.deepEqual(
        answers.map(({ peers }) => peers),
        [[{ host: "127.0.0.1", port: 7001 }], [{ host: "0:0:0:0:0:0:0:1", port: 7001 }]],
      );
      assert.deepEqual(errors, []);
    }
  });

  it("is content with one of both", TIMEOUT, async (t) => {
    const port = await startTracker(t, "http", ["::1"]);
    const { answers, errors } = await client.announce(`http://both.example:${port}/announce`, request(7001));
    assert.equal(answers.length, 1);
    assert.deepEqual(
      errors.map(({ code }) => code),
      ["TRACKER_UNREACHABLE"],
    );
  });

  it("speaks TLS, and checks certificates by name", TIMEOUT, async (t) => {
    const server = await serveHttp(t, answering({ interval: 60, peers: "" }), { secure: true });
    const { answers } = await client.announce(`https://localhost:${server.port}/announce`, request(7001));
    assert.equal(answers[0]?.interval, 60);
    await assert.rejects(
      client.announce(`https://evil.example:${server.port}/announce`, request(7001)),
      fails("TRACKER_UNREACHABLE", /evil\.example/),
    );
  });

  it("unpacks what is packed, and nothing beyond its bound", TIMEOUT, async (t) => {
    const packed = (bytes: Uint8Array) => (_request: IncomingMessage, response: ServerResponse) => {
      response.setHeader("content-encoding", "gzip");
      response.end(gzipSync(bytes));
    };
    const good = await serveHttp(t, packed(bencode.encode({ interval: 77, peers: "" })));
    const { answers } = await client.announce(`${good.origin}/announce`, request(7001));
    assert.equal(answers[0]?.interval, 77);
    const bomb = await serveHttp(t, packed(Buffer.alloc(50 * 2 ** 20)));
    await assert.rejects(
      client.announce(`${bomb.origin}/announce`, request(7001)),
      fails("TRACKER_TOO_LONG"),
    );
    const broken = await serveHttp(t, (_request, response) => {
      response.setHeader("content-encoding", "gzip");
      response.end("no gzip");
    });
    await assert.rejects(
      client.announce(`${broken.origin}/announce`, request(7001)),
      fails("TRACKER_MALFORMED"),
    );
  });
});

describe("a hostile tracker", () => {
  it("that never ends its answer is cut off at a megabyte", TIMEOUT, async (t) => {
    let sent = 0;
    const server = await serveHttp(t, (_request, response) => {
      response.on("error", () => {});
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x61))) sent += 65_536;
      };
      response.on("drain", more);
      more();
    });
    await assert.rejects(
      client.announce(`${server.origin}/announce`, request(7001)),
      fails("TRACKER_TOO_LONG"),
    );
    assert.ok(sent < 64 * 2 ** 20, `${sent} bytes were sent`);
  });

  it(
    "that names a million peers gives none, and one that names fewer gives a thousand",
    TIMEOUT,
    async (t) => {
      const million = await serveHttp(t, answering({ interval: 60, peers: Buffer.alloc(6_000_000, 9) }));
      await assert.rejects(
        client.announce(`${million.origin}/announce`, request(7001)),
        fails("TRACKER_TOO_LONG"),
      );
      const many = await serveHttp(t, answering({ interval: 60, peers: Buffer.alloc(600_000, 9) }));
      const { answers } = await client.announce(`${many.origin}/announce`, request(7001));
      assert.equal(answers[0]?.peers.length, 1000);
    },
  );

  it("that drips its answer, or says nothing at all, has until the deadline", TIMEOUT, async (t) => {
    const servers = [
      await serveHttp(t, () => {}),
      await serveHttp(t, (_request, response) => {
        const drip = setInterval(() => response.write("d"), 20);
        response.on("close", () => clearInterval(drip));
      }),
    ];
    for (const { origin, sockets } of servers) {
      // The deadline passes when the test says so.
      const timers: { ms: number; callback: () => void }[] = [];
      const ground: Ground = {
        ...SYSTEM_GROUND,
        after: (ms, callback) => {
          timers.push({ ms, callback });
          return { ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} };
        },
      };
      const patient = makeClient(ground);
      const announced = patient.announce(`${origin}/announce`, request(7001));
      while (sockets.size === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.deepEqual(
        timers.map(({ ms }) => ms),
        [30_000],
      );
      timers[0]?.callback();
      await assert.rejects(announced, fails("TRACKER_TIMEOUT"));
      while (sockets.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      patient.close();
    }
  });

  it("that redirects for ever is followed four times", TIMEOUT, async (t) => {
    const server = await serveHttp(t, (request, response) => {
      response.writeHead(302, { location: `${request.url}&x` });
      response.end();
    });
    await assert.rejects(
      client.announce(`${server.origin}/announce`, request(7001)),
      fails("TRACKER_REDIRECT"),
    );
    assert.equal(server.asked.length, 5);
  });

  it("may redirect to another tracker, and to nothing that is weaker or nearer", TIMEOUT, async (t) => {
    const target = await serveHttp(t, answering({ interval: 99, peers: "" }));
    const redirecting = async (location: string, secure = false): Promise<string> => {
      const answer = (_request: IncomingMessage, response: ServerResponse): void => {
        response.writeHead(307, { location });
        response.end();
      };
      const { port } = await serveHttp(t, answer, { secure });
      return `${secure ? "https" : "http"}://localhost:${port}/announce`;
    };
    const good = await client.announce(await redirecting(`${target.origin}/announce?k=1`), request(7001));
    assert.equal(good.answers[0]?.interval, 99);
    for (const [location, secure] of [
      [`${target.origin}/announce`, true],
      [`${target.origin}/admin/reboot`, false],
      ["ftp://localhost/announce", false],
      ["http://[/announce", false],
    ] as const)
      await assert.rejects(
        client.announce(await redirecting(location, secure), request(7001)),
        fails("TRACKER_REDIRECT"),
        location,
      );
    assert.equal(target.asked.length, 1);
  });

  it("in a torrent file has us ask nothing of this machine but an announce", TIMEOUT, async (t) => {
    const server = await serveHttp(t, answering({ interval: 60, peers: "" }));
    for (const path of ["/", "/admin?delete=all", "/x/announc"])
      await assert.rejects(
        client.announce(`${server.origin}${path}`, request(7001)),
        fails("TRACKER_URL"),
        path,
      );
    // A name that somebody else chose is looked at by its address.
    await assert.rejects(
      client.announce(`http://evil.example:${server.port}/admin`, request(7001)),
      fails("TRACKER_URL"),
    );
    assert.deepEqual(server.asked, []);
  });

  it("is asked at no address that is not one machine's, over whatever protocol", TIMEOUT, async () => {
    const datagrams = { bind: () => assert.fail("there is nobody to ask") };
    const careful = new TrackerClient({ ground: SYSTEM_GROUND, datagrams, names });
    for (const host of ["239.255.255.250", "255.255.255.255", "0.0.0.0", "[ff02::1]", "[::]"])
      for (const protocol of ["udp", "http"]) {
        const url = `${protocol}://${host}:1900/announce`;
        await assert.rejects(
          careful.announce(url, request(7001)),
          fails("TRACKER_URL", /is no address of/),
          url,
        );
        await assert.rejects(careful.scrape(url, [HASH]), fails("TRACKER_URL", /is no address of/), url);
      }
    careful.close();
  });

  it("whose name is never found holds up nobody who stops waiting", TIMEOUT, async () => {
    const silent: NameResolver = { resolve: () => new Promise(() => {}), close: () => {} };
    const waiting = new TrackerClient({
      ground: SYSTEM_GROUND,
      datagrams: new SystemDatagrams(reactor),
      names: silent,
    });
    for (const protocol of ["udp", "http"]) {
      const stop = new AbortController();
      const announced = waiting.announce(
        `${protocol}://tracker.example:80/announce`,
        request(7001),
        stop.signal,
      );
      stop.abort();
      await assert.rejects(announced, fails("TRACKER_CLOSED"));
    }
    const scraped = waiting.scrape("udp://tracker.example:80", [HASH]);
    waiting.close();
    await assert.rejects(scraped, fails("TRACKER_CLOSED"));
  });

  it("far away names nobody on this machine, nor in our network", async () => {
    const named = [
      "127.0.0.1",
      "10.0.0.1",
      "192.168.1.1",
      "0.0.0.0",
      "224.0.0.1",
      "255.255.255.255",
      "198.51.100.1",
    ];
    const heard = new Map<string, string[]>();
    for (const host of ["203.0.113.1", "192.168.7.7", "127.0.0.1"]) {
      const world = new VirtualDatagrams(1);
      const socket = world.network.bind({ host, port: 80 });
      const batch = socket.makeBatch(1, 2048);
      const answer = (): void => {
        if (socket.receive(batch) !== 1) return;
        const { view } = batch;
        const transaction = view.getUint32(udp.TRANSACTION_AT);
        let length = 0;
        if (view.getUint32(udp.ACTION_AT) === udp.ACTION_CONNECT)
          length = udp.writeConnectResponse(view, 0, transaction, 1, 1);
        else {
          length = udp.writeAnnounceResponse(view, 0, transaction, 60, 1, 1);
          for (const each of named) {
            batch.bytes.set([...each.split(".").map(Number), 0, 22], length);
            length += 6;
          }
        }
        batch.lengths[0] = length;
        socket.send(batch, 0, 1);
      };
      socket.watch({ datagramsReady: answer }, READABLE);
      const { network, ground } = world;
      const sourceFor = (): string => "203.0.113.9";
      const asking = new TrackerClient({ ground, datagrams: network, names, sourceFor });
      const { answers } = await world.until(asking.announce(`udp://${host}:80`, request(7001)));
      heard.set(
        host,
        answers.flatMap(({ peers }) => peers.map((peer) => peer.host)),
      );
      asking.close();
    }
    assert.deepEqual(heard.get("203.0.113.1"), ["198.51.100.1"]);
    assert.deepEqual(heard.get("192.168.7.7"), ["10.0.0.1", "192.168.1.1", "198.51.100.1"]);
    assert.deepEqual(heard.get("127.0.0.1"), ["127.0.0.1", "10.0.0.1", "192.168.1.1", "198.51.100.1"]);
  });

  it(
    "closes without an answer, answers nonsense, or is not there: each has its error",
    TIMEOUT,
    async (t) => {
      const gone = await serveHttp(t, (request) => request.socket.destroy());
      await assert.rejects(
        client.announce(`${gone.origin}/announce`, request(7001)),
        fails("TRACKER_UNREACHABLE"),
      );
      const half = await serveHttp(t, (request, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("d8:interval");
        setTimeout(() => request.socket.destroy(), 20);
      });
      await assert.rejects(
        client.announce(`${half.origin}/announce`, request(7001)),
        fails("TRACKER_UNREACHABLE"),
      );
      const page = await serveHttp(t, (_request, response) => void response.end("<html>hello</html>"));
      await assert.rejects(
        client.announce(`${page.origin}/announce`, request(7001)),
        fails("TRACKER_MALFORMED"),
      );
      const head = await serveHttp(t, (_request, response) => {
        response.setHeader("x", "x".repeat(60_000));
        response.end("de");
      });
      await assert.rejects(
        client.announce(`${head.origin}/announce`, request(7001)),
        fails("TRACKER_MALFORMED"),
      );
      await assert.rejects(
        client.announce("http://nowhere.example/announce", request(7001)),
        fails("TRACKER_NAME"),
      );
    },
  );

  it(
    "holds four places at the most, sixteen with others, and who waits for one may go",
    TIMEOUT,
    async (t) => {
      const servers = await Promise.all(Array.from({ length: 5 }, () => serveHttp(t, () => {})));
      const asked = (): number[] => servers.map((server) => server.asked.length);
      const stops: AbortController[] = [];
      const all = servers.flatMap(({ origin }) =>
        Array.from({ length: 10 }, (_, index) => {
          const stop = new AbortController();
          stops.push(stop);
          return client.announce(`${origin}/announce`, request(7000 + index), stop.signal);
        }),
      );
      const ended = Promise.allSettled(all);
      while (asked().reduce((sum, count) => sum + count) < 16)
        await new Promise((resolve) => setTimeout(resolve, 10));
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(asked(), [4, 4, 4, 4, 0]);
      for (const stop of stops) stop.abort();
      for (const result of await ended) {
        assert.ok(result.status === "rejected");
        fails("TRACKER_CLOSED")(result.reason);
      }
      assert.deepEqual(asked(), [4, 4, 4, 4, 0]);
    },
  );

  it("whose IPv6 leads nowhere is heard over IPv4 all the same", async () => {
    const world = new VirtualDatagrams(1);
    const { network, ground } = world;
    const socket = network.bind({ host: "203.0.113.1", port: 80 });
    const batch = socket.makeBatch(1, 2048);
    const answer = (): void => {
      if (socket.receive(batch) !== 1) return;
      const { view } = batch;
      const transaction = view.getUint32(udp.TRANSACTION_AT);
      const isConnect = view.getUint32(udp.ACTION_AT) === udp.ACTION_CONNECT;
      batch.lengths[0] = isConnect
        ? udp.writeConnectResponse(view, 0, transaction, 1, 1)
        : udp.writeAnnounceResponse(view, 0, transaction, 60, 1, 1);
      socket.send(batch, 0, 1);
    };
    socket.watch({ datagramsReady: answer }, READABLE);
    const both: NameResolver = {
      resolve: () => Promise.resolve(["203.0.113.1", "2001:db8::1"]),
      close: () => {},
    };
    const asking = new TrackerClient({
      ground,
      datagrams: network,
      names: both,
      sourceFor: (far) => (far.includes(":") ? "2001:db8::9" : "203.0.113.9"),
    });
    const { answers, errors } = await world.until(asking.announce("udp://tracker.example:80", request(7001)));
    assert.deepEqual([answers.length, errors.length], [1, 1]);
    assert.ok(network.nowMs < 5000, `after ${network.nowMs} ms`);
    assert.equal(world.timers, 0);
    asking.close();
  });
});
