// A DHT in bad company, and one whose nodes come and go, in simulated networks of 20,000: what the conditions are, what all mechanisms together
// come to under each, and that the counters say so. One seed, virtual time: the figures are the same each time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DhtNetwork } from "../../bench/load/dht-network.js";
import type { HostileKind } from "../../bench/load/hostile-nodes.js";
import { ImplicitNodes } from "../../bench/load/implicit-nodes.js";
import { type DhtRow, type DhtSettings, dhtMatrix, runDhtCase } from "../../bench/suites/dht.js";
import type { BoundCounters } from "../../src/dht/index.js";

const SETTINGS: DhtSettings = {
  nodes: 20_000,
  dead: 0.45,
  torrents: 40_000,
  lookups: 400,
  concurrent: 12,
  seed: 11,
};

async function run(more: Partial<DhtSettings>): Promise<DhtRow & { readonly bounds: BoundCounters }> {
  const [, all] = dhtMatrix(16);
  assert.ok(all !== undefined);
  let bounds: BoundCounters | undefined;
  const row = await runDhtCase({ ...all, cursors: 64 }, { ...SETTINGS, ...more }, (dht) => {
    bounds = dht.stats().bounds;
  });
  assert.ok(bounds !== undefined);
  return { ...row, bounds };
}

function among(kind: HostileKind): ReturnType<typeof run> {
  return run({ hostile: { kind, share: 0.1 } });
}

describe("a simulated network whose nodes come and go", () => {
  it("has the same part of them at any time, and others", async () => {
    const network = new DhtNetwork({ seed: 3 });
    const options = { count: 20_000, dead: 0.45, seed: 3, torrents: 1, peersMax: 1, exponent: 1 };
    const there = (nodes: ImplicitNodes): boolean[] =>
      Array.from({ length: nodes.count }, (_, rank) => !nodes.isDead(rank));
    const share = (of: readonly boolean[]): number => of.filter(Boolean).length / of.length;
    const staying = new ImplicitNodes(network, options);
    const coming = new ImplicitNodes(network, { ...options, sessionMinutes: 20 });
    const before = [there(staying), there(coming)] as const;
    await network.run(20 * 60_000);
    const after = [there(staying), there(coming)] as const;
    assert.deepEqual(after[0], before[0]);
    for (const each of [...before, ...after]) assert.ok(Math.abs(share(each) - 0.55) < 0.01);
    // Of those that were there, half of the sessions have ended or more, and some came back.
    const stayed = before[1].filter((was, rank) => was && after[1][rank] === true).length;
    const was = before[1].filter(Boolean).length;
    assert.ok(stayed > 0.3 * was && stayed < 0.8 * was, `${stayed} of ${was}`);
  });
});

describe("lookups in bad company", { timeout: 240_000 }, () => {
  it("count nobody as an attacker where there is none, and are the same each time", async () => {
    const row = await run({});
    const { cpuMsPerLookup: _cpu, ...figures } = row;
    const { cpuMsPerLookup: _again, ...again } = await run({});
    assert.deepEqual(again, figures);
    assert.ok(row.peers >= SETTINGS.lookups);
    assert.deepEqual(
      [row.hostileShare, row.eclipsedShare, row.toNamedPerLookup, row.victimMostPerSecond],
      [0, 0, 0, 0],
    );
    const { namesTooMany, namesTooNear, heldGivenUp, lookupsCut, idsChanged } = row.bounds;
    assert.deepEqual([namesTooMany, namesTooNear, heldGivenUp, lookupsCut, idsChanged], [0, 0, 0, 0, 0]);
    assert.ok(row.bounds.unanswered > 0 && row.bounds.excused === 0, "45 % are not there");
  });

  it("end soon though reflectors name one victim to all of them, and spare it", async () => {
    const quiet = await run({});
    const row = await among("reflectors");
    const what = JSON.stringify([quiet, row]);
    assert.ok(row.convergedSeconds < quiet.convergedSeconds + 1.5, what);
    assert.ok(row.peers >= 0.98 * quiet.peers, what);
    // 20 at once, and 4 a second.
    assert.ok(row.victimMostPerSecond > 0 && row.victimMostPerSecond <= 24, what);
    assert.ok(row.bounds.heldGivenUp > 0 && row.bounds.networkFull > 0, what);
  });

  it("find the peers among liars, who cost some queries", async () => {
    const quiet = await run({});
    const row = await among("liars");
    const what = JSON.stringify([quiet, row]);
    assert.ok(row.peers >= 0.98 * quiet.peers && row.toNamedPerLookup > 0, what);
    assert.ok(row.queriesPerLookup <= quiet.queriesPerLookup + 8, what);
  });

  it("find the peers among sybils with ids next to everything, who are few of those that they end with", async () => {
    const quiet = await run({});
    const row = await among("sybils");
    const what = JSON.stringify([quiet, row]);
    assert.ok(row.peers >= 0.9 * quiet.peers, what);
    assert.ok(row.hostileShare > 0 && row.eclipsedShare < 0.1, what);
    assert.ok(row.bounds.namesTooNear > 0, what);
  });

  it("end as soon though a tenth of the nodes answer as late as they may", async () => {
    const quiet = await run({});
    const row = await among("dawdlers");
    const what = JSON.stringify([quiet, row]);
    assert.ok(row.convergedSeconds < quiet.convergedSeconds + 0.5, what);
    assert.ok(row.peers >= 0.98 * quiet.peers, what);
    assert.ok(row.queriesPerLookup <= quiet.queriesPerLookup + 4, what);
  });

  it("find the peers among impostors, who name honest nodes with ids that are not theirs", async () => {
    const quiet = await run({});
    const row = await among("impostors");
    const what = JSON.stringify([quiet, row]);
    assert.ok(row.peers >= 0.98 * quiet.peers, what);
    assert.ok(row.queriesPerLookup <= quiet.queriesPerLookup + 4, what);
    assert.ok(row.bounds.idsChanged > 0, what);
  });

  it("are in the hands of sybils whose ids chance could have made", async () => {
    const row = await among("careful-sybils");
    assert.ok(row.eclipsedShare > 0.5, JSON.stringify(row));
  });
});
