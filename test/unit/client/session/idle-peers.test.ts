// What a connection costs on which nothing happens, as most do in a large swarm: bytes of the heap, counted after it was collected.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { HANDSHAKE_BYTES, MIB } from "../../../../src/base/limits.js";
import { type PeerAddress, Session } from "../../../../src/index.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { systemWorld } from "../../../../src/native/world.js";
import { closeWhole, makeShared } from "./loopback.js";
import { handshake } from "./raw-peers.js";

/** What the first ones make, such as compiled code, is not what one more costs; and tables that hold so many hold the others, too. */
const FIRST = 520;
const MORE = 480;
/**
 * A quarter above what it is: a field or two more do not matter, and a set, a map or a typed array for each peer does. What is made with
 * the first request, the first block or the first word of a peer belongs to none of these.
 */
const HEAP_BYTES_MAX = 3400;
const TICKS = 4;

/** The far ends of connections, each from an address of its own: descriptors, which take nothing of the heap. */
class FarEnds {
  readonly #reactor = new Reactor(MIB);
  readonly #sockets: number[] = [];

  /** `count` more, which have shaken hands and say no more. */
  async open(to: PeerAddress, infoHash: Uint8Array, count: number): Promise<void> {
    const { engine } = this.#reactor;
    for (let made = 0; made < count; made++) {
      const host = `127.1.${this.#sockets.length >> 8}.${this.#sockets.length & 255}`;
      const fd = engine.connect(to.host, to.port, host);
      assert.ok(fd >= 0, `connected: ${fd}`);
      this.#sockets.push(fd);
      engine.slab.set(handshake(infoHash), 0);
      engine.plan.set([0, HANDSHAKE_BYTES]);
      while (engine.writev(fd, 0, 1, false) < 0) await pause(1);
    }
  }

  close(): void {
    for (const fd of this.#sockets) this.#reactor.engine.closeSocket(fd);
    this.#reactor.close();
  }
}

async function heapBytes(collect: () => void): Promise<number> {
  for (let time = 0; time < 3; time++) {
    await pause(5);
    collect();
  }
  return process.memoryUsage().heapUsed;
}

describe("An idle peer of a session that seeds", { timeout: 120_000 }, () => {
  it(`takes ${HEAP_BYTES_MAX} bytes of the heap at the most`, async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    let [aheadMs, run] = [0, (): void => assert.fail("a session has a timer")];
    const world = systemWorld();
    const ground = {
      ...world.ground,
      nowMs: () => world.ground.nowMs() + aheadMs,
      every: (_ms: number, callback: () => void) => {
        run = callback;
        return { ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} };
      },
    };
    const session = new Session({ maxPeers: 2000 }, { ...world, ground });
    const shared = await makeShared(2 * MIB);
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    const far = new FarEnds();
    const open = async (count: number): Promise<number> => {
      const all = torrent.peers().length + count;
      await far.open(address, shared.metainfo.infoHash, count);
      while (torrent.peers().length < all) await pause(10);
      for (let tick = 0; tick < TICKS; tick++) {
        aheadMs += 1000;
        run();
      }
      return heapBytes(collect);
    };
    const before = await open(FIRST);
    const bytes = ((await open(MORE)) - before) / MORE;
    far.close();
    await closeWhole(session);
    assert.ok(bytes > 0 && bytes < HEAP_BYTES_MAX, `${bytes.toFixed(0)} bytes`);
  });
});
