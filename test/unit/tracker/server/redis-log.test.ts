// What a tracker makes of a Redis that is none, or a broken one: over a socket, a server of the test's own that answers as each case says.

import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { type Ground, SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { EVENT_STARTED } from "../../../../src/tracker/peer-store/contract.js";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import { RedisLog } from "../../../../src/tracker/server/redis-log.js";
import { SharedSwarms } from "../../../../src/tracker/server/shared-swarms.js";
import { announcement, Sink } from "../peer-store/model.js";

const CRLF = "\r\n";
const NOTHING = `*-1${CRLF}`;

/** Answers a command, its name in capitals first. */
type Answerer = (command: readonly string[]) => string;

/** As an empty Redis would answer. */
const well: Answerer = ([name]) => {
  if (name === "TIME") return `*2${CRLF}$10${CRLF}1700000000${CRLF}$1${CRLF}0${CRLF}`;
  if (name === "XREAD") return NOTHING;
  if (name === "XADD") return `$15${CRLF}1700000000000-0${CRLF}`;
  return `+OK${CRLF}`;
};

class Stranger {
  answer: Answerer = well;
  /** Whether a read that is to wait for entries is answered after a while, as by Redis. */
  waits = true;
  readonly commands: string[][] = [];
  port = 0;
  readonly #sockets = new Set<Socket>();

  async open(t: TestContext): Promise<void> {
    const server = createServer((socket) => this.#serve(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    this.port = address.port;
    t.after(() => {
      server.close();
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let text = "";
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.setEncoding("latin1").on("data", (part: string) => {
      text += part;
      for (let read = readCommand(text); read !== undefined; read = readCommand(text)) {
        text = read.rest;
        this.commands.push(read.command);
        const { command } = read;
        const reply = (): void => {
          if (!socket.destroyed) socket.write(this.answer(command), "latin1");
        };
        if (this.waits && command.includes("BLOCK")) setTimeout(reply, 20);
        else reply();
      }
    });
  }
}

function readCommand(text: string): { command: string[]; rest: string } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  let at = head[0].length;
  const command: string[] = [];
  for (let left = Number(head[1]); left > 0; left--) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at));
    if (size === null) return undefined;
    at += size[0].length;
    const length = Number(size[1]);
    if (text.length < at + length + CRLF.length) return undefined;
    command.push(text.slice(at, at + length));
    at += length + CRLF.length;
  }
  return { command: [command[0]?.toUpperCase() ?? "", ...command.slice(1)], rest: text.slice(at) };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function make(
  t: TestContext,
  ground: Ground = SYSTEM_GROUND,
): Promise<{ stranger: Stranger; log: RedisLog; announce: () => void }> {
  const stranger = new Stranger();
  await stranger.open(t);
  const key = Uint32Array.of(1, 2, 3, 4);
  const swarms = new SharedSwarms(new PeerStore({ key, bytesMax: 2 ** 24, collectMs: 1 }));
  const url = `redis://127.0.0.1:${stranger.port}`;
  const log = await RedisLog.start({ url, swarms, lifetimeMs: 3_600_000, onWarning: () => {}, ground });
  t.after(() => log.close());
  let torrent = 0;
  const announce = (): void => {
    const request = announcement(torrent++, { family: 4, number: 1 }, false, EVENT_STARTED, 0);
    swarms.announce(swarms.hash(request.hash, 0), request, new Sink());
    swarms.advance(swarms.nowMs + 30_000);
  };
  return { stranger, log, announce };
}

describe("a tracker whose Redis is a stranger", { timeout: 120_000 }, () => {
  for (const [what, reply] of [
    ["a text that is none", `+what${CRLF}`],
    ["nothing", `$-1${CRLF}`],
    ["a number", `:7${CRLF}`],
    ["a list", `*1${CRLF}:7${CRLF}`],
    ["a time without an end", `$33${CRLF}${"9".repeat(31)}-0${CRLF}`],
  ] as const) {
    it(`whose entries are numbered with ${what}, tries again, and says when to cut in numbers`, async (t) => {
      const { stranger, log, announce } = await make(t);
      stranger.answer = (command) => (command[0] === "XADD" ? reply : well(command));
      const { failures } = log.counters;
      announce();
      await until(() => log.counters.failures > failures);
      stranger.answer = well;
      stranger.commands.length = 0;
      announce();
      await until(() => log.counters.chunksConfirmed >= 2);
      const cuts = stranger.commands.filter(([name]) => name === "XADD").map((command) => command[4]);
      assert.ok(cuts.length >= 2);
      for (const cut of cuts) assert.match(cut ?? "", /^\d{1,15}$/);
    });
  }

  it("that says at once that there is nothing is asked again after a pause", async (t) => {
    let pauses = 0;
    const { stranger } = await make(t, {
      ...SYSTEM_GROUND,
      after: (ms, callback) => {
        pauses++;
        return SYSTEM_GROUND.after(ms, callback);
      },
    });
    stranger.waits = false;
    stranger.commands.length = 0;
    pauses = 0;
    const reads = (): number => stranger.commands.filter(([name]) => name === "XREAD").length;
    await until(() => reads() >= 10);
    assert.ok(pauses >= reads() - 2, `${pauses} pauses, ${reads()} reads`);
  });

  for (const [what, bytes] of [
    ["garbage", "\x00\xff\x16\x03\x01 HTTP/1.1 400\r\n\r\n"],
    ["a list of which no entry comes", `*2147483647${CRLF}`],
    ["entries of other types", `*1${CRLF}*2${CRLF}$1${CRLF}k${CRLF}*3${CRLF}:1${CRLF}*0${CRLF}$-1${CRLF}`],
    ["a map where a list is due", `$3${CRLF}abc${CRLF}`],
  ] as const) {
    it(`that answers reads with ${what}, goes on when it is well again`, async (t) => {
      const { stranger, log, announce } = await make(t);
      stranger.answer = (command) => (command[0] === "XREAD" ? bytes : well(command));
      const { failures } = log.counters;
      await until(() => log.counters.failures > failures);
      stranger.answer = well;
      await until(() => log.counters.connected);
      const { chunksConfirmed } = log.counters;
      announce();
      await until(() => log.counters.chunksConfirmed > chunksConfirmed);
    });
  }
});
