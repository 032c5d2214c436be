// A node of the DHT to be asked: its table is full of nodes that were made up. A program of its own,
// so that its CPU is apart from whoever asks.
//
//   node dist/bench/load/dht-node.js [--contacts 2000] [--seed 1]
//
// Standard output: {"port"} when it receives; for each line of standard input {"answers","cpuSeconds","collectionSeconds","peakRssBytes"} so far.

import { PerformanceObserver } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Contact } from "../../src/dht/contact.js";
import { Dht } from "../../src/dht/dht.js";
import { ID_BYTES } from "../../src/dht/node-id.js";
import { firstOf, there } from "../measuring/ends.js";
import { printLine, whole } from "./load-loop.js";

const OPTIONS = { contacts: { type: "string" }, seed: { type: "string" } } as const;

function main(): void {
  const { values } = parseArgs({ options: OPTIONS });
  const contacts = whole(values.contacts, 2000);
  const dht = new Dht({ listen: [{ host: "127.0.0.1", port: 0 }] });
  const table = there(dht.overlays.get(4)).table;
  let state = whole(values.seed, 1);
  const roll = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 24;
  };
  for (let made = 0; made < contacts; made++) {
    const contact = new Contact(Uint8Array.from({ length: ID_BYTES + 6 }, roll), 4);
    contact.answeredMs = performance.now();
    table.insert(contact);
  }
  let collectionMs = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) collectionMs += duration;
  }).observe({ entryTypes: ["gc"] });
  printLine({ port: firstOf(dht.addresses).port });
  const input = createInterface({ input: process.stdin });
  input.on("line", () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
    printLine({
      answers: dht.stats().counters.answersSent,
      cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
      collectionSeconds: collectionMs / 1000,
      peakRssBytes: 1024 * maxRSS,
    });
  });
  input.on("close", () => dht.close());
}

main();
