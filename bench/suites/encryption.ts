// What message stream encryption costs: the same download between two sessions of ours, in plaintext and encrypted, both of them in a process
// of their own. The load generators speak no encryption, so that both rows of this group have one of ours at the other end: they
// are to be compared with each other, and not with those of other groups.
//
// Always: both ends have the same policy, which lets nothing else through: "disabled" and "required".

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { EncryptionPolicy, ReceiveModeName, SendModeName } from "../../src/index.js";
import { runFigures } from "../measuring/answers.js";
import type { BenchPlace } from "../measuring/bench-place.js";
import { USAGE, usageFigures } from "../measuring/meter.js";
import type { LabFigures } from "../measuring/results.js";
import { OURS, type Scenario } from "../measuring/scenario.js";
import type { ReceiveTrial } from "../measuring/trial-receive.js";
import type { SeedTrial } from "../measuring/trial-seed.js";
import { Program } from "../processes/program.js";
import { LISTENING } from "../processes/seeder.js";
import { number, object } from "../processes/shape.js";

export const ENCRYPTION_GROUP = "encryption";
const RECEIVING = fileURLToPath(new URL("../measuring/trial-receive.js", import.meta.url));
const SEEDING = fileURLToPath(new URL("../measuring/trial-seed.js", import.meta.url));
const POLICIES = { plaintext: "disabled", encrypted: "required" } as const satisfies Record<
  string,
  EncryptionPolicy
>;
const RECEIVE_MODES = ["contiguous", "speculative"] as const satisfies ReceiveModeName[];
const SEND_MODES = ["copy", "mapped", "sendfile"] as const satisfies SendModeName[];

/** What trial-seed.ts tells, as far as it is read here. */
const READING = object({
  counters: object({ sentPayloadBytes: number, sentBytes: number, sendCalls: number }),
  usage: USAGE,
});

interface Point {
  readonly encryption: EncryptionPolicy;
  readonly receiveMode: ReceiveModeName;
  readonly sendMode: SendModeName;
}

/** `verb`: whose CPU is measured. */
export function encryptionScenarios(place: BenchPlace, verb: "receive" | "seed"): Scenario[] {
  const scenarios: Scenario[] = [];
  for (const [words, encryption] of Object.entries(POLICIES)) {
    if (verb === "receive")
      for (const mode of RECEIVE_MODES)
        scenarios.push({
          ...{ verb, group: ENCRYPTION_GROUP, subject: OURS },
          axes: { encryption: words, mode, peers: 1, storage: "null", verify: false },
          run: () => received(place, { encryption, receiveMode: mode, sendMode: "copy" }),
        });
    else
      for (const sendMode of SEND_MODES)
        scenarios.push({
          ...{ verb, group: ENCRYPTION_GROUP, subject: OURS },
          axes: { encryption: words, sendMode, leechers: 1, cached: true },
          run: () => sent(place, { encryption, receiveMode: "speculative", sendMode }),
        });
  }
  return scenarios;
}

async function startSeeding(place: BenchPlace, point: Point): Promise<{ program: Program; address: string }> {
  const torrents = [place.before.torrent, place.torrent];
  const trial: SeedTrial = {
    torrents: torrents.map((torrent) => ({ torrent, directory: dirname(torrent) })),
    session: { sendMode: point.sendMode, encryption: point.encryption },
  };
  const program = Program.node(SEEDING, [JSON.stringify(trial)]);
  const { host, port } = await program.read(LISTENING);
  return { program, address: `${host}:${port}` };
}

/** A session receives `torrent` from there, to nowhere, after it has received another one. */
function receive(
  torrent: string,
  address: string,
  { encryption, receiveMode }: Point,
  before?: ReceiveTrial["before"],
): Promise<LabFigures> {
  const trial: ReceiveTrial = {
    ...{ torrent, peers: [address], storage: "null", options: { verify: false } },
    session: { receiveMode, encryption },
    ...(before === undefined ? {} : { before }),
  };
  return runFigures(RECEIVING, [JSON.stringify(trial)]);
}

async function received(place: BenchPlace, point: Point): Promise<LabFigures> {
  const { program, address } = await startSeeding(place, point);
  const figures = await receive(place.torrent, address, point, {
    torrent: place.before.torrent,
    peer: address,
  });
  const { counters, usage } = await program.ask(READING);
  await program.finish(READING);
  // Both downloads, and its start.
  const seconds = (usage.userCPUTime + usage.systemCPUTime) / 1e6;
  return { ...figures, loadCpuSecondsPerGB: seconds / (counters.sentPayloadBytes / 1e9) };
}

async function sent(place: BenchPlace, point: Point): Promise<LabFigures> {
  const { program, address } = await startSeeding(place, point);
  await receive(place.before.torrent, address, point);
  const before = await program.ask(READING);
  const { seconds } = await receive(place.torrent, address, point);
  const after = await program.ask(READING);
  await program.finish(READING);
  const counted = (name: keyof typeof after.counters): number => after.counters[name] - before.counters[name];
  const made = { calls: counted("sendCalls"), bytes: counted("sentBytes") };
  return usageFigures(counted("sentPayloadBytes"), seconds, before.usage, after.usage, made);
}
