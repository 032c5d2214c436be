// How many connections are being made at one time, over virtual time: no more than a session may, and of one torrent half of them.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createTorrentFile, parseMetainfo, Session } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

describe("Connections that are being made", { timeout: 60_000 }, () => {
  it("are as many as maxConnecting, and half of them of one torrent", async () => {
    const folder = temporaryFolder(after);
    const network = new SimulatedNetwork(1);
    const machine = network.addMachine("10.0.0.1", { delayMs: 50, bytesPerMs: 1000, windowBytes: 65_536 });
    const session = new Session({ maxConnecting: 6 }, machine);
    let most = 0;
    network.afterTurn = () => {
      most = Math.max(most, session.connectionCount);
    };
    const add = async (name: string): Promise<void> => {
      writeFileSync(join(folder, name), bytesOf(name.length, 100_000));
      const metainfo = parseMetainfo(await createTorrentFile(join(folder, name)));
      const peers = Array.from({ length: 40 }, (_, index) => ({
        host: `10.1.${name.length}.${index + 1}`,
        port: 6881,
      }));
      const torrent = session.addInBackground(metainfo, { storage: "memory", peers });
      await network.until(torrent.ready, 10_000, "a torrent opens");
    };
    const pass = async (ms: number): Promise<void> => {
      const untilMs = network.nowMs + ms;
      await network.run(() => network.nowMs >= untilMs, ms + 1000, "time passes");
    };
    await add("a");
    await pass(3000);
    assert.equal(most, 3);
    await add("bb");
    await add("ccc");
    await pass(3000);
    assert.equal(most, 6);
    await network.until(session.close(), 10_000, "the session closes");
  });
});
