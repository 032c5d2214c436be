// The clients that come as programs: transmission, aria2 and rtorrent. Each gets the settings that are best for it here: no
// encryption, nothing that looks for peers, no limits, a large cache, space not reserved, nothing hashed twice.

import { existsSync } from "node:fs";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Program } from "../processes/program.js";
import { MissingError, runTool } from "./compile.js";
import type { Job, Role, Running, Subject, Work } from "./subject.js";
import { TransmissionRpc, until } from "./transmission-rpc.js";

const DOWNLOAD_TIMEOUT_MS = 600_000;
const READY_TIMEOUT_MS = 120_000;
/** How often it is looked whether a client is complete: often enough for the seconds, seldom enough for its CPU. */
const LOOK_PAUSE_MS = 20;
const CACHE_MIB = 64;

/** They verify and store, always. */
const does = (work: Work): boolean => work === "download-stored" || work === "seed";

function roleOf(job: Job): Role {
  return job.work === "seed" ? "seed" : "download";
}

async function requireCommand(command: string, flag: string, debianPackage: string): Promise<void> {
  const { status } = await runTool(command, [flag]);
  if (status === 0) return;
  throw new MissingError(`${command} is missing: install it with "apt-get install ${debianPackage}"`);
}

/** Ports that nothing listens at now, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(
    servers.map((server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Rejects at once when the program has ended, which `ask` would never find out. */
async function untilReady(program: Program, ask: () => Promise<boolean>): Promise<void> {
  let over = false;
  await until(
    async () => {
      over = program.over;
      return over || (await ask());
    },
    READY_TIMEOUT_MS,
    LOOK_PAUSE_MS,
  );
  // The line never comes: this says what the program said on standard error.
  if (over) await program.line("ready", 0);
}

/** A client that touches a file when it is complete. */
function touches(program: Program, file: string): () => Promise<void> {
  return () =>
    until(
      async () => {
        if (program.over) await program.line("complete", 0);
        return existsSync(file);
      },
      DOWNLOAD_TIMEOUT_MS,
      LOOK_PAUSE_MS,
    );
}

/** Accepts connections, as far as a connection that says nothing can tell. */
async function listens(port: number): Promise<boolean> {
  const table = await readFile("/proc/net/tcp", "utf8");
  const listening = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, "0")} [0-9A-F]+:0000 0A `);
  return listening.test(table);
}

export const transmission: Subject = {
  name: "transmission",
  settings: `cache ${CACHE_MIB} MiB, no preallocation, 500 peers and upload slots`,
  // It takes one connection of each address, and the load that leeches has one address.
  peersMax: (work) => (work === "seed" ? 1 : 64),
  does,
  require: () => requireCommand("transmission-daemon", "--version", "transmission-daemon"),
  start: async (job: Job): Promise<Running> => {
    const [port, rpcPort] = (await freePorts(2)) as [number, number];
    const settings = {
      "bind-address-ipv4": "127.0.0.1",
      "cache-size-mb": CACHE_MIB,
      "dht-enabled": false,
      "download-dir": job.directory,
      encryption: 0,
      "lpd-enabled": false,
      "peer-limit-global": 500,
      "peer-limit-per-torrent": 500,
      "peer-port": port,
      "pex-enabled": false,
      "port-forwarding-enabled": false,
      preallocation: 0,
      "rename-partial-files": false,
      "rpc-bind-address": "127.0.0.1",
      "rpc-port": rpcPort,
      "rpc-whitelist-enabled": false,
      "upload-slots-per-torrent": 500,
      "utp-enabled": false,
    };
    await writeFile(join(job.home, "settings.json"), JSON.stringify(settings));
    const program = new Program(
      "transmission-daemon",
      ["--foreground", "--config-dir", job.home, "--log-error"],
      { name: "transmission" },
    );
    const rpc = new TransmissionRpc(rpcPort);
    await rpc.add(job.torrent, job.directory, roleOf(job));
    await untilReady(program, () => listens(port));
    const complete = async (): Promise<void> =>
      until(async () => (await rpc.torrent()).leftUntilDone === 0, DOWNLOAD_TIMEOUT_MS, 2 * LOOK_PAUSE_MS);
    return { program, port, complete };
  },
};

export const aria2: Subject = {
  name: "aria2",
  settings: `disk cache ${CACHE_MIB} MiB, no allocation, any number of peers`,
  does,
  require: () => requireCommand("aria2c", "--version", "aria2"),
  start: async (job: Job): Promise<Running> => {
    const [port] = (await freePorts(1)) as [number];
    const mark = join(job.home, "complete");
    const hook = join(job.home, "hook.sh");
    await writeFile(hook, `#!/bin/sh\n: > '${mark}'\n`);
    await chmod(hook, 0o755);
    const program = new Program("aria2c", [
      "--no-conf",
      "--quiet",
      "--enable-dht=false",
      "--enable-dht6=false",
      "--bt-enable-lpd=false",
      "--enable-peer-exchange=false",
      "--bt-require-crypto=false",
      "--bt-max-peers=0",
      "--bt-request-peer-speed-limit=0",
      "--seed-time=1000",
      "--seed-ratio=0.0",
      "--file-allocation=none",
      `--disk-cache=${CACHE_MIB}M`,
      "--auto-save-interval=0",
      `--on-bt-download-complete=${hook}`,
      `--listen-port=${port}`,
      `--dir=${job.directory}`,
      ...(roleOf(job) === "seed" ? ["--bt-seed-unverified=true", "--allow-overwrite=true"] : []),
      job.torrent,
    ]);
    await untilReady(program, () => listens(port));
    return { program, port, complete: touches(program, mark) };
  },
};

export const rtorrent: Subject = {
  name: "rtorrent",
  settings: "socket buffers 4 MiB, 500 peers and uploads, no second check at the end",
  does,
  require: () => requireCommand("rtorrent", "-h", "rtorrent"),
  start: async (job: Job): Promise<Running> => {
    const [port] = (await freePorts(1)) as [number];
    const mark = join(job.home, "complete");
    const copy = join(job.home, "copy.torrent");
    const log = join(job.home, "log");
    const rc = join(job.home, "rc");
    await writeFile(copy, withTracker(await readFile(job.torrent)));
    const commands = [
      "system.daemon.set=true",
      `session.path.set=${job.home}`,
      `directory.default.set=${job.directory}`,
      "network.bind_address.set=127.0.0.1",
      `network.port_range.set=${port}-${port}`,
      "network.port_random.set=no",
      "protocol.encryption.set=none",
      "protocol.pex.set=no",
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
    await untilReady(program, async () => (await readFile(log, "utf8")).includes("Starting torrent"));
    return { program, port, complete: touches(program, mark) };
  },
};

/** rtorrent loads no torrent without a tracker ("Could not find any trackers"): it is given one that nobody runs. */
export function withTracker(torrent: Buffer): Buffer {
  // "announce" comes before all keys that torrents have, so it stands behind the first "d". The info hash stays.
  if (torrent.includes("8:announce")) return torrent;
  const url = "http://127.0.0.1:9/announce";
  return Buffer.concat([Buffer.from(`d8:announce${url.length}:${url}`), torrent.subarray(1)]);
}
