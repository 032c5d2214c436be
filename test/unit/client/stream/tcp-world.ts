// Streams over TCP on loopback, for tests.

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ByteStream } from "../../../../src/client/stream/byte-stream.js";
import { TcpStream } from "../../../../src/client/stream/tcp-stream.js";
import { Reactor } from "../../../../src/native/reactor.js";
import type { StreamWorld } from "./contract.js";

const DEADLINE_MS = 20_000;

/** A world of TCP over loopback, and the reactor in it. */
export async function makeTcpWorld(): Promise<{ world: StreamWorld; reactor: Reactor }> {
  const reactor = new Reactor(2 << 20);
  const { engine } = reactor;
  const folder = mkdtempSync(join(tmpdir(), "scatterwire-stream-"));
  const files: number[] = [];
  const listener = engine.listen("127.0.0.1", 0, 8);
  const address = engine.localAddress(listener);
  if (typeof address === "number") throw new Error(`cannot listen: ${address}`);
  const until = async (done: () => boolean, what: string): Promise<void> => {
    const start = performance.now();
    while (!done()) {
      if (performance.now() - start > DEADLINE_MS) throw new Error(`did not happen: ${what}`);
      await nextTurn();
    }
  };
  const world: StreamWorld = {
    slab: engine.slab,
    plan: engine.plan,
    pair: async (): Promise<[ByteStream, ByteStream]> => {
      const client = engine.connect("127.0.0.1", address.port);
      let server = -1;
      await until(() => {
        server = engine.accept(listener);
        return server >= 0;
      }, "a connection to accept");
      return [new TcpStream(reactor, client), new TcpStream(reactor, server)];
    },
    refused: async () => {
      // A port that was ours a moment ago, and that nobody listens at now.
      const other = engine.listen("127.0.0.1", 0, 1);
      const gone = engine.localAddress(other);
      engine.closeSocket(other);
      if (typeof gone === "number") throw new Error(`cannot listen: ${gone}`);
      return new TcpStream(reactor, engine.connect("127.0.0.1", gone.port));
    },
    file: (bytes) => {
      const path = join(folder, `${files.length}`);
      writeFileSync(path, bytes);
      const fd = openSync(path, "r");
      files.push(fd);
      return fd;
    },
    until,
    settle: async () => {
      for (let turns = 0; turns < 20; turns++) await nextTurn();
    },
    close: async () => {
      for (const fd of files) closeSync(fd);
      rmSync(folder, { recursive: true });
      engine.closeSocket(listener);
      reactor.close();
    },
  };
  return { world, reactor };
}
