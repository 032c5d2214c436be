// One DHT of our nodes and five other programs', in a network namespace of its own: some of them take no nodes at loopback addresses, and there
// every address may be given to `lo`. test/e2e/dht-namespace.test.ts runs this file by `unshare`.
//
// usage: node dht-in-namespace.js
//
// Prints {"finder": name, "announcer": name} for each who found what another had announced, as it happens, and {"done": true} when
// everybody has found what ours and what others announced, and ours what each of them did.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dht } from "../../src/dht/index.js";
import { until } from "./clients.js";
import {
  Arrivals,
  type DhtClient,
  FOUND,
  makeTorrent,
  startAria2,
  startBittorrentDht,
  startLibtorrent,
  startRtorrent,
  startTransmission,
} from "./dht-clients.js";
import { entryOf } from "./required.js";

/** transmission holds a table of eight or fewer to be none. */
const NODES = 14;
const TIMEOUT_MS = 400_000;
const PAUSE_MS = 500;
/** How long a client may take to look for a torrent before it is given another one to look for. */
const LOOK_MS = 40_000;
/** The address that programs have here which bind to none: it is the first that `lo` was given. */
const FIRST_HOST = "10.77.0.2";
const OURS = "ours";

function say(finder: string, announcer: string): void {
  process.stdout.write(`${JSON.stringify({ finder, announcer })}\n`);
}

async function lookUp(node: Dht, infoHash: Uint8Array): Promise<string[]> {
  const found: string[] = [];
  for await (const { host, port } of node.lookup(infoHash)) found.push(`${host}:${port}`);
  return found;
}

async function main(): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "scatterwire-dht-namespace-"));
  const folder = (name: string): string => {
    mkdirSync(join(home, name));
    return join(home, name);
  };
  const nodes: Dht[] = [];
  const clients: DhtClient[] = [];
  const arrivals = new Arrivals();
  try {
    await arrivals.listen();
    for (let index = 0; index < NODES; index++) {
      // The last one is where rtorrent finds peers: announces say where they come from.
      const host = index === NODES - 1 ? FOUND.host : `10.77.0.${10 + index}`;
      nodes.push(
        new Dht({
          listen: [{ host, port: 0 }],
          bootstrap: nodes[0]?.addresses ?? [],
          limitsNetworks: false,
        }),
      );
    }
    await until(async () => nodes.every((node) => node.stats().contacts >= NODES / 2), TIMEOUT_MS);
    const addresses = nodes.flatMap((node) => node.addresses);
    const entrance = entryOf(addresses, 1);
    const theirs = await startBittorrentDht(entrance);
    clients.push(theirs);
    clients.push(await startLibtorrent("10.77.0.5", entrance));
    clients.push(await startTransmission("10.77.0.3", folder("transmission"), addresses));
    clients.push(await startRtorrent("10.77.0.4", folder("rtorrent"), addresses));
    clients.push(await startAria2(FIRST_HOST, folder("aria2"), addresses));

    const announcers = new Map([
      [
        OURS,
        async (infoHash: Uint8Array) =>
          void (await entryOf(nodes, NODES - 1).announce(infoHash, { port: FOUND.port })),
      ],
      [theirs.name, (infoHash: Uint8Array) => theirs.announce(infoHash)],
    ]);
    let torrents = 100;
    /** Whoever connects is given a torrent of its own, so that the only peer is the one that was announced; and another if nothing comes of it. */
    const connects = async (client: DhtClient, announcer: string): Promise<void> => {
      const { peerId = "" } = client;
      const tried: Uint8Array[] = [];
      const isSeen = (): boolean => tried.some((infoHash) => arrivals.has(peerId, infoHash));
      for (const untilMs = performance.now() + TIMEOUT_MS; !isSeen(); ) {
        assert.ok(performance.now() < untilMs, `${client.name} found nothing that ${announcer} announced`);
        const torrent = await makeTorrent(join(home, "wanted"), torrents++);
        await announcers.get(announcer)?.(torrent.infoHash);
        tried.push(torrent.infoHash);
        await client.look(torrent);
        await until(async () => isSeen(), LOOK_MS, PAUSE_MS).catch(() => {});
      }
      say(client.name, announcer);
    };
    const tells = async (client: DhtClient, announced: DhtClient["announced"], by: string): Promise<void> => {
      const torrent = { path: "", infoHash: announced.infoHash };
      await until(
        async () => {
          await client.look(torrent);
          return client.found(announced.infoHash).has(announced.endpoint);
        },
        TIMEOUT_MS,
        4 * PAUSE_MS,
      );
      say(client.name, by);
    };
    const ours = { infoHash: new Uint8Array(20).fill(9), endpoint: `${FOUND.host}:4242` };
    await entryOf(nodes, NODES - 1).announce(ours.infoHash, { port: 4242 });
    const rounds: Promise<void>[] = [];
    for (const client of clients) {
      rounds.push(
        until(
          async () =>
            (await lookUp(entryOf(nodes, 5), client.announced.infoHash)).includes(client.announced.endpoint),
          TIMEOUT_MS,
          PAUSE_MS,
        ).then(() => say(OURS, client.name)),
      );
      if (client.peerId !== undefined)
        rounds.push(...[...announcers.keys()].map((announcer) => connects(client, announcer)));
      else {
        rounds.push(tells(client, ours, OURS));
        for (const other of clients)
          if (other !== client) rounds.push(tells(client, other.announced, other.name));
      }
    }
    await Promise.all(rounds);
    process.stdout.write(`${JSON.stringify({ done: true })}\n`);
  } finally {
    arrivals.close();
    for (const node of nodes) node.close();
    await Promise.all(clients.map((client) => client.stop()));
    rmSync(home, { recursive: true, force: true });
  }
}

await main();
// Whatever of another program still holds us is of no interest any more.
process.exit();
