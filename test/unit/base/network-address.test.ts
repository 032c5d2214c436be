// What counts as one network, as this machine, and as an address that others may be sent to.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  addressBytes,
  canonicalHost,
  chargedTo,
  isLoopback,
  mayNameAddress,
  mayNameBytes,
  networkOf,
  SITE_TIMES,
  scopeOf,
  siteOf,
} from "../../../src/base/network-address.js";
import { required } from "../../support/required.js";

describe("network addresses", () => {
  it("an IPv4 address is its own network, also where it is written as IPv6", () => {
    assert.equal(networkOf("203.0.113.7"), "203.0.113.7");
    assert.equal(networkOf("::ffff:203.0.113.7"), "203.0.113.7");
    assert.equal(networkOf("::ffff:cb00:7107"), "203.0.113.7");
    assert.notEqual(networkOf("203.0.113.7"), networkOf("203.0.113.8"));
  });

  it("four numbers up to 255 are an IPv4 address, and nothing else is", () => {
    assert.deepEqual(addressBytes("0.10.099.255"), Uint8Array.of(0, 10, 99, 255));
    assert.equal(networkOf("010.1.2.3"), "10.1.2.3");
    for (const host of [
      "",
      "1.2.3",
      "1.2.3.",
      ".1.2.3",
      "1..2.3",
      "1.2.3.4.",
      "1.2.3.4.5",
      "1.2.3.256",
      "1.2.3.0004",
      "1.2.3.4 ",
      "1.2.3.-4",
      "1.2.3.٤",
      "0x1.2.3.4",
    ])
      assert.equal(addressBytes(host), undefined, host);
  });

  it("all of an IPv6 /64 is one network, however it is written", () => {
    const network = networkOf("2001:db8:1:2::1");
    for (const host of [
      "2001:db8:1:2:ffff:ffff:ffff:ffff",
      "2001:0DB8:0001:0002::",
      "2001:db8:1:2::192.0.2.1",
    ])
      assert.equal(networkOf(host), network, host);
    for (const host of ["2001:db8:1:3::1", "2001:db8:1::2:0:0:1", "::1"])
      assert.notEqual(networkOf(host), network, host);
    assert.equal(networkOf("fe80::1%eth0"), networkOf("fe80::2%eth1"));
  });

  it("all of an IPv6 /48 is one site, however it is written, and nothing else has one", () => {
    const site = siteOf("2001:db8:1:2::1");
    assert.equal(site, "2001:db8:1::/48");
    for (const host of ["2001:0DB8:0001:ffff::", "2001:db8:1::", "2001:db8:1:0:5::"])
      assert.equal(siteOf(host), site, host);
    assert.notEqual(siteOf("2001:db8:2::1"), site);
    for (const host of ["203.0.113.7", "::ffff:203.0.113.7", "stream-1", ""])
      assert.equal(siteOf(host), undefined, host);
    assert.deepEqual(chargedTo("203.0.113.7"), [{ name: "203.0.113.7", times: 1 }]);
    assert.deepEqual(chargedTo("2001:db8:1:2::1"), [
      { name: "2001:db8:1:2::/64", times: 1 },
      { name: "2001:db8:1::/48", times: SITE_TIMES },
    ]);
  });

  it("an address has one text, however it is written", () => {
    for (const host of ["2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8::0.0.0.1"])
      assert.equal(canonicalHost(host), "2001:db8:0:0:0:0:0:1");
    for (const host of ["::ffff:192.0.2.1", "0:0:0:0:0:ffff:c000:201", "192.0.2.1"])
      assert.equal(canonicalHost(host), "192.0.2.1");
    assert.equal(canonicalHost("fe80::1%eth0"), "fe80:0:0:0:0:0:0:1%eth0");
    for (const host of ["stream-1", "x::y", ""]) assert.equal(canonicalHost(host), host);
  });

  it("this machine is 127/8 and ::1", () => {
    for (const host of ["127.0.0.1", "127.255.3.9", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"])
      assert.equal(isLoopback(host), true, host);
    for (const host of ["128.0.0.1", "::2", "1::1", "10.0.0.1", "localhost", ""])
      assert.equal(isLoopback(host), false, host);
  });

  it("what is no address has no bytes, and is only like itself", () => {
    for (const host of [
      "",
      "x",
      "1.2.3",
      "1.2.3.256",
      "1::2::3",
      "1:2:3:4:5:6:7:8:9",
      "::12345",
      ":1:2",
      "1.2.3.4:80",
    ]) {
      assert.equal(addressBytes(host), undefined, host);
      assert.equal(networkOf(host), host);
    }
    assert.deepEqual([...required(addressBytes("1.2.3.4"), "address bytes")], [1, 2, 3, 4]);
    assert.equal(required(addressBytes("1:2:3:4:5:6:7:8"), "address bytes").length, 16);
  });

  it("an address is reached by this machine, by its network, by everybody, or is none of one machine", () => {
    const scopes = {
      machine: ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"],
      site: [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.9.9",
        "192.168.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "fe80::1",
        "fd12::1",
        "fec0::1",
        "64:ff9b::192.168.0.1",
        "64:ff9b:1::1",
        "2002:a00:1::1",
      ],
      global: [
        "1.1.1.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.169.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "2001:db8::1",
        "64:ff9b::1.1.1.1",
        "64:ff9c::1",
        "2002:101:101::1",
      ],
    };
    for (const [scope, hosts] of Object.entries(scopes))
      for (const host of hosts) assert.equal(scopeOf(host), scope, host);
    for (const host of [
      "0.0.0.0",
      "0.1.2.3",
      "224.0.0.1",
      "255.255.255.255",
      "::",
      "::2",
      "::127.0.0.1",
      "::ffff:0.0.0.0",
      "64:ff9b::224.0.0.1",
      "2002::1",
      "ff02::1",
      "example",
      "",
    ])
      assert.equal(scopeOf(host), undefined, host);
  });

  it("nobody is sent to what is nearer to us than whoever names it", () => {
    const [machine, site, everybody] = ["127.0.0.1", "192.168.0.1", "198.51.100.1"] as const;
    for (const to of [machine, site, everybody]) assert.equal(mayNameAddress(machine, to), true);
    assert.deepEqual(
      [machine, site, everybody].map((to) => mayNameAddress(site, to)),
      [false, true, true],
    );
    assert.deepEqual(
      [machine, site, everybody].map((to) => mayNameAddress(everybody, to)),
      [false, false, true],
    );
    assert.equal(mayNameAddress(machine, "0.0.0.0"), false);
    // As they stand in packets, behind something else.
    const hosts = [machine, site, everybody, "0.0.0.0", "::1", "fd12::1", "2001:db8::1", "::"];
    const packets = hosts.map((host) => Uint8Array.from([9, ...required(addressBytes(host), host)]));
    for (const [at, from] of packets.entries())
      for (const [index, to] of packets.entries()) {
        if (from.length !== to.length) continue;
        const length = from.length === 5 ? 4 : 16;
        const [by, named] = [required(hosts[at], "a host"), required(hosts[index], "a host")];
        assert.equal(mayNameBytes(from, 1, to, 1, length), mayNameAddress(by, named), `${by} ${named}`);
      }
    // Whose stream tells no address is anywhere.
    assert.deepEqual(
      [machine, site, everybody].map((to) => mayNameAddress("stream-1", to)),
      [false, false, true],
    );
  });
});
