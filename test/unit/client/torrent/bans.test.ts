// Who may not come back: the culprit, not its neighbours; however many addresses it has.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SITE_TIMES } from "../../../../src/base/network-address.js";
import { BAN_MS, BANS_PER_NETWORK, Bans } from "../../../../src/client/torrent/bans.js";

describe("Bans", () => {
  it("a peer is banned, others behind the same address are not", () => {
    const bans = new Bans();
    bans.ban("203.0.113.7", "liar", 0);
    assert.equal(bans.isBanned("203.0.113.7", "liar", 1), true);
    assert.equal(bans.isBanned("203.0.113.7", "neighbour", 1), false);
    assert.equal(bans.isBanned("203.0.113.8", "liar", 1), false);
    assert.equal(bans.isNetworkBanned("203.0.113.7", 1), false);
  });

  it("an address that several liars came from is banned, also for ids that nobody saw", () => {
    const bans = new Bans();
    for (let liar = 0; liar < BANS_PER_NETWORK; liar++) {
      assert.equal(bans.isBanned("203.0.113.7", "new", 1), false);
      bans.ban("203.0.113.7", `liar ${liar}`, 0);
    }
    assert.equal(bans.isBanned("203.0.113.7", "new", 1), true);
    assert.equal(bans.isNetworkBanned("203.0.113.7", 1), true);
    assert.equal(bans.isNetworkBanned("::ffff:203.0.113.7", 1), true);
    assert.equal(bans.isNetworkBanned("203.0.113.6", 1), false);
  });

  it("an IPv6 customer does not get away by another address of its /64", () => {
    const bans = new Bans();
    bans.ban("2001:db8:1:2::1", "liar", 0);
    assert.equal(bans.isBanned("2001:db8:1:2:ffff::9", "liar", 1), true);
    for (let liar = 0; liar < BANS_PER_NETWORK; liar++) bans.ban(`2001:db8:1:2::${liar}`, `liar ${liar}`, 0);
    assert.equal(bans.isNetworkBanned("2001:db8:1:2:ffff::9", 1), true);
    assert.equal(bans.isNetworkBanned("2001:db8:1:3::1", 1), false);
  });

  it("an IPv6 site of which eight networks were banned is banned, until one of it is forgiven", () => {
    const bans = new Bans();
    const banAll = (network: number): void => {
      for (let liar = 0; liar < BANS_PER_NETWORK; liar++)
        bans.ban(`2001:db8:1:${network}::1`, `liar ${liar}`, 0);
    };
    // However many were found out one by one, or in one network.
    for (let network = 100; network < 200; network++) bans.ban(`2001:db8:1:${network}::1`, "liar", 0);
    for (let again = 0; again < 20; again++) banAll(1);
    for (let network = 2; network < SITE_TIMES; network++) banAll(network);
    assert.equal(bans.isNetworkBanned("2001:db8:1:ffff::1", 1), false);
    banAll(SITE_TIMES);
    assert.equal(bans.isNetworkBanned("2001:db8:1:ffff::1", 1), true);
    assert.equal(bans.isBanned("2001:db8:1:ffff::1", "new", 1), true);
    assert.equal(bans.isNetworkBanned("2001:db8:2::1", 1), false);
    assert.equal(bans.isNetworkBanned("2001:db8:1:ffff::1", BAN_MS), false);
    banAll(9);
    bans.lift("2001:db8:1:9::5");
    assert.equal(bans.isNetworkBanned("2001:db8:1:9::5", 1), false);
    assert.equal(bans.isNetworkBanned("2001:db8:1:8::5", 1), true, "those of its other networks stay");
  });

  it("loopback as a whole is never banned: all peers of a tunnel come from there", () => {
    const bans = new Bans();
    for (let liar = 0; liar < 10; liar++) bans.ban("127.0.0.1", `liar ${liar}`, 0);
    for (let liar = 0; liar < 10; liar++) assert.equal(bans.isBanned("127.0.0.1", `liar ${liar}`, 1), true);
    assert.equal(bans.isBanned("127.0.0.1", "honest", 1), false);
    assert.equal(bans.isNetworkBanned("127.0.0.1", 1), false);
  });

  it("a ban has an end", () => {
    const bans = new Bans();
    bans.ban("203.0.113.7", "liar", 5000);
    assert.equal(bans.isBanned("203.0.113.7", "liar", 5000 + BAN_MS - 1), true);
    assert.equal(bans.isBanned("203.0.113.7", "liar", 5000 + BAN_MS), false);
    assert.equal(bans.size, 0);
  });

  it("there are no more than it remembers; those that come back again and again are not forgotten", () => {
    const bans = new Bans();
    bans.ban("203.0.113.7", "liar", 0);
    for (let count = 0; count < 20_000; count++) {
      bans.ban(`10.${count >> 16}.${(count >> 8) & 255}.${count & 255}`, "liar", 0);
      if (count % 1000 === 0) assert.equal(bans.isBanned("203.0.113.7", "liar", 1), true);
    }
    assert.equal(bans.size, 4096);
    assert.equal(bans.isBanned("203.0.113.7", "liar", 1), true);
  });
});
