// Byte streams over TCP keep the contract of all byte streams.

import { describe } from "node:test";
import { testByteStreams } from "./contract.js";
import { makeTcpWorld } from "./tcp-world.js";

describe("byte streams over TCP", () => {
  testByteStreams(async () => (await makeTcpWorld()).world);
});
