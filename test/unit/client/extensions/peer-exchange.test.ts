// Peer exchange in virtual time: who is told of whom, when, and what is taken of what others tell.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import { type ExchangePeer, PeerExchange } from "../../../../src/client/extensions/peer-exchange.js";
import {
  decodePeerExchange,
  ExchangeFlag,
  encodePeerExchange,
} from "../../../../src/client/wire/peer-exchange-message.js";
import { entryOf, required } from "../../../support/required.js";

class FakePeer implements ExchangePeer {
  static made = 0;
  readonly id = ++FakePeer.made;
  readonly host: string;
  listenPort = 6881;
  readonly bytesWaiting = 0;
  readonly uploadLimit = 0;
  incoming = false;
  isSeed = false;
  readonly sent: Uint8Array[] = [];

  constructor(host = `10.0.${FakePeer.made >> 8}.${FakePeer.made & 255}`) {
    this.host = host;
  }

  tellWhenDrained(): void {}

  sendExtended(name: string, payload: Uint8Array): boolean {
    assert.equal(name, "ut_pex");
    this.sent.push(payload);
    return true;
  }

  /** Hosts that were added and dropped in the only message since the last call; undefined without one. */
  told(): { added: string[]; dropped: string[] } | undefined {
    const [message, ...more] = this.sent.splice(0);
    assert.equal(more.length, 0);
    if (message === undefined) return undefined;
    const fields = bencode.decode(message) as Record<string, Uint8Array>;
    const dropped = encodeDropped(fields);
    return { added: decodePeerExchange(message, 1000).map(({ host }) => host), dropped };
  }
}

function encodeDropped(fields: Record<string, Uint8Array>): string[] {
  const as = bencode.encode({ added: fields["dropped"], added6: fields["dropped6"] ?? new Uint8Array(0) });
  return decodePeerExchange(as, 1000).map(({ host }) => host);
}

class World {
  nowMs = 5000;
  readonly brought: string[] = [];
  readonly exchange: PeerExchange<FakePeer>;

  constructor(tells = true) {
    this.exchange = new PeerExchange<FakePeer>(this, tells);
  }

  bring(addresses: readonly { host: string; port: number }[]): void {
    for (const { host, port } of addresses) this.brought.push(`${host} ${port}`);
  }

  join(peer = new FakePeer(), speaks = true): FakePeer {
    this.exchange.peerReachable(peer);
    if (speaks) this.exchange.handshakeReceived(peer);
    return peer;
  }

  pass(seconds: number): void {
    for (let second = 0; second < seconds; second++) {
      this.nowMs += 1000;
      this.exchange.tick();
    }
  }

  hear(peer: FakePeer, bytes: Uint8Array): void {
    this.exchange.messageReceived(peer, Buffer.concat([Buffer.from("..."), bytes]), 3, bytes.length);
  }
}

const message = (...hosts: string[]): Uint8Array =>
  encodePeerExchange(
    hosts.map((host) => ({ host, port: 7000, flags: 0 })),
    [],
  );

describe("PeerExchange: telling", () => {
  it("tells who is here, then who came and who left, not more often than some clients bear", () => {
    const world = new World();
    const [a, b] = [world.join(), world.join()];
    const silent = world.join(new FakePeer(), false);
    world.pass(1);
    assert.deepEqual(a.told(), { added: [silent.host, b.host], dropped: [] });
    assert.deepEqual(b.told(), { added: [silent.host, a.host], dropped: [] });
    const c = world.join(new FakePeer("2001:db8:0:0:0:0:0:7"));
    world.exchange.peerClosed(silent);
    world.pass(60);
    assert.equal(a.told(), undefined);
    world.pass(10);
    assert.deepEqual(a.told(), { added: [c.host], dropped: [silent.host] });
    world.pass(200);
    assert.equal(a.told(), undefined, "nothing is new");
    assert.equal(silent.told(), undefined);
    world.exchange.peerClosed(c);
    world.pass(1);
    assert.deepEqual(a.told(), { added: [], dropped: [c.host] });
  });

  it("tells nobody far away of this machine and its network, not even when those leave", () => {
    const world = new World();
    const far = world.join(new FakePeer("198.51.100.7"));
    const [near, here, other] = ["192.168.1.2", "127.0.0.1", "203.0.113.9"].map((host) =>
      world.join(new FakePeer(host)),
    );
    world.pass(1);
    assert.deepEqual(far.told()?.added, [other?.host]);
    assert.deepEqual(near?.told()?.added, [other?.host, far.host]);
    assert.deepEqual(here?.told()?.added, [other?.host, near?.host, far.host]);
    for (const peer of [near, here, other]) if (peer !== undefined) world.exchange.peerClosed(peer);
    world.pass(70);
    assert.deepEqual(far.told()?.dropped, [other?.host]);
  });

  it("says of whom one knows that it can be reached, and who has everything", () => {
    const world = new World();
    const a = world.join();
    const [seed, caller] = [new FakePeer(), new FakePeer()];
    seed.isSeed = true;
    caller.incoming = true;
    world.join(seed);
    world.join(caller);
    world.pass(1);
    const flags = decodePeerExchange(entryOf(a.sent, 0), 10).map((each) => each.flags);
    assert.deepEqual(flags, [0, ExchangeFlag.uploadOnly | ExchangeFlag.reachable]);
  });

  it("leaves out who does not say where it listens, until it does", () => {
    const world = new World();
    const a = world.join();
    const hidden = new FakePeer();
    hidden.listenPort = 0;
    world.join(hidden);
    world.pass(1);
    assert.equal(a.told(), undefined);
    hidden.listenPort = 51413;
    world.exchange.peerReachable(hidden);
    world.exchange.peerReachable(hidden);
    world.pass(70);
    assert.deepEqual(a.told(), { added: [hidden.host], dropped: [] });
  });

  it("is bounded, whatever comes and goes", () => {
    const world = new World();
    const a = world.join();
    for (let round = 0; round < 50; round++) {
      const peers = Array.from({ length: 200 }, () => world.join(undefined, false));
      world.pass(70);
      const { added, dropped } = required(a.told(), "what it told");
      assert.ok(added.length === 50 && dropped.length <= 50);
      assert.equal(new Set(added).size, 50);
      for (const peer of peers) world.exchange.peerClosed(peer);
    }
  });

  it("tells nobody of anybody in a private torrent, nor before it is known that it is none", () => {
    const world = new World(false);
    const [a, b] = [world.join(), world.join()];
    world.pass(100);
    assert.equal(a.told(), undefined);
    world.hear(a, message("192.0.2.1"));
    assert.deepEqual(world.brought, ["192.0.2.1 7000"], "a magnet needs peers");
    world.exchange.decide(true);
    assert.equal(world.exchange.isOff, true);
    world.hear(a, message("192.0.2.2"));
    world.exchange.handshakeReceived(b);
    world.pass(100);
    assert.deepEqual([a.told(), b.told(), world.brought.length], [undefined, undefined, 1]);
    const open = new World(false);
    const [c, d] = [open.join(), open.join()];
    open.exchange.decide(false);
    open.pass(1);
    assert.deepEqual(c.told(), { added: [d.host], dropped: [] });
  });
});

describe("PeerExchange: hearing", () => {
  it("takes addresses of both families, a hundred of a message", () => {
    const world = new World();
    const a = world.join();
    world.hear(a, message("192.0.2.1", "2001:db8:0:0:0:0:0:1"));
    assert.deepEqual(world.brought, ["192.0.2.1 7000", "2001:db8:0:0:0:0:0:1 7000"]);
    const many = Array.from({ length: 500 }, (_, index) => `192.0.${index >> 8}.${index & 255}`);
    world.hear(a, message(...many));
    assert.equal(world.brought.length, 102);
  });

  it("looks at a few messages at once, and then at one in half a minute", () => {
    const world = new World();
    const a = world.join();
    for (let index = 0; index < 10; index++) world.hear(a, message(`192.0.2.${index}`));
    assert.equal(world.brought.length, 3);
    world.pass(31);
    for (let index = 0; index < 10; index++) world.hear(a, message(`192.0.3.${index}`));
    assert.equal(world.brought.length, 4);
  });

  it("lets nobody far away name addresses of this machine or its network, nor what is no address", () => {
    const world = new World();
    const far = world.join(new FakePeer("203.0.113.9"));
    world.hear(
      far,
      message("127.0.0.1", "10.0.0.1", "192.168.1.1", "0.0.0.0", "224.0.0.1", "192.0.2.5", "::1"),
    );
    world.hear(far, encodePeerExchange([{ host: "192.0.2.6", port: 0, flags: 0 }], []));
    assert.deepEqual(world.brought, ["192.0.2.5 7000"]);
    const near = world.join(new FakePeer("127.0.0.1"));
    world.hear(near, message("127.0.0.1"));
    assert.deepEqual(world.brought.slice(1), ["127.0.0.1 7000"]);
  });

  it("ends the connection for what is no dictionary, and bears any other", () => {
    const world = new World();
    for (const text of ["", "le", "i1e", "d5:added"])
      assert.throws(() => world.hear(world.join(), Buffer.from(text)), { code: "PEER_MESSAGE_MALFORMED" });
    for (const text of [
      "de",
      "d5:addedi1ee",
      "d5:added5:abcdee",
      "d7:added.f1:x5:added6:abcdefe",
      "d6:added6lee",
    ])
      world.hear(world.join(), Buffer.from(text));
    assert.deepEqual(world.brought, ["97.98.99.100 25958"]);
  });
});
