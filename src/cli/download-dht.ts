// Whether a download asks the DHT, and the node that it asks.

import type { HashTable, Magnet, Metainfo } from "../index.js";
import { note } from "./output.js";

export interface DownloadDhtOptions {
  readonly dht: boolean;
  readonly dhtNode?: readonly string[];
  readonly listen?: string;
  readonly peer?: readonly string[];
}

/** What keeps the command line from asking the DHT where no option does: off. */
const VARIABLE = "SCATTERWIRE_DHT";

/** Whoever names peers wants those; whoever names nodes of the DHT wants that. */
export function usesDhtFor(sources: readonly (Metainfo | Magnet)[], options: DownloadDhtOptions): boolean {
  if (!options.dht || sources.every((source) => "private" in source && source.private)) return false;
  if (options.dhtNode !== undefined) return true;
  return options.peer === undefined && process.env[VARIABLE] !== "off";
}

/** Undefined where there is no way into the DHT, which is told: other sources may do. */
export async function startDownloadsDht(
  options: DownloadDhtOptions,
): Promise<{ readonly node: HashTable; stop(): Promise<void> } | undefined> {
  const { defaultState, startDht, stopDht } = await import("./dht-node.js");
  // Nodes of this machine's own are no nodes to begin with another time.
  const state = options.dhtNode === undefined ? defaultState() : undefined;
  const host = options.listen?.slice(0, options.listen.lastIndexOf(":")) ?? "0.0.0.0";
  try {
    const node = await startDht({
      listen: [`${host}:0`],
      ...(options.dhtNode === undefined ? {} : { bootstrap: options.dhtNode }),
      ...(state === undefined ? {} : { state }),
    });
    return { node, stop: () => stopDht(node, state) };
  } catch (error) {
    if (options.dhtNode !== undefined) throw error;
    note(`scatterwire: the DHT is not asked: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
