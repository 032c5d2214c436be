// From which address trackers are asked: the one at which peers find us, where that can be.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ListenAddresses } from "../../../../src/client/session/listen-addresses.js";

describe("addresses that a session listens at", () => {
  it("are what trackers of their kind are asked from, each by the last one", () => {
    const addresses = new ListenAddresses();
    assert.deepEqual([addresses.last, addresses.ports], [undefined, { v4: undefined, v6: undefined }]);
    assert.equal(addresses.sourceFor("203.0.113.1"), undefined);
    addresses.bound({ host: "192.168.1.5", port: 6881 });
    addresses.bound({ host: "2001:db8::5", port: 6882 });
    assert.deepEqual(addresses.ports, { v4: 6881, v6: 6882 });
    assert.deepEqual(addresses.last, { host: "2001:db8::5", port: 6882 });
    assert.equal(addresses.sourceFor("203.0.113.1"), "192.168.1.5");
    assert.equal(addresses.sourceFor("2001:db8::1"), "2001:db8::5");
    addresses.bound({ host: "192.168.1.6", port: 6883 });
    assert.equal(addresses.sourceFor("203.0.113.1"), "192.168.1.6");
  });

  it("leave the choice to the system where they are all addresses", () => {
    const addresses = new ListenAddresses();
    addresses.bound({ host: "0.0.0.0", port: 6881 });
    addresses.bound({ host: "::", port: 6881 });
    assert.deepEqual(
      [addresses.sourceFor("203.0.113.1"), addresses.sourceFor("2001:db8::1")],
      [undefined, undefined],
    );
  });

  it("reach as far as they are reached from: this machine asks itself, and nobody else from 127.0.0.1", () => {
    const addresses = new ListenAddresses();
    addresses.bound({ host: "127.0.0.1", port: 6881 });
    assert.equal(addresses.sourceFor("203.0.113.1"), undefined);
    assert.equal(addresses.sourceFor("127.0.0.9"), "127.0.0.1");
    addresses.bound({ host: "192.168.1.5", port: 6881 });
    assert.equal(addresses.sourceFor("127.0.0.9"), undefined);
    addresses.bound({ host: "fe80::5%eth0", port: 6881 });
    assert.equal(addresses.sourceFor("2001:db8::1"), undefined);
    assert.equal(addresses.sourceFor("fe80::1%eth0"), "fe80::5%eth0");
  });

  it("give way to what the program says, which holds for every far end", () => {
    const addresses = new ListenAddresses(["127.0.0.7"]);
    addresses.bound({ host: "192.168.1.5", port: 6881 });
    addresses.bound({ host: "::1", port: 6881 });
    assert.equal(addresses.sourceFor("203.0.113.1"), "127.0.0.7");
    assert.equal(addresses.sourceFor("::1"), "127.0.0.7", "which nobody there is asked from");
    const both = new ListenAddresses(["10.0.0.1", "2001:db8::7"]);
    assert.deepEqual([both.sourceFor("::1"), both.sourceFor("127.0.0.1")], ["2001:db8::7", "10.0.0.1"]);
    const any = new ListenAddresses(["0.0.0.0"]);
    any.bound({ host: "192.168.1.5", port: 6881 });
    assert.deepEqual([any.sourceFor("203.0.113.1"), any.sourceFor("::1")], [undefined, "0.0.0.0"]);
  });
});
