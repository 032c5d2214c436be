// The loopback benchmark: one process seeds a torrent of random bytes, another downloads it, once per receive mode and round.
// A client runs for long, so what is measured is a process that has downloaded some GB before; what its first download
// cost, while V8 compiled, is told apart.
//
// Always: the limit stands beside the modes where nothing is hashed or stored. It receives the same stream and ignores it, so
// it is no limit of work that does more.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ReceiveModeName, StorageKind } from "../../src/index.js";
import { runFigures } from "../measuring/answers.js";
import { firstOf } from "../measuring/ends.js";
import type { Axes, LabFigures } from "../measuring/results.js";
import type { Workshop } from "../measuring/run.js";
import { LIMIT, OURS, type Scenario } from "../measuring/scenario.js";
import type { ReceiveTrial } from "../measuring/trial-receive.js";
import { folderFor, makeData, makeTorrent, withFolder } from "../measuring/workplace.js";
import { startSeeder } from "../processes/seeder.js";

export interface LoopbackOptions {
  /** Bytes of the torrent. */
  readonly size: number;
  /** Seeding processes that one download is fed by. */
  readonly peers: number;
  readonly modes: readonly ReceiveModeName[];
  readonly storage: StorageKind;
  readonly verify: boolean;
  readonly signal: AbortSignal;
}

export const LOOPBACK_GROUP = "loopback";
/** What a process downloads before it is measured: from here on it costs no less. */
const WARM_UP_BYTES = 3 * 1024 ** 3;
const TRIAL = fileURLToPath(new URL("../measuring/trial-receive.js", import.meta.url));
const LIMIT_PROGRAM = fileURLToPath(new URL("../measuring/limit.js", import.meta.url));

export function benchLoopback(options: LoopbackOptions): Workshop {
  const { size, storage, signal } = options;
  // What is measured is receiving, unless the disk is asked for.
  const stored = storage === "null" || storage === "memory" ? 0 : size;
  return async (work) => {
    const parent = await folderFor(size + stored, storage === "direct" ? "disk" : "memory");
    await withFolder(parent, signal, async (folder) => {
      const torrent = await makeTorrent(await makeData(folder, size, signal), { signal });
      const seeders = await Promise.all(
        Array.from({ length: options.peers }, () => startSeeder(torrent, folder)),
      );
      const peers = seeders.map(({ host, port }) => `${host}:${port}`);
      await work({ scenarios: scenariosOf(options, { torrent, folder, peers }), omissions: [] });
      await Promise.all(seeders.map((seeder) => seeder.stop()));
    });
  };
}

interface Place {
  readonly torrent: string;
  readonly folder: string;
  /** HOST:PORT of each seeder. */
  readonly peers: readonly string[];
}

function scenariosOf(options: LoopbackOptions, place: Place): Scenario[] {
  const { modes, storage, verify } = options;
  const shared: Axes = { peers: options.peers, storage, verify };
  const scenario = (subject: string, axes: Axes, run: () => Promise<LabFigures>): Scenario => ({
    ...{ verb: "receive", group: LOOPBACK_GROUP, subject, axes, run },
  });
  const { torrent, peers } = place;
  const before = `${torrent},${peers[0]}`;
  const limit = scenario(LIMIT, { peers: options.peers }, () =>
    runFigures(LIMIT_PROGRAM, [torrent, ...peers, "--before", before]),
  );
  const doesNoMore = !verify && storage === "null";
  return [
    ...(doesNoMore ? [limit] : []),
    ...modes.map((mode) => scenario(OURS, { mode, ...shared }, () => download(options, mode, place))),
  ];
}

function download(options: LoopbackOptions, mode: ReceiveModeName, place: Place): Promise<LabFigures> {
  const { torrent, folder, peers } = place;
  const directory = join(folder, "download");
  rmSync(directory, { recursive: true, force: true });
  const trial: ReceiveTrial = {
    torrent,
    before: { torrent, peer: firstOf(peers), times: Math.ceil(WARM_UP_BYTES / options.size) },
    peers,
    session: { receiveMode: mode },
    storage: options.storage,
    options: { verify: options.verify, directory },
  };
  return runFigures(TRIAL, [JSON.stringify(trial)]);
}
