// How fast one that behaves is beside a crowd that does not, in virtual time: as a seed's link gives it what we send, or as a seed brings what
// we download.
//
// Always: the same for the same seed; what is measured is the one that behaves, from when it comes, late, until it is done or given up.

import type { Kind } from "../../bench/load/crowd.js";
import { CrowdScene, type Guest, PORT, type SceneTorrent } from "./crowd-scene.js";
import type { Wire } from "./simulated-network.js";

export type Role = "upload" | "download";

export interface Trial {
  /** Whom the crowd is at: we seed to one that behaves, or we download from one. */
  readonly role: Role;
  /** Misbehaviours; of several, each of the crowd has one. */
  readonly kinds: readonly Kind[];
  /** The seed's link. */
  readonly bytesPerMs: number;
  /** Of the crowd. */
  readonly peers: number;
  /** Where all of them are; undefined: each in a network of its own. */
  readonly from?: string | undefined;
  /** When the one that behaves comes. */
  readonly comesMs: number;
  /** How long it is waited for. */
  readonly msMax: number;
  readonly seed: number;
}

export interface Outcome {
  /** Bytes per millisecond of the one that behaves. */
  readonly rate: number;
  readonly tookMs: number;
  readonly isDone: boolean;
  /** The part of what the seed's link could carry that was payload, while it lasted. */
  readonly busy: number;
  /** Bytes per millisecond that each of the crowd was sent on average. */
  readonly crowdRate: number;
}

/** A window as a system gives to a connection that nobody reads from. */
const WIRE: Wire = { delayMs: 4, bytesPerMs: 10_000, windowBytes: 65_536 };
const SEED_HOST = "10.0.0.1";
const LEECHER_HOST = "10.0.0.2";

export async function besideCrowd(trial: Trial, shared: SceneTorrent): Promise<Outcome> {
  const { role, kinds, bytesPerMs, peers, comesMs, msMax, seed } = trial;
  const scene = new CrowdScene(seed, shared, WIRE);
  const { network } = scene;
  const crowded = { maxPeersPerAddress: 2 * peers };
  const slow = { ...WIRE, bytesPerMs };
  const seeding = await scene.join(SEED_HOST, "seeds", slow, role === "upload" ? crowded : {});
  const join = (): Promise<Guest> =>
    scene.join(LEECHER_HOST, "downloads", WIRE, role === "download" ? crowded : {});
  // Who is crowded is there before the crowd.
  const early = role === "download" ? await join() : seeding;
  await scene.crowd(early.machine, kinds, comesMs, peers, trial.from);
  const { torrent } = role === "download" ? early : await join();
  const beganMs = network.nowMs;
  const sentBefore = seeding.torrent.counters().sentPayloadBytes;
  torrent.addPeer({ host: SEED_HOST, port: PORT });
  const isDone = (): boolean => torrent.progress().bytesMissing === 0;
  await network.run(() => isDone() || network.nowMs >= beganMs + msMax, 2 * msMax, "the last piece");
  const tookMs = network.nowMs - beganMs;
  // Of an upload only the seed brings any; of a download what counts is what is right.
  const bytes = role === "upload" ? torrent.counters().payloadBytes : torrent.progress().bytesVerified;
  const sent = seeding.torrent.counters().sentPayloadBytes - sentBefore;
  const outcome = {
    rate: bytes / tookMs,
    tookMs,
    isDone: isDone(),
    busy: sent / tookMs / bytesPerMs,
    crowdRate: role === "upload" ? Math.max(0, sent - bytes) / tookMs / peers : 0,
  };
  await scene.close();
  return outcome;
}
