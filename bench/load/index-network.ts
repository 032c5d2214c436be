// A DHT on this machine for an indexer to index, and peers that have what it finds: nodes of ours on addresses of their own, each of which knows
// a peer of every torrent that has one. A share of them is dead: they went when the others knew them, and these tell of them as of any. A program
// of its own, so that its CPU is apart from the indexer's.
//
//   node dist/bench/load/index-network.js --nodes 64 --dead 45 --torrents 4000 [--hidden 1000 --asks 50]
//
// With --hidden, nodes tell of so many torrents more, each of which one peer has who is behind a router: nobody connects to it, but it looks for
// others in its turn, as peers do, so many lookups a second of all of them together, and connects to whom it finds.
//
// Standard output: {"host","port"} of a node to begin with, when all know each other. It ends with its standard input.

import { parseArgs } from "node:util";
import { Dht } from "../../src/dht/dht.js";
import { printLine, whole } from "./load-loop.js";
import { MetadataSeeder } from "./metadata-seeder.js";

const OPTIONS = {
  nodes: { type: "string" },
  dead: { type: "string" },
  torrents: { type: "string" },
  hidden: { type: "string" },
  asks: { type: "string" },
} as const;
/** Nobody listens there: whoever connects is refused at once. */
const HIDDEN_PORT = 1;
const SEEDER_ADDRESS = [127, 0, 1, 1];
const CONTACTS_MIN = 8;
const POLL_MS = 20;
/** Before some of them die, nodes know so much of the network, or have had so long to learn of it. */
const KNOWN_PERCENT = 60;
const KNOWN_MS = 20_000;

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** Hidden peers look for others, one torrent after the other, each by another node, and connect to whom they find. */
async function askOn(
  nodes: readonly Dht[],
  hashes: readonly Uint8Array[],
  asksPerSecond: number,
  seeder: MetadataSeeder,
  signal: AbortSignal,
): Promise<void> {
  for (let count = 0; !signal.aborted; count++) {
    const node = nodes[count % nodes.length];
    const hash = hashes[count % hashes.length];
    if (node !== undefined && hash !== undefined) void askFor(node, hash, seeder, signal).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 1000 / asksPerSecond));
  }
}

async function askFor(
  node: Dht,
  hash: Uint8Array,
  seeder: MetadataSeeder,
  signal: AbortSignal,
): Promise<void> {
  for await (const { host, port } of node.lookup(hash, { signal }))
    if (port !== HIDDEN_PORT && port !== seeder.port) seeder.connect(port, hash, host);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  const seeder = await MetadataSeeder.start(SEEDER_ADDRESS.join("."));
  const torrents = new Set<string>();
  for (let number = 0; number < whole(values.torrents, 4000); number++)
    torrents.add(Buffer.from(seeder.add(number)).toString("latin1"));
  const endpoint = Uint8Array.of(...SEEDER_ADDRESS, seeder.port >> 8, seeder.port & 0xff);
  const hiddenAt = Uint8Array.of(...SEEDER_ADDRESS, 0, HIDDEN_PORT);
  const hidden = new Map<string, Uint8Array>();
  for (let number = 0; number < whole(values.hidden, 0); number++) {
    const hash = seeder.add(torrents.size + number);
    hidden.set(Buffer.from(hash).toString("latin1"), hash);
  }
  const nodes: Dht[] = [];
  for (let index = 0; index < whole(values.nodes, 64); index++) {
    nodes.push(
      new Dht({
        listen: [{ host: `127.0.1.${index + 2}`, port: 0 }],
        bootstrap: nodes[0]?.addresses ?? [],
        peerBytesMax: 2 ** 20,
        inject: ({ bytes, targetAt }) => {
          const key = Buffer.from(bytes.buffer, bytes.byteOffset + targetAt, 20).toString("latin1");
          if (torrents.has(key)) return endpoint;
          return hidden.has(key) ? hiddenAt : undefined;
        },
      }),
    );
  }
  process.stdin.on("data", () => {});
  const asking = new AbortController();
  process.stdin.on("end", () => {
    asking.abort();
    for (const node of nodes) node.close();
    seeder.close();
  });
  const known = (count: number): Promise<void> =>
    until(() => nodes.every((node) => node.stats().contacts >= count));
  await known(CONTACTS_MIN);
  const dead = Math.round((nodes.length * whole(values.dead, 0)) / 100);
  if (dead > 0) {
    // First all have to be known: what nobody has heard of is nobody's loss.
    await Promise.race([
      known((nodes.length * KNOWN_PERCENT) / 100),
      new Promise((resolve) => setTimeout(resolve, KNOWN_MS)),
    ]);
    // Not the first, which all begin with.
    for (const node of nodes.splice(nodes.length - dead)) node.close();
  }
  const hashes = [...hidden.values()];
  if (hashes.length > 0) void askOn(nodes, hashes, whole(values.asks, 50), seeder, asking.signal);
  const [first] = nodes.flatMap(({ addresses }) => addresses);
  printLine({ host: first?.host, port: first?.port });
}

await main();
