// Peers that hold what they were lent, over real sockets: a healthy one gets the download done beside them.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { BLOCK_SIZE, MIB } from "../../../../src/base/limits.js";
import { Session } from "../../../../src/index.js";
import { temporaryFolder } from "../../../support/data.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "./loopback.js";
import { Puppet, type Request } from "./puppet.js";

const TIMEOUT = { timeout: 120_000 };

/** A seed that queues so many requests, refuses others, and answers some every few milliseconds. */
async function shortQueue(shared: Shared, queueMax: number): Promise<Puppet> {
  const queue: Request[] = [];
  const puppet = await Puppet.make(shared, {
    onRequest: (request, its) => {
      if (queue.length < queueMax) queue.push(request);
      else its.reject(request);
    },
    onCancel: (request, its) => {
      const at = queue.findIndex(({ piece, begin }) => piece === request.piece && begin === request.begin);
      if (at < 0) return;
      queue.splice(at, 1);
      its.reject(request);
    },
  });
  const timer = setInterval(() => {
    for (const request of queue.splice(0, 40)) puppet.sendBlock(request);
  }, 10);
  after(() => clearInterval(timer));
  return puppet;
}

describe("A sole seed with a short queue", TIMEOUT, () => {
  it("that refuses what it cannot queue is never given up: two pieces of 32 MiB complete", async () => {
    const shared = await makeShared(64 * MIB, 32 * MIB);
    const puppet = await shortQueue(shared, 60);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere());
    torrent.addPeer(puppet.address);
    await torrent.done;
    assert.equal(puppet.opens, 1);
    await closeWhole(session);
  });
});

/** A seed that answers its first request with a header and some bytes, and then with one byte every so often. */
async function dripping(shared: Shared, everyMs: number, firstBytes = 100): Promise<Puppet> {
  let rest: Buffer | undefined;
  const puppet = await Puppet.make(shared, {
    onRequest: (request, its) => {
      if (rest !== undefined) return;
      rest = its.blockMessage(request);
      its.send(rest.subarray(0, firstBytes));
      rest = rest.subarray(firstBytes);
    },
  });
  const timer = setInterval(() => {
    if (rest === undefined || rest.length === 0) return;
    puppet.send(rest.subarray(0, 1));
    rest = rest.subarray(1);
  }, everyMs);
  after(() => clearInterval(timer));
  return puppet;
}

/** Resolves when all of them were asked for something. */
async function allAsked(puppets: readonly Puppet[]): Promise<void> {
  while (puppets.some(({ requests }) => requests === 0))
    await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("Seeds in the middle of a block, a byte now and then", TIMEOUT, () => {
  for (const storage of ["file", "mapped"] as const) {
    it(`more of them than there are slots (${storage}): a healthy seed gets the download done`, async () => {
      const shared = await makeShared(8 * MIB, 256 * 1024);
      const drips = await Promise.all(Array.from({ length: 160 }, () => dripping(shared, 400)));
      const session = new Session({ poolBytes: 2 * MIB, requestTimeoutMs: 5000 });
      const torrent = await session.add(shared.metainfo, { storage, directory: temporaryFolder(after) });
      for (const drip of drips) torrent.addPeer(drip.address);
      await allAsked(drips);
      const healthy = await seed(shared);
      torrent.addPeer(healthy.address);
      await torrent.done;
      for (const drip of drips) drip.close();
      await closeWhole(session);
      await closeWhole(healthy.session);
    });
  }

  it("three on the last block: a fourth is asked for it", async () => {
    const shared = await makeShared(BLOCK_SIZE);
    const drips = await Promise.all(Array.from({ length: 3 }, () => dripping(shared, 400)));
    const session = new Session({ requestTimeoutMs: 10_000 });
    const torrent = await session.add(shared.metainfo, nowhere());
    for (const drip of drips) torrent.addPeer(drip.address);
    await allAsked(drips);
    const healthy = await seed(shared);
    const begunMs = performance.now();
    torrent.addPeer(healthy.address);
    await torrent.done;
    assert.ok(performance.now() - begunMs < 30_000, "before the requests of the others timed out");
    await closeWhole(session);
    await closeWhole(healthy.session);
  });
});
