// Whoever behaves is served soon, and brings what is missing soon, whatever a crowd does that does not behave: in choke rounds of virtual
// time, so that neither the speed of a machine nor what else runs on it counts. The crowd is the lab's (bench/load/misbehaviours.ts).
// What fails here fails again with
//
//   SEED=<n> node --test dist/test/sim/crowd.test.js

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { GUESTS_MAX } from "../../src/client/torrent/upload-rounds.js";
import { besideCrowd } from "../support/beside-crowd.js";
import {
  CrowdScene,
  makeSceneTorrent,
  PORT,
  SCENE_DATA_SEED,
  type SceneTorrent,
} from "../support/crowd-scene.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { HalfHonest } from "../support/half-honest.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** A disk that costs nothing, where there is one. */
const MEMORY_FOLDER = "/dev/shm";
/** More than are served at a time, slots or not. */
const PEERS = GUESTS_MAX + 44;
/** 128 pieces: fewer than there are peers in the crowd. */
const BYTES = 4 * 1024 * 1024;
const PIECE_BYTES = 32_768;
const WIRE = { delayMs: 10, bytesPerMs: 10_000, windowBytes: 131_072 };
const ROUND_MS = 10_000;
/** When whoever behaves comes: while the crowd is still coming, and when it has taken all that it gets. */
const COMES_MS = [500, 15_000];
const END_MS = 10 * 60_000;
const SLOT_HOLDERS = [["holdsSlots"], ["asksAndIsDeaf"], ["sips", "flapsInterest"]];
const SLOT_ROUNDS_MAX = 2;
const BLOCK_HOLDERS = [
  ["dripsLengths", "stopsInABlock"],
  ["refusesAndAllows", "chokesAndUnchokes"],
  ["hitsAndRuns"],
  ["lies"],
  ["colludes", "neverAnswers"],
  ["dawdles"],
  ["plainDrip", "spoilsOnePiece", "chokesWithRequests"],
  ["sendsUnasked", "refusesUnasked", "allowsEverything", "speaksUnknownly", "callsExtensions"],
];
const END_ROUNDS_MAX = 6;
/** Of a seed beside liars: a download that takes it 8.6 s alone, and those who hold it up, from addresses that are not banned as a whole. */
const SLOW_WIRE = { ...WIRE, bytesPerMs: 500 };
const LIARS = 150;
const LIARS_HOST = "127.0.0.99";
const LIAR_KINDS = [
  ["lies"],
  ["hitsAndRuns"],
  ["colludes"],
  ["dawdles"],
  ["lies", "hitsAndRuns", "colludes", "dawdles", "neverAnswers"],
];
const IDLE_SHARE_MIN = 0.5;

describe(`beside a crowd of ${PEERS} over virtual time (SEED=${SEED})`, () => {
  const folder = temporaryFolder(after, existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir());
  const crowded = { maxPeersPerAddress: 2 * PEERS };
  let shared: SceneTorrent;

  before(async () => {
    shared = await makeSceneTorrent(folder, BYTES, PIECE_BYTES);
  });

  /** Choke rounds until a leecher that comes late is unchoked. */
  async function roundsToASlot(kinds: readonly string[], comesMs: number): Promise<number> {
    const scene = new CrowdScene(SEED, shared, WIRE);
    const seed = await scene.join("10.0.0.1", "seeds", WIRE, crowded);
    await scene.crowd(seed.machine, kinds, comesMs, PEERS);
    const leecher = await scene.join("10.0.0.2", "downloads");
    const { network } = scene;
    const beganMs = network.nowMs;
    leecher.torrent.addPeer({ host: seed.machine.host, port: PORT });
    const isServed = (): boolean => leecher.torrent.peers().some(({ peerChoking }) => !peerChoking);
    await network.run(isServed, END_MS, "an unchoke");
    const rounds = (network.nowMs - beganMs) / ROUND_MS;
    await network.until(leecher.torrent.done, END_MS, "the last block");
    await scene.close();
    return rounds;
  }

  /** The same time, until a download is complete to which a seed comes late. */
  async function roundsToTheEnd(kinds: readonly string[], comesMs: number): Promise<number> {
    const scene = new CrowdScene(SEED, shared, WIRE);
    const seed = await scene.join("10.0.0.1", "seeds");
    const { machine, torrent } = await scene.join("10.0.0.2", "downloads", WIRE, crowded);
    await scene.crowd(machine, kinds, comesMs, PEERS);
    const { network } = scene;
    const beganMs = network.nowMs;
    torrent.addPeer({ host: seed.machine.host, port: PORT });
    await network.until(torrent.done, END_MS, "the last piece");
    const rounds = (network.nowMs - beganMs) / ROUND_MS;
    await scene.close();
    return rounds;
  }

  /** Milliseconds that a slow seed takes to complete a download that many others pretend to help with. */
  async function msBeside(kinds: readonly string[], comesMs: number): Promise<number> {
    const scene = new CrowdScene(SEED, shared, WIRE);
    const seed = await scene.join("10.0.0.1", "seeds", SLOW_WIRE);
    const { machine, torrent } = await scene.join("10.0.0.2", "downloads", WIRE, crowded);
    await scene.crowd(machine, kinds, comesMs, LIARS, LIARS_HOST);
    const { network } = scene;
    const beganMs = network.nowMs;
    torrent.addPeer({ host: seed.machine.host, port: PORT });
    await network.until(torrent.done, END_MS, "the last piece");
    const tookMs = network.nowMs - beganMs;
    assert.ok(
      torrent.peers().some(({ address }) => address.host === seed.machine.host),
      "the seed is here",
    );
    await scene.close();
    return tookMs;
  }

  for (const kinds of LIAR_KINDS)
    it(`a seed has half of the speed that it has beside idle ones: ${kinds.join(", ")}`, async (context) => {
      for (const comesMs of COMES_MS) {
        const idleMs = await msBeside(["idle"], comesMs);
        const tookMs = await msBeside(kinds, comesMs);
        context.diagnostic(`${(idleMs / tookMs).toFixed(2)} of the speed after ${comesMs} ms`);
        assert.ok(
          idleMs >= IDLE_SHARE_MIN * tookMs,
          `${tookMs} ms, ${idleMs} beside idle ones (SEED=${SEED})`,
        );
      }
    });

  for (const kinds of SLOT_HOLDERS)
    it(`a leecher has its first slot within ${SLOT_ROUNDS_MAX} choke rounds: ${kinds.join(" and ")}`, async () => {
      for (const comesMs of COMES_MS) {
        const rounds = await roundsToASlot(kinds, comesMs);
        assert.ok(rounds <= SLOT_ROUNDS_MAX, `${rounds} rounds after ${comesMs} ms (SEED=${SEED})`);
      }
    });

  for (const kinds of BLOCK_HOLDERS)
    it(`a seed brings what is missing within ${END_ROUNDS_MAX} choke rounds: ${kinds.join(" and ")}`, async (context) => {
      for (const comesMs of COMES_MS) {
        const rounds = await roundsToTheEnd(kinds, comesMs);
        context.diagnostic(`${rounds} rounds after ${comesMs} ms`);
        assert.ok(rounds <= END_ROUNDS_MAX, `${rounds} rounds after ${comesMs} ms (SEED=${SEED})`);
      }
    });

  /** What part of its speed beside idle ones somebody has that comes when the crowd is there, over a link that takes ten seconds for the torrent. */
  async function shareBeside(kinds: readonly string[]): Promise<number> {
    const trial = {
      role: "upload",
      bytesPerMs: BYTES / 10_000,
      peers: LIARS,
      comesMs: 15_000,
      seed: SEED,
    } as const;
    const idle = await besideCrowd({ ...trial, kinds: ["idle"], msMax: END_MS }, shared);
    const outcome = await besideCrowd({ ...trial, kinds, msMax: 4 * idle.tookMs }, shared);
    return outcome.rate / idle.rate;
  }

  for (const kind of ["storms", "becomesASeed", "asksForBytes", "asksAndCancels"])
    it(`a leecher has half of the speed that it has beside idle ones: ${kind}`, async (context) => {
      const share = await shareBeside([kind]);
      context.diagnostic(`${share.toFixed(2)} of the speed`);
      assert.ok(share >= IDLE_SHARE_MIN, `${share} of the speed (SEED=${SEED})`);
    });

  for (const [kinds, shareMin] of [
    [["floodsRequests"], 0.25],
    [["pretendsToSpread"], 0.4],
    [["floodsRequests", "pretendsToSpread"], 0.35],
  ] as const)
    it(`a leecher has a good part of it beside those that ask for more than there is: ${kinds.join(" and ")}`, async (context) => {
      const share = await shareBeside(kinds);
      context.diagnostic(`${share.toFixed(2)} of the speed`);
      assert.ok(share >= shareMin, `${share} of the speed (SEED=${SEED})`);
    });

  for (const isHalfFast of [false, true]) {
    const also = isHalfFast ? ", and others that were fast for a moment" : "";
    it(`a seed that comes last has half of its speed beside slow ones of which some lie${also}`, async (context) => {
      const halfHonest = new HalfHonest(bytesOf(SCENE_DATA_SEED, BYTES));
      const slow = halfHonest.slow(3000, 4);
      const trial = {
        role: "download",
        bytesPerMs: BYTES / 10_000,
        peers: 100,
        comesMs: 500,
        seed: SEED,
      } as const;
      const idle = await besideCrowd({ ...trial, kinds: ["idle"], msMax: END_MS }, shared);
      const kinds = isHalfFast ? [halfHonest.fastAtFirst(), slow] : [slow];
      const outcome = await besideCrowd({ ...trial, kinds, msMax: 4 * idle.tookMs }, shared);
      const share = outcome.rate / idle.rate;
      context.diagnostic(`${share.toFixed(2)} of the speed`);
      assert.ok(share >= IDLE_SHARE_MIN, `${share} of the speed (SEED=${SEED})`);
    });
  }

  it("a seed brings what is missing though the data is looked at again and again, and is not banned for liars", async () => {
    const scene = new CrowdScene(SEED, shared, WIRE);
    const { network } = scene;
    const seed = await scene.join("10.0.0.1", "seeds", SLOW_WIRE);
    const directory = join(folder, "checked");
    mkdirSync(directory);
    const { machine, torrent } = await scene.join("10.0.0.2", { directory }, WIRE, crowded);
    const banned: string[] = [];
    torrent.on("peerBanned", ({ host }) => banned.push(host));
    await scene.crowd(machine, ["dawdles"], 3000, 60, LIARS_HOST);
    torrent.addPeer({ host: seed.machine.host, port: PORT });
    for (let check = 0; check < 5; check++) {
      await scene.pass(1500);
      await network.until(torrent.recheck(), END_MS, "the data is checked");
    }
    await network.until(torrent.done, END_MS, "the last piece");
    assert.ok(!banned.includes(seed.machine.host), `${banned} (SEED=${SEED})`);
    assert.ok(banned.length > 0, "there were liars");
    await scene.close();
  });
});
