// Does the arithmetic of bench/load/implicit-nodes.ts answer as a network does? The same lookups in a network of whole nodes, each the real one with a
// table of its own that it has filled by itself, and in an implicit one of as many nodes of which the same share is silent.
//
// The whole network grows node by node; then a part of it is gone at one moment, as programs are that somebody ends, and stands in the
// tables of the others while the lookups are made.

import { Dht } from "../../src/dht/dht.js";
import { METHOD_GET_PEERS } from "../../src/dht/krpc-reader.js";
import type { SocketAddress } from "../../src/native/binding.js";
import { addressOf, DhtNetwork } from "../load/dht-network.js";
import { ImplicitNodes } from "../load/implicit-nodes.js";
import { HOST_STEP, wholeNode } from "../load/whole-node.js";
import { there } from "../measuring/ends.js";

export interface WholeSettings {
  readonly nodes: number;
  readonly dead: number;
  readonly lookups: number;
  readonly concurrent: number;
  readonly seed: number;
}

export interface WholeRow {
  readonly name: string;
  readonly queriesPerLookup: number;
  /** Of the nodes that were asked, those that did not answer. */
  readonly silentShare: number;
  /** Median. */
  readonly convergedSeconds: number;
}

const HOST_FIRST = 0x0b000001;
/** Between two nodes that join, and until all have what they want of a table. */
const JOIN_MS = 50;
const SETTLE_MS = 180_000;
const STEP_MS = 100;
const ENTRANCES = 8;

/** Whole nodes, then implicit ones. */
export async function runDhtWhole(settings: WholeSettings): Promise<[WholeRow, WholeRow]> {
  return [await runWhole(settings), await runImplicit(settings)];
}

async function runWhole(settings: WholeSettings): Promise<WholeRow> {
  const network = new DhtNetwork({ seed: settings.seed });
  const nodes: Dht[] = [];
  for (let index = 0; index < settings.nodes; index++) {
    const entrances = nodes.slice(0, ENTRANCES).flatMap((node) => node.addresses);
    nodes.push(wholeNode(network, HOST_FIRST + HOST_STEP * index, 1, entrances));
    await network.run(JOIN_MS);
  }
  await network.run(SETTLE_MS);
  const alive = nodes.filter((node) => {
    if (network.random() >= settings.dead) return true;
    node.close();
    return false;
  });
  const row = await ask(
    `${settings.nodes} whole nodes`,
    network,
    alive.slice(0, ENTRANCES).flatMap((node) => node.addresses),
    settings,
  );
  for (const node of alive) node.close();
  return row;
}

async function runImplicit({ nodes, dead, seed, ...settings }: WholeSettings): Promise<WholeRow> {
  const network = new DhtNetwork({ seed });
  const popularity = { torrents: 1, peersMax: 1, exponent: 1 };
  const far = new ImplicitNodes(network, { count: nodes, dead, seed, ...popularity });
  return ask(`${nodes} implicit nodes`, network, far.entrances(ENTRANCES), {
    nodes,
    dead,
    seed,
    ...settings,
  });
}

/** One more node looks up keys by chance, without cache and with timeouts that do not adapt. */
async function ask(
  name: string,
  network: DhtNetwork,
  entrances: readonly SocketAddress[],
  settings: WholeSettings,
): Promise<WholeRow> {
  const asker = new Dht(
    {
      listen: [{ host: addressOf(0x0a000001), port: 6881 }],
      bootstrap: entrances,
      adaptsTimeouts: false,
      usesCache: false,
      limitsNetworks: true,
      peerBytesMax: 2 ** 20,
    },
    network.world(),
  );
  await network.run(SETTLE_MS / 3);
  const overlay = there(asker.overlays.get(4));
  const converged: number[] = [];
  let begun = 0;
  let ended = 0;
  let sent = 0;
  let failures = 0;
  const next = (): void => {
    if (begun === settings.lookups) return;
    begun++;
    const target = Uint8Array.from({ length: 20 }, () => Math.floor(256 * network.random()));
    overlay.lookup(target, METHOD_GET_PEERS, {
      heard: () => {},
      converged: (lookup) => converged.push(lookup.convergedMs - lookup.startedMs),
      completed: (lookup) => {
        ended++;
        sent += lookup.sent;
        failures += lookup.failures;
        next();
      },
    });
  };
  for (let index = 0; index < settings.concurrent; index++) next();
  while (ended < settings.lookups) await network.run(STEP_MS);
  asker.close();
  converged.sort((a, b) => a - b);
  return {
    name,
    queriesPerLookup: sent / settings.lookups,
    silentShare: failures / sent,
    convergedSeconds: (converged[converged.length >> 1] ?? 0) / 1000,
  };
}
