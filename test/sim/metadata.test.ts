// A magnet among whole sessions over virtual time: it has its metadata from peers, and then the data.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { sessionCoreOf } from "../../src/client/session/session.js";
import { createTorrentFile, parseMetainfo, Session } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const WIRE = { delayMs: 20, bytesPerMs: 2000, windowBytes: 65_536 };

describe("a magnet in a simulated network", { timeout: 120_000 }, () => {
  it("meets its peers, has its metadata from them, and then the data", async () => {
    const folder = temporaryFolder(after);
    const data = bytesOf(5, 30_000_000);
    writeFileSync(join(folder, "data"), data);
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), { pieceLength: 16_384 }));
    const network = new SimulatedNetwork(1);
    const [seedMachine, machine] = [
      network.addMachine("10.0.0.1", WIRE),
      network.addMachine("10.0.0.2", WIRE),
    ];
    const [seeder, session] = [new Session({}, seedMachine), new Session({}, machine)];
    network.afterTurn = (which) => sessionCoreOf(which === machine ? session : seeder).checkInvariants();
    await network.until(seeder.listen({ host: "10.0.0.1", port: 6881 }), 1000, "the seed listens");
    const seeding = seeder.addInBackground(metainfo, { directory: folder, readOnly: true });
    await network.until(seeding.ready, 10_000, "the seed opens");
    const link = `magnet:?xt=urn:btih:${metainfo.infoHashHex}&x.pe=10.0.0.1:6881`;
    const torrent = session.addInBackground(link, { storage: "memory" });
    const ended: (string | undefined)[] = [];
    torrent.on("peerDisconnected", (_, error) => ended.push(error?.code));
    const progress: string[] = [];
    torrent.on("metadataProgress", ({ pieces, pieceCount, peers }) =>
      progress.push(`${pieces} of ${pieceCount} from ${peers}`),
    );
    let name: string | undefined;
    torrent.on("metadata", (arrived) => {
      name = arrived.name;
    });
    await network.until(torrent.ready, 10_000, "the metadata comes");
    assert.equal(name, "data");
    assert.deepEqual(progress, ["1 of 3 from 1", "2 of 3 from 1"]);
    assert.deepEqual(torrent.metainfo?.info, metainfo.info);
    await network.until(torrent.done, 60_000, "the download is complete");
    const lease = await network.until(torrent.read(120, 0, 16_384), 1000, "a block is read");
    assert.ok(data.subarray(120 * 16_384, 121 * 16_384).equals(lease.bytes));
    lease.release();
    // The seed lets go of who has everything; before, nobody let go of anybody.
    assert.ok(ended.length <= 1, `${ended}`);
    for (const each of [session, seeder]) {
      await network.until(each.close(), 10_000, "a session closes");
      assert.deepEqual(sessionCoreOf(each).memory.pool.heldByHolder(), {});
    }
  });
});
