// The clients that come as programs, transmission, aria2 and rtorrent, and the settings of libtorrent: one description of each, for the
// lab, which measures them, and for the tests, which speak to them. Each listens on loopback, finds no peers by itself but
// those of its torrent's trackers, takes plaintext, and gets the settings that are best for it here: no limits, a large cache, space
// not reserved, nothing hashed twice.

import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Program } from "../processes/program.js";
import { NEEDED, type Needed } from "./installed.js";
import type { Role, Running } from "./subject.js";
import { TransmissionRpc, until } from "./transmission-rpc.js";

const DOWNLOAD_TIMEOUT_MS = 600_000;
const READY_TIMEOUT_MS = 120_000;
/** How often it is looked whether a client is complete: often enough for the seconds, seldom enough for its CPU. */
const LOOK_PAUSE_MS = 20;
const CACHE_MIB = 64;
const PORT_MIN = 10_000;
const PORT_MAX = 65_535;
const PORT_TRIES = 1000;
/** What the kernel gives where it is not said: the range that IANA keeps for it. */
const USUAL_LOCAL_PORTS = "49152 65535";
/** A program that was given one may not have taken it yet. */
const given = new Set<number>();

export interface ClientWork {
  readonly role: Role;
  /** A torrent file; or, to download, a magnet link. */
  readonly torrent: string;
  /** Where the data is, or goes. */
  readonly directory: string;
  /** A folder of the client's own, for whatever it keeps. */
  readonly home: string;
  /** Whether it encrypts: not at all, as the other side likes, or always. Without it: not by itself. */
  readonly encryption?: ClientEncryption | undefined;
  /** The loopback address that it listens at, and that its connections and announces come from. Without it: 127.0.0.1. */
  readonly host?: string | undefined;
  /** Whether it tells of its peers, and listens to whom they tell of (BEP 11). Without it: no. */
  readonly peerExchange?: boolean | undefined;
}

const HOST = "127.0.0.1";

export type ClientEncryption = "disabled" | "enabled" | "required";

/** Tolerated, preferred, required. It always takes what comes in encrypted. */
const TRANSMISSION_ENCRYPTION = { disabled: 0, enabled: 1, required: 2 } as const;
const ARIA2_ENCRYPTION: Readonly<Record<ClientEncryption, readonly string[]>> = {
  disabled: ["--bt-require-crypto=false", "--bt-min-crypto-level=plain"],
  enabled: ["--bt-require-crypto=false", "--bt-min-crypto-level=arc4"],
  required: ["--bt-force-encryption=true"],
};
const RTORRENT_ENCRYPTION: Readonly<Record<ClientEncryption, string>> = {
  disabled: "none",
  enabled: "allow_incoming,try_outgoing,enable_retry",
  required: "allow_incoming,try_outgoing,require,require_RC4",
};

export interface ClientProgram {
  readonly name: string;
  /** How it is set, in a line of the report. */
  readonly settings: string;
  readonly needed: Needed;
  /** Resolves when peers may connect. Rejects with what it said when it does not come to that, and leaves nothing running. */
  start(work: ClientWork): Promise<Running>;
}

/**
 * What every libtorrent here has, by the names of its manual: nothing that looks for peers, and TCP without encryption. Its trackers
 * are asked, where a torrent has them and the program that embeds it leaves them there.
 */
export const LIBTORRENT_SETTINGS: Readonly<Record<string, string | number | boolean>> = {
  listen_interfaces: "127.0.0.1:0",
  enable_dht: false,
  enable_lsd: false,
  enable_upnp: false,
  enable_natpmp: false,
  enable_incoming_utp: false,
  enable_outgoing_utp: false,
  allow_multiple_connections_per_ip: true,
  // pe_disabled: what comes in may not be encrypted either.
  out_enc_policy: 2,
  in_enc_policy: 2,
};

/**
 * A transmission that finds no peers by itself, speaks TCP only, and is told what to do on a port of this machine; `settings` by the names of
 * its manual say what it does besides. `home` is its own. It may not listen yet.
 */
export async function startTransmission(
  home: string,
  settings: Readonly<Record<string, string | number | boolean>>,
): Promise<{ readonly program: Program; readonly port: number; readonly rpc: TransmissionRpc }> {
  const [port, rpcPort] = await freePorts();
  const all = {
    "dht-enabled": false,
    "lpd-enabled": false,
    "peer-port": port,
    "pex-enabled": false,
    "port-forwarding-enabled": false,
    "rename-partial-files": false,
    "rpc-bind-address": "127.0.0.1",
    "rpc-port": rpcPort,
    "rpc-whitelist-enabled": false,
    "utp-enabled": false,
    ...settings,
  };
  await writeFile(join(home, "settings.json"), JSON.stringify(all));
  const args = ["--foreground", "--config-dir", home, "--log-error"];
  const program = new Program("transmission-daemon", args, { name: "transmission" });
  return { program, port, rpc: new TransmissionRpc(rpcPort) };
}

export const transmission: ClientProgram = {
  name: "transmission",
  settings: `cache ${CACHE_MIB} MiB, no preallocation, 500 peers and upload slots`,
  needed: NEEDED.transmission,
  start: async (work) => {
    const { role, torrent, directory, home, encryption = "disabled", host = HOST } = work;
    const { program, port, rpc } = await startTransmission(home, {
      "bind-address-ipv4": host,
      "bind-address-ipv6": "::1",
      "cache-size-mb": CACHE_MIB,
      "download-dir": directory,
      encryption: TRANSMISSION_ENCRYPTION[encryption],
      "peer-limit-global": 500,
      "peer-limit-per-torrent": 500,
      "pex-enabled": work.peerExchange === true,
      preallocation: 0,
      "upload-slots-per-torrent": 500,
    });
    let added = false;
    await untilReady(program, async () => {
      if (!added) await rpc.add(torrent, directory, role);
      added = true;
      return listens(port);
    });
    const complete = async (): Promise<void> =>
      until(async () => (await rpc.torrent()).leftUntilDone === 0, DOWNLOAD_TIMEOUT_MS, 2 * LOOK_PAUSE_MS);
    return { program, port, complete };
  },
};

/** `more`: options beside those, such as a DHT that knows nobody, without which it asks no UDP trackers. */
export function makeAria2(more: (work: ClientWork) => Promise<readonly string[]>): ClientProgram {
  return {
    name: "aria2",
    settings: `disk cache ${CACHE_MIB} MiB, no allocation, any number of peers`,
    needed: NEEDED.aria2,
    start: async (work) => {
      const { role, torrent, directory, home, encryption = "disabled", host } = work;
      const [port] = await freePorts();
      const mark = join(home, "complete");
      const hook = join(home, "hook.sh");
      await writeFile(hook, `#!/bin/sh\n: > '${mark}'\n`);
      await chmod(hook, 0o755);
      const program = new Program("aria2c", [
        "--no-conf",
        "--quiet",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        `--enable-peer-exchange=${work.peerExchange === true}`,
        ...ARIA2_ENCRYPTION[encryption],
        "--bt-max-peers=0",
        "--bt-request-peer-speed-limit=0",
        "--seed-time=1000",
        "--seed-ratio=0.0",
        "--file-allocation=none",
        `--disk-cache=${CACHE_MIB}M`,
        "--auto-save-interval=0",
        `--on-bt-download-complete=${hook}`,
        `--listen-port=${port}`,
        // It listens at all addresses, whatever it is told.
        ...(host === undefined ? [] : [`--interface=${host}`]),
        `--dir=${directory}`,
        ...(role === "seed" ? ["--bt-seed-unverified=true", "--allow-overwrite=true"] : []),
        // Of an option that stands twice the last counts.
        ...(await more(work)),
        torrent,
      ]);
      await untilReady(program, () => listens(port));
      return { program, port, complete: touches(mark) };
    },
  };
}

export const aria2 = makeAria2(async () => []);

export const rtorrent: ClientProgram = {
  name: "rtorrent",
  settings: "socket buffers 4 MiB, 500 peers and uploads, no second check at the end",
  needed: NEEDED.rtorrent,
  start: async (work) => {
    const { torrent, directory, home, encryption = "disabled", host = HOST } = work;
    const [port] = await freePorts();
    const mark = join(home, "complete");
    const copy = join(home, "copy.torrent");
    const log = join(home, "log");
    const rc = join(home, "rc");
    // A file of this form is what it makes of a magnet itself; on the command line its commas would part commands.
    const isMagnet = torrent.startsWith("magnet:");
    const made = isMagnet
      ? `d10:magnet-uri${torrent.length}:${torrent}e`
      : withTracker(await readFile(torrent));
    await writeFile(copy, made);
    const commands = [
      "system.daemon.set=true",
      `session.path.set=${home}`,
      `directory.default.set=${directory}`,
      `network.bind_address.set=${host}`,
      `network.port_range.set=${port}-${port}`,
      "network.port_random.set=no",
      `protocol.encryption.set=${RTORRENT_ENCRYPTION[encryption]}`,
      `protocol.pex.set=${work.peerExchange === true ? "yes" : "no"}`,
      "dht.mode.set=disable",
      "trackers.use_udp.set=no",
      "throttle.max_peers.normal.set=500",
      "throttle.max_peers.seed.set=500",
      "throttle.max_uploads.set=500",
      "network.receive_buffer.size.set=4M",
      "network.send_buffer.size.set=4M",
      "pieces.hash.on_completion.set=no",
      "system.file.allocate.set=0",
      `log.open_file="log",${log}`,
      'log.add_output="torrent_info","log"',
      'log.add_output="error","log"',
      `method.set_key=event.download.finished,told,"execute.nothrow=touch,${mark}"`,
      `schedule2=load,0,0,"load.start=${copy}"`,
    ];
    await writeFile(rc, `${commands.join("\n")}\n`);
    const program = new Program("rtorrent", ["-n", "-o", `import=${rc}`]);
    // Before that it checks what it has, and turns everybody away.
    const started = async (): Promise<boolean> => {
      const said = await readFile(log, "utf8");
      if (said.includes("Starting torrent")) return true;
      throw new Error(`rtorrent did not start: ${said}`);
    };
    await untilReady(program, started);
    return { program, port, complete: touches(mark) };
  },
};

/** rtorrent loads no torrent without a tracker ("Could not find any trackers"): it is given one that nobody runs. */
export function withTracker(torrent: Buffer): Buffer {
  // "announce" comes before all keys that torrents have, so it stands behind the first "d". The info hash stays.
  if (torrent.includes("8:announce")) return torrent;
  const url = "http://127.0.0.1:9/announce";
  return Buffer.concat([Buffer.from(`d8:announce${url.length}:${url}`), torrent.subarray(1)]);
}

/** Rejects at once, with what the program said, when it has ended; if it does not become ready in time, it is ended. */
async function untilReady(program: Program, ask: () => Promise<boolean>): Promise<void> {
  try {
    await until(async () => program.over || (await ask()), READY_TIMEOUT_MS, LOOK_PAUSE_MS);
    if (program.over) await program.fails();
  } catch (error) {
    await program.kill();
    throw error;
  }
}

/** Of a client that touches a file when it is complete. Its caller watches whether it ends before that. */
function touches(file: string): () => Promise<void> {
  return () => until(async () => existsSync(file), DOWNLOAD_TIMEOUT_MS, LOOK_PAUSE_MS);
}

/** Accepts connections, as far as a connection that says nothing can tell. */
async function listens(port: number): Promise<boolean> {
  const table = await readFile("/proc/net/tcp", "utf8");
  const listening = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, "0")} [0-9A-F]+:0000 0A `);
  return listening.test(table);
}

/**
 * Two ports that nobody has now: for programs that cannot be told to choose one. They are none of those that the kernel gives to
 * whoever connects or asks for any port, or it might give them away before the program has started.
 */
export async function freePorts(): Promise<readonly [number, number]> {
  return [await freePort(), await freePort()];
}

async function freePort(): Promise<number> {
  const { from, to } = await portsToChooseFrom();
  for (let left = PORT_TRIES; left > 0; left--) {
    const port = randomInt(from, to + 1);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`found no free port of ${from} to ${to} in ${PORT_TRIES} tries`);
}

/** Beside those that the kernel gives, below or above them: wherever there are more. */
async function portsToChooseFrom(): Promise<{ readonly from: number; readonly to: number }> {
  const range = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8").catch(
    () => USUAL_LOCAL_PORTS,
  );
  const [low = PORT_MIN, high = PORT_MAX] = range.trim().split(/\s+/).map(Number);
  const [below, above] = [low - PORT_MIN, PORT_MAX - high];
  // Where the kernel gives nearly all of them, any.
  if (Math.max(below, above) < PORT_TRIES) return { from: PORT_MIN, to: PORT_MAX };
  return below > above ? { from: PORT_MIN, to: low - 1 } : { from: high + 1, to: PORT_MAX };
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}
