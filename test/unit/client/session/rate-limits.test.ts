// Rate limits over real sockets: no more passes than was allowed, however bytes are received, sent and encrypted, and all of it is right.
// How near to the limit it comes is asked over virtual time (sim/rate-limits.test.ts), as a machine may be slow.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RateLimit, RateQueue, Throttle } from "../../../../src/base/rate-limit.js";
import { RECEIVE_MODES, SEND_MODES, Session } from "../../../../src/index.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "./loopback.js";

const TIMEOUT = { timeout: 120_000 };
const RATE = 1_000_000;
const LENGTH = 600_000;
/** Handshakes, bitfields and the like are no payload, and not held up. */
const MESSAGE_BYTES = 4096;

/** Looks at what passed, again and again, since before there was a limit. */
class Watch {
  readonly #sinceMs = performance.now();
  readonly #tooMuch: string[] = [];

  look(bytes: number): void {
    const allowed = (RATE * (performance.now() - this.#sinceMs)) / 1000 + MESSAGE_BYTES;
    if (bytes > allowed) this.#tooMuch.push(`${bytes} bytes, where ${allowed} were allowed`);
  }

  end(bytes: number): void {
    this.look(bytes);
    assert.deepEqual(this.#tooMuch, []);
  }
}

describe("A limited download over sockets", TIMEOUT, () => {
  for (const receiveMode of RECEIVE_MODES)
    for (const encryption of ["disabled", "required"] as const)
      it(`is no faster, and right: ${receiveMode}, encryption ${encryption}`, async () => {
        const shared = await makeShared(LENGTH);
        const seeder = await seed(shared, { encryption });
        const watch = new Watch();
        const session = new Session({ receiveMode, encryption, maxDownloadBytesPerSecond: RATE });
        const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
        torrent.on("piece", () => watch.look(session.counters().receivedBytes));
        await torrent.done;
        watch.end(session.counters().receivedBytes);
        assert.equal(session.counters().wastedBytes, 0);
        await closeWhole(session);
        await closeWhole(seeder.session);
      });

  it("is as fast as it can when the limit is lifted, and one of a connection ends with it", async () => {
    const shared = await makeShared(40 * LENGTH);
    const seeder = await seed(shared);
    const session = new Session({ maxDownloadBytesPerSecond: 1000 });
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    const connection = await new Promise<ReturnType<typeof torrent.connections>[number]>((resolve) => {
      torrent.on("peerConnected", (_info, its) => resolve(its));
    });
    connection.setRateLimits({ maxDownloadBytesPerSecond: 2000 });
    session.setRateLimits({ maxDownloadBytesPerSecond: 0 });
    torrent.setRateLimits({ maxDownloadBytesPerSecond: 3000 });
    torrent.setRateLimits({ maxDownloadBytesPerSecond: 0 });
    connection.setRateLimits({ maxDownloadBytesPerSecond: 0 });
    // At 3000 bytes/s it would take two hours.
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("asks nothing of a limit where none is set, and nothing more once it is lifted", async () => {
    const shared = await makeShared(4_000_000);
    let calls = 0;
    const real = new Map<string, unknown>();
    for (const type of [Throttle, RateLimit, RateQueue])
      for (const name of Object.getOwnPropertyNames(type.prototype)) {
        const descriptor = Object.getOwnPropertyDescriptor(type.prototype, name);
        // Connections that had a limit end theirs, once.
        const isPart = !["constructor", "close", "giveBack"].includes(name);
        if (!isPart || typeof descriptor?.value !== "function") continue;
        const method = descriptor.value as (...args: unknown[]) => unknown;
        real.set(name, method);
        Object.defineProperty(type.prototype, name, {
          ...descriptor,
          value(this: unknown, ...args: unknown[]): unknown {
            calls++;
            return method.apply(this, args);
          },
        });
      }
    assert.ok(real.has("ask") && real.has("passed"));
    /** Calls that a download and its seeder make, by block; where limits are lifted, from then on. */
    const callsPerBlock = async (limited: boolean, lifted: boolean): Promise<number> => {
      const seeder = await seed(shared, limited ? { maxUploadBytesPerSecond: 1e9 } : {});
      const session = new Session(limited ? { maxDownloadBytesPerSecond: 1e9 } : {});
      const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
      let before = { calls, blocks: 0 };
      if (lifted) {
        await new Promise((resolve) => torrent.once("piece", resolve));
        session.setRateLimits({ maxDownloadBytesPerSecond: 0 });
        seeder.session.setRateLimits({ maxUploadBytesPerSecond: 0 });
        before = { calls, blocks: session.counters().blocksReceived };
      }
      await torrent.done;
      const perBlock =
        (calls - before.calls) / Math.max(1, session.counters().blocksReceived - before.blocks);
      await closeWhole(session);
      await closeWhole(seeder.session);
      return perBlock;
    };
    assert.equal(await callsPerBlock(false, false), 0);
    assert.ok((await callsPerBlock(true, false)) > 0, "the count counts");
    assert.equal(await callsPerBlock(true, true), 0);
  });

  for (const wrong of [-1, 1.5, Number.NaN, "fast"])
    it(`is not set to ${wrong}`, async () => {
      const session = new Session();
      const limits = { maxDownloadBytesPerSecond: wrong as number };
      assert.throws(() => session.setRateLimits(limits), { code: "USAGE_OPTION" });
      assert.throws(() => new Session(limits), { code: "USAGE_OPTION" });
      await session.close();
    });
});

describe("A limited upload over sockets", TIMEOUT, () => {
  for (const sendMode of SEND_MODES)
    it(`is no faster, and right, to two at once: ${sendMode}`, async () => {
      const shared: Shared = await makeShared(LENGTH / 2);
      const watch = new Watch();
      const seeder = await seed(shared, { sendMode, maxUploadBytesPerSecond: RATE });
      const leechers = [new Session(), new Session()];
      const peers = [seeder.address];
      const torrents = await Promise.all(
        leechers.map((session) => session.add(shared.metainfo, nowhere({ peers }))),
      );
      for (const torrent of torrents)
        torrent.on("piece", () => watch.look(seeder.session.counters().sentBytes));
      await Promise.all(torrents.map(({ done }) => done));
      watch.end(seeder.session.counters().sentBytes);
      for (const session of [...leechers, seeder.session]) await closeWhole(session);
    });
});
