// Real clients on loopback, behind one shape: each serves or downloads one torrent in a folder, accepts connections at a
// port, finds no peers by itself, and takes plaintext. Our side connects to them.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withTracker } from "../../bench/rivals/clients.js";
import { TransmissionRpc, until } from "../../bench/rivals/transmission-rpc.js";
import { freePort, Program, requireProgram } from "./program.js";

export { until };

export interface Client {
  readonly port: number;
  stop(): Promise<void>;
}

export type ClientRole = "seed" | "download";

export interface ClientKind {
  readonly name: string;
  require(): void;
  start(role: ClientRole, torrent: string, directory: string): Promise<Client>;
}

const PYTHON = "/usr/bin/python3";
const LIBTORRENT_PEER = fileURLToPath(new URL("../../../test/support/libtorrent_peer.py", import.meta.url));

export const libtorrent: ClientKind = {
  name: "libtorrent",
  require: () => requireProgram(PYTHON, ["-c", "import libtorrent"], "python3-libtorrent"),
  start: async (role, torrent, directory) => {
    const program = new Program(PYTHON, [LIBTORRENT_PEER, role, torrent, directory]);
    const { port } = await program.line("port");
    return { port: Number(port), stop: () => program.stop() };
  },
};

/** A torrent made by libtorrent. `padding`: files aligned with pad files (BEP 47). */
export async function createWithLibtorrent(
  path: string,
  torrent: string,
  pieceLength: number,
  padding: boolean,
): Promise<void> {
  const program = new Program(PYTHON, [
    LIBTORRENT_PEER,
    "create",
    path,
    torrent,
    String(pieceLength),
    padding ? "1" : "0",
  ]);
  const { status, errors } = await program.result();
  if (status !== 0) throw new Error(`libtorrent made no torrent: ${errors}`);
}

export const aria2: ClientKind = {
  name: "aria2",
  require: () => requireProgram("aria2c", ["--version"], "aria2"),
  start: (role, torrent, directory) => startAria2(role, torrent, directory, ["--enable-dht=false"]),
};

/** It asks UDP trackers through the socket of its DHT only; without an entry point that DHT knows nobody. */
export const aria2WithUdp: ClientKind = {
  ...aria2,
  start: async (role, torrent, directory) => {
    const files = await mkdtemp(join(tmpdir(), "aria2-"));
    const dht = [`--dht-listen-port=${await freePort()}`, `--dht-file-path=${join(files, "dht")}`];
    const client = await startAria2(role, torrent, directory, ["--enable-dht=true", ...dht]);
    return {
      port: client.port,
      stop: async () => {
        await client.stop();
        await rm(files, { recursive: true, force: true });
      },
    };
  },
};

async function startAria2(
  role: ClientRole,
  torrent: string,
  directory: string,
  more: readonly string[],
): Promise<Client> {
  const port = await freePort();
  const program = new Program("aria2c", [
    "--no-conf",
    "--quiet",
    "--enable-dht6=false",
    "--bt-enable-lpd=false",
    "--enable-peer-exchange=false",
    "--bt-require-crypto=false",
    "--seed-time=1000",
    "--seed-ratio=0.0",
    "--file-allocation=none",
    ...more,
    `--listen-port=${port}`,
    `--dir=${directory}`,
    ...(role === "seed" ? ["--check-integrity=true", "--allow-overwrite=true"] : []),
    torrent,
  ]);
  return { port, stop: () => program.stop() };
}

export const transmission: ClientKind = {
  name: "transmission",
  require: () => requireProgram("transmission-daemon", ["--version"], "transmission-daemon"),
  start: async (role, torrent, directory) => {
    const home = await mkdtemp(join(tmpdir(), "transmission-"));
    const port = await freePort();
    const rpcPort = await freePort();
    const settings = {
      "bind-address-ipv4": "127.0.0.1",
      "bind-address-ipv6": "::1",
      "cache-size-mb": 32,
      "dht-enabled": false,
      "download-dir": directory,
      encryption: 0,
      "lpd-enabled": false,
      "peer-port": port,
      "pex-enabled": false,
      "port-forwarding-enabled": false,
      "rpc-bind-address": "127.0.0.1",
      "rpc-port": rpcPort,
      "rpc-whitelist-enabled": false,
      "utp-enabled": false,
    };
    await writeFile(join(home, "settings.json"), JSON.stringify(settings));
    const program = new Program("transmission-daemon", ["--foreground", "--config-dir", home]);
    await new TransmissionRpc(rpcPort).add(torrent, directory, role);
    return {
      port,
      stop: async () => {
        await program.stop();
        await rm(home, { recursive: true, force: true });
      },
    };
  },
};

export const rtorrent: ClientKind = {
  name: "rtorrent",
  require: () => requireProgram("rtorrent", ["-h"], "rtorrent"),
  start: async (role, torrent, directory) => {
    const home = await mkdtemp(join(tmpdir(), "rtorrent-"));
    const port = await freePort();
    const copy = join(home, "copy.torrent");
    const log = join(home, "log");
    await writeFile(copy, withTracker(await readFile(torrent)));
    const commands = [
      "system.daemon.set=true",
      `session.path.set=${home}`,
      `directory.default.set=${directory}`,
      "network.bind_address.set=127.0.0.1",
      `network.port_range.set=${port}-${port}`,
      "network.port_random.set=no",
      "protocol.encryption.set=none",
      "protocol.pex.set=no",
      "dht.mode.set=disable",
      "trackers.use_udp.set=no",
      `log.open_file="log",${log}`,
      'log.add_output="torrent_info","log"',
      'log.add_output="error","log"',
      `schedule2=load,0,0,"load.start=${copy}"`,
    ];
    const rc = join(home, "rc");
    await writeFile(rc, `${commands.join("\n")}\n`);
    const program = new Program("rtorrent", ["-n", "-o", `import=${rc}`]);
    const stop = async (): Promise<void> => {
      await program.stop();
      await rm(home, { recursive: true, force: true });
    };
    // Before that it checks what it has, and turns everybody away.
    const started = async (): Promise<boolean> => {
      const said = await readFile(log, "utf8");
      if (said.includes("Starting torrent")) return true;
      throw new Error(`rtorrent (${role}) did not start: ${said}`);
    };
    await until(started, 30_000).catch(async (error: unknown) => {
      await stop();
      throw error;
    });
    return { port, stop };
  },
};
