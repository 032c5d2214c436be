// Runs of bytes from web servers that cut their answers into crumbs, drip them, pack them, or send us somewhere else: what a run holds of
// them, and when it has had enough.

import { strict as assert } from "node:assert";
import type { ClientRequest, ServerResponse } from "node:http";
import { describe, it, type TestContext } from "node:test";
import { type Ground, SYSTEM_GROUND, type Timer } from "../../../../src/base/ground.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import type { WebSeedError } from "../../../../src/client/web-seed/web-file.js";
import { WebRun, type WebRunHost } from "../../../../src/client/web-seed/web-run.js";
import { WebSeedHttp } from "../../../../src/client/web-seed/web-seeds.js";
import { bytesOf } from "../../../support/data.js";
import { serveHttp } from "../../../support/http-server.js";

const TIMEOUT = { timeout: 60_000 };
const BLOCK = 16_384;
const DATA = bytesOf(6, 5 * BLOCK + 1000);
const LAYOUT = new Layout({
  pieceLength: 2 * BLOCK,
  totalLength: DATA.length,
  files: [{ path: ["data.bin"], length: DATA.length, offset: 0, padding: false }],
});
const NAMES = { resolve: async (name: string) => [name], close: () => {} };

/** What a run tells. */
class Host implements WebRunHost {
  readonly blocks: (readonly Uint8Array[])[] = [];
  readonly ended: Promise<WebSeedError | undefined>;
  runEnded!: (error: WebSeedError | undefined) => void;
  onBlock: (count: number) => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.runEnded = resolve;
    });
  }

  blockCame(_piece: number, _block: number, parts: readonly Uint8Array[]): void {
    this.blocks.push(parts);
    this.onBlock(this.blocks.length);
  }
}

interface Started {
  readonly run: WebRun;
  readonly host: Host;
}

/** `keptMs`: so long a connection waits for the next run. */
function start(t: TestContext, origin: string, ground: Ground = SYSTEM_GROUND, keptMs = 15_000): Started {
  const http = new WebSeedHttp(ground, NAMES, undefined, { timeout: keptMs });
  t.after(() => http.close());
  const host = new Host();
  const base = new URL(`${origin}/data.bin`);
  const range = { from: 0, to: DATA.length };
  const run = new WebRun({ http, ground, base, layout: LAYOUT, isSingleFile: true, ...range }, host);
  t.after(() => run.stop());
  return { run, host };
}

function whole(answer: ServerResponse): void {
  answer.writeHead(206, {
    "content-length": DATA.length,
    "content-range": `bytes 0-${DATA.length - 1}/${DATA.length}`,
  });
}

/** Chunks of so many bytes. */
function serveInCrumbs(t: TestContext, bytes: number): ReturnType<typeof serveHttp> {
  return serveHttp(t, (_request, { socket }) => {
    const parts: Uint8Array[] = [Buffer.from("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")];
    for (let at = 0; at < DATA.length; at += bytes) {
      const crumb = DATA.subarray(at, at + bytes);
      parts.push(Buffer.from(`${crumb.length.toString(16)}\r\n`), crumb, Buffer.from("\r\n"));
    }
    socket?.write(Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]));
  });
}

async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition() && turns < 3000; turns++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition(), "it never happened");
}

describe("a run of a web seed", TIMEOUT, () => {
  it("brings blocks in few parts, also where the server sends them in crumbs", async (t) => {
    const { origin } = await serveInCrumbs(t, 10);
    const { host } = start(t, origin);
    assert.equal(await host.ended, undefined);
    assert.equal(host.blocks.length, 6);
    assert.equal(Buffer.compare(Buffer.concat(host.blocks.flat()), DATA), 0);
    for (const parts of host.blocks) assert.ok(parts.length <= 8, `a block in ${parts.length} parts`);
  });

  it("gives up a server that sends a block byte by byte, for good", async (t) => {
    const { origin } = await serveInCrumbs(t, 1);
    const { host } = start(t, origin);
    const error = await host.ended;
    assert.match(error?.message ?? "", /more than 2048 parts/);
    assert.equal(error?.retryMs, Number.POSITIVE_INFINITY);
    assert.equal(host.blocks.length, 0);
  });

  it("gives up a server that never comes to its answer, for minutes", async (t) => {
    const server = await serveHttp(t, (_request, { socket }) => {
      socket?.write("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100));
    });
    const { host } = start(t, server.origin);
    assert.equal((await host.ended)?.retryMs, 600_000);
  });

  it("gives up a server that brings less than a block while it waits, however often it says something", async (t) => {
    const timers: { refreshed: number; isClosed: boolean; readonly fire: () => void }[] = [];
    const ground: Ground = {
      ...SYSTEM_GROUND,
      after: (_ms, fire): Timer => {
        const timer = { refreshed: 0, isClosed: false, fire };
        timers.push(timer);
        return {
          ref: () => {},
          unref: () => {},
          refresh: () => timer.refreshed++,
          close: () => {
            timer.isClosed = true;
          },
        };
      },
    };
    const server = await serveHttp(t, (_request, response) => {
      whole(response);
      let at = 0;
      const drip = (): void => {
        if (at >= BLOCK + 1000 || response.destroyed) return;
        response.write(DATA.subarray(at, at + 100), () => setImmediate(drip));
        at += 100;
      };
      drip();
    });
    const { host } = start(t, server.origin, ground);
    await new Promise<void>((resolve) => {
      host.onBlock = () => resolve();
    });
    const [waits] = timers.filter(({ isClosed }) => !isClosed);
    assert.ok(waits !== undefined);
    assert.equal(waits.refreshed, 1, "a block came, in more than a hundred parts");
    waits.fire();
    assert.match((await host.ended)?.message ?? "", /bytes too early/);
    assert.equal(host.blocks.length, 1);
  });

  it("has what comes while it is held wait with the system, and all of it later", async (t) => {
    const server = await serveHttp(t, (_request, response) => {
      whole(response);
      response.end(DATA);
    });
    // For longer than a connection is kept that nobody has a run over.
    const { run, host } = start(t, server.origin, SYSTEM_GROUND, 10);
    host.onBlock = (count) => {
      if (count > 4) return;
      run.hold(true);
      setTimeout(() => run.hold(false), 50);
    };
    assert.equal(await host.ended, undefined);
    assert.equal(Buffer.compare(Buffer.concat(host.blocks.flat()), DATA), 0);
  });

  it("has all of a range whose server never says that it is the end", async (t) => {
    const fires: (() => void)[] = [];
    const ground: Ground = {
      ...SYSTEM_GROUND,
      after: (_ms, fire): Timer => {
        fires.push(fire);
        return { ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} };
      },
    };
    const server = await serveHttp(t, (_request, response) => {
      response.writeHead(206, { "content-range": `bytes 0-${DATA.length - 1}/${DATA.length}` });
      response.write(DATA);
    });
    const { host } = start(t, server.origin, ground);
    await new Promise<void>((resolve) => {
      host.onBlock = (count) => {
        if (count === 6) resolve();
      };
    });
    fires.at(-1)?.();
    assert.equal(await host.ended, undefined);
  });

  it("looks at a file when it comes to it, however many there are", async (t) => {
    let looks = 0;
    class Counting extends Layout {
      override forEachSpan(...span: Parameters<Layout["forEachSpan"]>): void {
        const [offset, length, visit] = span;
        super.forEachSpan(offset, length, (...seen) => {
          looks++;
          visit(...seen);
        });
      }
    }
    const bytes = DATA.subarray(0, 500);
    const files = [...bytes].map((_, offset) => ({ path: [`${offset}`], length: 1, offset, padding: false }));
    const layout = new Counting({ pieceLength: BLOCK, totalLength: files.length, files });
    const looksBefore: number[] = [];
    const server = await serveHttp(t, (request, response) => {
      looksBefore.push(looks);
      const offset = Number(request.url?.slice("/folder/".length));
      response.writeHead(206, { "content-range": "bytes 0-0/1", "content-length": 1 });
      response.end(bytes.subarray(offset, offset + 1));
    });
    const http = new WebSeedHttp(SYSTEM_GROUND, NAMES);
    t.after(() => http.close());
    const host = new Host();
    const options = { http, ground: SYSTEM_GROUND, layout, isSingleFile: false, from: 0, to: files.length };
    new WebRun({ ...options, base: new URL(`${server.origin}/folder/`) }, host);
    assert.equal(await host.ended, undefined);
    assert.deepEqual(Buffer.concat(host.blocks.flat()), Buffer.from(bytes));
    assert.deepEqual(
      looksBefore,
      files.map((_, index) => index + 1),
    );
  });

  it("lets go of its server whenever it is stopped, also between the head of an answer and the first byte", async (t) => {
    const open = new Set<unknown>();
    const server = await serveHttp(t, (request, response) => {
      open.add(request.socket);
      request.socket.on("close", () => open.delete(request.socket));
      whole(response);
      response.write(DATA.subarray(0, 100));
    });
    // Nothing is given up for being slow.
    const ground: Ground = {
      ...SYSTEM_GROUND,
      after: (): Timer => ({ ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} }),
    };
    for (let turns = 0; turns < 40; turns++) {
      const http = new WebSeedHttp(ground, NAMES);
      t.after(() => http.close());
      const base = new URL(`${server.origin}/data.bin`);
      const range = { from: 0, to: DATA.length };
      let stopped: () => void = () => {};
      const isStopped = new Promise<void>((resolve) => {
        stopped = resolve;
      });
      // The head is heard of here first, and the run is stopped so many microtasks later.
      const { http: agent } = http;
      const addRequest = Reflect.get(agent, "addRequest") as (
        request: ClientRequest,
        ...more: unknown[]
      ) => void;
      Reflect.set(agent, "addRequest", (request: ClientRequest, ...more: unknown[]) => {
        request.once("response", async () => {
          for (let turn = 0; turn < turns; turn++) await undefined;
          run.stop();
          stopped();
        });
        addRequest.call(agent, request, ...more);
      });
      const options = { http, ground, base, layout: LAYOUT, isSingleFile: true, ...range };
      const run = new WebRun(options, new Host());
      await isStopped;
    }
    await until(() => open.size === 0);
  });

  it("wants nothing that is packed, nor what is not sent over HTTP, nor what stands nowhere", async (t) => {
    for (const [status, headers, reason] of [
      [200, { "content-encoding": "gzip" }, /packs/],
      [206, { "content-encoding": "br", "content-range": `bytes 0-0/${DATA.length}` }, /packs/],
      [
        206,
        { "content-range": `bytes 0-${DATA.length - 1}/${DATA.length}`, "content-length": DATA.length + 1 },
        /says 82921 bytes for a range of 82920/,
      ],
      [302, { location: "file:///etc/passwd" }, /redirect from http: to file:/],
      [302, { location: "data:text/plain,x" }, /redirect from http: to data:/],
      [302, { location: "http://0.0.0.0/" }, /redirect from 127\.0\.0\.1 to 0\.0\.0\.0/],
      [302, { location: "http://[ff02::1]/" }, /redirect from 127\.0\.0\.1 to ff02::1/],
      [302, { location: "/again" }, /more than 5 redirects/],
    ] as const) {
      // The head is all that it says: what it promised behind that is not waited for.
      const server = await serveHttp(t, (_request, response) =>
        response.writeHead(status, headers).flushHeaders(),
      );
      const { host } = start(t, server.origin);
      assert.match((await host.ended)?.message ?? "", reason);
    }
    const { host } = start(t, "http://0.0.0.0:9");
    assert.match((await host.ended)?.message ?? "", /0\.0\.0\.0 is no address of a web server/);
  });

  it("leaves a connection that is kept for a while, and not for ever", async (t) => {
    const server = await serveHttp(t, (_request, response) => {
      whole(response);
      response.end(DATA);
    });
    const http = new WebSeedHttp(SYSTEM_GROUND, NAMES, undefined, { timeout: 50 });
    t.after(() => http.close());
    const host = new Host();
    const base = new URL(`${server.origin}/data.bin`);
    const options = { http, ground: SYSTEM_GROUND, base, layout: LAYOUT, isSingleFile: true };
    new WebRun({ ...options, from: 0, to: DATA.length }, host);
    assert.equal(await host.ended, undefined);
    for (let turns = 0; server.sockets.size > 0 && turns < 3000; turns++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(server.sockets.size, 0);
    const usual = new WebSeedHttp(SYSTEM_GROUND, NAMES);
    t.after(() => usual.close());
    const { options: said } = usual.http as unknown as { options: { timeout?: number } };
    assert.equal(said.timeout, 15_000);
  });
});
