// Peers that hold what they were lent, over real sockets: a healthy one gets the download done beside them.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { MIB } from "../../../../src/base/limits.js";
import { Session } from "../../../../src/index.js";
import { closeWhole, makeShared, nowhere, type Shared } from "./loopback.js";
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
