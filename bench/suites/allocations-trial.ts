// One download in this process, watched from its middle to its end: what is allocated on the JavaScript heap of the main
// thread, per block. Run by allocations.js, with a young generation so large that nothing is collected meanwhile: then
// what the heap grew by is what was allocated.
//
// node --min-semi-space-size=N --max-semi-space-size=N allocations-trial.js HOST PORT TORRENT MODE VERIFY(yes|no) SAMPLE(yes|no)

import { Session as Inspector } from "node:inspector/promises";
import { PerformanceObserver } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import { type ReceiveModeName, readMetainfo, Session } from "../../src/index.js";

/** The profiler notes one allocation in so many bytes, and does not forget what was collected. */
const SAMPLING = {
  samplingInterval: 1024,
  includeObjectsCollectedByMajorGC: true,
  includeObjectsCollectedByMinorGC: true,
};
const SITES_MAX = 8;

interface ProfileNode {
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

const [host, port, torrentFile, mode, verify, sample] = process.argv.slice(2) as [
  string,
  string,
  string,
  ReceiveModeName,
  string,
  string,
];

const WARM_UPS = 2;

let collections = 0;
const observer = new PerformanceObserver((list) => {
  collections += list.getEntries().length;
});
observer.observe({ entryTypes: ["gc"] });

const inspector = new Inspector();
await using session = new Session({ receiveMode: mode });
const metainfo = await readMetainfo(torrentFile);
const options = { storage: "null", verify: verify === "yes" } as const;
// What V8 allocates for itself while it compiles is not the engine's.
for (let time = 0; time < WARM_UPS; time++) {
  const warmUp = await session.add(metainfo, options);
  warmUp.addPeer({ host, port: Number(port) });
  await warmUp.done;
  await warmUp.close();
}
const torrent = await session.add(metainfo, options);
const { pieceCount } = torrent.progress();

let heapBytesBefore = 0;
let blocksBefore = 0;
let collectionsBefore = 0;
const beginAt = Math.floor(pieceCount / 2);
const end = new Promise<{ heapBytes: number; blocks: number }>((resolve) => {
  let pieces = 0;
  torrent.on("piece", () => {
    pieces++;
    if (pieces === beginAt) {
      // Takes effect at once: the inspector of one's own thread answers before post() returns.
      if (sample === "yes") void inspector.post("HeapProfiler.startSampling", SAMPLING as object);
      blocksBefore = torrent.counters().blocksReceived;
      collectionsBefore = collections;
      heapBytesBefore = getHeapStatistics().used_heap_size;
    } else if (pieces === pieceCount - 1) {
      const heapBytes = getHeapStatistics().used_heap_size - heapBytesBefore;
      resolve({ heapBytes, blocks: torrent.counters().blocksReceived - blocksBefore });
    }
  });
});

if (sample === "yes") {
  inspector.connect();
  await inspector.post("HeapProfiler.enable");
}
torrent.addPeer({ host, port: Number(port) });
const { heapBytes, blocks } = await end;
const collectionsMeanwhile = collections - collectionsBefore;
const sites = sample === "yes" ? await allocationSites() : [];
await torrent.done;
observer.disconnect();
process.stdout.write(
  `${JSON.stringify({
    mode,
    verify: verify === "yes",
    blocks,
    heapBytes,
    collections: collectionsMeanwhile,
    sites,
  })}\n`,
);

/** Where most of the sampled bytes were allocated. */
async function allocationSites(): Promise<{ site: string; bytes: number }[]> {
  const { profile } = (await inspector.post("HeapProfiler.stopSampling")) as {
    profile: { head: ProfileNode };
  };
  const bytesAt = new Map<string, number>();
  const visit = (node: ProfileNode, caller: string): void => {
    const { functionName, url, lineNumber } = node.callFrame;
    const name = functionName || "(anonymous)";
    const file = url.split("/").slice(-2).join("/");
    // What is built in has no place of its own: its caller's is told.
    const site = url === "" ? `${name} < ${caller}` : `${name} ${file}:${lineNumber + 1}`;
    bytesAt.set(site, (bytesAt.get(site) ?? 0) + node.selfSize);
    for (const child of node.children) visit(child, site);
  };
  visit(profile.head, "");
  return [...bytesAt]
    .map(([site, bytes]) => ({ site, bytes }))
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, SITES_MAX);
}
