// Real clients on loopback, behind one shape: each serves or downloads one torrent in a folder, accepts connections at a
// port, finds no peers by itself, and takes plaintext. Our side connects to them. How each is started is described once, for the lab
// as well: bench/rivals/clients.ts.

import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as programs from "../../bench/rivals/clients.js";
import { NEEDED, PYTHON, requireInstalled } from "../../bench/rivals/installed.js";
import { until } from "../../bench/rivals/transmission-rpc.js";
import { Program } from "./program.js";

export { until };

export interface Client {
  readonly port: number;
  stop(): Promise<void>;
  /** With SIGKILL. */
  kill(): Promise<void>;
  /** Whether it still runs, and the last lines that it said or logged: for who asks why a test failed. */
  describe(): string;
}

export type ClientRole = "seed" | "download";

export interface ClientKind {
  readonly name: string;
  /** Throws unless it is installed: a test with real clients never passes without them. */
  require(): void;
  /** `torrent`: a file, or a magnet to download. */
  start(role: ClientRole, torrent: string, directory: string, settings?: ClientSettings): Promise<Client>;
}

/** As the lab describes them. libtorrent exchanges peers whatever is said here. */
export type ClientSettings = Pick<programs.ClientWork, "encryption" | "host" | "peerExchange">;

/** So many lines of what a client said are quoted. */
const LAST_LINES = 8;
const LIBTORRENT_PEER = fileURLToPath(new URL("../../../test/support/libtorrent_peer.py", import.meta.url));

/** How libtorrent is told: policies (0 forced, 1 enabled, 2 disabled) for connections out and in, and levels (1 plaintext, 2 RC4, 3 both). */
export const LIBTORRENT_ENCRYPTION: Readonly<Record<programs.ClientEncryption, Record<string, number>>> = {
  disabled: { out_enc_policy: 2, in_enc_policy: 2, allowed_enc_level: 1 },
  enabled: { out_enc_policy: 1, in_enc_policy: 1, allowed_enc_level: 3 },
  required: { out_enc_policy: 0, in_enc_policy: 0, allowed_enc_level: 2 },
};
/** In a folder of its own, which is gone when it has stopped. */
function kindOf(client: programs.ClientProgram): ClientKind {
  return {
    name: client.name,
    require: () => requireInstalled(client.needed),
    start: async (role, torrent, directory, settings) => {
      const home = await mkdtemp(join(tmpdir(), `${client.name}-`));
      const leave = (): Promise<void> => rm(home, { recursive: true, force: true });
      try {
        const { program, port } = await client.start({ ...settings, role, torrent, directory, home });
        const stop = (): Promise<void> => program.stop().finally(leave);
        const describe = (): string => describeProgram(program, join(home, "log"));
        return { port, stop, kill: () => program.kill().finally(leave), describe };
      } catch (error) {
        await leave();
        throw error;
      }
    },
  };
}

/** One that leaves no folder behind. */
export function clientOf(program: Program, port: number, stopSignal?: NodeJS.Signals): Client {
  return {
    port,
    stop: () => program.stop(stopSignal),
    kill: () => program.kill(),
    describe: () => describeProgram(program),
  };
}

function describeProgram(program: Program, log?: string): string {
  const { exitCode, signalCode } = program.child;
  const fate = program.over ? `ended with ${signalCode ?? exitCode}` : "runs";
  return [
    fate,
    ...[program.output, program.errors, log === undefined ? "" : readLog(log)].map(lastLines),
  ].join("\n");
}

function readLog(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-LAST_LINES).join("\n");
}

export const transmission = kindOf(programs.transmission);
export const aria2 = kindOf(programs.aria2);
export const rtorrent = kindOf(programs.rtorrent);

/** It asks UDP trackers through the socket of its DHT only; without an entry point that DHT knows nobody. */
export const aria2WithUdp = kindOf(
  programs.makeAria2(async ({ home }) => {
    const [port] = await programs.freePorts();
    return ["--enable-dht=true", `--dht-listen-port=${port}`, `--dht-file-path=${join(home, "dht")}`];
  }),
);

export const libtorrent: ClientKind = libtorrentAt("127.0.0.1:0", "libtorrent");
export const libtorrentV6: ClientKind = libtorrentAt("[::1]:0", "libtorrent at ::1");

/** `settings`: by the names of its manual, beside those that all have here. */
export function libtorrentWith(settings: Readonly<Record<string, string | number>>): ClientKind {
  return libtorrentAt("127.0.0.1:0", "libtorrent", settings);
}

function libtorrentAt(
  listen_interfaces: string,
  name: string,
  settings: Readonly<Record<string, string | number>> = {},
): ClientKind {
  return {
    name,
    require: () => requireInstalled(NEEDED.libtorrentForPython),
    start: async (role, torrent, directory, { encryption, host } = {}) => {
      const more = encryption === undefined ? {} : LIBTORRENT_ENCRYPTION[encryption];
      const at =
        host === undefined
          ? { listen_interfaces }
          : { listen_interfaces: `${host}:0`, outgoing_interfaces: host };
      const program = startLibtorrent(role, torrent, directory, { ...settings, ...at, ...more });
      const { port } = await program.line("port");
      return clientOf(program, Number(port));
    },
  };
}

/** Says {"port"} when it accepts connections, and {"done"} when a download is complete. */
export function startLibtorrent(
  role: ClientRole,
  torrent: string,
  directory: string,
  settingsBesides: Readonly<Record<string, string | number>> = {},
  peers: readonly string[] = [],
): Program {
  const settings = JSON.stringify({ ...programs.LIBTORRENT_SETTINGS, ...settingsBesides });
  return new Program(PYTHON, [LIBTORRENT_PEER, role, torrent, directory, settings, ...peers], {
    name: "libtorrent",
  });
}

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
