// A file of a torrent over HTTP, as a player or a program that goes on with a download asks for it: ranges, and conditions (RFC 9110).

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type FileServer, serveFile } from "../../../src/cli/file-server.js";
import { Session } from "../../../src/index.js";
import { makeShared, type Shared } from "../client/session/loopback.js";

const LENGTH = 200_000;

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
});
