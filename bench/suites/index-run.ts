// An indexer at work beside a network: the network in another process, the store in a file that nobody keeps, and both gone at the end.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Indexer, type IndexerOptions, openStore } from "../../src/indexer/index.js";
import { Program } from "../processes/program.js";
import { number, object, string } from "../processes/shape.js";

const NETWORK = fileURLToPath(new URL("../load/index-network.js", import.meta.url));
const entrance = object({ host: string, port: number });

export interface IndexRun {
  /** Of the network's process. */
  readonly network: readonly string[];
  readonly virtualNodes: number;
  /** Undefined: a file of SQLite. */
  readonly store?: string | undefined;
  readonly indexer?: Omit<IndexerOptions, "store" | "dht">;
}

/** What `work` resolves to. The indexer has begun; it hears of hashes from `work` alone. */
export async function besideNetwork<Result>(
  run: IndexRun,
  work: (indexer: Indexer) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "scatterwire-indexing-"));
  const network = Program.node(NETWORK, [...run.network]);
  try {
    const bootstrap = [await network.read(entrance)];
    const store = await openStore(run.store ?? join(folder, "index.db"));
    const listen = Array.from({ length: run.virtualNodes }, (_, at) => ({
      host: `127.0.2.${at + 1}`,
      port: 0,
    }));
    const indexer = new Indexer({
      ...run.indexer,
      store,
      collects: false,
      samples: false,
      dht: { listen, bootstrap },
    });
    try {
      return await work(indexer);
    } finally {
      await indexer.close();
      await store.close();
    }
  } finally {
    await network.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
