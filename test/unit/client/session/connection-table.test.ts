// Whether there is room for one more connection, by numbers and times alone. What sockets make of it is in crowds.test.ts.

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { DescriptorBudget } from "../../../../src/base/descriptor-budget.js";
import { PeerError, type PeerErrorCode } from "../../../../src/base/errors.js";
import { SITE_TIMES } from "../../../../src/base/network-address.js";
import type { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import { ConnectionTable } from "../../../../src/client/session/connection-table.js";
import { Session } from "../../../../src/index.js";
import { required } from "../../../support/required.js";

const ARRIVALS = 32;
const ARRIVAL_MS = 2000;
/** Of all networks, while nobody is kept out. */
const UNCOUNTED = 64;
/** Until as many may come again, however many came. */
const UNCOUNTED_MS = 20_000;
const PER_ADDRESS = 8;

function makeTable(limitsLoopback = false): ConnectionTable {
  return new ConnectionTable(
    { max: 1000, maxPerAddress: PER_ADDRESS, limitsLoopback, maxConnecting: 10 },
    new DescriptorBudget(10_000),
  );
}

/** So many strangers of other networks came that those of each network are counted. */
function crowd(table: ConnectionTable, nowMs: number): void {
  for (let network = 0; network < UNCOUNTED; network++) table.mayAccept(`198.51.100.${network}`, nowMs);
}

function arrivals(table: ConnectionTable, host: string, nowMs: number): number {
  let count = 0;
  while (count < 10 * ARRIVALS && table.mayAccept(host, nowMs)) count++;
  return count;
}

/** One that is under way, as far as the table looks at it. */
function connectionTo(host: string, incoming = false): PeerConnection {
  return { host, incoming } as unknown as PeerConnection;
}

const hostOf = (site: number, network: number): string =>
  `2001:db8:${site.toString(16)}:${network.toString(16)}::1`;

describe("ConnectionTable: a network that comes and goes", () => {
  it("is let in so often at once, and now and then after that; others are not held up by it", () => {
    const table = makeTable();
    crowd(table, 1000);
    assert.equal(arrivals(table, "192.0.2.1", 1000), ARRIVALS);
    assert.equal(arrivals(table, "192.0.2.2", 1000), ARRIVALS);
    crowd(table, 1000 + ARRIVAL_MS - 1);
    assert.equal(arrivals(table, "192.0.2.1", 1000 + ARRIVAL_MS - 1), 0);
    assert.equal(arrivals(table, "192.0.2.1", 1000 + ARRIVAL_MS), 1);
    crowd(table, 1000 + 5 * ARRIVAL_MS);
    assert.equal(arrivals(table, "192.0.2.1", 1000 + 5 * ARRIVAL_MS), 4);
  });

  it("is not counted while few come, of whatever networks", () => {
    const table = makeTable();
    assert.equal(arrivals(table, "192.0.2.1", 0), UNCOUNTED);
    assert.equal(arrivals(table, "192.0.2.2", 0), ARRIVALS, "what one does, others do not pay for");
    assert.equal(arrivals(table, "192.0.2.1", UNCOUNTED_MS), UNCOUNTED);
    assert.equal(arrivals(table, "192.0.2.1", UNCOUNTED_MS + 1000), 4);
  });

  it("pays for no neighbour that is let go twice a minute, however long that goes on", () => {
    const table = makeTable();
    for (let nowMs = 0; nowMs < 3600_000; nowMs += 30_000) {
      assert.ok(table.mayAccept("192.0.2.1", nowMs), `at ${nowMs} ms`);
      const peer = { host: "192.0.2.1", incoming: true } as PeerConnection;
      table.add(peer, true);
      table.remove(peer, nowMs, new PeerError("PEER_PIECE_RANGE", "it had to go"));
      assert.ok(table.mayAccept("192.0.2.1", nowMs + 1), `a neighbour at ${nowMs} ms`);
    }
  });

  it("was not there for a while: it comes as one that is new", () => {
    const table = makeTable();
    arrivals(table, "192.0.2.1", 0);
    crowd(table, 10 * ARRIVALS * ARRIVAL_MS);
    assert.equal(arrivals(table, "192.0.2.1", 10 * ARRIVALS * ARRIVAL_MS), ARRIVALS);
  });

  it("pays more for those that had to be let go, and may come again after half a minute", () => {
    const table = makeTable();
    crowd(table, 0);
    const leave = (code: PeerErrorCode): void => {
      const peer = { host: "192.0.2.1", incoming: true } as PeerConnection;
      table.add(peer, true);
      table.remove(peer, 0, new PeerError(code, "it had to go"));
    };
    assert.ok(table.mayAccept("192.0.2.1", 0));
    leave("PEER_TIMEOUT");
    leave("PEER_REQUEST_FLOOD");
    // As long as fifteen that come.
    assert.equal(arrivals(table, "192.0.2.1", 0), ARRIVALS - 1 - 15);
    for (let fault = 0; fault < 10; fault++) leave("PEER_PIECE_RANGE");
    crowd(table, 30_000);
    assert.equal(arrivals(table, "192.0.2.1", 30_000), 0);
    crowd(table, 30_000 + ARRIVAL_MS);
    assert.equal(arrivals(table, "192.0.2.1", 30_000 + ARRIVAL_MS), 1);
  });

  it("is a /64 of IPv6, and not this machine unless asked for", () => {
    const table = makeTable();
    crowd(table, 0);
    arrivals(table, "2001:db8::1", 0);
    assert.equal(arrivals(table, "2001:db8::2", 0), 0);
    assert.equal(arrivals(table, "2001:db8:0:1::1", 0), ARRIVALS);
    assert.equal(arrivals(table, "127.0.0.1", 0), 10 * ARRIVALS);
    assert.equal(arrivals(makeTable(true), "127.0.0.1", 0), UNCOUNTED);
  });

  it("is one of 4,096 that are remembered", () => {
    const table = makeTable();
    arrivals(table, "192.0.2.1", 0);
    for (let network = 0; network < 4095; network++)
      table.mayAccept(`10.1.${network >> 8}.${network & 255}`, 0);
    assert.equal(arrivals(table, "192.0.2.1", 0), 0);
    table.mayAccept("10.2.0.1", 0);
    table.mayAccept("10.2.0.2", 0);
    assert.equal(arrivals(table, "192.0.2.1", 0), ARRIVALS);
  });
});

describe("ConnectionTable: one that comes again", () => {
  it("waits for its turn while many come; one that comes for the first time does not, nor does one that was not here for a while", () => {
    const table = makeTable();
    assert.equal(table.arrivalOf("192.0.2.1", 0), "enters");
    assert.equal(table.arrivalOf("192.0.2.1", 0), "enters", "few come");
    crowd(table, 0);
    assert.equal(table.arrivalOf("192.0.2.1", 0), "waits");
    assert.equal(table.arrivalOf("192.0.2.2", 0), "enters");
    assert.equal(table.arrivalOf("192.0.2.2", 0), "waits");
    for (let count = 2; count < ARRIVALS; count++) table.arrivalOf("192.0.2.2", 0);
    assert.equal(table.arrivalOf("192.0.2.2", 0), "refused", "turns or not");
    crowd(table, 3 * ARRIVAL_MS);
    assert.equal(table.arrivalOf("192.0.2.1", 3 * ARRIVAL_MS), "enters");
  });

  it("waits where another network of its site was here a moment ago", () => {
    const table = makeTable();
    crowd(table, 0);
    const first = Array.from({ length: SITE_TIMES }, (_, network) => table.arrivalOf(hostOf(1, network), 0));
    assert.deepEqual(first, ["enters", ...new Array<string>(SITE_TIMES - 1).fill("waits")]);
    assert.equal(table.arrivalOf(hostOf(2, 0), 0), "enters");
  });

  it("has a place where there is one when it is its turn", () => {
    const table = makeTable();
    for (let count = 0; count < PER_ADDRESS; count++) table.add(connectionTo("192.0.2.1", true), true);
    assert.equal(table.mayReturn("192.0.2.1", 0), false, "all of the address are taken");
    assert.equal(table.mayReturn("192.0.2.2", 0), true);
  });
});

describe("ConnectionTable: strangers that have all of their places", () => {
  /** A quarter of the connections. */
  const STRANGERS = 250;

  function comeFrom(table: ConnectionTable, host: string, nowMs: number): PeerConnection | undefined {
    if (!table.mayAccept(host, nowMs)) return undefined;
    const close = (): void => table.remove(peer, nowMs);
    const peer = { host, incoming: true, sinceMs: nowMs, close } as unknown as PeerConnection;
    table.add(peer, true);
    return peer;
  }

  /** So many strangers, each of a network of its own. */
  function fill(table: ConnectionTable, nowMs: number): PeerConnection[] {
    const peers = Array.from({ length: STRANGERS }, (_, index) =>
      required(comeFrom(table, `10.2.0.${index}`, nowMs), "a place"),
    );
    assert.equal(table.strangers.size, STRANGERS);
    return peers;
  }

  it("and come again at once, leave a place to one that comes for the first time", () => {
    const table = makeTable();
    for (const peer of fill(table, 0)) table.remove(peer, 0);
    const [oldest] = fill(table, 100);
    assert.equal(comeFrom(table, "192.0.2.1", 200), undefined, "they have a quarter of a second");
    assert.equal(comeFrom(table, "10.2.0.7", 400), undefined, "whose network is here has to wait");
    assert.ok(comeFrom(table, "192.0.2.2", 400));
    assert.equal(table.strangers.has(required(oldest, "the oldest")), false);
    assert.equal(table.strangers.size, STRANGERS);
  });

  it("and come again and again, leave time for a handshake to one that came for the first time", () => {
    const table = makeTable();
    for (const peer of fill(table, 0)) table.remove(peer, 0);
    const first = required(comeFrom(table, "192.0.2.1", 0), "a place");
    for (let network = 0; network < STRANGERS - 1; network++) comeFrom(table, `10.2.0.${network}`, 100);
    assert.equal(table.strangers.size, STRANGERS);
    for (let nowMs = 1000; nowMs < 5000; nowMs += 500)
      for (let network = 0; network < STRANGERS; network++) comeFrom(table, `10.2.0.${network}`, nowMs);
    assert.ok(table.strangers.has(first), "it has its place still");
    for (let network = 0; network < STRANGERS; network++) comeFrom(table, `10.2.0.${network}`, 5000);
    assert.equal(table.strangers.size, STRANGERS);
  });

  it("and came for the first time, have a second each", () => {
    const table = makeTable();
    fill(table, 0);
    assert.equal(comeFrom(table, "192.0.2.1", 900), undefined);
    assert.ok(comeFrom(table, "192.0.2.2", 1000));
  });
});

describe("ConnectionTable: an IPv6 site, which has 65,536 networks", () => {
  it("lets in so many of a /64, eight times as many of a /48, and those of others", () => {
    const table = makeTable();
    const comeFrom = (site: number, networks: number): PeerConnection[] => {
      const came: PeerConnection[] = [];
      for (let network = 0; network < networks; network++)
        for (let count = 0; count < PER_ADDRESS + 1; count++) {
          const host = hostOf(site, network);
          if (!table.mayAccept(host, 0)) continue;
          const peer = connectionTo(host, true);
          table.add(peer, true);
          table.opened(peer);
          came.push(peer);
        }
      return came;
    };
    assert.equal(comeFrom(1, 1).length, PER_ADDRESS);
    const site = comeFrom(2, 100);
    assert.equal(site.length, SITE_TIMES * PER_ADDRESS);
    assert.equal(comeFrom(3, 1).length, PER_ADDRESS);
    // Places that become free are free for the site again.
    for (const peer of site.slice(0, 5)) table.remove(peer, 0);
    assert.equal(comeFrom(2, 100).length, 5);
    for (const peer of [...table.all]) table.remove(peer, 0);
    assert.equal(comeFrom(2, 100).length, SITE_TIMES * PER_ADDRESS);
  });

  it("connects in vain to so many addresses of a /64 that strangers named, and to eight times as many of a /48", () => {
    const table = makeTable();
    const dial = (site: number, networks: number, nowMs: number): number => {
      let dialled = 0;
      for (let network = 0; network < networks; network++)
        for (let count = 0; count < 20; count++) {
          const host = hostOf(site, network);
          if (!table.mayDial(host, nowMs)) continue;
          const peer = connectionTo(host);
          table.add(peer, true);
          table.remove(peer, nowMs);
          dialled++;
        }
      return dialled;
    };
    assert.equal(dial(1, 1, 0), 8);
    assert.equal(dial(2, 100, 0), SITE_TIMES * 8);
    assert.equal(dial(3, 1, 0), 8);
    assert.equal(dial(2, 100, 60_000), SITE_TIMES * 8, "in each minute");
  });

  it("is asked for streams that say where they lead, as for sockets", async () => {
    const session = new Session({ maxPeersPerAddress: 1 });
    for (let network = 0; network < 50; network++) {
      const silent = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
      session.accept(Object.assign(silent, { remoteAddress: hostOf(1, network), remotePort: 5 }));
    }
    assert.equal(session.connectionCount, SITE_TIMES);
    await session.close();
  });

  it("comes and goes eight times as often as a network, whatever of it does", () => {
    const table = makeTable();
    crowd(table, 0);
    let count = 0;
    for (let network = 0; network < 100; network++) count += arrivals(table, hostOf(1, network), 0);
    assert.equal(count, SITE_TIMES * ARRIVALS);
    assert.equal(arrivals(table, hostOf(2, 0), 0), ARRIVALS);
    crowd(table, ARRIVAL_MS);
    assert.equal(arrivals(table, hostOf(1, 200), ARRIVAL_MS), SITE_TIMES);
  });
});
