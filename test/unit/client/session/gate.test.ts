// Whom the program lets in, over real sockets at several addresses of this machine: by a list, by hand, and by a function.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import {
  AddressRanges,
  type ArrivingPeer,
  type PeerAddress,
  type PeerError,
  Session,
  type Torrent,
} from "../../../../src/index.js";
import { entryOf } from "../../../support/required.js";
import { collectUncaught } from "../../../support/uncaught.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "./loopback.js";
import { until } from "./raw-peer.js";

const TIMEOUT = { timeout: 60_000 };

/** Seeds at 127.0.0.2 and so on. */
async function seedAt(
  shared: Shared,
  host: string,
): Promise<{ session: Session; address: PeerAddress; torrent: Torrent }> {
  const session = new Session();
  const address = await session.listen({ host, port: 0 });
  const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
  return { session, address, torrent };
}

/** A download that holds what it gets, and so does not end while we look. */
function holding(): { storage: "null"; onBlock: () => void } {
  return { storage: "null", onBlock: () => {} };
}

const hosts = (torrent: Torrent): string[] => torrent.peers().map(({ address }) => address.host);

describe("An IP filter", TIMEOUT, () => {
  it("keeps out who is connected to, whoever named it, and lets go of those that it keeps out later", async () => {
    const shared = await makeShared(2_000_000);
    const [two, three] = [await seedAt(shared, "127.0.0.2"), await seedAt(shared, "127.0.0.3")];
    const session = new Session({ ipFilter: AddressRanges.parse("127.0.0.2/32") });
    const torrent = await session.add(shared.metainfo, holding());
    const out = once(torrent, "outOfPeers");
    torrent.addPeer(two.address);
    torrent.addPeer(three.address);
    await until(() => torrent.peers().length > 0);
    assert.deepEqual(hosts(torrent), ["127.0.0.3"]);
    assert.equal(two.session.connectionCount, 0);
    const gone = once(torrent, "peerDisconnected") as Promise<[PeerAddress, PeerError]>;
    session.setIpFilter(AddressRanges.parse("127.0.0.2 - 127.0.0.9"));
    assert.equal((await gone)[1].code, "PEER_REFUSED");
    await out;
    session.setIpFilter(undefined);
    torrent.addPeer(two.address);
    await until(() => hosts(torrent).includes("127.0.0.2"));
    for (const each of [session, two.session, three.session]) await each.close();
  });

  it("that keeps out all who are named leaves no peers, and that is told, as it is of who is banned", async () => {
    const shared = await makeShared(100_000);
    const session = new Session({ ipFilter: AddressRanges.parse("127.0.0.0/8") });
    const peers = [2, 3].map((last) => ({ host: `127.0.0.${last}`, port: 6881 }));
    const torrent = session.addInBackground(shared.metainfo, nowhere({ peers }));
    await once(torrent, "outOfPeers");
    const again = once(torrent, "outOfPeers");
    torrent.addPeer({ host: "127.0.0.4", port: 6881 });
    await again;
    session.setIpFilter(undefined);
    // Who answers with our own words is taken for ourselves, which is banned: named again, nobody is connected to.
    const echo = createServer((socket) => socket.pipe(socket).on("error", () => {}));
    await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
    for (let times = 0; times < 2; times++) {
      const out = once(torrent, "outOfPeers");
      torrent.addPeer({ host: "127.0.0.1", port: (echo.address() as AddressInfo).port });
      await out;
    }
    echo.close();
    await closeWhole(session);
  });

  it("keeps out who connects, before a word is said, and says so", async () => {
    const shared = await makeShared(100_000);
    const seeder = await seed(shared, { ipFilter: AddressRanges.parse("127.0.0.0/8") });
    const refused = once(seeder.session, "peerRefused") as Promise<[PeerAddress, PeerError]>;
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    const [address, error] = await refused;
    assert.deepEqual([address.host, error.code], ["127.0.0.1", "PEER_REFUSED"]);
    assert.equal(seeder.session.connectionCount, 0);
    seeder.session.setIpFilter(undefined);
    torrent.addPeer(seeder.address);
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("of the program's own that throws keeps out, and the program hears of it", async () => {
    const shared = await makeShared(100_000);
    const broken = {
      has: (): boolean => {
        throw new Error("the list is gone");
      },
    };
    const seeder = await seed(shared, { ipFilter: broken });
    const session = new Session();
    const told = await collectUncaught(async () => {
      const refused = once(seeder.session, "peerRefused");
      await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
      await refused;
    });
    assert.match(String(told[0]), /the list is gone/);
    await session.close();
    await closeWhole(seeder.session);
  });
});

describe("Session.ban()", TIMEOUT, () => {
  it("lets go, keeps out in both directions, and is taken back", async () => {
    const shared = await makeShared(2_000_000);
    const two = await seedAt(shared, "127.0.0.2");
    const session = new Session();
    const torrent = await session.add(shared.metainfo, holding());
    torrent.addPeer(two.address);
    await until(() => torrent.peers().length === 1);
    const gone = once(torrent, "peerDisconnected") as Promise<[PeerAddress, PeerError]>;
    session.ban("127.0.0.2");
    assert.equal((await gone)[1].code, "PEER_REFUSED");
    assert.deepEqual(session.bans, ["127.0.0.2"]);
    torrent.addPeer(two.address);
    assert.equal(session.connectionCount, 0, "nobody is dialled");
    // Nobody has to name it again.
    session.unban("127.0.0.2");
    assert.deepEqual(session.bans, []);
    await until(() => torrent.peers().length === 1);
    for (const wrong of ["example.org", "", 5]) {
      assert.throws(() => session.ban(wrong as string), { code: "USAGE_OPTION" });
      assert.throws(() => session.unban(wrong as string), { code: "USAGE_OPTION" });
    }
    await session.close();
    await closeWhole(two.session);
  });
});

describe("The option admit", TIMEOUT, () => {
  it("is asked for each peer, and whoever it refuses is not here and not dialled again", async () => {
    const shared = await makeShared(2_000_000);
    const [two, three] = [await seedAt(shared, "127.0.0.2"), await seedAt(shared, "127.0.0.3")];
    const asked: ArrivingPeer[] = [];
    const session = new Session({
      admit: (peer) => {
        asked.push(peer);
        return peer.address.host !== "127.0.0.2";
      },
    });
    const torrent = await session.add(shared.metainfo, holding());
    torrent.addPeer(two.address);
    torrent.addPeer(three.address);
    await until(() => asked.length === 2 && torrent.peers().length === 1);
    assert.deepEqual(hosts(torrent), ["127.0.0.3"]);
    const first = entryOf(asked, 0);
    assert.deepEqual(Buffer.from(first.infoHash), Buffer.from(shared.metainfo.infoHash));
    assert.equal(first.incoming, false);
    assert.equal(first.peerId.length, 20);
    assert.match(first.client, /scatterwire/i);
    for (const each of [session, two.session, three.session]) await each.close();
  });

  it("that throws admits nobody, and the program hears of it", async () => {
    const shared = await makeShared(100_000);
    const seeder = await seed(shared, {
      admit: () => {
        throw new Error("the database is gone");
      },
    });
    const session = new Session();
    const told = await collectUncaught(async () => {
      const refused = once(seeder.session, "peerRefused") as Promise<[PeerAddress, PeerError]>;
      await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
      assert.equal((await refused)[1].code, "PEER_REFUSED");
    });
    assert.match(String(told[0]), /the database is gone/);
    await session.close();
    await closeWhole(seeder.session);
  });
});

describe("Peers of a torrent", TIMEOUT, () => {
  it("are forgotten with their connection, and known anew when they are named again", async () => {
    const shared = await makeShared(2_000_000);
    const seeder = await seed(shared);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, holding());
    torrent.addPeer(seeder.address);
    await until(() => torrent.peers().length === 1);
    const gone = once(torrent, "peerDisconnected");
    torrent.forgetPeer(seeder.address);
    await gone;
    torrent.forgetPeer(seeder.address);
    torrent.addPeer(seeder.address);
    await until(() => torrent.peers().length === 1);
    await session.close();
    await closeWhole(seeder.session);
  });

  it("are as many as the torrent may have; the port of one that came in is told apart from the one at which it listens", async () => {
    const shared = await makeShared(2_000_000);
    const seeder = new Session();
    const address = await seeder.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await seeder.add(shared.metainfo, {
      directory: shared.folder,
      readOnly: true,
      maxPeers: 1,
    });
    const first = new Session();
    const listening = await first.listen({ host: "127.0.0.1", port: 0 });
    const other = new Session();
    await first.add(shared.metainfo, { ...holding(), peers: [address] });
    await until(() => torrent.peers()[0]?.listenPort !== undefined);
    const info = entryOf(torrent.peers(), 0);
    assert.equal(info.incoming, true);
    assert.equal(info.listenPort, listening.port);
    assert.notEqual(info.address.port, listening.port);
    const refused = once(seeder, "peerRefused") as Promise<[PeerAddress, PeerError]>;
    await other.add(shared.metainfo, { ...holding(), peers: [address] });
    assert.equal((await refused)[1].code, "PEER_TOO_MANY");
    assert.equal(torrent.peers().length, 1);
    for (const each of [seeder, first, other]) await each.close();
  });

  it("are numeric addresses: a name is refused where it is named, with what to do", async () => {
    const shared = await makeShared(100_000);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere());
    const message =
      /numeric address as its host \(dns\.lookup\(\) finds that of a name\), not "example\.org"/;
    const named = { host: "example.org", port: 6881 };
    assert.throws(() => torrent.addPeer(named), { code: "USAGE_OPTION", message });
    await torrent.close();
    await assert.rejects(session.add(shared.metainfo, nowhere({ peers: [named] })), {
      code: "USAGE_OPTION",
      message,
    });
    await session.close();
  });
});
