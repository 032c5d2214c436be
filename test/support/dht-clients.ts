// Clients with a DHT of their own, behind one shape, for test/support/dht-in-namespace.ts: each seeds or announces one torrent, and looks for others. It
// says itself whom it found, or is seen to connect to them.

import { mkdirSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import BittorrentDht from "bittorrent-dht";
import { freePorts, startTransmission as startDaemon, withTracker } from "../../bench/rivals/clients.js";
import { PYTHON } from "../../bench/rivals/installed.js";
import { until } from "../../bench/rivals/transmission-rpc.js";
import { createTorrentFile, parseMetainfo } from "../../src/index.js";
import type { SocketAddress } from "../../src/native/binding.js";
import { bytesOf } from "./data.js";
import { Program } from "./program.js";

const LIBTORRENT = fileURLToPath(new URL("../../../test/support/libtorrent_dht.py", import.meta.url));
const TIMEOUT_MS = 240_000;
const DATA_BYTES = 300_000;
const HANDSHAKE_BYTES = 68;
const HASH_AT = 28;
const PEER_ID_AT = 48;

/**
 * Where the peers are that rtorrent is to find. libtorrent-rakshasa 0.13.8 (as later ones to 0.15) reads of an answer's peers not the peers but
 * the first six bytes of their list, "6:" and the address, again and again (AddressList::parse_address_bencode reads `s.data()`, where the place
 * in the list is meant), so it connects to 54.58.x.x, whoever told it what. This is the one endpoint that it reads as it is.
 */
export const FOUND: SocketAddress = { host: "54.58.54.58", port: 13_882 };

export interface Torrent {
  readonly path: string;
  readonly infoHash: Uint8Array;
}

export interface DhtClient {
  readonly name: string;
  /** What it has announced, and where peers reach it. */
  readonly announced: { readonly infoHash: Uint8Array; readonly endpoint: string };
  /** Begins to look for peers of a torrent, again if it was asked before. */
  look(torrent: Torrent): Promise<void>;
  /** What its peer id begins with, if it connects to whom it finds; else it tells `found`. */
  readonly peerId?: string;
  /** "host:port" of those that it found for a torrent. */
  found(infoHash: Uint8Array): ReadonlySet<string>;
  stop(): Promise<void>;
}

/** A torrent in a folder, with its data. */
export async function makeTorrent(folder: string, seed: number): Promise<Torrent> {
  mkdirSync(folder, { recursive: true });
  const data = join(folder, `data-${seed}.bin`);
  await writeFile(data, bytesOf(seed, DATA_BYTES));
  const file = await createTorrentFile(data, { pieceLength: 32_768 });
  const path = join(folder, `data-${seed}.torrent`);
  await writeFile(path, file);
  return { path, infoHash: parseMetainfo(file).infoHash };
}

/** Who connects to FOUND, and for which torrent. */
export class Arrivals {
  readonly #server: Server;
  readonly #seen = new Set<string>();

  constructor() {
    this.#server = createServer((socket) => this.#read(socket));
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(FOUND.port, FOUND.host, resolve));
  }

  has(peerId: string, infoHash: Uint8Array): boolean {
    const hash = Buffer.from(infoHash).toString("hex");
    return [...this.#seen].some((seen) => seen.startsWith(`${hash} ${peerId}`));
  }

  close(): void {
    this.#server.close();
  }

  #read(socket: Socket): void {
    let bytes = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < HANDSHAKE_BYTES) return;
      const hash = bytes.toString("hex", HASH_AT, PEER_ID_AT);
      this.#seen.add(`${hash} ${bytes.toString("latin1", PEER_ID_AT, HANDSHAKE_BYTES)}`);
      socket.destroy();
    });
  }
}

const NONE: ReadonlySet<string> = new Set();

export async function startTransmission(
  host: string,
  home: string,
  nodes: readonly SocketAddress[],
): Promise<DhtClient> {
  const { path, infoHash } = await makeTorrent(home, 1);
  await writeFile(join(home, "dht.bootstrap"), nodes.map((node) => `${node.host} ${node.port}\n`).join(""));
  const { program, port, rpc } = await startDaemon(home, {
    "bind-address-ipv4": host,
    "bind-address-ipv6": "::1",
    "dht-enabled": true,
    encryption: 0,
  });
  await rpc.add(path, home, "seed");
  return {
    name: "transmission",
    peerId: "-TR",
    announced: { infoHash, endpoint: `${host}:${port}` },
    look: async (torrent) => {
      await rpc.call("torrent-add", { filename: torrent.path, "download-dir": join(home, "wanted") });
    },
    found: () => NONE,
    stop: () => program.stop(),
  };
}

export async function startRtorrent(
  host: string,
  home: string,
  nodes: readonly SocketAddress[],
): Promise<DhtClient> {
  const [port, dhtPort] = await freePorts();
  const { path, infoHash } = await makeTorrent(home, 2);
  const watched = join(home, "watched");
  mkdirSync(watched);
  const copy = join(home, "copy.torrent");
  await writeFile(copy, withTracker(await readFile(path)));
  const commands = [
    "system.daemon.set=true",
    `session.path.set=${home}`,
    `directory.default.set=${home}`,
    `network.bind_address.set=${host}`,
    `network.port_range.set=${port}-${port}`,
    "network.port_random.set=no",
    "protocol.encryption.set=none",
    "protocol.pex.set=no",
    "trackers.use_udp.set=no",
    `dht.port.set=${dhtPort}`,
    "dht.mode.set=on",
    `load.start=${copy}`,
    `schedule2=watched,1,1,"load.start=${watched}/*.torrent"`,
    ...nodes.map((node, at) => `schedule2=node${at},1,0,"dht.add_node=${node.host}:${node.port}"`),
  ];
  const rc = join(home, "rc");
  await writeFile(rc, `${commands.join("\n")}\n`);
  const program = new Program("rtorrent", ["-n", "-o", `import=${rc}`]);
  let looked = 0;
  return {
    name: "rtorrent",
    peerId: "-lt0",
    announced: { infoHash, endpoint: `${host}:${port}` },
    look: async (torrent) => {
      const name = `${looked++}.torrent`;
      await writeFile(join(home, name), withTracker(await readFile(torrent.path)));
      await rename(join(home, name), join(watched, name));
    },
    found: () => NONE,
    stop: () => program.stop(),
  };
}

/** `host` is where others see it: it cannot be told to bind its DHT. */
export async function startAria2(
  host: string,
  home: string,
  nodes: readonly SocketAddress[],
): Promise<DhtClient> {
  const [port, rpcPort] = await freePorts();
  const { path, infoHash } = await makeTorrent(home, 3);
  const program = new Program("aria2c", [
    "--no-conf",
    "--quiet",
    "--enable-dht=true",
    "--enable-dht6=false",
    "--bt-enable-lpd=false",
    "--enable-peer-exchange=false",
    `--dht-file-path=${join(home, "dht")}`,
    `--dht-entry-point=${nodes[0]?.host}:${nodes[0]?.port}`,
    `--dht-listen-port=${port}`,
    `--listen-port=${port}`,
    "--enable-rpc=true",
    `--rpc-listen-port=${rpcPort}`,
    "--seed-time=1000",
    "--seed-ratio=0.0",
    "--bt-seed-unverified=true",
    "--allow-overwrite=true",
    `--dir=${home}`,
    path,
  ]);
  return {
    name: "aria2",
    peerId: "A2-",
    announced: { infoHash, endpoint: `${host}:${port}` },
    look: async (torrent) => {
      const content = (await readFile(torrent.path)).toString("base64");
      const parameters = [content, [], { dir: join(home, "wanted") }];
      const body = JSON.stringify({
        jsonrpc: "2.0",
        id: "1",
        method: "aria2.addTorrent",
        params: parameters,
      });
      await until(
        async () => (await fetch(`http://127.0.0.1:${rpcPort}/jsonrpc`, { method: "POST", body })).ok,
        TIMEOUT_MS,
      );
    },
    found: () => NONE,
    stop: () => program.stop(),
  };
}

export async function startLibtorrent(host: string, entrance: SocketAddress): Promise<DhtClient> {
  const program = new Program(PYTHON, [LIBTORRENT, `${entrance.host}:${entrance.port}`, host], {
    name: "libtorrent",
  });
  const { port } = await program.line("port");
  await program.line("nodes");
  const infoHash = Uint8Array.from(bytesOf(4, 20));
  program.say(`announce ${Buffer.from(infoHash).toString("hex")}`);
  return {
    name: "libtorrent",
    announced: { infoHash, endpoint: `${host}:${port}` },
    look: async (torrent) => program.say(`get ${Buffer.from(torrent.infoHash).toString("hex")}`),
    // It says nothing of the hash, so each line may be of any: endpoints of the clients are different ones.
    found: () =>
      new Set(
        program.lines.flatMap(({ peers }) =>
          Array.isArray(peers) ? (peers as unknown[][]).map(([at, of]) => `${at}:${of}`) : [],
        ),
      ),
    stop: () => program.stop(),
  };
}

/** Announces that peers are at FOUND, where it is itself. */
export async function startBittorrentDht(
  entrance: SocketAddress,
): Promise<DhtClient & { announce(infoHash: Uint8Array): Promise<void> }> {
  const dht = new BittorrentDht({ bootstrap: [`${entrance.host}:${entrance.port}`], host: FOUND.host });
  await new Promise<void>((resolve) => dht.listen(0, FOUND.host, resolve));
  await new Promise<void>((resolve) => dht.once("ready", resolve));
  const found = new Map<string, Set<string>>();
  dht.on("peer", (peer: SocketAddress, infoHash: Uint8Array) => {
    const key = Buffer.from(infoHash).toString("hex");
    const peers = found.get(key) ?? new Set();
    peers.add(`${peer.host}:${peer.port}`);
    found.set(key, peers);
  });
  const announce = (infoHash: Uint8Array): Promise<void> =>
    new Promise((resolve) => dht.announce(infoHash, FOUND.port, () => resolve()));
  const infoHash = Uint8Array.from(bytesOf(5, 20));
  await announce(infoHash);
  return {
    name: "bittorrent-dht",
    announced: { infoHash, endpoint: `${FOUND.host}:${FOUND.port}` },
    announce,
    look: async (torrent) => dht.lookup(torrent.infoHash),
    found: (hash) => found.get(Buffer.from(hash).toString("hex")) ?? NONE,
    stop: () => new Promise((resolve) => dht.destroy(() => resolve())),
  };
}
