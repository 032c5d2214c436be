// A file of a torrent over HTTP, as a player or a program that goes on with a download asks for it: ranges, and conditions (RFC 9110).

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { EventEmitter } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { type FileServer, serveFile } from "../../../src/cli/file-server.js";
import { createTorrentFile, parseMetainfo, Session } from "../../../src/index.js";
import { temporaryFolder } from "../../support/data.js";
import { makeShared, type Shared } from "../client/session/loopback.js";

const LENGTH = 200_000;
/** On which Node.js tells of each request that an HTTP server gets, and of the server. */
const REQUESTS = "http.server.request.start";

describe("a file that is served over HTTP", { timeout: 60_000 }, () => {
  const session = new Session();
  let shared: Shared;
  let server: FileServer;
  let tag: string;

  before(async () => {
    shared = await makeShared(LENGTH);
    const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    server = await serveFile(torrent, 0, { host: "127.0.0.1", port: 0 });
    tag = `"${shared.metainfo.infoHashHex}-0"`;
  });
  after(async () => {
    await server.close();
    await session.close();
  });

  interface Answer {
    readonly status: number;
    readonly tag: string | null;
    readonly range: string | null;
    readonly bytes: Buffer;
  }
  const ask = async (headers: Record<string, string>, method = "GET"): Promise<Answer> => {
    const response = await fetch(server.url, { method, headers });
    return {
      status: response.status,
      tag: response.headers.get("etag"),
      range: response.headers.get("content-range"),
      bytes: Buffer.from(await response.arrayBuffer()),
    };
  };
  const part = (from: number, to: number): Buffer => shared.data.subarray(from, to);

  it("has a tag that is made of the torrent, on each answer", async () => {
    for (const [headers, status] of [
      [{}, 200],
      [{ range: "bytes=5-9" }, 206],
    ] as const)
      for (const method of ["GET", "HEAD"]) {
        const answer = await ask(headers, method);
        assert.deepEqual([answer.status, answer.tag], [status, tag], method);
      }
  });

  it("gives the range to who began with this file, and the whole to who began with another", async () => {
    const range = "bytes=100-299";
    const whole = { status: 200, range: null, bytes: shared.data };
    const some = { status: 206, range: `bytes 100-299/${LENGTH}`, bytes: part(100, 300) };
    for (const [ifRange, expected] of [
      [tag, some],
      ['"another"', whole],
      [`W/${tag}`, whole],
      ["Sat, 01 Aug 2026 00:00:00 GMT", whole],
    ] as const) {
      const { tag: its, ...answer } = await ask({ range, "if-range": ifRange });
      assert.deepEqual([answer, its], [expected, tag], ifRange);
    }
    // A condition without a range asks for nothing that would be another.
    assert.equal((await ask({ "if-range": tag })).status, 200);
    // A range that lies behind its end is nobody's concern where all is sent.
    assert.equal((await ask({ range: `bytes=${LENGTH}-`, "if-range": '"another"' })).status, 200);
    assert.equal((await ask({ range: `bytes=${LENGTH}-`, "if-range": tag })).status, 416);
  });

  it("is not sent to who has it, nor to who wants another", async () => {
    for (const [headers, status] of [
      [{ "if-none-match": tag }, 304],
      [{ "if-none-match": `"a", W/${tag}` }, 304],
      [{ "if-none-match": "*" }, 304],
      [{ "if-none-match": '"a"' }, 200],
      [{ "if-match": tag }, 200],
      [{ "if-match": `"a",${tag}` }, 200],
      [{ "if-match": "*" }, 200],
      [{ "if-match": '"a"' }, 412],
      [{ "if-match": `W/${tag}` }, 412],
      [{ "if-match": '"a"', "if-none-match": tag }, 412],
      [{ "if-none-match": tag, range: "bytes=5-9" }, 304],
    ] as const) {
      const answer = await ask({ ...headers });
      assert.deepEqual([answer.status, answer.tag], [status, tag], JSON.stringify(headers));
      assert.equal(answer.bytes.length, status === 200 ? LENGTH : 0);
    }
  });

  it("is for whoever asks this machine by its address, and for no page under another name", async () => {
    const { port } = new URL(server.url);
    const statusAs = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const request = get(server.url, { headers: { host } });
        request.on("error", reject).on("response", (response) => {
          response.resume();
          resolve(response.statusCode);
        });
      });
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, "LOCALHOST", `[::1]:${port}`, "127.3.2.1"])
      assert.equal(await statusAs(host), 200, host);
    for (const host of [
      `example.org:${port}`,
      "127.0.0.1.example.org",
      "192.0.2.1",
      "localhost.example.org",
      "[::2]",
    ])
      assert.equal(await statusAs(host), 421, host);
  });

  it("is asked for by whole URLs as well, and whoever is named there is who is asked", async () => {
    const { hostname, port } = new URL(server.url);
    const statusOf = async (...lines: string[]): Promise<string> => {
      const socket = connect(Number(port), hostname);
      socket.end(`HEAD ${lines.join("\r\n")}\r\n\r\n`);
      const answer = await text(socket);
      return answer.slice(9, 12);
    };
    const ours = `127.0.0.1:${port}`;
    assert.deepEqual(
      [
        await statusOf(`http://${ours}/any HTTP/1.1`, `Host: ${ours}`),
        await statusOf("http://example.org/any HTTP/1.1", `Host: ${ours}`),
        await statusOf(`http://user@${ours}/any HTTP/1.1`, `Host: ${ours}`),
        await statusOf("/any HTTP/1.1", `Host: ${ours}`, "Host: example.org"),
      ],
      ["200", "421", "400", "400"],
    );
  });

  it("refuses the last bytes of a file that has none", async (t) => {
    const folder = temporaryFolder((callback) => t.after(callback));
    mkdirSync(join(folder, "both"));
    writeFileSync(join(folder, "both", "empty.txt"), "");
    writeFileSync(join(folder, "both", "full.txt"), "something");
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "both")));
    const torrent = await session.add(metainfo, { directory: folder, readOnly: true });
    const index = metainfo.files.findIndex(({ length }) => length === 0);
    const other = await serveFile(torrent, index, { host: "127.0.0.1", port: 0 });
    t.after(() => other.close());
    const statusOf = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(other.url, { headers })).status;
    assert.deepEqual([await statusOf({}), await statusOf({ range: "bytes=-5" })], [200, 416]);
  });

  it("answers whoever comes while players that take nothing hold all answers", async (t) => {
    // Nobody brings its bytes: each answer waits for ever.
    const alone = new Session();
    const torrent = await alone.add(shared.metainfo, { storage: "memory" });
    const other = await serveFile(torrent, 0, { host: "127.0.0.1", port: 0 });
    const leaving = new AbortController();
    t.after(async () => {
      leaving.abort();
      await other.close();
      await alone.close();
    });
    let isEnded = false;
    for (let index = 0; index < 32; index++)
      void fetch(other.url, { signal: leaving.signal }).catch(() => {
        isEnded = true;
      });
    // They may have begun a moment ago.
    let status = 0;
    while (!isEnded) status = (await fetch(other.url, { method: "HEAD" })).status;
    assert.equal(status, 200);
  });

  it("closes connections that ask for nothing when there are many, and answers whoever asks", async (t) => {
    const { hostname, port } = new URL(server.url);
    const silent = Array.from({ length: 140 }, () => connect(Number(port), hostname));
    t.after(() => {
      for (const socket of silent) socket.destroy();
    });
    const closed = silent.map(
      (socket) => new Promise((resolve) => socket.on("error", () => {}).once("close", resolve)),
    );
    await Promise.all(closed.slice(0, 12));
    assert.equal((await ask({}, "HEAD")).status, 200);
  });

  it("answers so many requests over one connection, however they come", async () => {
    const { hostname, port, pathname } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    let said = "";
    socket.on("data", (bytes: Buffer) => {
      said += bytes.toString("latin1");
    });
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.write(`HEAD ${pathname} HTTP/1.1\r\nhost: here\r\n\r\n`.repeat(200));
    await closed;
    const count = said.match(/^HTTP\/1\.1 /gm)?.length ?? 0;
    assert.equal(count, 64);
  });

  it("closes connections that send something behind the head", async () => {
    const { hostname, port, pathname } = new URL(server.url);
    for (const what of ["transfer-encoding: chunked", "content-length: 1000000"]) {
      const socket = connect(Number(port), hostname);
      let said = "";
      socket.on("data", (bytes: Buffer) => {
        said += bytes.toString("latin1");
      });
      socket.on("error", () => {});
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.write(
        `GET ${pathname} HTTP/1.1\r\nhost: localhost\r\nrange: bytes=0-0\r\n${what}\r\n\r\n1\r\na\r\n`,
      );
      let isClosed = false;
      void closed.then(() => {
        isClosed = true;
      });
      // In pieces that never end.
      while (!isClosed) {
        socket.write("1\r\na\r\n");
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      assert.match(said, /^HTTP\/1\.1 413 /);
    }
  });

  it("goes on where connections cannot be accepted for want of descriptors", async () => {
    let heard: ((message: unknown) => void) | undefined;
    const its = new Promise<EventEmitter>((resolve) => {
      heard = (message) => resolve((message as { server: EventEmitter }).server);
      subscribe(REQUESTS, heard);
    });
    await ask({}, "HEAD");
    const listener = await its;
    if (heard !== undefined) unsubscribe(REQUESTS, heard);
    // As node:net tells of EMFILE, for each connection that waits.
    for (let times = 0; times < 3; times++) listener.emit("error", new Error("accept EMFILE"));
    assert.equal((await ask({}, "HEAD")).status, 200);
  });
});
