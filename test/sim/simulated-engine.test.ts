// The simulated engine keeps the contracts of the real one, as far as they have tests of their own: byte streams over its sockets.

import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import type { ByteStream } from "../../src/client/stream/byte-stream.js";
import { TcpStream } from "../../src/client/stream/tcp-stream.js";
import { Reactor } from "../../src/native/reactor.js";
import { temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";
import { type StreamWorld, testByteStreams } from "../unit/client/stream/contract.js";

const HOST = "10.0.0.1";
const SLAB_BYTES = 2 << 20;

function makeWorld(delayMs: number, folder: string): StreamWorld {
  const network = new SimulatedNetwork(1);
  const machine = network.addMachine(HOST, { delayMs, bytesPerMs: 100_000, windowBytes: 128 * 1024 });
  const reactor = new Reactor(SLAB_BYTES, machine);
  const { engine } = reactor;
  const listener = engine.listen(HOST, 1000, 8);
  const files: number[] = [];
  /** Time passes, whether or not anything happens in it. */
  const pass = (ms: number): Promise<void> => {
    let isOver = false;
    network.later(ms, () => {
      isOver = true;
    });
    return network.run(() => isOver, 2 * ms + 10, "time passes");
  };
  const until = async (done: () => boolean, what: string): Promise<void> => {
    for (let ms = 0; !done(); ms++) {
      if (ms > 10_000) throw new Error(`did not happen: ${what}`);
      await pass(1);
    }
  };
  return {
    slab: engine.slab,
    plan: engine.plan,
    pair: async (): Promise<[ByteStream, ByteStream]> => {
      const client = engine.connect(HOST, 1000);
      let server = -1;
      await until(() => {
        server = engine.accept(listener);
        return server >= 0;
      }, "a connection to accept");
      return [new TcpStream(reactor, client), new TcpStream(reactor, server)];
    },
    refused: async () => new TcpStream(reactor, engine.connect(HOST, 1001)),
    file: (bytes) => {
      const path = join(folder, `${files.length}`);
      writeFileSync(path, bytes);
      const fd = openSync(path, "r");
      files.push(fd);
      return fd;
    },
    until,
    settle: () => pass(4 * delayMs + 20),
    close: async () => {
      for (const fd of files) closeSync(fd);
      engine.closeSocket(listener);
      reactor.close();
    },
  };
}

describe("byte streams over a simulated engine", () => {
  const folder = temporaryFolder(after);
  testByteStreams(async () => makeWorld(0, folder));
});

describe("byte streams over a simulated engine, far away", () => {
  const folder = temporaryFolder(after);
  testByteStreams(async () => makeWorld(40, folder));
});
