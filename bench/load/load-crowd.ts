// A load generator that is a crowd (crowd.ts). A program of its own, so that its CPU is apart from what is crowded.
//
//   node dist/bench/load/load-crowd.js TORRENT --connect HOST:PORT --connections COUNT [--seed 1] [--kind NAME…]
//
//   --kind             one of misbehaviours.ts, or "idle"; several times: one of those. Default: all but "idle"
//
// Standard output: {"event":"there"} when all have connected once. At the end {"connections","refused","cpuSeconds"}: connections that
// were made, and those of them that the client ended.

import { parseArgs } from "node:util";
import { readMetainfo } from "../../src/index.js";
import { Crowd, STEP_MS } from "./crowd.js";
import { addressOf, LoadLoop, printLine, runLoad, Stopwatch, whenTold, whole } from "./load-loop.js";

const OPTIONS = {
  connect: { type: "string" },
  connections: { type: "string" },
  seed: { type: "string" },
  kind: { type: "string", multiple: true },
} as const;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [torrent] = positionals;
  if (torrent === undefined || values.connect === undefined)
    throw new Error("load-crowd.js TORRENT --connect HOST:PORT --connections COUNT");
  const connections = whole(values.connections, 100);
  const crowd = new Crowd({
    loop: new LoadLoop(),
    target: addressOf(values.connect),
    metainfo: await readMetainfo(torrent),
    connections,
    seed: whole(values.seed, 1),
    kinds: values.kind,
    nowMs: () => performance.now(),
  });
  const watch = new Stopwatch();
  let told = false;
  const timer = setInterval(() => {
    crowd.step();
    if (crowd.made < connections || told) return;
    told = true;
    printLine({ event: "there" });
  }, STEP_MS);
  whenTold(() => {
    clearInterval(timer);
    printLine({ connections: crowd.made, refused: crowd.refused, cpuSeconds: watch.cpuSeconds });
    process.exit(0);
  });
}

runLoad(main);
