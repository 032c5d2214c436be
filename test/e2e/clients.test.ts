// Real clients on loopback, in both directions; the bytes are compared at the end.

import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  aria2,
  type Client,
  type ClientKind,
  createWithLibtorrent,
  libtorrent,
  rtorrent,
  transmission,
  until,
} from "../support/clients.js";
import { difference, temporaryFolder, writeFiles } from "../support/data.js";
import { Program } from "../support/program.js";
import { entryOf, required } from "../support/required.js";

const KINDS = [libtorrent, transmission, aria2, rtorrent];
const MODES = ["contiguous", "scatter", "speculative", "adaptive"];
const MIB = 1024 * 1024;
/** Of the single file. SCATTERWIRE_CLIENT_BYTES makes it another size, such as 1073741824. */
const SINGLE_BYTES = Number(process.env["SCATTERWIRE_CLIENT_BYTES"] ?? 24 * MIB + 12_345);
/** Transmission empties its queue of 512 requests every half second, which is 16 MB/s at best. */
const TIMEOUT_S = String(90 + Math.ceil(SINGLE_BYTES / 4e6));

interface Shape {
  readonly name: string;
  readonly files: Readonly<Record<string, number>>;
  readonly root: string;
  readonly pieceLength: number;
  readonly padding: boolean;
}

/** Every torrent here is made by libtorrent, not by us. */
const SHAPES: readonly Shape[] = [
  {
    name: "a single file with a short last piece and block",
    root: "single.bin",
    files: { "single.bin": SINGLE_BYTES },
    pieceLength: 256 * 1024,
    padding: false,
  },
  {
    name: "files with padding",
    root: "padded",
    files: {
      "padded/a.bin": 5 * MIB + 17,
      "padded/sub/b.bin": 3 * MIB,
      "padded/Übergröße ☃.bin": 777_777,
      "padded/sub/last": 1,
    },
    pieceLength: 65_536,
    padding: true,
  },
  {
    name: "files without padding, edges inside blocks",
    root: "plain",
    files: { "plain/a.bin": 1_000_003, "plain/b.bin": 10, "plain/c/d.bin": 4_999_999, "plain/e.bin": 16_384 },
    pieceLength: 32_768,
    padding: false,
  },
];

describe("real clients", { timeout: 600_000 + SINGLE_BYTES / 100 }, () => {
  const folder = temporaryFolder(after);
  const torrents = new Map<Shape, string>();
  const clients: Client[] = [];
  const start = async (
    kind: ClientKind,
    role: "seed" | "download",
    torrent: string,
    directory: string,
  ): Promise<Client> => {
    const client = await kind.start(role, torrent, directory);
    clients.push(client);
    return client;
  };

  before(async () => {
    for (const kind of KINDS) kind.require();
    for (const shape of SHAPES) {
      writeFiles(folder, shape.files);
      const torrent = join(folder, `${shape.root}.torrent`);
      await createWithLibtorrent(join(folder, shape.root), torrent, shape.pieceLength, shape.padding);
      torrents.set(shape, torrent);
    }
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.stop()));
  });

  const download = async (torrent: string, port: number, mode: string, storage: string): Promise<void> => {
    const output = join(folder, `download-${basename(torrent)}-${port}-${mode}-${storage}`);
    const program = Program.cli(
      ...["download", torrent, "-o", output, "--peer", `127.0.0.1:${port}`],
      ...["--receive-mode", mode, "--storage", storage, "--timeout", TIMEOUT_S, "--json"],
    );
    const { status, last, errors } = await program.result();
    assert.equal(status, 0, errors);
    assert.equal(last["verified"], true);
    assert.equal(last["receiveMode"], mode);
    const root = basename(torrent, ".torrent");
    assert.equal(difference(join(folder, root), join(output, root)), undefined);
    rmSync(output, { recursive: true });
  };

  for (const kind of KINDS) {
    it(`downloads from ${kind.name} in every receive mode`, async () => {
      const torrent = required(torrents.get(entryOf(SHAPES, 0)), "an entry of torrents");
      const { port } = await start(kind, "seed", torrent, folder);
      for (const mode of MODES) await download(torrent, port, mode, "file");
    });
  }

  for (const shape of SHAPES.slice(1)) {
    it(`downloads ${shape.name} into every kind of storage`, async () => {
      const torrent = required(torrents.get(shape), "an entry of torrents");
      const { port } = await start(libtorrent, "seed", torrent, folder);
      for (const storage of ["file", "direct", "mapped"]) await download(torrent, port, "adaptive", storage);
    });
  }

  it("downloads files with padding, in every receive mode, from an rtorrent that had them from us", async () => {
    const shape = entryOf(SHAPES, 1);
    const torrent = required(torrents.get(shape), "an entry of torrents");
    const directory = join(folder, "leech-padded-rtorrent");
    mkdirSync(directory);
    const { port } = await start(rtorrent, "download", torrent, directory);
    const seeder = Program.cli(
      ...["seed", torrent, folder, "--listen", "127.0.0.1:0", "--peer", `127.0.0.1:${port}`, "--json"],
    );
    try {
      await seeder.line("event");
      await until(
        async () => difference(join(folder, shape.root), join(directory, shape.root)) === undefined,
        90_000,
      );
    } finally {
      await seeder.stop("SIGINT");
    }
    for (const mode of MODES) await download(torrent, port, mode, "file");
  });

  for (const mode of ["copy", "mapped", "sendfile"]) {
    it(`seeds to ${KINDS.map((kind) => kind.name).join(", ")} at once, send mode ${mode}`, async () => {
      const shape = mode === "copy" ? entryOf(SHAPES, 2) : entryOf(SHAPES, 0);
      const torrent = required(torrents.get(shape), "an entry of torrents");
      const leechers = await Promise.all(
        KINDS.map(async (kind) => {
          const directory = join(folder, `leech-${mode}-${kind.name}`);
          mkdirSync(directory);
          return { kind, directory, client: await start(kind, "download", torrent, directory) };
        }),
      );
      const seeder = Program.cli(
        ...["seed", torrent, folder, "--listen", "127.0.0.1:0", "--send-mode", mode, "--json"],
        ...leechers.flatMap(({ client }) => ["--peer", `127.0.0.1:${client.port}`]),
      );
      try {
        await seeder.line("event");
        for (const { kind, directory } of leechers) {
          await until(async () => {
            const different = difference(join(folder, shape.root), join(directory, shape.root));
            if (different !== undefined)
              throw new Error(`${kind.name}: ${different}; seeder: ${seeder.errors}`);
            return true;
          }, 90_000);
        }
      } finally {
        await seeder.stop("SIGINT");
        await Promise.all(leechers.map(({ client }) => client.stop()));
      }
      const { status, last } = await seeder.result();
      assert.equal(status, 130);
      assert.ok(Number(last["sentPayloadBytes"]) > 0);
    });
  }
});
