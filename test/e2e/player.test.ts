// A player beside real seeds, libtorrent and transmission together: the first bytes of a stream after the pieces that they need and nothing else, a
// seek to the middle before the background, and twenty readers of one torrent. What counts is which pieces were asked for and came, and
// in which order; how long anything takes is nobody's promise here.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import {
  type Metainfo,
  type PeerAddress,
  readMetainfo,
  Session,
  type Torrent,
  type TorrentOptions,
} from "../../src/index.js";
import { type Client, createWithLibtorrent, libtorrent, transmission } from "../support/clients.js";
import { temporaryFolder, writeFiles } from "../support/data.js";

const HOST = "127.0.0.1";
const PIECE = 65_536;
const PIECES = 320;
const BLOCK = 16_384;
const LENGTH = PIECES * PIECE - 777;
const READERS = 20;
const READ_BYTES = 100_000;
const SOUGHT = 250;
/** So that there is a background for long after the seek. */
const BACKGROUND_BYTES_PER_SECOND = 2_000_000;
const KINDS = [libtorrent, transmission];

describe("a player beside libtorrent and transmission", { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const file = join(folder, "film");
  const torrentFile = join(folder, "film.torrent");
  const clients: Client[] = [];
  let metainfo: Metainfo;
  let data: Buffer;
  let peers: PeerAddress[];

  const start = async (kind: typeof libtorrent): Promise<PeerAddress> => {
    const client = await kind.start("seed", torrentFile, folder);
    clients.push(client);
    return { host: HOST, port: client.port };
  };

  before(async () => {
    for (const kind of KINDS) kind.require();
    writeFiles(folder, { film: LENGTH });
    data = readFileSync(file);
    await createWithLibtorrent(file, torrentFile, PIECE, false);
    metainfo = await readMetainfo(torrentFile);
    peers = await Promise.all(KINDS.map(start));
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.stop()));
  });

  function open(session: Session, options: TorrentOptions = {}): Promise<Torrent> {
    return session.add(metainfo, { storage: "memory", peers, ...options });
  }

  function piecesOf({ have }: Torrent): number[] {
    return Array.from({ length: PIECES }, (_, piece) => piece).filter((piece) => have.has(piece));
  }

  async function first(stream: Readable): Promise<Buffer> {
    await once(stream, "readable");
    return stream.read() as Buffer;
  }

  it("has its first bytes after the first pieces, and nothing else was fetched", async () => {
    await using session = new Session();
    const torrent = await open(session, { select: [] });
    for (const start of [0, 200 * PIECE + 5000]) {
      const before = torrent.counters();
      const at = Math.floor(start / PIECE);
      const stream = torrent.createReadStream(0, { start, aheadBytes: 2 * PIECE });
      const bytes = await first(stream);
      assert.ok(bytes.equals(data.subarray(start, start + bytes.length)));
      const had = piecesOf(torrent).filter((piece) => piece >= at);
      // The two that it reads ahead, and one more from when it has the first.
      assert.ok(had.includes(at) && Math.max(...had) <= at + 3, `${had}`);
      const { payloadBytes } = torrent.counters();
      assert.ok(payloadBytes - before.payloadBytes <= 4 * PIECE, `${payloadBytes} bytes`);
      stream.destroy();
    }
  });

  for (const index of [0, 1])
    it(`is served by ${KINDS[index]?.name} where it seeks to before anything that was not on its way`, async () => {
      await using session = new Session({ maxDownloadBytesPerSecond: BACKGROUND_BYTES_PER_SECOND });
      const torrent = await open(session, { peers: peers.slice(index, index + 1), order: "sequential" });
      while (torrent.progress().piecesVerified < 10) await once(torrent, "piece");
      assert.equal(torrent.have.has(SOUGHT), false);
      const start = SOUGHT * PIECE + 5000;
      const outstanding = torrent.peers().reduce((sum, peer) => sum + peer.requestsOutstanding, 0);
      const before = torrent.counters().payloadBytes;
      const stream = torrent.createReadStream(0, { start, aheadBytes: 2 * PIECE });
      const bytes = await first(stream);
      assert.ok(bytes.equals(data.subarray(start, start + bytes.length)));
      // What had been asked for and is not taken back in time; the piece itself, and what is read ahead, which may come out of order.
      const came = torrent.counters().payloadBytes - before;
      assert.ok(came <= outstanding * BLOCK + 8 * PIECE, `${came} bytes, ${outstanding} blocks outstanding`);
      const missing = PIECES - torrent.progress().piecesVerified;
      assert.ok(missing >= PIECES / 2, `${missing} pieces of the background are missing`);
      stream.destroy();
    });

  it("is one of twenty, each of which has its bytes", async () => {
    await using session = new Session();
    const torrent = await open(session, { select: [] });
    const [film] = torrent.files;
    const needed = new Set<number>();
    await Promise.all(
      Array.from({ length: READERS }, async (_, index) => {
        const start = ((index * 37) % 300) * PIECE + index * 1000;
        const end = start + READ_BYTES - 1;
        for (let piece = Math.floor(start / PIECE); piece * PIECE <= end; piece++) needed.add(piece);
        assert.ok(film !== undefined);
        const got = Buffer.from(await film.arrayBuffer({ start, end }));
        assert.ok(got.equals(data.subarray(start, end + 1)), `from ${start}`);
      }),
    );
    const had = piecesOf(torrent);
    assert.deepEqual(
      had.filter((piece) => !needed.has(piece)),
      [],
    );
    assert.equal(torrent.counters().wastedBytes, 0);
  });
});
