// A magnet among whole sessions over virtual time: connected while nobody knows the metadata, complete once it is there.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createTorrentFile, parseMetainfo, Session } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const WIRE = { delayMs: 20, bytesPerMs: 2000, windowBytes: 65_536 };

describe("a magnet in a simulated network", { timeout: 120_000 }, () => {
  it("meets its peers, gets its metadata a minute later, and downloads from them", async () => {
    const folder = temporaryFolder(after);
    const data = bytesOf(5, 2_000_000);
    writeFileSync(join(folder, "data"), data);
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), { pieceLength: 65_536 }));
    const network = new SimulatedNetwork(1);
    const [seedMachine, machine] = [
      network.addMachine("10.0.0.1", WIRE),
      network.addMachine("10.0.0.2", WIRE),
    ];
    const [seeder, session] = [new Session({}, seedMachine), new Session({}, machine)];
    network.afterTurn = (which) => (which === machine ? session : seeder).checkInvariants();
    await network.until(seeder.listen({ host: "10.0.0.1", port: 6881 }), 1000, "the seed listens");
    const seeding = seeder.addInBackground(metainfo, { directory: folder, readOnly: true });
    await network.until(seeding.ready, 10_000, "the seed opens");
    const link = `magnet:?xt=urn:btih:${metainfo.infoHashHex}&x.pe=10.0.0.1:6881`;
    const torrent = session.addInBackground(link, { storage: "memory" });
    const ended: (string | undefined)[] = [];
    torrent.on("peerDisconnected", (_, error) => ended.push(error?.code));
    const startedMs = network.nowMs;
    await network.run(() => network.nowMs - startedMs > 60_000, 61_000, "a minute passes");
    assert.equal(torrent.state, "metadata");
    assert.equal(torrent.peers().length, 1);
    assert.equal(torrent.metadataArrived(metainfo.info), true);
    await network.until(torrent.done, 60_000, "the download is complete");
    const lease = await network.until(torrent.read(30, 0, 16_384), 1000, "a block is read");
    assert.ok(data.subarray(30 * 65_536, 30 * 65_536 + 16_384).equals(lease.bytes));
    lease.release();
    // The seed lets go of who has everything; before, nobody let go of anybody.
    assert.ok(ended.length <= 1, `${ended}`);
    for (const each of [session, seeder]) {
      await network.until(each.close(), 10_000, "a session closes");
      assert.deepEqual(each.memory.pool.heldByHolder(), {});
    }
  });
});
