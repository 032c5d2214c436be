// Streams of Node's as byte streams: the contract over a pair in memory, over TCP sockets of Node's, and over TLS.

import assert from "node:assert/strict";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { connect as connectTcp, createServer as createTcpServer, type Server } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { after, describe, it } from "node:test";
import { setImmediate as nextRound } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { UsageError } from "../../../../src/base/errors.js";
import { SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { MIB, PLAN_ENTRIES_MAX } from "../../../../src/base/limits.js";
import { checkStream } from "../../../../src/client/check-options.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { DuplexStream } from "../../../../src/client/stream/duplex-stream.js";
import { LoopRounds } from "../../../../src/client/stream/rounds.js";
import { READABLE } from "../../../../src/native/binding.js";
import { CERTIFICATE, CERTIFICATE_KEY } from "../../../support/certificate.js";
import { temporaryFolder } from "../../../support/data.js";
import { duplexPair } from "../../../support/duplex-pair.js";
import { VirtualGround } from "../../../support/virtual-ground.js";
import { type StreamWorld, testByteStreams } from "./contract.js";

const DEADLINE_MS = 60_000;

interface Ends {
  readonly hasBuffersBelow: boolean;
  pair(): Promise<[Duplex, Duplex]>;
  refused(): Promise<Duplex>;
  close(): void;
}

/** A world of streams that `ends` makes. */
function makeWorld(folder: string, ends: Ends): StreamWorld {
  const slab = new Uint8Array(2 * MIB);
  const plan = new Float64Array(2 * PLAN_ENTRIES_MAX);
  const ground = SYSTEM_GROUND;
  const parts = { memory: new Memory(slab), plan, rounds: new LoopRounds(ground), ground };
  const files: number[] = [];
  return {
    slab,
    plan,
    hasBuffersBelow: ends.hasBuffersBelow,
    pair: async () => {
      const [one, other] = await ends.pair();
      return [new DuplexStream(one, parts), new DuplexStream(other, parts)];
    },
    refused: async () => new DuplexStream(await ends.refused(), parts),
    file: (bytes) => {
      const path = join(folder, `file-${files.length}`);
      writeFileSync(path, bytes);
      files.push(openSync(path, "r"));
      return files.at(-1) ?? -1;
    },
    until: async (done, what) => {
      const start = performance.now();
      while (!done()) {
        if (performance.now() - start > DEADLINE_MS) throw new Error(`did not happen: ${what}`);
        await nextRound();
      }
    },
    settle: async () => {
      for (let rounds = 0; rounds < 20; rounds++) await nextRound();
    },
    close: async () => {
      for (const fd of files) closeSync(fd);
      ends.close();
    },
  };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

/** Sockets over a server of Node's. */
async function socketEnds(
  server: Server,
  event: "connection" | "secureConnection",
  connect: (port: number) => Duplex,
): Promise<Ends> {
  const port = await listening(server);
  const made: Duplex[] = [];
  server.on("tlsClientError", () => {});
  return {
    hasBuffersBelow: true,
    pair: async () => {
      const accepted = new Promise<Duplex>((resolve) => server.once(event, resolve));
      const client = connect(port);
      made.push(client);
      const other = await accepted;
      made.push(other);
      return [client, other];
    },
    refused: async () => {
      const gone = createTcpServer();
      const free = await listening(gone);
      await new Promise((resolve) => gone.close(resolve));
      return connect(free);
    },
    close: () => {
      for (const each of made) each.destroy();
      server.close();
    },
  };
}

describe("streams of Node's: a pair in memory", () => {
  const folder = temporaryFolder(after);
  testByteStreams(async () =>
    makeWorld(folder, {
      hasBuffersBelow: false,
      pair: async () => duplexPair(),
      refused: async () => {
        const [one, other] = duplexPair();
        other.on("error", () => {});
        one.destroy(Object.assign(new Error("nobody listens"), { code: "ECONNREFUSED" }));
        return one;
      },
      close: () => {},
    }),
  );
});

describe("streams of Node's: TCP", () => {
  const folder = temporaryFolder(after);
  testByteStreams(async () =>
    makeWorld(
      folder,
      await socketEnds(createTcpServer(), "connection", (port) => connectTcp({ host: "127.0.0.1", port })),
    ),
  );
});

describe("streams of Node's: TLS", () => {
  const folder = temporaryFolder(after);
  const certificate = { cert: CERTIFICATE, key: CERTIFICATE_KEY };
  testByteStreams(async () =>
    makeWorld(
      folder,
      await socketEnds(createTlsServer(certificate), "secureConnection", (port) =>
        connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }),
      ),
    ),
  );
});

describe("what is taken for a stream of bytes", () => {
  it("is a Duplex without objects or an encoding", () => {
    const [fine] = duplexPair();
    checkStream(fine);
    const [text] = duplexPair();
    text.setEncoding("utf8");
    const objects = new Duplex({ objectMode: true });
    const nothing: unknown[] = [text, objects, undefined, null, 7, {}];
    for (const each of nothing)
      assert.throws(
        () => checkStream(each as Duplex),
        (error) => error instanceof UsageError && error.code === "USAGE_OPTION",
      );
  });
});

/** A stream of ours over one of the program's, in virtual time, with a plan of one entry of 64 KiB. */
function over(duplex: Duplex): { stream: DuplexStream; ground: VirtualGround; ready: number[] } {
  const ground = new VirtualGround();
  const plan = new Float64Array(2 * PLAN_ENTRIES_MAX);
  plan[1] = 65_536;
  const parts = {
    memory: new Memory(new Uint8Array(2 * MIB)),
    plan,
    rounds: new LoopRounds(ground),
    ground,
  };
  const ready: number[] = [];
  const stream = new DuplexStream(duplex, parts);
  assert.equal(stream.open({ socketReady: (events) => void ready.push(events) }, READABLE), 0);
  return { stream, ground, ready };
}

describe("streams of Node's: one that is not what it was taken for", () => {
  it("fails by an errno, whatever its errors call themselves", () => {
    for (const [about, errno] of [
      [{ code: "EPIPE" }, -constants.errno.EPIPE],
      [{ errno: -constants.errno.EIO }, -constants.errno.EIO],
      [{ code: "constructor" }, -constants.errno.ECONNRESET],
      [{ code: "__proto__", errno: Number.NEGATIVE_INFINITY }, -constants.errno.ECONNRESET],
      [{ errno: -0.5 }, -constants.errno.ECONNRESET],
    ] as const) {
      const duplex = new Duplex({ read: () => {}, write: (_bytes, _encoding, done) => done() });
      const { stream } = over(duplex);
      duplex.emit("error", Object.assign(new Error("as it goes"), about));
      assert.equal(stream.fill(0, 1), errno, JSON.stringify(about));
      stream.close();
    }
  });

  it("fails once it brings what is no bytes, and is not read on for ever", async () => {
    let reads = 0;
    const duplex = new Duplex({
      // Later lines of Node.js would keep, and so read, four times as much.
      readableHighWaterMark: 16_384,
      read() {
        // As it would go on without an end.
        this.push(++reads < 50_000 ? "text" : null);
      },
      write: (_chunk, _encoding, taken) => taken(),
    });
    duplex.setEncoding("utf8");
    const { stream } = over(duplex);
    while (reads === 0) await nextRound();
    for (let rounds = 0; rounds < 10; rounds++) await nextRound();
    assert.equal(stream.fill(0, 1), -constants.errno.EINVAL);
    assert.ok(reads < 10_000, `read ${reads} times`);
    stream.close();
  });

  it("fails where it throws as it is written to, and nobody else hears of it", () => {
    for (const thrown of [
      new Error("gone"),
      Object.assign(new Error("gone"), { code: "EPIPE" }),
      undefined,
    ]) {
      const duplex = new Duplex({
        read: () => {},
        write: () => {
          throw thrown;
        },
      });
      const { stream } = over(duplex);
      const expected = thrown !== undefined && "code" in thrown ? "EPIPE" : "ECONNRESET";
      assert.equal(stream.drain(0, 1, false), -constants.errno[expected]);
      assert.equal(stream.drain(0, 1, false), -constants.errno[expected], "it stays so");
      stream.close();
      assert.equal(duplex.destroyed, true);
    }
  });

  it("is read ahead by the memory that it takes: a part for each byte is not gathered without end", async () => {
    let pushed = 0;
    const duplex = new Duplex({
      readableHighWaterMark: 1,
      read() {
        pushed++;
        this.push(Buffer.from([pushed & 255]));
      },
      write: (_chunk, _encoding, taken) => taken(),
    });
    const { stream, ready } = over(duplex);
    stream.setLowWater(MIB);
    let before = -1;
    while (pushed !== before) {
      before = pushed;
      for (let rounds = 0; rounds < 100; rounds++) await nextRound();
    }
    assert.ok(pushed < 10_000, `${pushed} bytes of one part each`);
    assert.ok(ready.includes(READABLE), "what is there is told of, though it is less than was waited for");
    assert.ok(stream.fill(0, 1) > 1000);
    stream.close();
    duplex.destroy();
  });
});

describe("streams of Node's: one that is closed and does not take what was written to it", () => {
  it("is destroyed after 30 s, and not before", () => {
    const ground = new VirtualGround();
    const parts = {
      memory: new Memory(new Uint8Array(2 * MIB)),
      plan: new Float64Array(2 * PLAN_ENTRIES_MAX),
      rounds: new LoopRounds(ground),
      ground,
    };
    const taking: (() => void)[] = [];
    const duplex = new Duplex({
      read: () => {},
      write: (_chunk, _encoding, taken) => void taking.push(taken),
    });
    const stream = new DuplexStream(duplex, parts);
    assert.equal(stream.open({ socketReady: () => {} }, 0), 0);
    duplex.write("something");
    stream.close();
    ground.pass(29_999);
    assert.equal(duplex.destroyed, false);
    ground.pass(1);
    assert.equal(duplex.destroyed, true);
    assert.equal(taking.length, 1);
  });
});
