// What a node of the DHT pays for an answer: get_peers queries over loopback sockets, so many under way at once, from many addresses. The
// node is another process; its CPU, its garbage collection and its answers are what it says itself, and answers are counted here as well.

import { fileURLToPath } from "node:url";
import { DhtAskers } from "../load/dht-askers.js";
import { Program } from "../processes/program.js";
import { number, object } from "../processes/shape.js";

const NODE = fileURLToPath(new URL("../load/dht-node.js", import.meta.url));
const ADDRESSES = 8;
const WARM_UP_MS = 1000;

const listening = object({ port: number });
const soFar = object({
  answers: number,
  cpuSeconds: number,
  collectionSeconds: number,
  peakRssBytes: number,
});

export interface DhtAnswers {
  readonly seconds: number;
  /** That came back here. */
  readonly answers: number;
  readonly answersPerSecond: number;
  readonly bytesPerAnswer: number;
  /** Of the node. */
  readonly cpuMicrosecondsPerAnswer: number;
  readonly answersPerCpuSecond: number;
  /** Share of its CPU that was garbage collection. */
  readonly collectionShare: number;
  readonly peakRssBytes: number;
}

export async function runDhtAnswers(seconds: number): Promise<DhtAnswers> {
  const node = Program.node(NODE);
  let askers: DhtAskers | undefined;
  try {
    const { port } = await node.read(listening);
    askers = new DhtAskers(port, ADDRESSES);
    await pass(WARM_UP_MS);
    const before = await node.ask(soFar);
    const { answers: answersBefore, bytes: bytesBefore } = askers;
    const begunMs = performance.now();
    await pass(1000 * seconds);
    const after = await node.ask(soFar);
    const tookSeconds = (performance.now() - begunMs) / 1000;
    const answers = askers.answers - answersBefore;
    const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
    const told = after.answers - before.answers;
    return {
      seconds: tookSeconds,
      answers,
      answersPerSecond: answers / tookSeconds,
      bytesPerAnswer: (askers.bytes - bytesBefore) / answers,
      cpuMicrosecondsPerAnswer: (1e6 * cpuSeconds) / told,
      answersPerCpuSecond: told / cpuSeconds,
      collectionShare: (after.collectionSeconds - before.collectionSeconds) / cpuSeconds,
      peakRssBytes: after.peakRssBytes,
    };
  } finally {
    askers?.close();
    await node.stop();
  }
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
