import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addressBytes, isLoopback, networkOf } from "../../../src/base/network-address.js";

describe("network addresses", () => {
  it("an IPv4 address is its own network, also where it is written as IPv6", () => {
    assert.equal(networkOf("203.0.113.7"), "203.0.113.7");
    assert.equal(networkOf("::ffff:203.0.113.7"), "203.0.113.7");
    assert.equal(networkOf("::ffff:cb00:7107"), "203.0.113.7");
    assert.notEqual(networkOf("203.0.113.7"), networkOf("203.0.113.8"));
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
    assert.deepEqual([...addressBytes("1.2.3.4")!], [1, 2, 3, 4]);
    assert.equal(addressBytes("1:2:3:4:5:6:7:8")!.length, 16);
  });
});
