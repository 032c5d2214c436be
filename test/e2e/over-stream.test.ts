// Connections over streams of Node's with others at the other end: libtorrent over a socket, both ways, and our own session, reached
// through TLS.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { type Metainfo, PeerConnection, readMetainfo, Session } from "../../src/index.js";
import { CERTIFICATE, CERTIFICATE_KEY } from "../support/certificate.js";
import { createWithLibtorrent, libtorrent, startLibtorrent } from "../support/clients.js";
import { difference, temporaryFolder, writeFiles } from "../support/data.js";

const HOST = "127.0.0.1";
const BYTES = 3_000_017;

describe("connections over streams, with others", { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.bin.torrent");
  const servers: Server[] = [];
  let data: Buffer;
  let metainfo: Metainfo;

  before(async () => {
    libtorrent.require();
    writeFiles(folder, { "data.bin": BYTES });
    data = readFileSync(join(folder, "data.bin"));
    await createWithLibtorrent(join(folder, "data.bin"), torrent, 65_536, false);
    metainfo = await readMetainfo(torrent);
  });
  after(() => {
    for (const server of servers) server.close();
  });

  const listening = async (server: Server): Promise<number> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    return address.port;
  };
  const read = (piece: number, begin: number, length: number): Uint8Array =>
    data.subarray(piece * metainfo.pieceLength + begin, piece * metainfo.pieceLength + begin + length);
  /** Fetches the whole torrent and compares it. */
  const fetchAll = async (connection: PeerConnection): Promise<void> => {
    const pieces = Math.ceil(metainfo.totalLength / metainfo.pieceLength);
    const fetched = await Promise.all(
      Array.from({ length: pieces }, (_, piece) => connection.readPiece(piece)),
    );
    assert.equal(Buffer.compare(Buffer.concat(fetched), data), 0);
    connection.close();
  };

  /** A libtorrent that has only just begun to listen lets go of whoever asks for a torrent that it has not opened yet. */
  const openedWith = async (port: number): Promise<PeerConnection> => {
    for (;;) {
      const connection = PeerConnection.overStream(connect({ host: HOST, port }), { metainfo });
      const error = await connection.opened.catch((reason: unknown) => reason);
      if (error === undefined) return connection;
      assert.match(String(error), /PeerError/);
      await pass(100);
    }
  };

  it("fetch all pieces of a libtorrent through a socket", async () => {
    const client = await libtorrent.start("seed", torrent, folder);
    try {
      const connection = await openedWith(client.port);
      assert.deepEqual(connection.address, { host: HOST, port: client.port });
      await fetchAll(connection);
      assert.match(connection.info().client, /libtorrent/);
    } finally {
      await client.stop();
    }
  });

  it("give all pieces to a libtorrent that connects", async () => {
    const directory = join(folder, "copy");
    mkdirSync(directory);
    const connections: PeerConnection[] = [];
    const port = await listening(
      createServer((socket) => {
        connections.push(
          PeerConnection.overStream(socket, { metainfo, incoming: true, haveAll: true, read }),
        );
      }),
    );
    const program = startLibtorrent("download", torrent, directory, {}, [`${HOST}:${port}`]);
    await program.line("done");
    await program.stop();
    for (const connection of connections) connection.close();
    assert.equal(difference(join(folder, "data.bin"), join(directory, "data.bin")), undefined);
  });

  it("fetch all pieces of a session, through TLS", async () => {
    await using session = new Session({ listen: { host: HOST, port: 0 }, trackers: false });
    await session.add(metainfo, { directory: folder, readOnly: true });
    const { port } = await session.listen();
    // A proxy that takes TLS off, as in front of any service.
    const proxy = createTlsServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, (socket) => {
      const inner: Socket = connect({ host: HOST, port });
      for (const each of [socket, inner]) each.on("error", () => {});
      socket.pipe(inner).pipe(socket);
    });
    const stream = connectTls({ host: HOST, port: await listening(proxy), ca: CERTIFICATE });
    await fetchAll(PeerConnection.overStream(stream, { metainfo }));
  });

  it("reach each other through TLS", async () => {
    const seeds: PeerConnection[] = [];
    const server = createTlsServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, (socket) => {
      seeds.push(PeerConnection.overStream(socket, { metainfo, incoming: true, haveAll: true, read }));
    });
    const stream = connectTls({ host: HOST, port: await listening(server), ca: CERTIFICATE });
    await fetchAll(PeerConnection.overStream(stream, { metainfo }));
    await Promise.all(seeds.map(({ closed }) => closed));
  });

  it("join torrents of a session: a libtorrent that connects to the program, and one that it connects to", async () => {
    const directory = join(folder, "from-libtorrent");
    const client = await libtorrent.start("seed", torrent, folder);
    await using session = new Session({ trackers: false });
    const own = await session.add(metainfo, { directory });
    // A libtorrent that has only just begun to listen lets go of whoever asks for a torrent that it has not opened yet.
    const again = (): void => own.addPeer(connect({ host: HOST, port: client.port }));
    own.on("peerDisconnected", () => void (own.state === "downloading" && setTimeout(again, 100)));
    again();
    await own.done;
    await client.stop();
    const port = await listening(createServer((socket) => session.accept(socket)));
    const copy = join(folder, "to-libtorrent");
    mkdirSync(copy);
    const program = startLibtorrent("download", torrent, copy, {}, [`${HOST}:${port}`]);
    await program.line("done");
    await program.stop();
    for (const each of [directory, copy])
      assert.equal(difference(join(folder, "data.bin"), join(each, "data.bin")), undefined);
  });

  it("say why they could not be made", async () => {
    const gone = createServer();
    const port = await listening(gone);
    await new Promise((resolve) => gone.close(resolve));
    const connection = PeerConnection.overStream(connect({ host: HOST, port }), { metainfo });
    const error = await connection.closed;
    assert.equal(error?.code, "PEER_CONNECT_FAILED");
    assert.match(String(error?.message), /ECONNREFUSED/);
  });
});
