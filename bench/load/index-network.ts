// A DHT on this machine for an indexer to index, and peers that have what it finds: nodes of ours on addresses of their own, each of which knows
// a peer of every torrent that has one. A share of them is dead: they went when the others knew them, and these tell of them as of any. A program
// of its own, so that its CPU is apart from the indexer's.
//
//   node dist/bench/load/index-network.js --nodes 64 --dead 45 --torrents 4000
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
} as const;
const SEEDER_ADDRESS = [127, 0, 1, 1];
const CONTACTS_MIN = 8;
const POLL_MS = 20;
/** Before some of them die, nodes know so much of the network, or have had so long to learn of it. */
const KNOWN_PERCENT = 60;
const KNOWN_MS = 20_000;

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  const seeder = await MetadataSeeder.start(SEEDER_ADDRESS.join("."));
  const torrents = new Set<string>();
  for (let number = 0; number < whole(values.torrents, 4000); number++)
    torrents.add(Buffer.from(seeder.add(number)).toString("latin1"));
  const endpoint = Uint8Array.of(...SEEDER_ADDRESS, seeder.port >> 8, seeder.port & 0xff);
  const nodes: Dht[] = [];
  for (let index = 0; index < whole(values.nodes, 64); index++) {
    nodes.push(
      new Dht({
        listen: [{ host: `127.0.1.${index + 2}`, port: 0 }],
        bootstrap: nodes[0]?.addresses ?? [],
        peerBytesMax: 2 ** 20,
        inject: ({ bytes, targetAt }) => {
          const key = Buffer.from(bytes.buffer, bytes.byteOffset + targetAt, 20).toString("latin1");
          return torrents.has(key) ? endpoint : undefined;
        },
      }),
    );
  }
  process.stdin.on("data", () => {});
  process.stdin.on("end", () => {
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
  const [first] = nodes.flatMap(({ addresses }) => addresses);
  printLine({ host: first?.host, port: first?.port });
}

await main();
