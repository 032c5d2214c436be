// scatterwire bench: measures on this machine. One file per verb in bench/, loaded when it is called, and here the list of them.
// The benchmarks themselves are in the folder bench/ beside src/.

import { Command } from "commander";
import { present } from "../base/assert.js";
import { runVerb } from "./run-verb.js";

const VERBS: Readonly<Record<string, () => Promise<Command>>> = {
  loopback: async () => (await import("./bench/loopback.js")).loopbackCommand(),
  receive: async () => (await import("./bench/receive.js")).receiveCommand(),
  seed: async () => (await import("./bench/seed.js")).seedCommand(),
  storage: async () => (await import("./bench/storage.js")).storageCommand(),
  compare: async () => (await import("./bench/compare.js")).compareCommand(),
  wan: async () => (await import("./bench/wan.js")).wanCommand(),
  swarm: async () => (await import("./bench/swarm.js")).swarmCommand(),
  hashing: async () => (await import("./bench/single.js")).hashingCommand(),
  memory: async () => (await import("./bench/single.js")).memoryCommand(),
  guest: async () => (await import("./bench/single.js")).guestCommand(),
  limits: async () => (await import("./bench/limits.js")).limitsCommand(),
  allocations: async () => (await import("./bench/single.js")).allocationsCommand(),
  start: async () => (await import("./bench/start.js")).startCommand(),
  "peer-store": async () => (await import("./bench/peer-store.js")).peerStoreCommand(),
  tracker: async () => (await import("./bench/tracker.js")).trackerCommand(),
  "tracker-soak": async () => (await import("./bench/tracker-soak.js")).trackerSoakCommand(),
  "tracker-load": async () => (await import("./bench/tracker-load.js")).trackerLoadCommand(),
  "tracker-repository": async () =>
    (await import("./bench/tracker-repository.js")).trackerRepositoryCommand(),
  dht: async () => (await import("./bench/dht.js")).dhtCommand(),
  index: async () => (await import("./bench/indexing.js")).indexingCommand(),
  "index-search": async () => (await import("./bench/index-search.js")).indexSearchCommand(),
  report: async () => (await import("./bench/report.js")).reportCommand(),
};

export async function run(args: readonly string[]): Promise<number> {
  const bench = new Command("bench").description("measure on this machine");
  const called = args[1] !== undefined && Object.hasOwn(VERBS, args[1]) ? [args[1]] : Object.keys(VERBS);
  // Whoever asks for help, or misspells one, is told of all.
  for (const name of called) bench.addCommand(await present(VERBS[name], "a verb that is called is one")());
  return runVerb(bench, args);
}
