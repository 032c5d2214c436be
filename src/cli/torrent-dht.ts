// Whether a download or a seed asks the DHT, and the node that it asks.

import { messageOf } from "../base/errors.js";
import type { HashTable, Magnet, Metainfo } from "../index.js";
import { note } from "./output.js";

export interface DhtFlagsOfVerb {
  readonly dht: boolean;
  readonly dhtNode?: readonly string[];
  readonly listen?: string;
  readonly outgoing?: readonly string[];
  readonly peer?: readonly string[];
}

/** What keeps the command line from asking the DHT where no option does: off. */
const VARIABLE = "SCATTERWIRE_DHT";

/** Whoever names peers wants those; whoever names nodes of the DHT wants that. */
export function usesDhtFor(sources: readonly (Metainfo | Magnet)[], options: DhtFlagsOfVerb): boolean {
  if (!options.dht || sources.every((source) => "private" in source && source.private)) return false;
  if (options.dhtNode !== undefined) return true;
  return options.peer === undefined && process.env[VARIABLE] !== "off";
}

/** A node that is closed, and keeps what it knows, when its block is left: however that is. */
export interface OpenDht extends AsyncDisposable {
  readonly node: HashTable;
}

/** Undefined where there is no way into the DHT, which is told: other sources may do. */
export async function openDht(options: DhtFlagsOfVerb): Promise<OpenDht | undefined> {
  const { defaultState, startDht, stopDht } = await import("./dht-node.js");
  // Nodes of this machine's own are no nodes to begin with another time.
  const state = options.dhtNode === undefined ? defaultState() : undefined;
  const listenHost = options.listen?.slice(0, options.listen.lastIndexOf(":")) ?? "0.0.0.0";
  const hosts = options.outgoing?.map((host) => (host.includes(":") ? `[${host}]` : host)) ?? [listenHost];
  try {
    const node = await startDht({
      listen: hosts.map((host) => `${host}:0`),
      bootstrapFlag: "--dht-node",
      ...(options.dhtNode === undefined ? {} : { bootstrap: options.dhtNode }),
      ...(state === undefined ? {} : { state }),
    });
    const close = (): Promise<void> =>
      stopDht(node, state).catch((error: unknown) =>
        note(`scatterwire: nodes of the DHT are not kept: ${messageOf(error)}`),
      );
    return { node, [Symbol.asyncDispose]: close };
  } catch (error) {
    if (options.dhtNode !== undefined) throw error;
    note(`scatterwire: the DHT is not asked: ${messageOf(error)}`);
    return undefined;
  }
}
