// Far peers: downloads through a link with a round trip and a bandwidth (load-relay.ts), by us and by libtorrent, from seeders that
// announce how many requests they queue and from one that does not. What decides is how many requests a client keeps
// outstanding, and how soon: the link's rate times its round trip must be on the way at all times.

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { present } from "../../src/base/assert.js";
import { readMetainfo } from "../../src/index.js";
import { startLoadSeeder } from "../load/load.js";
import type { Axes, LabFigures, LabOmission } from "../measuring/results.js";
import type { Workshop } from "../measuring/run.js";
import { OURS, type Scenario } from "../measuring/scenario.js";
import { folderFor, makeData, makeTorrent, withFolder } from "../measuring/workplace.js";
import { Program } from "../processes/program.js";
import { LISTENING } from "../processes/seeder.js";
import { MissingError } from "./installed.js";
import { ProcessClock } from "./process-clock.js";
import type { Running, Subject } from "./subject.js";
import { SUBJECTS } from "./subjects.js";
import { type Bench, begin, end } from "./trial.js";

const RELAY = fileURLToPath(new URL("../load/load-relay.js", import.meta.url));
const LIBTORRENT = "libtorrent (posix)";
const OUR_DOWNLOAD = "scatterwire (speculative, file)";
/** A seeder without BEP 10's handshake: nobody is told how many requests it queues. */
const SILENT = "a seeder without reqq";

export interface WanOptions {
  readonly size: number;
  readonly signal: AbortSignal;
  readonly rttMs: readonly number[];
  readonly linkBytesPerSecond: number;
  readonly peers: readonly number[];
}

/** Rejects MissingError where there is no compiler to measure other programs with. */
export function benchWan(options: WanOptions): Workshop {
  return async (work) => {
    const { size, signal } = options;
    await withFolder(await folderFor(2 * size, "memory"), signal, async (folder) => {
      const data = join(folder, "data");
      const scratch = join(folder, "scratch");
      for (const path of [data, scratch]) await mkdir(path);
      const torrent = await makeTorrent(await makeData(data, size, signal), { signal });
      const { infoHash, pieceLength } = await readMetainfo(torrent);
      const clock = await ProcessClock.start();
      const bench: Bench = {
        ...{ clock, data, scratch, torrent, pieceLength, size, skippedBytes: 0 },
        infoHash: Buffer.from(infoHash).toString("hex"),
      };
      try {
        await work(await plan(bench, options));
      } finally {
        await clock.stop();
      }
    });
  };
}

async function plan(
  bench: Bench,
  options: WanOptions,
): Promise<{ scenarios: Scenario[]; omissions: LabOmission[] }> {
  const omissions: LabOmission[] = [];
  const ours = subjectCalled(OUR_DOWNLOAD);
  const theirs = await ifInstalled(subjectCalled(LIBTORRENT), omissions);
  const downloaders: [string, Subject][] = [
    [OURS, ours],
    ...(theirs === undefined ? [] : [[LIBTORRENT, theirs] as [string, Subject]]),
  ];
  const seeders = theirs === undefined ? [SILENT] : [LIBTORRENT, SILENT];
  const scenarios = seeders.flatMap((seeder) =>
    options.rttMs.flatMap((rttMs) =>
      options.peers.flatMap((peers) =>
        downloaders.map(([subject, downloader]): Scenario => {
          const axes: Axes = { seeder, rttMs, peers, linkBytesPerSecond: options.linkBytesPerSecond };
          const link = { rttMs, bytesPerSecond: options.linkBytesPerSecond };
          return {
            ...{ verb: "wan", group: "far", subject, axes },
            run: () => measureFar(bench, downloader, seeder === SILENT ? undefined : theirs, peers, link),
          };
        }),
      ),
    ),
  );
  return { scenarios, omissions };
}

function subjectCalled(name: string): Subject {
  return present(
    SUBJECTS.find((subject) => subject.name === name),
    "the subject is one of these",
  );
}

async function ifInstalled(subject: Subject, omissions: LabOmission[]): Promise<Subject | undefined> {
  try {
    await subject.require();
    return subject;
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    omissions.push({ verb: "wan", subject: subject.name, reason: error.message });
    return undefined;
  }
}

/** One download through the link, from the first connection to the last piece. */
async function measureFar(
  bench: Bench,
  downloader: Subject,
  seeder: Subject | undefined,
  peers: number,
  link: { readonly rttMs: number; readonly bytesPerSecond: number },
): Promise<LabFigures> {
  const { torrent, infoHash, pieceLength } = bench;
  const ends: (() => Promise<unknown>)[] = [];
  const start = async (
    subject: Subject,
    work: "seed" | "download-stored",
    name: string,
  ): Promise<Running> => {
    const home = join(bench.scratch, name);
    await rm(home, { recursive: true, force: true });
    await mkdir(home);
    const directory = work === "seed" ? bench.data : join(home, "download");
    if (work !== "seed") await mkdir(directory);
    const running = await subject.start({ work, torrent, directory, infoHash, pieceLength, peers, home });
    ends.push(async () => {
      await running.program.kill();
      await rm(home, { recursive: true, force: true });
    });
    return running;
  };
  try {
    const targets: string[] = [];
    if (seeder === undefined) {
      const load = await startLoadSeeder({
        ...{ torrent, file: join(bench.data, "data.bin"), peers, silentQueue: true },
      });
      ends.push(() => load.stop());
      targets.push(...load.addresses);
    } else {
      for (let peer = 0; peer < peers; peer++)
        targets.push(`127.0.0.1:${(await start(seeder, "seed", `seed-${peer}`)).port}`);
    }
    const relay = Program.node(RELAY, [
      ...["--rtt", String(link.rttMs), "--rate", String(link.bytesPerSecond)],
      ...targets.flatMap((target) => ["--to", target]),
    ]);
    ends.push(() => relay.stop());
    const addresses: string[] = [];
    while (addresses.length < peers) {
      const { host, port } = await relay.read(LISTENING);
      addresses.push(`${host}:${port}`);
    }
    const running = await start(downloader, "download-stored", "download");
    const before = await begin(bench, running);
    running.program.say(addresses.join(" "));
    await Promise.race([running.complete(), running.program.fails()]);
    const figures = await end(bench, running, before, bench.size);
    return { ...figures, linkShare: figures.bytesPerSecond / link.bytesPerSecond };
  } finally {
    for (const over of ends.reverse()) await over();
  }
}
