// What starting costs: the command line that is asked for help, a program that imports the package, and the first bytes of a
// process that downloads and ends, beside a loop in C that only receives them. CPU is that of whole processes, starting and all
// threads included, which is what most downloads are.
//
// Always: what is compared runs in turn, and each ratio is of figures of one round.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readMetainfo, UsageError } from "../../src/index.js";
import { startLoadSeeder } from "../load/load.js";
import type { OnStep } from "../measuring/answer.js";
import { entryOf } from "../measuring/ends.js";
import { median, medianRatio } from "../measuring/statistics.js";
import { folderFor, makeData, makeTorrent, withFolder } from "../measuring/workplace.js";
import { Program } from "../processes/program.js";
import { TextTable } from "../report/text-table.js";
import { harness } from "./compile.js";

export interface StartOptions {
  /** Bytes of the download. */
  readonly size: number;
  readonly runs: number;
  readonly signal: AbortSignal;
  readonly onStep: OnStep;
}

const SUBJECTS = ["node", "help", "import", "loop", "first", "download"] as const;
type Subject = (typeof SUBJECTS)[number];
const SUBJECT_TEXTS: Readonly<Record<Subject, string>> = {
  node: "Node.js alone",
  help: "scatterwire --help",
  import: "importing the package",
  loop: "a C loop that receives",
  first: "a download that compiles all of its code",
  download: "a download, as from the second start on",
};

export interface StartResult {
  readonly benchmark: "start";
  readonly size: number;
  /** CPU seconds of a process, one per round. */
  readonly cpuSeconds: Readonly<Record<Subject, readonly number[]>>;
  readonly helpToNode: number;
  readonly importSeconds: number;
  /** Where no compiled code is kept. */
  readonly firstToLoop: number;
  /** With what another start has compiled. */
  readonly downloadToLoop: number;
}

/** What is to be reached. */
const TARGETS = { helpToNode: 1.5, importSeconds: 0.03, downloadToLoop: 1.6 };
/** Short programs run so often in a round: a processor's clock is no finer than that. */
const STARTS = 10;
/** What a machine's own setup has Node.js read at each start (certificates: 0.04 CPU s here) is nobody's cost of starting. */
const ENVIRONMENT = { NODE_EXTRA_CA_CERTS: undefined, NODE_OPTIONS: undefined };
const BUNDLE = fileURLToPath(new URL("../../bundle/", import.meta.url));

export async function benchStart(options: StartOptions): Promise<StartResult> {
  const loop = await harness("receive-loop");
  const parent = await folderFor(options.size, "memory");
  return withFolder(parent, options.signal, async (folder) => {
    const data = await makeData(folder, options.size, options.signal);
    const torrent = await makeTorrent(data, { signal: options.signal });
    const { infoHashHex, pieceLength } = await readMetainfo(torrent);
    const seeder = await startLoadSeeder({ torrent, file: data, peers: 1 });
    const [address] = seeder.addresses as [string];
    const main = `${BUNDLE}main.js`;
    const node = process.execPath;
    const download = ["download", torrent, "--peer", address, "--storage", "null", "--no-verify"];
    download.push("--receive-mode", "speculative");
    const kept = join(folder, "code");
    const keeping = (place: string): string[] => ["env", `SCATTERWIRE_CODE_CACHE=${place}`];
    const commands: Record<Subject, { command: readonly string[]; times: number }> = {
      node: { command: [node, "-e", "0"], times: STARTS },
      help: { command: [node, main, "--help"], times: STARTS },
      import: { command: [node, `${BUNDLE}index.js`], times: STARTS },
      loop: {
        command: [loop, infoHashHex, address.split(":").at(-1) ?? "", `${options.size}`, `${pieceLength}`],
        times: 1,
      },
      first: { command: [...keeping("off"), node, main, ...download], times: 1 },
      download: { command: [...keeping(kept), node, main, ...download], times: 1 },
    };
    await cpuSecondsOf(commands.download.command, 1);
    const cpuSeconds = await measure(commands, options);
    await seeder.stop();
    return {
      benchmark: "start",
      size: options.size,
      cpuSeconds,
      helpToNode: medianRatio(cpuSeconds.help, cpuSeconds.node),
      importSeconds: median(cpuSeconds.import.map((value, run) => value - entryOf(cpuSeconds.node, run))),
      firstToLoop: medianRatio(cpuSeconds.first, cpuSeconds.loop),
      downloadToLoop: medianRatio(cpuSeconds.download, cpuSeconds.loop),
    };
  });
}

async function measure(
  commands: Readonly<Record<Subject, { command: readonly string[]; times: number }>>,
  { runs, signal, onStep }: StartOptions,
): Promise<Record<Subject, number[]>> {
  const figures: Record<Subject, number[]> = {
    node: [],
    help: [],
    import: [],
    loop: [],
    first: [],
    download: [],
  };
  for (let run = 0; run < runs; run++) {
    for (const subject of SUBJECTS) {
      if (signal.aborted) throw new UsageError("ABORTED", "the benchmark was stopped");
      const done = run * SUBJECTS.length + SUBJECTS.indexOf(subject);
      const what = `round ${run + 1} of ${runs}, ${SUBJECT_TEXTS[subject]}`;
      onStep({ done, total: runs * SUBJECTS.length, what });
      const { command, times } = commands[subject];
      figures[subject].push(await cpuSecondsOf(command, times));
    }
  }
  return figures;
}

/** CPU seconds of one process that runs `command`, all of its threads, the mean of so many runs: as bash's `time` tells them. */
async function cpuSecondsOf(command: readonly string[], times: number): Promise<number> {
  const script = `TIMEFORMAT="cpu %3U %3S"; time (for ((i = 0; i < ${times}; i++)); do "$@" >/dev/null || exit 1; done)`;
  const args = ["-c", script, "bash", ...command];
  const { status, errors } = await new Program("bash", args, { environment: ENVIRONMENT }).result();
  const match = /^cpu ([\d.]+) ([\d.]+)$/m.exec(errors);
  if (status !== 0 || match === null) throw new Error(`${command.join(" ")}: ${errors.trim()}`);
  return (Number(match[1]) + Number(match[2])) / times;
}

export function startText(result: StartResult): string {
  const { cpuSeconds, size, helpToNode, importSeconds, firstToLoop, downloadToLoop } = result;
  const gigabytes = size / 1e9;
  const table = new TextTable({
    head: ["a process that", "CPU s", "CPU s/GB", "", "to reach"],
    colAligns: ["left", "right", "right", "left", "left"],
    compact: true,
  });
  const seconds = (subject: Subject): string => median(cpuSeconds[subject]).toFixed(3);
  const perGB = (subject: Subject): string => (median(cpuSeconds[subject]) / gigabytes).toFixed(3);
  const first = `${gigabytes.toFixed(2)} GB`;
  table.push(
    ["does nothing: node -e 0", seconds("node"), "", "", ""],
    [
      "shows scatterwire --help",
      seconds("help"),
      "",
      `${helpToNode.toFixed(2)} × node`,
      `${TARGETS.helpToNode} ×`,
    ],
    [
      "imports the package",
      seconds("import"),
      "",
      `node + ${importSeconds.toFixed(3)}`,
      `+ ${TARGETS.importSeconds}`,
    ],
    [`receives ${first} in a C loop`, seconds("loop"), perGB("loop"), "", ""],
    [
      `downloads ${first}, speculative`,
      seconds("first"),
      perGB("first"),
      `${firstToLoop.toFixed(2)} × the loop`,
      "",
    ],
    [
      "the same, from the second start on",
      seconds("download"),
      perGB("download"),
      `${downloadToLoop.toFixed(2)} × the loop`,
      `${TARGETS.downloadToLoop} ×`,
    ],
  );
  const runs = cpuSeconds.node.length;
  const how = `Whole processes, starting included; medians of ${runs} interleaved round${runs === 1 ? "" : "s"}. Nothing is hashed or stored.`;
  return `${table.toString()}\n${how}`;
}
