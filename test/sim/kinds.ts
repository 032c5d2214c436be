// A table, in virtual time: how fast one that behaves is beside many that misbehave in one way, or in two, for each way that the lab knows
// (bench/load/misbehaviours.ts), as a part of the speed that it has beside as many idle ones.
//
//   npm run kinds -- [upload|download] [--kinds a,b] [--pairs 200] [--peers 150] [--rates 100,500,4000] [--from 127.0.0.99] [--comes 15000]
//                    [--seed 1] [--part 1/2]
//
// upload: we seed, with a link of so many bytes per millisecond, to one that comes when the crowd is there. download: a seed with such a link
// brings what we download. --pairs draws so many pairs of two kinds, by dice from the seed. --from: all of the crowd have that address, and not
// each its own; those of 127/8 are bounded and banned one by one only.
//
// What is far below half is a fault, or a share. "busy" says what part of what the seed's link could carry was payload, "to mean" how much
// more the one that behaves got than those of the crowd on average, and "to equal" how many equal shares of the link it got: an equal share
// is the least that anybody gets beside many who take all that they are sent. Those who ask for more than there is have a part of the link
// as long as they have a slot, or take less than a quarter of it together.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MISBEHAVIOURS } from "../../bench/load/misbehaviours.js";
import { besideCrowd, type Outcome, type Role, type Trial } from "../support/beside-crowd.js";
import { makeSceneTorrent } from "../support/crowd-scene.js";
import { makeRandom } from "../support/property.js";

/** What the torrent takes over the link alone. */
const ALONE_MS = 10_000;
const PIECES = 128;
const BLOCK_BYTES = 16_384;
/** Of the time that it takes beside idle ones: then what came is counted. */
const PATIENCE = 12;
/** A disk that costs nothing, where there is one. */
const MEMORY_FOLDER = "/dev/shm";
const ROLES: readonly Role[] = ["upload", "download"];

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kinds: { type: "string" },
    pairs: { type: "string" },
    peers: { type: "string", default: "150" },
    rates: { type: "string", default: "100,500,4000" },
    from: { type: "string" },
    comes: { type: "string", default: "15000" },
    seed: { type: "string", default: "1" },
    part: { type: "string", default: "1/1" },
  },
});

function listOf(text: string): string[] {
  return text.split(",").filter((each) => each !== "");
}

/** Every kind by itself, or so many pairs of two. */
function combinations(seed: number): string[][] {
  const names = flags.kinds === undefined ? Object.keys(MISBEHAVIOURS) : listOf(flags.kinds);
  if (flags.pairs === undefined) return names.map((name) => [name]);
  const random = makeRandom(seed);
  const draw = (): string => names[Math.floor(random() * names.length)] ?? "idle";
  const wanted = Math.min(Number(flags.pairs), (names.length * (names.length - 1)) / 2);
  const pairs = new Map<string, string[]>();
  while (pairs.size < wanted) {
    const pair = [draw(), draw()].sort();
    if (pair[0] !== pair[1]) pairs.set(pair.join(), pair);
  }
  return [...pairs.values()];
}

function print({ role, bytesPerMs, kinds, peers }: Trial, outcome: Outcome, idle: Outcome): void {
  const { rate, tookMs, isDone, busy, crowdRate } = outcome;
  const columns = [
    role.padEnd(8),
    String(bytesPerMs).padStart(5),
    (rate / idle.rate).toFixed(2).padStart(6),
    `${(tookMs / 1000).toFixed(1)}${isDone ? " " : "+"}`.padStart(8),
    busy.toFixed(2).padStart(5),
    (crowdRate > 0 ? (rate / crowdRate).toFixed(1) : "-").padStart(8),
    (role === "upload" ? ((rate * (peers + 1)) / bytesPerMs).toFixed(1) : "-").padStart(9),
    ` ${kinds.join(" + ")}`,
  ];
  console.log(columns.join(" "));
}

async function main(): Promise<void> {
  const roles = ROLES.filter((role) => positionals.length === 0 || positionals.includes(role));
  const [part = 1, parts = 1] = flags.part.split("/").map(Number);
  const seed = Number(flags.seed);
  const folder = mkdtempSync(
    join(existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), "scatterwire-kinds-"),
  );
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  console.log("role      rate  speed    took  busy  to mean  to equal  kinds");
  for (const bytesPerMs of listOf(flags.rates).map(Number)) {
    const bytes = Math.round(ALONE_MS * bytesPerMs);
    const pieceBytes = BLOCK_BYTES * Math.max(1, Math.round(bytes / PIECES / BLOCK_BYTES));
    const shared = await makeSceneTorrent(folder, bytes, pieceBytes);
    for (const role of roles) {
      const about = { role, bytesPerMs, peers: Number(flags.peers), from: flags.from, seed };
      const among = { ...about, comesMs: Number(flags.comes) };
      const alone: Trial = { ...among, kinds: ["idle"], msMax: PATIENCE * ALONE_MS };
      const idle = await besideCrowd(alone, shared);
      print(alone, idle, idle);
      for (const [index, kinds] of combinations(seed).entries()) {
        if (index % parts !== part - 1) continue;
        const trial = { ...among, kinds, msMax: PATIENCE * idle.tookMs };
        print(trial, await besideCrowd(trial, shared), idle);
      }
    }
  }
}

await main();
