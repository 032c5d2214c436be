// Answers over HTTP that are nearly right, cut anywhere and ended anyhow, to what trackers and web seeds are asked with: an answer or a run is
// whole, or ends with the documented error, and nothing else is thrown, now or later.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { type Ground, SYSTEM_GROUND } from "../../src/base/ground.js";
import { Layout } from "../../src/client/storage/layout.js";
import { WebSeedError } from "../../src/client/web-seed/web-file.js";
import { WebRun } from "../../src/client/web-seed/web-run.js";
import { WebSeedHttp } from "../../src/client/web-seed/web-seeds.js";
import { HttpGetError, httpGet } from "../../src/native/http-get.js";
import { checkAsync } from "../support/property.js";
import { collectUncaught } from "../support/uncaught.js";

const LENGTH = 40_000;
const BLOCKS = 3;
const BYTES_MAX = 20_000;
const DEADLINE_MS = 50;
/** A case takes as long as some hundred calls of a parser. */
const CASE_WEIGHT = 100;
const LAYOUT = new Layout({
  pieceLength: 32_768,
  totalLength: LENGTH,
  files: [{ path: ["data"], length: LENGTH, offset: 0, padding: false }],
});
const STATUS_LINES = [
  "200 OK",
  "206 Part",
  "301 Moved",
  "100 Continue",
  "101 Other",
  "204 None",
  "503 Busy",
].map((status) => `HTTP/1.1 ${status}\r\n`);
const PARTS = [
  `content-length: ${LENGTH}\r\n`,
  "content-length: 10\r\n",
  "transfer-encoding: chunked\r\n",
  "transfer-encoding: gzip, chunked\r\n",
  "content-encoding: gzip\r\n",
  "connection: close\r\n",
  "connection: upgrade\r\nupgrade: h2c\r\n",
  "keep-alive: timeout=0\r\n",
  "keep-alive: timeout=99999999999\r\n",
  `content-range: bytes 0-${LENGTH - 1}/${LENGTH}\r\n`,
  "content-range: bytes 0-9/10\r\n",
  "location: /again\r\n",
  "location: //[\r\n",
  "location: http://%ff@127.0.0.1/\r\n",
  "location: http://127.0.0.1:99999/\r\n",
  "retry-after: 1e99\r\n",
  "trailer: x\r\n",
  "\r\n",
  "\r\n\r\n",
  "5\r\nhello\r\n",
  "0\r\n\r\n",
  "0\r\nx: y\r\n\r\n",
  "ffffffffffffffffff\r\n",
  "9c40\r\n",
  "d8:intervali60e5:peers0:e",
  "z".repeat(5000),
  "z".repeat(LENGTH),
];

/** What the server says to each request of a case. */
interface Answer {
  readonly says: Buffer;
  readonly cutAt: number;
  readonly end: "end" | "reset" | "stay";
}

const answers: fc.Arbitrary<Answer> = fc
  .record({
    status: fc.constantFrom("", ...STATUS_LINES),
    parts: fc.array(
      fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...PARTS) },
        {
          weight: 1,
          arbitrary: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
        },
      ),
      { maxLength: 10 },
    ),
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
    end: fc.constantFrom("end", "reset", "stay"),
  })
  .map(({ status, parts, cut, end }) => {
    const says = Buffer.from(status + parts.join(""), "latin1");
    return { says, cutAt: Math.floor(cut * says.length), end } as const;
  });

describe("answers over HTTP", { timeout: 600_000 }, () => {
  const ground: Ground = {
    ...SYSTEM_GROUND,
    after: (ms, callback) => SYSTEM_GROUND.after(Math.min(ms, DEADLINE_MS), callback),
  };
  const names = { resolve: async (name: string) => [name], close: () => {} };
  const http = new WebSeedHttp(ground, names, undefined, { timeout: DEADLINE_MS });
  let answer: Answer = { says: Buffer.alloc(0), cutAt: 0, end: "end" };
  let server: Server;
  let url: URL;

  before(async () => {
    server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => say(socket, answer));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/data`);
  });
  after(() => {
    http.close();
    server.close();
  });

  it("are answers, or end with HttpGetError, within their bound", async () => {
    const uncaught = await collectUncaught(() =>
      checkAsync(
        fc.asyncProperty(answers, async (each) => {
          answer = each;
          const options = { bytesMax: BYTES_MAX, deadlineMs: DEADLINE_MS, redirectsMax: 3 };
          const got = await httpGet({ ground, names, http: http.http }, url, options).catch(
            (error: unknown) => error,
          );
          if (got instanceof Error) assert.ok(got instanceof HttpGetError, String(got.stack));
          else assert.ok((got as { body: Uint8Array }).body.length <= BYTES_MAX);
        }),
        150,
        CASE_WEIGHT,
      ),
    );
    assert.deepEqual(uncaught, []);
  });

  it("are whole runs, or end with WebSeedError", async () => {
    const uncaught = await collectUncaught(() =>
      checkAsync(
        fc.asyncProperty(answers, async (each) => {
          answer = each;
          let blocks = 0;
          const range = { from: 0, to: LENGTH };
          const error = await new Promise<unknown>((runEnded) => {
            const blockCame = (): void => void blocks++;
            new WebRun(
              { http, ground, base: url, layout: LAYOUT, isSingleFile: true, ...range },
              { blockCame, runEnded },
            );
          });
          if (error === undefined) assert.equal(blocks, BLOCKS);
          else assert.ok(error instanceof WebSeedError, String(error));
        }),
        150,
        CASE_WEIGHT,
      ),
    );
    assert.deepEqual(uncaught, []);
  });
});

function say(socket: Socket, { says, cutAt, end }: Answer): void {
  if (socket.destroyed) return;
  socket.write(says.subarray(0, cutAt));
  setImmediate(() => {
    if (socket.destroyed) return;
    socket.write(says.subarray(cutAt));
    if (end === "end") socket.end();
    else if (end === "reset") socket.resetAndDestroy();
  });
}
