// The life of a connection: handshakes, refusals, timeouts, and its end. Bytes come from the test and from nowhere else.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { PeerError } from "../../../../src/base/errors.js";
import { BLOCK_SIZE, HANDSHAKE_BYTES, MESSAGE_BYTES_MAX } from "../../../../src/base/limits.js";
import { PEER_TRANSITIONS } from "../../../../src/client/peer/peer-state.js";
import { UnconnectedTransport } from "../../../../src/client/stream/unconnected-transport.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { bytesOf } from "../../../support/data.js";
import { entryOf, required } from "../../../support/required.js";
import {
  blocksOf,
  DATA,
  INFO_HASH,
  message,
  OUR_ID,
  PEER_ID,
  pieceMessage,
  WiredPeer,
} from "./wired-peer.js";

const HAVE_ALL = message(MessageId.haveAll);
const UNCHOKE = message(MessageId.unchoke);

describe("PeerConnection without the addon", () => {
  it("imports nothing, at any remove, that loads native code or opens sockets and files", () => {
    const seen = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file) || !existsSync(file)) return;
      seen.add(file);
      for (const [, target = ""] of readFileSync(file, "utf8").matchAll(/from "([^"]+)"/g)) {
        if (target.startsWith(".")) visit(resolve(dirname(file), target));
        else assert.doesNotMatch(target, /^node:(net|fs|dgram|timers|worker_threads)/, `${file} is quiet`);
      }
    };
    const compiled = resolve(dirname(fileURLToPath(import.meta.url)), "../../../../src/client");
    for (const file of ["peer/peer-connection.js", "wire/extension.js", "wire/handshake.js"])
      visit(join(compiled, file));
    assert.ok(seen.size > 20, `the imports were followed: ${seen.size}`);
    for (const file of seen) assert.doesNotMatch(file, /native\//, "no file of native/ is reached");
  });
});

/** Of a torrent of ten pieces all are allowed fast, those of them that we have. */
const allowedFast = (pieces: number): number[] => Array.from({ length: pieces }, () => MessageId.allowedFast);

describe("PeerConnection: handshake", () => {
  it("outgoing: sends its own as soon as the connection stands, and opens with the peer's", () => {
    const wired = new WiredPeer();
    assert.equal(wired.peer.state, "connecting");
    assert.equal(wired.peer.flush(-11), 0);
    assert.equal(wired.transport.taken().length, 0, "nothing is sent before the connection stands");
    wired.peer.connected();
    wired.peer.flush(-11);
    const ours = Buffer.alloc(HANDSHAKE_BYTES);
    encodeHandshake(ours, 0, { infoHash: INFO_HASH, peerId: OUR_ID });
    assert.deepEqual(wired.transport.taken(), ours);
    assert.equal(wired.feed(wired.handshake()), 0);
    assert.deepEqual(wired.states, ["connecting", "handshaking", "open"]);
    assert.deepEqual(wired.swarm.events, ["admit", "opened"]);
    assert.equal(wired.opens, 1);
    assert.deepEqual(wired.peer.peerId, PEER_ID);
    assert.equal(wired.peer.listenPort, 4000);
  });

  it("incoming: answers only when it knows the torrent, and says what it has", () => {
    const wired = new WiredPeer({ incoming: true, prepare: (swarm) => swarm.have.fill() });
    wired.peer.flush(-11);
    assert.equal(wired.transport.taken().length, 0);
    wired.feed(wired.handshake());
    const ids = wired.sent().map(({ id }) => id);
    assert.deepEqual(ids, [MessageId.haveAll, MessageId.extended, ...allowedFast(10)]);
    assert.deepEqual(wired.states, ["handshaking", "open"]);
    assert.equal(wired.peer.listenPort, 0, "where an incoming peer listens is not known");
  });

  it("byte by byte gives the same as all at once", () => {
    for (const incoming of [false, true]) {
      const wired = new WiredPeer({ incoming });
      if (!incoming) wired.peer.connected();
      wired.feed(Buffer.concat([wired.handshake(), HAVE_ALL, UNCHOKE]), 1);
      assert.equal(wired.peer.state, "open");
      const ids = wired.sent().map(({ id }) => id);
      assert.deepEqual(ids.slice(0, 3), [MessageId.haveNone, MessageId.extended, MessageId.interested]);
      assert.equal(ids[3], MessageId.request);
    }
  });

  const introductions: [string, number, boolean, number[]][] = [
    ["everything, with fast", 10, true, [MessageId.haveAll, ...allowedFast(10)]],
    ["nothing, with fast", 0, true, [MessageId.haveNone]],
    ["something, with fast", 4, true, [MessageId.bitfield, ...allowedFast(4)]],
    ["everything, without fast", 10, false, [MessageId.bitfield]],
    ["nothing, without fast", 0, false, []],
  ];
  for (const [what, pieces, fast, ids] of introductions) {
    it(`announces ${what}`, () => {
      const prepare = (swarm: WiredPeer["swarm"]): void => {
        for (let piece = 0; piece < pieces; piece++) swarm.have.add(piece);
      };
      const wired = new WiredPeer({ fast, extended: false, prepare });
      wired.peer.connected();
      wired.feed(wired.handshake());
      const messages = wired.sent();
      assert.deepEqual(
        messages.map(({ id }) => id),
        ids,
      );
      if (ids[0] === MessageId.bitfield) {
        const bits = pieces === 4 ? [0xf0, 0x00] : [0xff, 0xc0];
        assert.deepEqual([...entryOf(messages, 0).body], bits);
      }
    });
  }

  it("speaks no extension to a peer that offers none", () => {
    const wired = new WiredPeer({ extended: false });
    wired.peer.connected();
    wired.feed(wired.handshake());
    assert.ok(wired.sent().every(({ id }) => id !== MessageId.extended));
  });
});

describe("PeerConnection: refusals", () => {
  it("an unknown info hash ends an incoming connection, and nothing is said to it", () => {
    const wired = new WiredPeer({ incoming: true });
    wired.feed(wired.handshake({ infoHash: bytesOf(8, 20) }));
    wired.checkOver("PEER_UNKNOWN_INFO_HASH");
    assert.equal(wired.transport.taken().length, 0);
    assert.deepEqual(wired.swarm.events, [], "the torrent never hears of it");
    assert.match(required(wired.closedWith, "the error").message, new RegExp(bytesOf(8, 20).toString("hex")));
  });

  it("an outgoing connection that answers for another torrent is ended", () => {
    const wired = new WiredPeer();
    wired.peer.connected();
    wired.feed(wired.handshake({ infoHash: bytesOf(8, 20) }));
    wired.checkOver("PEER_INFO_HASH_MISMATCH");
    assert.equal(required(wired.closedWith, "the error").expected, Buffer.from(INFO_HASH).toString("hex"));
    assert.equal(required(wired.closedWith, "the error").received, bytesOf(8, 20).toString("hex"));
    assert.deepEqual(wired.swarm.events, ["closed"]);
  });

  for (const incoming of [true, false]) {
    it(`its own peer id is a connection to itself (${incoming ? "incoming" : "outgoing"})`, () => {
      const wired = new WiredPeer({ incoming });
      if (!incoming) wired.peer.connected();
      wired.feed(wired.handshake({ peerId: OUR_ID }));
      wired.checkOver("PEER_SELF");
    });

    it(`the torrent may refuse: a duplicate, for one (${incoming ? "incoming" : "outgoing"})`, () => {
      const prepare = (swarm: WiredPeer["swarm"]): void => {
        swarm.refusal = new PeerError("PEER_DUPLICATE", "a connection to this peer exists");
      };
      const wired = new WiredPeer({ incoming, prepare });
      if (!incoming) wired.peer.connected();
      wired.feed(wired.handshake());
      wired.checkOver("PEER_DUPLICATE");
      assert.ok(!wired.states.includes("open"));
    });
  }

  it("another protocol name is refused at its first wrong byte", () => {
    for (let at = 0; at < 20; at++) {
      const wired = new WiredPeer({ incoming: true });
      const bytes = wired.handshake().subarray(0, at + 1);
      bytes[at] = entryOf(bytes, at) ^ 1;
      wired.feed(bytes, 1);
      wired.checkOver("PEER_PROTOCOL_NAME");
    }
  });

  it("messages behind a refused handshake are not looked at", () => {
    const wired = new WiredPeer({ incoming: true });
    const rest = wired.feed(
      Buffer.concat([wired.handshake({ infoHash: bytesOf(8, 20) }), message(MessageId.have, 99)]),
    );
    assert.equal(rest, 0);
    wired.checkOver("PEER_UNKNOWN_INFO_HASH");
  });
});

describe("PeerConnection: time", () => {
  it("a handshake that does not come ends it, in both directions", () => {
    for (const incoming of [true, false]) {
      const wired = new WiredPeer({ incoming });
      if (!incoming) wired.peer.connected();
      wired.feed(wired.handshake().subarray(0, 67));
      wired.pass(10_000);
      assert.equal(wired.peer.state, "handshaking", "the time is not over");
      wired.pass(1000);
      wired.checkOver("PEER_TIMEOUT");
      assert.match(required(wired.closedWith, "the error").message, /no handshake in time/);
    }
  });

  it("silence ends it, and any byte counts against silence", () => {
    const wired = new WiredPeer().open();
    wired.pass(120_000);
    wired.feed(Buffer.alloc(1));
    wired.pass(120_000);
    assert.equal(wired.peer.state, "open");
    wired.pass(1000);
    wired.checkOver("PEER_TIMEOUT");
    assert.match(required(wired.closedWith, "the error").message, /nothing received for 120 s/);
  });

  it("a keep-alive goes out when nothing else did for 100 s, and only then", () => {
    const wired = new WiredPeer({ settings: { idleTimeoutMs: 1_000_000 } }).open();
    wired.pass(100_000);
    assert.deepEqual(wired.sent(), []);
    wired.pass(1000);
    assert.deepEqual(
      wired.sent().map(({ id }) => id),
      [-1],
    );
    wired.pass(50_000);
    wired.peer.announcePiece(3);
    assert.equal(wired.sent().length, 1);
    wired.pass(60_000);
    assert.deepEqual(wired.sent(), [], "a have is a sign of life too");
  });

  it("keep-alives of the peer are taken, also in the middle of everything", () => {
    const wired = new WiredPeer().open();
    const keepAlive = Buffer.alloc(4);
    wired.feed(Buffer.concat([keepAlive, HAVE_ALL, keepAlive, keepAlive, UNCHOKE, keepAlive]), 3);
    assert.equal(wired.peer.state, "open");
    assert.equal(wired.peer.pieces.isFull, true);
    assert.equal(wired.peer.peerChoking, false);
  });

  it("a peer that has brought nothing yet has a fifth of that, and twice as long each time", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([HAVE_ALL, UNCHOKE]));
    wired.pass(4000);
    assert.equal(wired.swarm.dropped.length, 0);
    wired.pass(1000);
    assert.equal(wired.swarm.dropped.length, 16);
    wired.pass(7000);
    assert.equal(wired.swarm.dropped.length, 16, "it was asked for one block meanwhile");
    wired.pass(2000);
    assert.equal(wired.swarm.dropped.length, 17);
  });

  it("requests that nothing answers for 20 s are cancelled and given back, and the peer is left with one", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([HAVE_ALL, UNCHOKE]));
    const requested = wired.sentBlocks(MessageId.request);
    assert.equal(requested.length, 16);
    wired.feed(pieceMessage(...required(requested.shift(), "an entry of requested")));
    requested.push(...wired.sentBlocks(MessageId.request));
    wired.pass(20_000);
    assert.equal(wired.swarm.dropped.length, 0);
    wired.pass(1000);
    const messages = wired.sent();
    assert.deepEqual(blocksOf(messages, MessageId.cancel), requested);
    assert.equal(wired.swarm.dropped.length, requested.length);
    assert.equal(wired.peer.pipeline?.snubbed, true);
    assert.equal(blocksOf(messages, MessageId.request).length, 1, "it keeps one");
    assert.equal(wired.peer.expected.count, 1);
  });

  it("a block that comes after its request timed out is taken all the same, and ends the snub", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([HAVE_ALL, UNCHOKE]));
    const late = entryOf(wired.sentBlocks(MessageId.request), 1);
    wired.pass(21_000);
    wired.sent();
    wired.feed(pieceMessage(...late));
    assert.equal(wired.swarm.received.size, 1);
    const [first] = blocksOf(wired.sent(), MessageId.request);
    assert.equal(first, undefined, "the one request is still out");
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE));
    assert.equal(wired.swarm.received.size, 2);
    assert.equal(wired.peer.pipeline?.snubbed, false);
    assert.equal(wired.peer.state, "open");
  });

  it("rates are those of the last seconds", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([HAVE_ALL, UNCHOKE]));
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE));
    wired.pass(1000);
    assert.equal(wired.peer.downloadRate, BLOCK_SIZE);
    wired.pass(60_000);
    assert.equal(wired.peer.downloadRate, 0);
  });
});

describe("PeerConnection: its end", () => {
  it("is told once, whatever is called afterwards", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([HAVE_ALL, UNCHOKE]));
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE).subarray(0, 100));
    assert.ok(wired.swarm.open.size > 0);
    wired.peer.close();
    wired.peer.close(new PeerError("PEER_CLOSED", "again"));
    wired.pass(300_000);
    wired.peer.choke();
    wired.peer.unchoke();
    wired.peer.announcePiece(1);
    wired.peer.updateInterest();
    wired.peer.received();
    assert.equal(wired.peer.flush(-11), 0);
    wired.checkOver();
    assert.equal(wired.swarm.received.size, 0);
  });

  it("comes from every state, and each transition that is drawn is seen", () => {
    const seen = new Set<string>();
    const note = ({ states }: WiredPeer): void => {
      states.forEach((state, index) => void (index > 0 && seen.add(`${states[index - 1]} > ${state}`)));
    };
    const connecting = new WiredPeer();
    connecting.peer.close(new PeerError("PEER_CONNECT_FAILED", "refused"));
    connecting.checkOver("PEER_CONNECT_FAILED");
    const handshaking = new WiredPeer();
    handshaking.peer.connected();
    handshaking.peer.close();
    handshaking.checkOver();
    const open = new WiredPeer().open();
    open.peer.close();
    open.checkOver();
    for (const wired of [connecting, handshaking, open]) note(wired);
    const drawn = Object.entries(PEER_TRANSITIONS).flatMap(([from, to]) =>
      to.map((state) => `${from} > ${state}`),
    );
    assert.deepEqual([...seen].sort(), drawn.sort());
  });

  it("a transition that is not drawn is our bug, and says so", () => {
    const wired = new WiredPeer().open();
    assert.throws(() => wired.peer.connected(), { code: "ERR_SCATTERWIRE_ASSERTION" });
  });

  it("a connection that could not be begun has nowhere to send, and closes as any other", () => {
    const transport = new UnconnectedTransport();
    assert.equal(transport.writev(), 0);
    assert.equal(transport.sendfile(), 0);
    transport.wantWritable();
    transport.scheduleFlush();
    transport.close();
  });
});

describe("PeerConnection: lengths", () => {
  it("a length prefix beyond the limit is refused before the message comes", () => {
    for (const length of [MESSAGE_BYTES_MAX + 1, 0xffff_ffff]) {
      for (const step of [1, 100]) {
        const wired = new WiredPeer().open();
        const prefix = Buffer.alloc(5, 4);
        prefix.writeUInt32BE(length);
        wired.feed(prefix, step);
        wired.checkOver("PEER_MESSAGE_TOO_LONG");
      }
    }
  });

  it("an unknown message of a length that is allowed is skipped", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([message(99, DATA.subarray(0, 200_000)), message(MessageId.have, 2)]), 7000);
    assert.equal(wired.peer.state, "open");
    assert.deepEqual(wired.swarm.announced, [2]);
  });
});
