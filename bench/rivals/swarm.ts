// A swarm around one seed that sends so many bytes per second: how long until all leechers are complete, and how often the seed has sent
// what it has. The least is the time of one copy, and one copy. By us, by libtorrent, and by both.
//
// Always: each leecher is a process of its own, and knows the seed and the leechers before it; the seed's rate is its own program's limit; the
// kinds of swarms run in turn.

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../src/index.js";
import type { OnStep } from "../measuring/answer.js";
import { median } from "../measuring/statistics.js";
import { copySecondsOf, type SwarmFound, type SwarmKind, type SwarmRun } from "../measuring/swarm-results.js";
import { folderFor, makeData, makeTorrent, withFolder } from "../measuring/workplace.js";
import { Program } from "../processes/program.js";
import { withDeadline } from "../processes/running.js";
import { boolean, number, object } from "../processes/shape.js";
import { TextTable } from "../report/text-table.js";
import { LIBTORRENT_SETTINGS } from "./clients.js";
import { harness } from "./compile.js";

export interface SwarmOptions {
  readonly size: number;
  /** What the seed sends, in bytes per second. */
  readonly rate: number;
  readonly leechers: number;
  readonly runs: number;
  readonly kinds: readonly SwarmKind[];
  readonly signal: AbortSignal;
  readonly onStep: OnStep;
}

const HARNESS = fileURLToPath(new URL("./scatterwire-harness.js", import.meta.url));
const PORT = object({ port: number });
const DONE = object({ done: boolean });
const UPLOADED = object({ uploaded: number });
/** So many times what one copy takes, and the starting of programs. */
const DEADLINE_COPIES = 20;
const DEADLINE_MS = 60_000;

export async function benchSwarm(options: SwarmOptions): Promise<SwarmFound> {
  const { size, rate, leechers, runs, kinds, signal, onStep } = options;
  const found: Partial<Record<SwarmKind, SwarmRun[]>> = {};
  await withFolder(await folderFor((leechers + 1) * size, "memory"), signal, async (folder) => {
    const data = join(folder, "data");
    await mkdir(data);
    const torrent = await makeTorrent(await makeData(data, size, signal), { signal });
    for (let run = 0; run < runs; run++) {
      for (const [index, kind] of kinds.entries()) {
        if (signal.aborted) throw new UsageError("ABORTED", "the benchmark was stopped");
        const what = `round ${run + 1} of ${runs}, ${kind}`;
        onStep({ done: run * kinds.length + index, total: runs * kinds.length, what });
        const place = join(folder, "copies");
        await mkdir(place);
        const deadlineMs = (DEADLINE_COPIES * 1000 * size) / rate + DEADLINE_MS;
        const measured = await withDeadline(deadlineMs, () =>
          measure(kind, { torrent, data, place, size, rate, leechers }),
        );
        found[kind] = [...(found[kind] ?? []), measured];
        await rm(place, { recursive: true });
      }
    }
  });
  const { scatterwire, libtorrent, mixed } = found;
  return { size, rate, leechers, runs: { scatterwire, libtorrent, mixed } };
}

interface Work {
  readonly torrent: string;
  readonly data: string;
  readonly place: string;
  readonly size: number;
  readonly rate: number;
  readonly leechers: number;
}

async function measure(kind: SwarmKind, work: Work): Promise<SwarmRun> {
  const { torrent, data, place, size, rate, leechers } = work;
  const programs: Program[] = [];
  const addresses: string[] = [];
  const add = async (program: Program): Promise<Program> => {
    programs.push(program);
    const { port } = await program.read(PORT);
    addresses.push(`127.0.0.1:${port}`);
    return program;
  };
  try {
    const seed = await add(
      kind === "libtorrent"
        ? await startLibtorrent("seed", torrent, data, { upload_rate_limit: rate })
        : startOurs("seed", torrent, data, { maxUploadBytesPerSecond: rate }),
    );
    for (let index = 0; index < leechers; index++) {
      const directory = join(place, `${index}`);
      await mkdir(directory);
      const isOurs = kind === "scatterwire" || (kind === "mixed" && index % 2 === 0);
      await add(
        isOurs
          ? startOurs("download", torrent, directory, {})
          : await startLibtorrent("download", torrent, directory, {}),
      );
    }
    const downloading = programs.slice(1);
    const begin = performance.now();
    for (const [index, program] of downloading.entries())
      program.say(addresses.slice(0, index + 1).join(" "));
    const deadlineMs = (DEADLINE_COPIES * 1000 * size) / rate;
    await Promise.all(downloading.map((program) => program.read(DONE, deadlineMs)));
    const seconds = (performance.now() - begin) / 1000;
    const { uploaded } = await seed.ask(UPLOADED);
    return { seconds, seedCopies: uploaded / size };
  } finally {
    await Promise.all(programs.map((program) => program.kill()));
  }
}

function startOurs(role: "download" | "seed", torrent: string, directory: string, session: object): Program {
  const options = JSON.stringify({ session, torrent: { trackers: false } });
  return Program.node(HARNESS, [role, torrent, directory, options], { name: "scatterwire" });
}

async function startLibtorrent(
  role: "download" | "seed",
  torrent: string,
  directory: string,
  more: Readonly<Record<string, number>>,
): Promise<Program> {
  const settings = Object.entries({ ...LIBTORRENT_SETTINGS, ...more });
  const assignments = settings.map(([name, value]) => `${name}=${value}`);
  const program = await harness("libtorrent-harness");
  return new Program(program, [role, torrent, directory, "posix", ...assignments], { name: "libtorrent" });
}

export function swarmText(found: SwarmFound): string {
  const { size, rate, leechers, runs } = found;
  const copySeconds = copySecondsOf(found);
  const table = new TextTable({
    head: ["leechers", "last complete, s", "× one copy", "copies sent by the seed"],
    colAligns: ["left", "right", "right", "right"],
    compact: true,
  });
  for (const [kind, each] of Object.entries(runs)) {
    if (each === undefined) continue;
    const seconds = median(each.map((run) => run.seconds));
    table.push([
      kind === "mixed" ? `${leechers}, every other libtorrent` : `${leechers} ${kind}`,
      seconds.toFixed(1),
      (seconds / copySeconds).toFixed(2),
      median(each.map((run) => run.seedCopies)).toFixed(2),
    ]);
  }
  const rounds = Math.max(...Object.values(runs).map((each) => each?.length ?? 0));
  const how = `One seed (libtorrent's for its own leechers, ours for the others) sends ${(rate / 1e6).toFixed(1)} MB/s: one copy of ${(size / 1e6).toFixed(0)} MB takes ${copySeconds.toFixed(1)} s. Medians of ${rounds} interleaved round${rounds === 1 ? "" : "s"}.`;
  return `${table.toString()}\n${how}`;
}
