// Byte streams in memory keep the contract of all byte streams, near and far.

import { describe } from "node:test";
import { MemoryNetwork } from "../../../support/memory-network.js";
import { type StreamWorld, testByteStreams } from "./contract.js";

function makeWorld(delayMs: number): StreamWorld {
  const network = new MemoryNetwork({
    slab: new Uint8Array(2 << 20),
    plan: new Float64Array(64),
    delayMs,
  });
  return {
    slab: network.slab,
    plan: network.plan,
    pair: async () => network.pair(),
    refused: async () => network.refused(),
    file: (bytes) => {
      const fd = 1000 + network.files.size;
      network.files.set(fd, bytes);
      return fd;
    },
    until: async (done, what) => {
      for (let ms = 0; ms < 10_000; ms++) {
        if (done()) return;
        network.pass(1, 4);
      }
      throw new Error(`did not happen: ${what}`);
    },
    settle: async () => network.pass(2 * delayMs + 5, 4),
    close: async () => {},
  };
}

describe("byte streams in memory", () => {
  testByteStreams(async () => makeWorld(0));
});

describe("byte streams in memory, far away", () => {
  testByteStreams(async () => makeWorld(40));
});
