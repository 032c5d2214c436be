// Connections over streams of Node's, without a session and without the addon: both ends are ours, over a pair of streams in memory.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import { after, describe, it } from "node:test";
import bencode from "bencode";
import fc from "fast-check";
import type { OverStreamOptions } from "../../../../src/index.js";
import {
  type Metainfo,
  PeerConnection,
  PeerError,
  parseMetainfo,
  UsageError,
} from "../../../../src/index.js";
import { bytesOf } from "../../../support/data.js";
import { duplexPair } from "../../../support/duplex-pair.js";
import { Program } from "../../../support/program.js";

const PIECE_LENGTH = 65_536;
/** Nine whole pieces, and one of a block and a short one. */
const DATA = bytesOf(3, 9 * PIECE_LENGTH + 16_384 + 3001);

/** The torrent of some bytes, made here: what makes torrent files needs the addon. */
function torrentOf(data: Uint8Array): Metainfo {
  const digests: Buffer[] = [];
  for (let at = 0; at < data.length; at += PIECE_LENGTH)
    digests.push(
      createHash("sha1")
        .update(data.subarray(at, at + PIECE_LENGTH))
        .digest(),
    );
  const info = {
    length: data.length,
    name: "data.bin",
    "piece length": PIECE_LENGTH,
    pieces: Buffer.concat(digests),
  };
  return parseMetainfo(bencode.encode({ info }));
}

const METAINFO = torrentOf(DATA);
const PIECES = Math.ceil(DATA.length / PIECE_LENGTH);
const pieceOf = (piece: number): Buffer => DATA.subarray(piece * PIECE_LENGTH, (piece + 1) * PIECE_LENGTH);
const read = (piece: number, begin: number, length: number): Uint8Array =>
  pieceOf(piece).subarray(begin, begin + length);
const same = (bytes: Uint8Array, piece: number): void =>
  assert.equal(Buffer.compare(bytes, pieceOf(piece)), 0, `piece ${piece}`);

function refused(run: () => unknown, code: string, text: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof UsageError && error.code === code, String(error));
    assert.match(error.message, text);
    return true;
  });
}

describe("PeerConnection.overStream", { timeout: 120_000 }, () => {
  const made: PeerConnection[] = [];
  after(() => {
    for (const each of made) each.close();
  });
  const connect = (duplex: Duplex, options: OverStreamOptions): PeerConnection => {
    const connection = PeerConnection.overStream(duplex, options);
    made.push(connection);
    return connection;
  };
  /** Somebody who has all of it, and somebody who has nothing. */
  const ends = (
    seed: Partial<OverStreamOptions> = {},
    leech: Partial<OverStreamOptions> = {},
  ): [PeerConnection, PeerConnection] => {
    const [one, other] = duplexPair();
    return [
      connect(one, { metainfo: METAINFO, incoming: true, haveAll: true, read, ...seed }),
      connect(other, { metainfo: METAINFO, ...leech }),
    ];
  };

  it("fetches all pieces, with their bytes", async () => {
    const [seed, leech] = ends();
    await Promise.all([seed.opened, leech.opened]);
    assert.deepEqual([seed.incoming, leech.incoming, seed.isOpen, leech.isOpen], [true, false, true, true]);
    const pieces = await Promise.all(Array.from({ length: PIECES }, (_, piece) => leech.readPiece(piece)));
    pieces.forEach(same);
    assert.equal(leech.peerPieceCount, PIECES);
    const { counters, receiveMode, client } = leech.info();
    assert.deepEqual([counters.payloadBytes, receiveMode], [DATA.length, "contiguous"]);
    assert.match(client, /^scatterwire/);
    assert.equal(seed.info().counters.sentPayloadBytes, DATA.length);
    leech.close();
    assert.equal(await leech.closed, undefined);
    // What the other side was about to say may meet a stream that is gone.
    assert.match(String((await seed.closed)?.code), /^PEER_(CLOSED|SOCKET)$/);
  });

  it("waits for a piece until the peer has it, and tells which it has", async () => {
    const told: number[] = [];
    const [seed, leech] = ends({ haveAll: false, have: [1] }, { onHave: (piece) => told.push(piece) });
    const third = leech.readPiece(3);
    same(await leech.readPiece(1), 1);
    assert.deepEqual([leech.peerHas(1), leech.peerHas(3)], [true, false]);
    seed.announce(3);
    same(await third, 3);
    assert.deepEqual(told, [-1, 3]);
    assert.equal(leech.peerPieceCount, 2);
  });

  it("gives pieces both ways over one stream, and what several ask for once", async () => {
    const [one, other] = duplexPair();
    const left = connect(one, { metainfo: METAINFO, incoming: true, have: [0, 2, 4], read });
    const right = connect(other, {
      metainfo: METAINFO,
      have: [1, 3, 5],
      read: async (...block) => read(...block),
    });
    const [a, b, c, d] = await Promise.all([
      left.readPiece(3),
      right.readPiece(4),
      right.readPiece(4),
      left.readPiece(5),
    ]);
    same(a, 3);
    same(b, 4);
    same(c, 4);
    same(d, 5);
    assert.equal(right.info().counters.payloadBytes, PIECE_LENGTH);
  });

  it("ends with PEER_BAD_PIECE when the bytes are others, and tells all who wait", async () => {
    const [seed, leech] = ends({ read: (_piece, _begin, length) => new Uint8Array(length) });
    const waiting = [leech.readPiece(0), leech.readPiece(5)];
    for (const each of waiting) await assert.rejects(each, { code: "PEER_BAD_PIECE" });
    assert.equal((await leech.closed)?.code, "PEER_BAD_PIECE");
    await seed.closed;
    await assert.rejects(leech.readPiece(1), { code: "USAGE_STATE" });
  });

  it("refuses what the program cannot give, and goes on with the rest", async () => {
    for (const fails of [
      () => Promise.reject(new Error("the disk is gone")),
      () => {
        throw new Error("the disk is gone");
      },
      (_piece: number, _begin: number, length: number) => new Uint8Array(length + 1),
    ]) {
      const [, leech] = ends({
        read: (piece, begin, length) =>
          piece === 2 ? fails(piece, begin, length) : read(piece, begin, length),
      });
      const stop = new AbortController();
      const second = leech.readPiece(2, { signal: stop.signal });
      same(await leech.readPiece(4), 4);
      stop.abort(new Error("enough"));
      await assert.rejects(second, { code: "ABORTED", cause: new Error("enough") });
      assert.equal(leech.isOpen, true);
    }
  });

  it("ends when the stream does, in whatever way, and says how", async () => {
    const broken = Object.assign(new Error("reset"), { code: "ECONNRESET" });
    for (const [end, codes] of [
      [(duplex: Duplex) => duplex.end(), ["PEER_CLOSED"]],
      [(duplex: Duplex) => duplex.destroy(), ["PEER_SOCKET", "PEER_CLOSED"]],
      [(duplex: Duplex) => duplex.destroy(broken), ["PEER_SOCKET"]],
    ] as const) {
      const [one, other] = duplexPair();
      connect(one, { metainfo: METAINFO, incoming: true });
      const leech = connect(other, { metainfo: METAINFO });
      await leech.opened;
      const waiting = leech.readPiece(0);
      end(other);
      if (codes[0] === "PEER_CLOSED") one.end();
      const error = await leech.closed;
      assert.ok(error !== undefined && (codes as readonly string[]).includes(error.code), String(error));
      await assert.rejects(waiting, { code: error.code });
    }
  });

  it("ends when the other side is of another torrent, or is ourselves, before it opens", async () => {
    const [seed, leech] = ends({}, { infoHash: bytesOf(9, 20) });
    await assert.rejects(leech.opened, { code: /^PEER_(CLOSED|SOCKET)$/ });
    assert.equal((await seed.closed)?.code, "PEER_UNKNOWN_INFO_HASH");
    const peerId = bytesOf(8, 20);
    const [self] = ends({ peerId }, { peerId });
    assert.equal((await self.closed)?.code, "PEER_SELF");
  });

  it("ends what never answers, and on the signal of the program", async () => {
    const [silent] = duplexPair();
    const alone = connect(silent, { infoHash: METAINFO.infoHash, handshakeTimeoutMs: 1 });
    assert.equal((await alone.closed)?.code, "PEER_TIMEOUT");
    const stop = new AbortController();
    const [, leech] = ends({}, { signal: stop.signal });
    await leech.opened;
    stop.abort();
    assert.equal(await leech.closed, undefined);
    const [, late] = ends({}, { signal: stop.signal });
    await assert.rejects(late.opened, { code: "PEER_CLOSED" });
  });

  it("takes extensions, without a metainfo too", async () => {
    const [one, other] = duplexPair();
    const { infoHash } = METAINFO;
    const left = connect(one, { infoHash, incoming: true });
    const right = connect(other, { infoHash });
    await Promise.all([left.opened, right.opened]);
    const heard = new Promise<string>((resolve) => {
      class Chat {
        onMessage(message: Uint8Array): void {
          resolve(Buffer.from(message).toString());
        }
      }
      Object.assign(Chat.prototype, { name: "sw_chat" });
      left.use(Chat);
    });
    const ready = new Promise<void>((resolve) => {
      class Chat {
        onExtendedHandshake(): void {
          resolve();
        }
      }
      Object.assign(Chat.prototype, { name: "sw_chat" });
      right.use(Chat);
    });
    await ready;
    right.extended("sw_chat", Buffer.from("hello"));
    assert.equal(await heard, "hello");
    await assert.rejects(right.readPiece(0), { code: "USAGE_STATE" });
  });

  it("refuses options that are none, and calls that make no sense", () => {
    const over = (options: object): unknown => connect(duplexPair()[0], options as OverStreamOptions);
    refused(() => over({}), "USAGE_OPTION", /metainfo or infoHash/);
    refused(() => over({ infoHash: bytesOf(1, 19) }), "USAGE_OPTION", /infoHash has 20 bytes/);
    refused(() => over({ metainfo: METAINFO, haveAll: true }), "USAGE_OPTION", /need the option read/);
    refused(() => over({ metainfo: METAINFO, have: [PIECES], read }), "USAGE_OPTION", /0 to 9, not 10/);
    refused(
      () => over({ infoHash: METAINFO.infoHash, have: [0], read }),
      "USAGE_OPTION",
      /the option metainfo/,
    );
    refused(() => over({ metainfo: METAINFO, incomming: true }), "USAGE_OPTION", /is incoming meant/);
    refused(() => PeerConnection.overStream({} as Duplex, { metainfo: METAINFO }), "USAGE_OPTION", /Duplex/);
    const [, leech] = ends();
    refused(() => leech.announce(0), "USAGE_STATE", /options metainfo and read/);
    class Early {}
    Object.assign(Early.prototype, { name: "early" });
    refused(() => leech.use(Early), "USAGE_STATE", /`opened` has resolved/);
  });

  it("refuses a piece that does not exist", async () => {
    const [seed, leech] = ends();
    for (const piece of [-1, PIECES, 0.5, Number.NaN]) {
      await assert.rejects(leech.readPiece(piece), { code: "USAGE_OPTION" });
      refused(() => seed.announce(piece), "USAGE_OPTION", /a piece is 0 to 9/);
    }
  });

  it("ends with a PeerError, whatever comes", async () => {
    const handshake = Buffer.concat([
      Buffer.from("\x13BitTorrent protocol", "latin1"),
      Buffer.from([0, 0, 0, 0, 0, 0x10, 0, 0x05]),
      METAINFO.infoHash,
      bytesOf(77, 20),
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }),
        async (greets, parts) => {
          const [one, other] = duplexPair();
          other.resume();
          other.on("error", () => {});
          const seed = connect(one, { metainfo: METAINFO, incoming: true, haveAll: true, read });
          if (greets) other.write(handshake);
          for (const part of parts) other.write(part);
          other.end();
          const error = await seed.closed;
          assert.ok(error === undefined || error instanceof PeerError);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("a package whose addon cannot be loaded", { timeout: 120_000 }, () => {
  const run = async (code: string): Promise<string> => {
    const [index, support] = ["../../../../src/index.js", "../../../support/duplex-pair.js"].map(
      (path) => new URL(path, import.meta.url).href,
    );
    const program = new Program(
      process.execPath,
      [
        ...["--input-type=module", "-e"],
        `import * as scatterwire from ${JSON.stringify(index)};
         import { duplexPair } from ${JSON.stringify(support)};
         ${code}`,
      ],
      { environment: { SCATTERWIRE_ADDON: "/nowhere/scatterwire.node" } },
    );
    assert.equal(await program.ended, 0, program.errors);
    return program.output;
  };

  it("moves pieces over streams", async () => {
    const [digest] = [createHash("sha1").update(Buffer.alloc(20_000, 7)).digest("hex")];
    const info = `d6:lengthi20000e4:name1:x12:piece lengthi32768e6:pieces20:`;
    const output = await run(
      `const { parseMetainfo, PeerConnection } = scatterwire;
       const file = Buffer.concat([Buffer.from("d4:info${info}"), Buffer.from("${digest}", "hex"), Buffer.from("ee")]);
       const metainfo = parseMetainfo(file);
       const [one, other] = duplexPair();
       const read = (piece, begin, length) => Buffer.alloc(length, 7);
       PeerConnection.overStream(one, { metainfo, incoming: true, haveAll: true, read });
       const leech = PeerConnection.overStream(other, { metainfo });
       console.log((await leech.readPiece(0)).length);
       leech.close();`,
    );
    assert.equal(output, "20000\n");
  });

  it("says what is missing at the first use of the rest, and not before", async () => {
    const output = await run(
      `try { new scatterwire.Session(); } catch (error) { console.log(error.code); }
       await scatterwire.createTorrentFile(process.execPath).catch((error) => console.log(error.code));`,
    );
    assert.equal(output, "ADDON_MISSING\nADDON_MISSING\n");
  });
});
