// A small DHT on this machine for tests of the indexer, and places for their indexes.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { MetadataSeeder } from "../../bench/load/metadata-seeder.js";
import { Dht } from "../../src/dht/index.js";

const WATCHDOG_MS = 120_000;
const POLL_MS = 50;

/** Nodes that know each other, closed after the test. */
export async function makeDhtNodes(context: TestContext, count: number, host = "127.0.0.1"): Promise<Dht[]> {
  const nodes: Dht[] = [];
  context.after(() => {
    for (const node of nodes) node.close();
  });
  for (let index = 0; index < count; index++) {
    const bootstrap = nodes[0]?.addresses ?? [];
    nodes.push(new Dht({ listen: [{ host, port: 0 }], bootstrap }));
  }
  await until(
    () => nodes.every((node) => node.stats().contacts >= Math.min(8, count - 1)),
    "nodes know each other",
  );
  return nodes;
}

/** A DHT in which `count` torrents are announced by one peer, who serves their metadata; and how an indexer is told of both. */
export async function makeIndexable(
  context: TestContext,
  count: number,
): Promise<{ readonly infoHashes: readonly string[]; readonly options: readonly string[] }> {
  const nodes = await makeDhtNodes(context, 8);
  const seeder = await MetadataSeeder.start("127.0.0.1");
  context.after(() => seeder.close());
  const hashes = Array.from({ length: count }, (_, number) => seeder.add(number));
  await Promise.all(
    hashes.map((hash, at) => nodes[at % nodes.length]?.announce(hash, { port: seeder.port })),
  );
  const infoHashes = hashes.map((hash) => Buffer.from(hash).toString("hex"));
  const [entrance] = nodes[0]?.addresses ?? [];
  const options = [
    ...["--listen", "127.0.0.1:0", "--nodes", "2", "--bootstrap", `127.0.0.1:${entrance?.port}`],
    ...infoHashes.flatMap((hash) => ["--add", hash]),
  ];
  return { infoHashes, options };
}

/** A file that an index is made in, deleted after the test. */
export function temporaryIndex(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "scatterwire-index-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "index.db");
}

/** Waits for something that takes seconds, for minutes. */
export async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + WATCHDOG_MS;
  while (!(await done())) {
    assert.ok(performance.now() < end, `did not happen in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
