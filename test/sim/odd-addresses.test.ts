// Addresses that strangers name and nobody should be sent to, over virtual time: none of them is connected to, whoever names it.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { DhtNetwork } from "../../bench/load/dht-network.js";
import { torrentCoreOf } from "../../src/client/torrent/torrent.js";
import { Dht } from "../../src/dht/index.js";
import { KIND_QUERY, KrpcReader } from "../../src/dht/krpc-reader.js";
import { createTorrentFile, parseMetainfo, Session } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const WIRE = { delayMs: 20, bytesPerMs: 2000, windowBytes: 65_536 };
const HASH = new Uint8Array(20).fill(0x3c);

describe("addresses that lead nowhere", { timeout: 120_000 }, () => {
  it("are not connected to, and not remembered, whichever source names them", async () => {
    const folder = temporaryFolder(after);
    writeFileSync(join(folder, "data"), bytesOf(5, 200_000));
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), { pieceLength: 65_536 }));
    const network = new SimulatedNetwork(1);
    const machine = network.addMachine("198.51.100.1", WIRE);
    const session = new Session({}, machine);
    const torrent = session.addInBackground(metainfo, { storage: "memory" });
    await network.until(torrent.ready, 10_000, "a torrent opens");
    const ended: string[] = [];
    torrent.on("peerDisconnected", ({ host }) => ended.push(host));
    const nowhere = [
      "0.0.0.0",
      "0.1.2.3",
      "224.0.0.1",
      "255.255.255.255",
      "::",
      "ff02::1",
      "::127.0.0.1",
      "no",
    ];
    const named = nowhere.map((host) => ({ host, port: 6881 }));
    const { swarm } = torrentCoreOf(torrent);
    for (const origin of ["magnet", "local", "tracker", "dht", "exchange"] as const) {
      const ports = [0, -1, 65_536].map((port) => ({ host: "203.0.113.5", port }));
      assert.equal(swarm.bring({ origin }, [...named, ...ports]), 0, origin);
    }
    // One peer, in three ways to write it.
    const same = ["203.0.113.7", "::ffff:203.0.113.7", "0:0:0:0:0:ffff:cb00:7107"];
    assert.equal(
      swarm.bring(
        { origin: "exchange" },
        same.map((host) => ({ host, port: 6881 })),
      ),
      1,
    );
    await network.run(() => ended.length > 0, 10_000, "the one that is somewhere is tried");
    assert.deepEqual(ended, ["203.0.113.7"]);
    await network.until(session.close(), 10_000, "the session closes");
  });

  it("and those nearer to us than a node of the DHT that names them, are no peers that it finds", async (t) => {
    const network = new DhtNetwork({ seed: 11, loss: 0 });
    const named = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "0.0.0.0", "239.1.1.1", "203.0.113.9"];
    network.far = {
      take: (address, port, from, bytes) => {
        const reader = new KrpcReader();
        if (!reader.read(bytes, 0, bytes.length) || reader.kind !== KIND_QUERY) return;
        const values = named.map((host) => Buffer.from([...host.split(".").map(Number), 26, 225]));
        const transaction = bytes.subarray(
          reader.transactionAt,
          reader.transactionAt + reader.transactionBytes,
        );
        const head = `d1:rd2:id20:${"n".repeat(20)}5:token2:xx6:valuesl`;
        const list = values.flatMap((value) => [Buffer.from("6:"), value]);
        const tail = [Buffer.from("ee1:t4:"), transaction, Buffer.from("1:y1:re")];
        network.sendFrom(address, port, from, Buffer.concat([Buffer.from(head), ...list, ...tail]));
      },
    };
    const bootstrap = [{ host: "13.0.1.1", port: 7000 }];
    const node = new Dht({ listen: [{ host: "11.0.0.1", port: 6881 }], bootstrap }, network.world());
    t.after(() => node.close());
    await network.run(3000);
    const found: string[] = [];
    const announced: string[] = [];
    const looked = (async () => {
      for await (const { host } of node.lookup(HASH)) found.push(host);
    })();
    const told = node.announce(HASH, { port: 6881 }, ({ host }) => announced.push(host));
    await network.run(10_000);
    await Promise.all([looked, told]);
    assert.deepEqual([...new Set(announced)], ["203.0.113.9"]);
    assert.deepEqual(found, ["203.0.113.9"]);
  });
});
