// One GET against servers that cut, pad and end their answers as it pleases them: what each costs us. What trackers and web seeds do with
// it stands in their tests.

import { strict as assert } from "node:assert";
import { Agent } from "node:http";
import type { Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { SYSTEM_GROUND } from "../../../src/base/ground.js";
import { HttpGetError, type HttpGetOptions, httpGet } from "../../../src/native/http-get.js";
import { boundKept } from "../../../src/native/kept-connections.js";
import { serveHttp } from "../../support/http-server.js";
import { Program } from "../../support/program.js";

const TIMEOUT = { timeout: 60_000 };
const FROM = {
  ground: SYSTEM_GROUND,
  names: { resolve: async (name: string) => [name], close: () => {} },
};
const OPTIONS: HttpGetOptions = { bytesMax: 100_000, deadlineMs: 50_000, redirectsMax: 4 };

/** Who is asked answers these bytes over the bare socket. */
async function answering(t: TestContext, say: (socket: Socket) => void): Promise<URL> {
  const server = await serveHttp(t, (request) => say(request.socket));
  return new URL(server.origin);
}

describe("a GET", TIMEOUT, () => {
  it("ends with a reason when the connection does, or speaks something else, before there is an answer", async (t) => {
    const upgrade =
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nmore";
    const informed = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100);
    for (const [says, failure] of [
      [upgrade, "malformed"],
      [informed, "malformed"],
      [`${"HTTP/1.1 100 Continue\r\n\r\n".repeat(100)}HTTP/1.1 200 OK\r\n\r\nlate`, "malformed"],
      ["", "connect"],
      ["SSH-2.0-OpenSSH_9.2\r\n", "malformed"],
      [`HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(10_000)}\r\n`, "malformed"],
      [`HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, "malformed"],
      ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", "malformed"],
      ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", "malformed"],
      ["HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "malformed"],
      ["HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", "malformed"],
    ] as const) {
      const url = await answering(t, (socket) => void socket.end(says));
      await assert.rejects(httpGet(FROM, url, OPTIONS), (error) => {
        assert.ok(error instanceof HttpGetError, String(error));
        assert.equal(error.failure, failure, `${says.slice(0, 40)}: ${error.message}`);
        return true;
      });
    }
  });

  it("brings a body whole however it is cut, up to its bound", async (t) => {
    const body = Buffer.from(Array.from({ length: 9000 }, (_, index) => index % 251));
    const chunked = (bytes: Buffer): Buffer =>
      Buffer.concat([...bytes].map((byte) => Buffer.from([0x31, 13, 10, byte, 13, 10])));
    const url = await answering(t, (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      socket.end(Buffer.concat([chunked(body), Buffer.from("0\r\n\r\n")]));
    });
    for (const bytesMax of [body.length, body.length + 1, 2 ** 20]) {
      const answer = await httpGet(FROM, url, { ...OPTIONS, bytesMax });
      assert.equal(Buffer.compare(answer.body, body), 0);
    }
    for (const bytesMax of [0, 1, 4096, body.length - 1])
      await assert.rejects(httpGet(FROM, url, { ...OPTIONS, bytesMax }), { failure: "too-long" });
  });

  it("reads a few answers before the answer, and no more of chunks' names than an answer may take", async (t) => {
    const few = await answering(t, (socket) => {
      socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(3));
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere");
    });
    assert.equal(String(Buffer.from((await httpGet(FROM, few, OPTIONS)).body)), "here");
    // A byte of the body for each ten thousand on their way, without an end.
    let said = 0;
    const named = await answering(t, (socket) => {
      const chunk = `1;${"n".repeat(10_000)}\r\nx\r\n`;
      const write = (): void => {
        do said += chunk.length;
        while (!socket.destroyed && socket.write(chunk));
      };
      socket.on("drain", write);
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      write();
    });
    await assert.rejects(httpGet(FROM, named, OPTIONS), { failure: "too-long" });
    // What the system's buffers took is counted as well.
    assert.ok(said < 2 ** 26, `${said} bytes were sent for an answer of ${OPTIONS.bytesMax}`);
  });

  it("keeps no connection over which something comes that nobody asked for", async (t) => {
    const http = boundKept(new Agent({ keepAlive: true }));
    t.after(() => http.destroy());
    const ended: Promise<unknown>[] = [];
    const server = await serveHttp(t, ({ socket }, response) => {
      response.end("here");
      // A byte now and then is enough to put off an agent's time-out for ever.
      const more = setInterval(() => socket.write("x"), 20);
      ended.push(
        new Promise((resolve) =>
          socket.once("close", () => {
            clearInterval(more);
            resolve(undefined);
          }),
        ),
      );
    });
    for (let times = 0; times < 3; times++) {
      assert.equal((await httpGet({ ...FROM, http }, new URL(server.origin), OPTIONS)).status, 200);
      // Not before it is closed: what comes while another answer is awaited is taken for that.
      await Promise.all(ended);
      assert.equal(ended.length, times + 1);
    }
  });

  it("keeps connections to so many servers, and those that were used last", async (t) => {
    const http = boundKept(new Agent({ keepAlive: true }));
    t.after(() => http.destroy());
    const names = { resolve: async () => ["127.0.0.1"], close: () => {} };
    const server = await serveHttp(t, (_request, response) => void response.end("here"));
    const askEach = async (): Promise<void> => {
      for (let index = 0; index < 100; index++) {
        const url = new URL(server.origin.replace("127.0.0.1", `server-${index}.example`));
        await httpGet({ ...FROM, names, http }, url, OPTIONS);
      }
    };
    await askEach();
    while (server.sockets.size > 64) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(server.sockets.size, 64);
    const [oldest] = server.sockets;
    await httpGet(
      { ...FROM, names, http },
      new URL(server.origin.replace("127.0.0.1", "server-99.example")),
      OPTIONS,
    );
    assert.equal(server.sockets.size, 64, "one that is kept is used again");
    assert.equal([...server.sockets][0], oldest);
  });

  it("keeps of an answer its bytes, and not the objects that they came in", async () => {
    // In a process of its own, whose memory nobody else has a part in. Each byte comes by itself.
    const module = new URL("../../../src/native/http-get.js", import.meta.url).href;
    const script = `
      import { once } from "node:events";
      import { createServer } from "node:http";
      import { httpGet } from ${JSON.stringify(module)};
      const BYTES = 50000;
      const turn = () => new Promise((resolve) => setImmediate(resolve));
      const held = () => {
        global.gc();
        const { heapUsed, external } = process.memoryUsage();
        return heapUsed + external;
      };
      const web = createServer(async ({ socket }) => {
        socket.setNoDelay(true);
        socket.write("HTTP/1.1 200 OK\\r\\ncontent-length: " + (BYTES + 1) + "\\r\\n\\r\\n");
        const before = held();
        for (let sent = 0; sent < BYTES; sent++) {
          socket.write("z");
          await turn();
        }
        for (let turns = 0; turns < 100; turns++) await turn();
        console.log(JSON.stringify({ grown: held() - before }));
        socket.end("z");
      });
      web.listen(0, "127.0.0.1");
      await once(web, "listening");
      const from = {
        ground: { after: (ms, call) => setTimeout(call, ms) },
        names: { resolve: async (name) => [name], close: () => {} },
      };
      const url = new URL("http://127.0.0.1:" + web.address().port);
      const { body } = await httpGet(from, url, { bytesMax: 2 * BYTES, deadlineMs: 50000, redirectsMax: 0 });
      console.log(JSON.stringify({ length: body.length }));
      web.close();
      web.closeAllConnections();`;
    const program = new Program(process.execPath, ["--expose-gc", "--input-type=module", "-e", script]);
    assert.equal(await program.ended, 0, program.errors);
    const said: { grown?: number; length?: number } = Object.assign({}, ...program.lines);
    assert.equal(said.length, 50_001);
    assert.ok(
      said.grown !== undefined && said.grown < 2 ** 21,
      `${said.grown} bytes for 50,000 of an answer`,
    );
  });
});
