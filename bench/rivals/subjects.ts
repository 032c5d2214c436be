// The programs that we have written drivers for in C++ or TypeScript: ourselves, libtorrent with each of its disks,
// bittorrent-protocol, and the C loop that no seeder can be below.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SessionOptions, TorrentOptions } from "../../src/index.js";
import { Program } from "../processes/program.js";
import { number, object } from "../processes/shape.js";
import { aria2, type ClientProgram, LIBTORRENT_SETTINGS, rtorrent, transmission } from "./clients.js";
import { harness } from "./compile.js";
import { MissingError, requireInstalled } from "./installed.js";
import type { Job, Running, Subject, Work } from "./subject.js";

const MIB = 1024 * 1024;

export const C_LOOP = "C loop of writev";

/** What every harness says when peers may connect. */
export const READY = object({ port: number });

/** The harnesses' common way: a port when they are ready, "done" when they are. */
async function follow(program: Program): Promise<Running> {
  const { port } = await program.read(READY);
  return {
    program,
    port,
    complete: async () => {
      await program.line("done", 600_000);
    },
  };
}

function nodeProgram(file: string, args: readonly string[], name: string): Program {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return Program.node(path, args, { name });
}

interface Ours {
  readonly label: string;
  readonly works: readonly Work[];
  /** Only on this kind of file system; both without it. */
  readonly where?: "memory" | "disk";
  readonly session: SessionOptions;
  readonly torrent: TorrentOptions;
}

/** Ours with the settings that are best for each kind of work, as a user would set them. */
const OURS: readonly Ours[] = [
  {
    label: "speculative, null",
    works: ["download"],
    session: { receiveMode: "speculative", poolBytes: 8 * MIB, maxRequests: 512 },
    torrent: { storage: "null", verify: false },
  },
  {
    label: "speculative, file",
    works: ["download-stored"],
    session: { receiveMode: "speculative", poolBytes: 32 * MIB },
    torrent: { storage: "file" },
  },
  {
    label: "speculative, direct",
    works: ["download-stored"],
    where: "disk",
    session: { receiveMode: "speculative", poolBytes: 32 * MIB },
    torrent: { storage: "direct" },
  },
  {
    label: "mapped",
    works: ["seed"],
    session: { sendMode: "mapped", uploadSlots: 64 },
    torrent: { populate: true },
  },
  {
    label: "idle",
    works: ["idle"],
    session: { maxPeers: 20_000, idleTimeoutMs: 600_000 },
    torrent: {},
  },
];

function ourSubject({ label, works, where, session, torrent }: Ours): Subject {
  return {
    name: `scatterwire (${label})`,
    settings: JSON.stringify({ ...session, ...torrent }),
    does: (work, place) => works.includes(work) && (where === undefined || where === place),
    require: async () => {},
    start: async (job) =>
      follow(
        nodeProgram(
          "./scatterwire-harness.js",
          [roleOf(job), job.torrent, job.directory, JSON.stringify({ session, torrent })],
          `scatterwire (${label})`,
        ),
      ),
  };
}

/** Idle connections are those of a seeder, which wants nothing from them. */
function roleOf(job: Job): "download" | "seed" {
  return job.work === "seed" || job.work === "idle" ? "seed" : "download";
}

/** What is measured has no limits, and does nothing beside. */
const LIBTORRENT_MEASURED = {
  ...LIBTORRENT_SETTINGS,
  smooth_connects: false,
  enable_ip_notifier: false,
  // prefer_tcp.
  mixed_mode_algorithm: 0,
  unchoke_slots_limit: -1,
  allowed_fast_set_size: 0,
  listen_queue_size: 3000,
};

/**
 * Raised above libtorrent's defaults because it was faster so, measured on 2 cores: more requests under way, a larger
 * receive buffer, and two threads that hash. Whatever else its presets know is left as they have it.
 */
const LIBTORRENT_DOWNLOAD = [
  "request_queue_time=10",
  "max_out_request_queue=2000",
  "max_peer_recv_buffer_size=8388608",
  "recv_socket_buffer_size=2097152",
  "max_queued_disk_bytes=67108864",
  "aio_threads=4",
  "hashing_threads=2",
];
/** On top of its preset for seeding, high_performance_seed. */
const LIBTORRENT_SEED = [
  "max_allowed_in_request_queue=4000",
  "aio_threads=2",
  "hashing_threads=1",
  "suggest_mode=0",
];
const LIBTORRENT_IDLE = [
  "connections_limit=20000",
  "max_peerlist_size=0",
  "inactivity_timeout=600",
  "peer_timeout=600",
];

function libtorrentSubject(disk: "posix" | "mmap" | "disabled"): Subject {
  const settingsFor = (work: Work): string[] =>
    work === "seed"
      ? LIBTORRENT_SEED
      : work === "idle"
        ? [...LIBTORRENT_SEED, ...LIBTORRENT_IDLE]
        : LIBTORRENT_DOWNLOAD;
  const assignments = Object.entries(LIBTORRENT_MEASURED).map(([name, value]) => `${name}=${value}`);
  return {
    name: `libtorrent (${disk})`,
    settings: `download: ${LIBTORRENT_DOWNLOAD.join(" ")}; seed: high_performance_seed ${LIBTORRENT_SEED.join(" ")}`,
    does: (work) =>
      disk === "disabled"
        ? work === "download"
        : disk === "mmap"
          ? work !== "download"
          : work !== "download" && work !== "idle",
    require: async () => {
      await harness("libtorrent-harness");
    },
    start: async (job) =>
      follow(
        new Program(
          await harness("libtorrent-harness"),
          [roleOf(job), job.torrent, job.directory, disk, ...assignments, ...settingsFor(job.work)],
          { name: `libtorrent (${disk})` },
        ),
      ),
  };
}

/** The clients that come as programs verify and store, always. */
function clientSubject(client: ClientProgram, peersMax?: (work: Work) => number): Subject {
  const { name, settings, needed } = client;
  return {
    name,
    settings,
    ...(peersMax === undefined ? {} : { peersMax }),
    does: (work) => work === "download-stored" || work === "seed",
    require: async () => requireInstalled(needed),
    start: (job) => client.start({ ...job, role: roleOf(job) }),
  };
}

const bittorrentProtocol: Subject = {
  name: "bittorrent-protocol",
  settings: "256 requests outstanding per connection, written 64 at a time",
  does: (work) => work === "download",
  require: async () => {
    try {
      import.meta.resolve("bittorrent-protocol");
    } catch {
      throw new MissingError(
        'bittorrent-protocol is missing: install it with "npm install bittorrent-protocol"',
      );
    }
  },
  start: async (job) =>
    follow(nodeProgram("./bittorrent-protocol-harness.js", [job.torrent], "bittorrent-protocol")),
};

const cLoop: Subject = {
  name: C_LOOP,
  settings: "one thread, 32 blocks per call, the mapping touched beforehand",
  does: (work) => work === "seed",
  require: async () => {
    await harness("writev-seeder");
  },
  start: async (job) => follow(await startWritevSeeder(join(job.directory, "data.bin"), job)),
};

/** The same program is the load of downloads. */
export async function startWritevSeeder(
  data: string,
  torrent: { readonly infoHash: string; readonly pieceLength: number },
): Promise<Program> {
  const program = await harness("writev-seeder");
  return new Program(program, [data, String(torrent.pieceLength), torrent.infoHash]);
}

export const SUBJECTS: readonly Subject[] = [
  ...OURS.map(ourSubject),
  ...(["disabled", "posix", "mmap"] as const).map(libtorrentSubject),
  // It takes one connection of each address, and the load that leeches has one address.
  clientSubject(transmission, (work) => (work === "seed" ? 1 : 64)),
  clientSubject(aria2),
  clientSubject(rtorrent),
  bittorrentProtocol,
  cLoop,
];
