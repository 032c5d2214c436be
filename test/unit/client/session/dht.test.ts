// A session with a node of the DHT: peers are told where it receives and tell where theirs does, but not for private torrents; what the
// program's node throws is the program's, and the torrent goes on.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  createTorrentFile,
  type HashTable,
  type PeerAddress,
  parseMetainfo,
  Session,
} from "../../../../src/index.js";
import { collectUncaught } from "../../../support/uncaught.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "./loopback.js";

const TIMEOUT = { timeout: 60_000 };

class FakeTable implements HashTable {
  readonly addresses: readonly PeerAddress[];
  readonly told: PeerAddress[] = [];
  readonly asked: string[] = [];
  readonly ports: object[] = [];
  readonly #throws: boolean;

  constructor(port: number, throws = false) {
    this.addresses = [{ host: "127.0.0.1", port }];
    this.#throws = throws;
  }

  addNodes(nodes: readonly PeerAddress[]): void {
    this.told.push(...nodes);
    if (this.#throws) throw new Error("the program's own");
  }

  lookup(): AsyncIterable<PeerAddress> {
    this.asked.push("lookup");
    return (async function* () {
      yield* [];
    })();
  }

  announce(_hash: Uint8Array, { port, ports }: Parameters<HashTable["announce"]>[1]): Promise<number> {
    this.asked.push("announce");
    this.ports.push({ port, ...ports });
    return Promise.resolve(8);
  }
}

/** One session downloads from another, each with a node. */
async function transfer(shared: Shared, seeding: FakeTable, downloading: FakeTable): Promise<void> {
  const seeder = await seed(shared, { dht: seeding });
  const session = new Session({ dht: downloading });
  const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
  await torrent.done;
  await closeWhole(session);
  await closeWhole(seeder.session);
}

describe("a session with a node of the DHT", TIMEOUT, () => {
  it("tells peers of it, hears of theirs, announces where it listens and looks up where not", async () => {
    const [seeding, downloading] = [new FakeTable(1111), new FakeTable(2222)];
    await transfer(await makeShared(500_000), seeding, downloading);
    assert.deepEqual(downloading.told, [{ host: "127.0.0.1", port: 1111 }]);
    assert.deepEqual(seeding.told, [{ host: "127.0.0.1", port: 2222 }]);
    assert.deepEqual([seeding.asked, downloading.asked], [["announce"], ["lookup"]]);
  });

  it("tells it the port of each kind of address that it listens at, and none of the other", async () => {
    for (const host of ["127.0.0.1", "::1"]) {
      const shared = await makeShared(100_000);
      const table = new FakeTable(1111);
      const session = new Session({ dht: table });
      const { port } = await session.listen({ host, port: 0 });
      const torrent = await session.add(shared.metainfo, nowhere());
      while (table.ports.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.equal(torrent.state, "downloading");
      const [v4, v6] = host.includes(":") ? [undefined, port] : [port, undefined];
      assert.deepEqual(table.ports, [{ port, v4, v6 }]);
      await closeWhole(session);
    }
  });

  it("goes on when the node throws, and the program hears of it", async () => {
    const shared = await makeShared(500_000);
    const errors = await collectUncaught(() =>
      transfer(shared, new FakeTable(1111), new FakeTable(2222, true)),
    );
    assert.deepEqual(errors.map(String), ["Error: the program's own"]);
  });

  it("keeps private torrents out of it", async () => {
    const shared = await makeShared(500_000);
    const file = await createTorrentFile(join(shared.folder, "data.bin"), { private: true });
    const [seeding, downloading] = [new FakeTable(1111), new FakeTable(2222)];
    await transfer({ ...shared, metainfo: parseMetainfo(file) }, seeding, downloading);
    assert.deepEqual([seeding.told, seeding.asked], [[], []]);
    assert.deepEqual([downloading.told, downloading.asked], [[], []]);
  });
});
