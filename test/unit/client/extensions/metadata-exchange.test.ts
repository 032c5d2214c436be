// The info dictionary from peers, and to them, in virtual time: peers are objects that answer, refuse, lie or say nothing.
//
// One file, because fetching and serving are the two ends of one exchange, over the same peers.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import fc from "fast-check";
import type { PeerError } from "../../../../src/base/errors.js";
import type { Timer } from "../../../../src/base/ground.js";
import type { ExtensionPeer } from "../../../../src/client/extensions/extension.js";
import {
  METADATA_BYTES_MAX,
  MetadataExchange,
  type MetadataHost,
} from "../../../../src/client/extensions/metadata-exchange.js";
import {
  decodeMetadataMessage,
  encodeMetadataMessage,
  METADATA_PIECE_BYTES,
  MetadataMessageType,
} from "../../../../src/client/wire/metadata-message.js";
import { bytesOf } from "../../../support/data.js";
import { check } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";
import { VirtualGround } from "../../../support/virtual-ground.js";

const { request, data, reject } = MetadataMessageType;

class FakePeer implements ExtensionPeer {
  static made = 0;
  readonly id = ++FakePeer.made;
  readonly host: string;
  readonly incoming: boolean;
  readonly listenPort = 6881;
  bytesWaiting = 0;
  uploadLimit = 0;
  drainsAsked = 0;
  isGone = false;
  readonly sent: Uint8Array[] = [];

  constructor(host?: string, incoming = false) {
    this.incoming = incoming;
    this.host = host ?? `10.0.${this.id >> 8}.${this.id & 255}`;
  }

  tellWhenDrained(): void {
    this.drainsAsked++;
  }

  sendExtended(_name: string, payload: Uint8Array): boolean {
    if (!this.isGone) this.sent.push(payload);
    return !this.isGone;
  }

  /** Messages since the last call: type and piece. */
  taken(): [number, number][] {
    return this.sent.splice(0).map((bytes) => {
      const message = required(decodeMetadataMessage(bytes), "the message");
      return [message.type, message.piece];
    });
  }
}

class Host implements MetadataHost<FakePeer> {
  readonly ground = new VirtualGround();
  info: Uint8Array | undefined;
  readonly right: Uint8Array;
  readonly liars: FakePeer[] = [];
  wrong = 0;
  pieces = 0;
  readonly exchange = new MetadataExchange<FakePeer>(this);

  constructor(length: number) {
    this.right = bytesOf(4, length);
  }

  get nowMs(): number {
    return 1000 + this.ground.nowMs();
  }

  after(ms: number, callback: () => void): Timer {
    return this.ground.after(ms, callback);
  }

  metadataArrived(info: Uint8Array): boolean {
    const isRight = Buffer.compare(info, this.right) === 0;
    if (isRight) this.info = info;
    else this.wrong++;
    return isRight;
  }

  lied(peer: FakePeer, error: PeerError): void {
    assert.equal(error.code, "PEER_BAD_METADATA");
    this.liars.push(peer);
    this.leave(peer);
  }

  progressed(): void {
    this.pieces++;
  }

  join(length = this.right.length, incoming = false): FakePeer {
    const peer = new FakePeer(undefined, incoming);
    this.handshake(peer, length);
    return peer;
  }

  handshake(peer: FakePeer, length: number): void {
    this.exchange.handshakeReceived(peer, { m: new Map(), metadataSize: length });
  }

  leave(peer: FakePeer): void {
    peer.isGone = true;
    this.exchange.peerClosed(peer);
  }

  say(peer: FakePeer, payload: Uint8Array): void {
    const around = Buffer.concat([Buffer.from("??"), payload, Buffer.from("??")]);
    this.exchange.messageReceived(peer, around, 2, payload.length);
  }

  /** The peer answers one request, with bytes of its own where it lies. */
  answer(peer: FakePeer, piece: number, bytes = this.right): void {
    const at = piece * METADATA_PIECE_BYTES;
    this.say(
      peer,
      encodeMetadataMessage(data, piece, bytes.length, bytes.subarray(at, at + METADATA_PIECE_BYTES)),
    );
  }

  /** The peer answers all that it is asked, until it is asked no more. */
  serve(peer: FakePeer, bytes = this.right): void {
    for (let asked = peer.taken(); asked.length > 0; asked = peer.taken())
      for (const [, piece] of asked) if (!peer.isGone) this.answer(peer, piece, bytes);
  }

  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 1000) {
      this.ground.pass(Math.min(1000, left));
      this.exchange.tick();
    }
  }
}

const LENGTH = 5 * METADATA_PIECE_BYTES + 100;
const lieOf = (length: number): Uint8Array => bytesOf(77, length);

describe("MetadataExchange: fetching", () => {
  it("asks several peers at once, for different pieces, and says how far it is", () => {
    const host = new Host(LENGTH);
    const peers = [host.join(), host.join(), host.join()];
    const asked = peers.map((peer) => peer.taken());
    assert.deepEqual(asked, [
      [
        [request, 0],
        [request, 1],
      ],
      [
        [request, 2],
        [request, 3],
      ],
      [
        [request, 4],
        [request, 5],
      ],
    ]);
    asked.forEach((each, index) => {
      for (const [, piece] of each) host.answer(entryOf(peers, index), piece);
      if (index === 1) assert.deepEqual(host.exchange.progress, { pieces: 4, pieceCount: 6, peers: 3 });
    });
    assert.deepEqual(host.info, host.right);
    assert.equal(host.pieces, 5, "each but the last is told");
    assert.deepEqual(host.exchange.progress, { pieces: 0, pieceCount: 0, peers: 0 });
  });

  it("asks others for what a silent peer was asked, and it again after a pause", () => {
    const host = new Host(LENGTH);
    const silent = host.join();
    assert.equal(silent.taken().length, 2);
    const good = host.join();
    for (let rounds = 0; rounds < 20 && host.info === undefined; rounds++) {
      host.serve(good);
      host.pass(1000);
    }
    assert.deepEqual(host.info, host.right);

    const other = new Host(LENGTH);
    const slow = other.join();
    slow.taken();
    other.pass(12_000);
    assert.deepEqual(slow.taken(), [], "it pauses");
    other.pass(30_000);
    assert.equal(slow.taken().length, 2);
  });

  it("goes on with others when one refuses or leaves", () => {
    const host = new Host(LENGTH);
    const [refuser, leaver] = [host.join(), host.join()];
    for (const [, piece] of refuser.taken()) host.say(refuser, encodeMetadataMessage(reject, piece));
    host.leave(leaver);
    const good = host.join();
    host.serve(good);
    assert.deepEqual(host.info, host.right);
  });

  it("finds who lies about the contents alone, and is right all the same", () => {
    const host = new Host(LENGTH);
    const liar = host.join();
    host.serve(liar, lieOf(LENGTH));
    assert.deepEqual(host.liars, [liar]);
    host.serve(host.join());
    assert.deepEqual(host.info, host.right);
  });

  it("does not accuse anybody of a mixture: one after the other brings the whole", () => {
    const host = new Host(LENGTH);
    const [honest, liar] = [host.join(), host.join()];
    const [ofHonest, ofLiar] = [honest.taken(), liar.taken()];
    for (const [, piece] of ofLiar) host.answer(liar, piece, lieOf(LENGTH));
    for (const [, piece] of ofHonest) host.answer(honest, piece);
    host.serve(honest);
    host.serve(liar, lieOf(LENGTH));
    for (let rounds = 0; rounds < 100 && host.info === undefined; rounds++) {
      host.serve(honest);
      host.serve(liar, lieOf(LENGTH));
      host.pass(1000);
    }
    assert.deepEqual(host.info, host.right);
    assert.ok(!host.liars.includes(honest));
    assert.ok(host.wrong >= 1);
  });

  it("does not wait for one who brings the whole alone and dawdles", () => {
    const host = new Host(LENGTH);
    const [honest, liar] = [host.join(), host.join()];
    for (const [, piece] of liar.taken()) host.answer(liar, piece, lieOf(LENGTH));
    for (let rounds = 0; host.wrong === 0; rounds++) {
      assert.ok(rounds < 100);
      host.serve(honest);
      for (const [, piece] of liar.taken()) host.answer(liar, piece, lieOf(LENGTH));
      host.pass(1000);
    }
    for (let rounds = 0; rounds < 300 && host.info === undefined; rounds++) {
      // One piece each nine seconds keeps every deadline.
      if (rounds % 9 === 0) {
        const [first] = liar.taken();
        if (first !== undefined) host.answer(liar, first[1], lieOf(LENGTH));
      }
      host.serve(honest);
      host.pass(1000);
    }
    assert.deepEqual(host.info, host.right);
    assert.ok(!host.liars.includes(honest));
  });

  it("comes to an end soon where most say nothing, refuse or lie, and only the last is honest", () => {
    const host = new Host(LENGTH);
    const kinds = ["silent", "refuses", "lies", "drips"] as const;
    const peers = Array.from({ length: 40 }, (_, index) => ({
      kind: entryOf(kinds, index % 4),
      peer: host.join(),
    }));
    const honest = host.join();
    let seconds = 0;
    for (; seconds < 100 && host.info === undefined; seconds++) {
      for (const { kind, peer } of peers) {
        if (kind === "silent" || peer.isGone || (kind === "drips" && seconds % 5 > 0)) continue;
        for (const [, piece] of kind === "drips" ? peer.taken().slice(0, 1) : peer.taken()) {
          if (kind === "refuses") host.say(peer, encodeMetadataMessage(reject, piece));
          else if (!peer.isGone) host.answer(peer, piece, lieOf(LENGTH));
        }
      }
      host.serve(honest);
      host.pass(1000);
    }
    assert.deepEqual(host.info, host.right);
    assert.ok(!host.liars.includes(honest));
  });

  it("asks whom it sought at once, however many came by themselves to refuse, to lie or to say nothing", () => {
    for (const length of [100, LENGTH])
      for (const kind of ["silent", "refuses", "lies"]) {
        const host = new Host(length);
        const strangers = Array.from({ length: 48 }, () => host.join(length, true));
        if (kind !== "silent")
          for (const peer of strangers.slice(0, 40))
            for (const [, piece] of peer.taken())
              if (kind === "refuses") host.say(peer, encodeMetadataMessage(reject, piece));
              else if (!peer.isGone) host.answer(peer, piece, lieOf(length));
        host.serve(host.join());
        assert.deepEqual(host.info, host.right, `${kind}, ${length} bytes`);
      }
  });

  it("asks the more at one time the longer it takes, so that the last of fifty has its turn within two seconds", () => {
    for (const kind of ["silent", "lies in one"]) {
      const host = new Host(LENGTH);
      const others = Array.from({ length: 49 }, () => host.join());
      const honest = host.join();
      for (let steps = 0; steps < 8; steps++) {
        host.ground.pass(250);
        host.serve(honest);
        if (kind === "silent") continue;
        for (const peer of others)
          for (const [, piece] of peer.taken())
            if (!peer.isGone && piece !== 2)
              host.answer(peer, piece, piece === 1 ? lieOf(LENGTH) : host.right);
      }
      assert.deepEqual(host.info, host.right, kind);
      assert.ok(!host.liars.includes(honest));
    }
  });

  it("asks few of those that answer for what others bring, and leaves no timer", () => {
    const host = new Host(100);
    const peers = Array.from({ length: 20 }, (_, index) => host.join(100, index >= 10));
    host.ground.pass(100);
    const asked = peers.filter((peer) => peer.taken().length > 0);
    assert.equal(asked.length, 2, "one that was sought, and one that came by itself");
    host.answer(entryOf(asked, 0), 0);
    assert.deepEqual(host.info, host.right);
    assert.equal(host.ground.timers, 0);
    const other = new Host(100);
    const left = other.join();
    assert.equal(other.ground.timers, 1);
    other.leave(left);
    assert.equal(other.ground.timers, 0);
  });

  it("is not kept from the right length by peers that name others", () => {
    const host = new Host(LENGTH);
    const liars = [1, METADATA_BYTES_MAX, 100_000, LENGTH + 1].map((length) => host.join(length));
    host.serve(entryOf(liars, 2), lieOf(100_000));
    assert.deepEqual(host.join(METADATA_BYTES_MAX + 1).taken(), [], "that is not asked for");
    host.serve(host.join());
    assert.deepEqual(host.info, host.right);
  });

  it("ends a connection that answers with another length than it named, or nonsense", () => {
    const host = new Host(LENGTH);
    const peer = host.join();
    const wrong = encodeMetadataMessage(data, 0, LENGTH + 1, host.right.subarray(0, METADATA_PIECE_BYTES));
    for (const bytes of [
      wrong,
      Buffer.from("nonsense"),
      Buffer.from("d5:piecei0ee"),
      Buffer.from("d8:msg_typei0ee"),
    ])
      assert.throws(() => host.say(peer, bytes), { code: "PEER_MESSAGE_MALFORMED" });
    host.say(peer, Buffer.from("d8:msg_typei9e5:piecei0ee"));
  });

  it("takes nothing that it did not ask for, nor pieces of a wrong length", () => {
    const host = new Host(LENGTH);
    const peer = host.join();
    peer.taken();
    host.answer(peer, 3);
    host.say(peer, encodeMetadataMessage(data, 0, undefined, Buffer.alloc(10)));
    host.say(peer, encodeMetadataMessage(reject, 5));
    assert.equal(host.exchange.progress.pieces, 0);
    host.answer(peer, 0);
    host.answer(peer, 0);
    assert.equal(host.exchange.progress.pieces, 1);
  });

  it("leaves it to whoever was first: what comes later accuses nobody", () => {
    const host = new Host(LENGTH);
    const peer = host.join();
    host.info = host.right;
    host.serve(peer, lieOf(LENGTH));
    assert.deepEqual([host.liars, host.wrong], [[], 0]);
    assert.deepEqual(host.join().taken(), []);
  });

  it("holds what came, and not what was promised", () => {
    const host = new Host(LENGTH);
    const before = process.memoryUsage().arrayBuffers;
    for (let index = 0; index < 64; index++) host.join(METADATA_BYTES_MAX - index);
    assert.ok(process.memoryUsage().arrayBuffers - before < METADATA_BYTES_MAX / 4);
  });

  it("comes to an end with an honest peer among any others, who are never accused", () => {
    const behaviour = fc.constantFrom("honest", "silent", "refuses", "lies", "lies in one", "other length");
    check(
      fc.property(
        fc.array(behaviour, { maxLength: 8 }),
        fc.integer({ min: 1, max: LENGTH }),
        (others, length) => {
          const host = new Host(length);
          const peers = [...others, "honest"].map((kind) => ({
            kind,
            peer: host.join(kind === "other length" ? length + 1 : length),
          }));
          for (let second = 0; second < 600 && host.info === undefined; second++) {
            for (const { kind, peer } of peers) {
              for (const [, piece] of peer.taken()) {
                if (peer.isGone || kind === "silent") continue;
                if (kind === "refuses") host.say(peer, encodeMetadataMessage(reject, piece));
                else if (kind === "honest" || (kind === "lies in one" && piece > 0)) host.answer(peer, piece);
                else host.answer(peer, piece, lieOf(kind === "other length" ? length + 1 : length));
              }
            }
            host.pass(1000);
          }
          assert.deepEqual(host.info, host.right);
          for (const { kind, peer } of peers) if (kind === "honest") assert.ok(!host.liars.includes(peer));
        },
      ),
      200,
    );
  });
});

describe("MetadataExchange: serving", () => {
  const asked = (piece: number): Uint8Array => encodeMetadataMessage(request, piece);

  it("answers with the piece and the whole length, and refuses what there is not", () => {
    const host = new Host(LENGTH);
    const peer = new FakePeer();
    host.say(peer, asked(0));
    assert.deepEqual(peer.taken(), [[reject, 0]], "it is not known yet");
    host.info = host.right;
    host.say(peer, asked(5));
    const answer = entryOf(peer.sent, 0);
    const { dataAt, totalSize } = required(decodeMetadataMessage(answer), "the message");
    assert.equal(totalSize, LENGTH);
    assert.deepEqual(
      Buffer.from(answer.subarray(dataAt)),
      Buffer.from(host.right.subarray(5 * METADATA_PIECE_BYTES)),
    );
    peer.taken();
    for (const piece of [6, 2 ** 31 - 1]) host.say(peer, asked(piece));
    assert.deepEqual(peer.taken(), [
      [reject, 6],
      [reject, 2 ** 31 - 1],
    ]);
    assert.throws(() => host.say(peer, bencode.encode({ msg_type: 0, piece: -1 })), {
      code: "PEER_MESSAGE_MALFORMED",
    });
  });

  it("has a price: three times the whole in a minute, and nothing to whoever does not read", () => {
    const host = new Host(LENGTH);
    host.info = host.right;
    const peer = new FakePeer();
    for (let round = 0; round < 100; round++) host.say(peer, asked(round % 6));
    const answers = peer.taken();
    assert.equal(answers.filter(([type]) => type === data).length, 18);
    assert.equal(answers.filter(([type]) => type === reject).length, 82);
    host.ground.pass(60_000);
    peer.bytesWaiting = 100_000;
    for (let piece = 0; piece < 6; piece++) host.say(peer, asked(piece));
    assert.deepEqual(peer.taken(), []);
    assert.ok(peer.drainsAsked > 0);
    peer.bytesWaiting = 0;
    host.exchange.drained(peer);
    assert.deepEqual(
      peer.taken(),
      [0, 1, 2, 3, 4, 5].map((piece) => [data, piece]),
    );
  });

  it("costs whoever connects again and again as much as if it had stayed, unless that is this machine", () => {
    const host = new Host(LENGTH);
    host.info = host.right;
    const bring = (address: string): number => {
      let pieces = 0;
      for (let connection = 0; connection < 20; connection++) {
        const peer = new FakePeer(address);
        for (let round = 0; round < 20; round++) host.say(peer, asked(round % 6));
        pieces += peer.taken().filter(([type]) => type === data).length;
        host.leave(peer);
      }
      return pieces;
    };
    assert.equal(bring("192.0.2.1"), 36, "twice what one connection may have");
    assert.equal(bring("192.0.2.2"), 36, "whatever others had");
    assert.equal(bring("127.0.0.1"), 20 * 18);
    host.ground.pass(60_000);
    assert.equal(bring("192.0.2.1"), 36);
  });

  it("has a price for a whole IPv6 site, eight times that of a network, however many networks it asks from", () => {
    const host = new Host(LENGTH);
    host.info = host.right;
    const bring = (site: string): number => {
      let pieces = 0;
      for (let network = 0; network < 100; network++) {
        const peer = new FakePeer(`${site}:${network.toString(16)}::1`);
        for (let round = 0; round < 20; round++) host.say(peer, asked(round % 6));
        pieces += peer.taken().filter(([type]) => type === data).length;
        host.leave(peer);
      }
      return pieces;
    };
    assert.equal(bring("2001:db8:1"), 8 * 36);
    assert.equal(bring("2001:db8:2"), 8 * 36, "whatever another site had");
  });

  it("is not refused for ever: a flood of requests is answered so often in a minute", () => {
    const host = new Host(LENGTH);
    const peer = new FakePeer();
    for (let minute = 0; minute < 3; minute++) {
      for (let round = 0; round < 5000; round++) host.say(peer, asked(0));
      assert.equal(peer.taken().length, 256);
      host.ground.pass(60_000);
    }
  });

  it("is refused as often in all connections of a network together, unless that is this machine, and eight times as often in a site", () => {
    const host = new Host(LENGTH);
    host.info = host.right;
    const refusals = (addresses: readonly string[]): number => {
      let refused = 0;
      for (const address of addresses) {
        const peer = new FakePeer(address);
        for (let round = 0; round < 300; round++) host.say(peer, asked(99));
        refused += peer.taken().filter(([type]) => type === reject).length;
        host.leave(peer);
      }
      return refused;
    };
    const again = (address: string): string[] => Array.from({ length: 5 }, () => address);
    const site = Array.from({ length: 20 }, (_, network) => `2001:db8:1:${network.toString(16)}::1`);
    assert.equal(refusals(again("192.0.2.1")), 256);
    assert.equal(refusals(again("192.0.2.2")), 256, "whatever others asked for");
    assert.equal(refusals(site), 8 * 256);
    assert.equal(refusals(again("127.0.0.1")), 5 * 256);
    host.ground.pass(60_000);
    assert.equal(refusals(again("192.0.2.1")), 256);
  });

  it("takes a part of what a limit lets us send, and no more, whoever asks; each in turn", () => {
    const host = new Host(100 * METADATA_PIECE_BYTES);
    host.info = host.right;
    const peers = Array.from({ length: 10 }, () => new FakePeer());
    for (const peer of peers) peer.uploadLimit = 40 * 1024;
    const sent = (): number[] => peers.map((peer) => peer.taken().filter(([type]) => type === data).length);
    for (const peer of peers) for (let piece = 0; piece < 100; piece++) host.say(peer, asked(piece));
    const count = (pieces: readonly number[]): number => pieces.reduce((sum, each) => sum + each, 0);
    assert.equal(count(sent()), 16, "256 KiB at once");
    host.pass(160_000);
    const later = sent();
    // A quarter of 40 KiB in each of 160 seconds is 100 pieces.
    assert.ok(Math.abs(count(later) - 100) <= 2, `${later}`);
    for (const pieces of later) assert.ok(pieces >= 8, `${later}`);
    for (const peer of peers) peer.uploadLimit = 0;
    host.pass(1000);
    assert.equal(count(sent()), 1000 - 16 - count(later), "without a limit nothing waits for one");
  });

  it("keeps a turn under a limit for whoever waits, whatever another one asks for meanwhile", () => {
    const host = new Host(100 * METADATA_PIECE_BYTES);
    host.info = host.right;
    const greedy = new FakePeer();
    const patient = new FakePeer();
    for (const peer of [greedy, patient]) peer.uploadLimit = 64 * 1024;
    for (let piece = 0; piece < 50; piece++) host.say(greedy, asked(piece));
    for (let piece = 0; piece < 20; piece++) host.say(patient, asked(piece));
    patient.taken();
    // One piece each second is what the limit gives; whoever asks just before the second is over is not first for that.
    for (let round = 0; round < 200; round++) {
      host.ground.pass(250);
      host.say(greedy, asked(round % 100));
      if (round % 4 === 3) host.exchange.tick();
    }
    assert.ok(patient.taken().filter(([type]) => type === data).length >= 20);
  });

  it("a limit of one connection alone holds up no other", () => {
    const host = new Host(100 * METADATA_PIECE_BYTES);
    host.info = host.right;
    const [slow, other] = [new FakePeer(), new FakePeer()];
    slow.uploadLimit = 100;
    other.uploadLimit = 64 * 1024;
    for (const peer of [slow, other]) for (let piece = 0; piece < 40; piece++) host.say(peer, asked(piece));
    assert.deepEqual([slow.taken().length, other.taken().length], [16, 0], "256 KiB at once");
    host.pass(100_000);
    assert.equal(other.taken().length, 40);
    assert.ok(slow.taken().length <= 1, "a piece of 16 KiB, on credit of its own");
  });
});
