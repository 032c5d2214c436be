// What hashing costs: every way this machine has to compute SHA-1, over how many digests are under way at one time; and making
// and checking a torrent whose data is cached. Beside each, in the same round: OpenSSL, one stream, through the same queue.
//
// OpenSSL's single stream on hot blocks of 16 KiB is what `openssl speed -bytes 16384 sha1` measures, to within a few
// percent: those few are what the queue costs. CPU time is that of the whole process.

import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { checkTorrent, createTorrentFile, readMetainfo } from "../../src/index.js";
import {
  DIGEST_FINISH,
  DIGEST_START,
  JOB_HEADER_WORDS,
  JobKind,
  loadBinding,
  type NativeEngine,
} from "../../src/native/binding.js";
import type { Answer, OnStep } from "../measuring/answer.js";
import { entryOf, lastOf, there } from "../measuring/ends.js";
import { median, medianRatio } from "../measuring/statistics.js";
import { describeMachine, folderFor, type Machine, makeData, withFolder } from "../measuring/workplace.js";
import { machineName } from "../report/read.js";
import { TextTable } from "../report/text-table.js";

const KIB = 1024;
const ROUNDS_DEFAULT = 5;
const STREAMS = [1, 2, 4, 8, 16, 32];
const BLOCK_BYTES = 16 * KIB;
/** A job feeds the same block so often, so that what is measured is hashing and not handing over jobs. */
const BLOCKS_PER_JOB = 64;
const JOB_BYTES = BLOCKS_PER_JOB * BLOCK_BYTES;
const DIGEST_BYTES = 20;
const PIECE_LENGTH = 1024 * KIB;
/** The engine's own choice. */
const CHEAPEST = "cheapest";
const BASE = "openssl";

export interface HotRow {
  readonly variant: string;
  readonly streams: number;
  readonly bytesPerSecond: number;
  readonly cpuSecondsPerGB: number;
  /** How many times as much as OpenSSL's single stream one second of CPU time hashes. */
  readonly ratioToOpenssl: number;
}

export interface TorrentRow {
  readonly work: "create" | "check";
  /** Where the data lies: on a disk, or in a memory file system where there is one. */
  readonly place: "memory" | "disk";
  readonly variant: string;
  readonly bytesPerSecond: number;
  readonly cpuSecondsPerGB: number;
  readonly cores: number;
  readonly ratioToOpenssl: number;
}

export interface HashingResult {
  readonly machine: Machine;
  readonly size: number;
  readonly rounds: number;
  readonly hot: readonly HotRow[];
  readonly torrent: readonly TorrentRow[];
}

interface Cost {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly bytes: number;
}

async function costOf(bytes: () => Promise<number>): Promise<Cost> {
  const cpuMicros = () => {
    const { userMicros, systemMicros } = loadBinding().resourceUsage();
    return userMicros + systemMicros;
  };
  const cpuBefore = cpuMicros();
  const before = performance.now();
  const done = await bytes();
  return {
    bytes: done,
    seconds: (performance.now() - before) / 1e3,
    cpuSeconds: (cpuMicros() - cpuBefore) / 1e6,
  };
}

const cpuPerGB = ({ cpuSeconds, bytes }: Cost): number => (cpuSeconds / bytes) * 1e9;

/** An engine whose digests are computed in one way, kept over all rounds, with a hot block and a digest per stream. */
class HotEngine {
  readonly variant: string;
  readonly #engine: NativeEngine;
  readonly #digests: number[] = [];
  /** Set while a trial runs. */
  #onTurn: (completions: number) => void = () => {};

  constructor(variant: string) {
    const streams = Math.max(...STREAMS);
    this.variant = variant;
    this.#engine = loadBinding().createEngine({
      slabBytes: (streams + 1) * BLOCK_BYTES,
      planEntries: 1,
      readyEntries: 1,
      completionEntries: streams,
      jobWords: streams * (JOB_HEADER_WORDS + 2 * BLOCKS_PER_JOB),
      ...(variant === CHEAPEST ? {} : { digestVariant: variant }),
    });
    this.#engine.onReady((_readyCount, completionCount) => this.#onTurn(completionCount));
    const { slab } = this.#engine;
    for (let at = 0; at < slab.length; at++) slab[at] = (at * 2654435761) >>> 13;
    for (let stream = 0; stream < streams; stream++) this.#digests.push(this.#engine.openDigest("sha1"));
  }

  /** Hashes at least `bytes`, `streams` digests at a time; answers how many. */
  async run(streams: number, bytes: number): Promise<number> {
    const jobs = Math.max(2 * streams, Math.ceil(bytes / JOB_BYTES));
    let begun = 0;
    let done = 0;
    await new Promise<void>((resolve) => {
      this.#onTurn = (count) => {
        const free: number[] = [];
        for (let index = 0; index < count; index++) free.push(there(this.#engine.completions[2 * index]));
        done += count;
        const next = free.slice(0, jobs - begun);
        begun += next.length;
        this.#submit(next);
        if (done === jobs) resolve();
      };
      begun = streams;
      this.#submit(Array.from({ length: streams }, (_, stream) => stream));
    });
    return jobs * JOB_BYTES;
  }

  /** Throws if one of the digests of the last run is wrong. */
  check(streams: number): void {
    for (let stream = 0; stream < streams; stream++) this.#check(stream);
  }

  close(): void {
    this.#engine.close();
  }

  #submit(streams: readonly number[]): void {
    const { jobs } = this.#engine;
    let at = 0;
    for (const stream of streams) {
      const flags = DIGEST_START | DIGEST_FINISH;
      const header = [JobKind.digest, stream, entryOf(this.#digests, stream), this.#outputOf(stream), flags];
      jobs.set([...header, BLOCKS_PER_JOB], at);
      at += JOB_HEADER_WORDS;
      for (let block = 0; block < BLOCKS_PER_JOB; block++) {
        jobs[at++] = stream * BLOCK_BYTES;
        jobs[at++] = BLOCK_BYTES;
      }
    }
    if (at > 0) this.#engine.submit(at);
  }

  #outputOf(stream: number): number {
    return Math.max(...STREAMS) * BLOCK_BYTES + stream * 2 * DIGEST_BYTES;
  }

  #check(stream: number): void {
    const { slab } = this.#engine;
    const hash = createHash("sha1");
    const block = slab.subarray(stream * BLOCK_BYTES, (stream + 1) * BLOCK_BYTES);
    for (let index = 0; index < BLOCKS_PER_JOB; index++) hash.update(block);
    const at = this.#outputOf(stream);
    if (hash.digest().compare(slab.subarray(at, at + DIGEST_BYTES)) === 0) return;
    throw new Error(`${this.variant}: digest ${stream} is wrong`);
  }
}

/** Hot blocks: a row for each variant and number of streams. */
async function benchHot(
  bytes: number,
  rounds: number,
  signal: AbortSignal | undefined,
  begins: (round: number) => void,
): Promise<HotRow[]> {
  const engines = [CHEAPEST, ...loadBinding().digestVariants].map((variant) => new HotEngine(variant));
  const base = lastOf(engines);
  const cells = engines.flatMap((engine) =>
    STREAMS.map((streams) => ({ engine, streams, costs: [] as Cost[] })),
  );
  const bases: number[] = [];
  for (let round = 0; round < rounds; round++) {
    begins(round);
    bases.push(cpuPerGB(await costOf(() => base.run(1, bytes))));
    for (const { engine, streams, costs } of cells) {
      signal?.throwIfAborted();
      costs.push(await costOf(() => engine.run(streams, bytes)));
      engine.check(streams);
    }
  }
  for (const engine of engines) engine.close();
  return cells.map(({ engine, streams, costs }) => ({
    variant: engine.variant,
    streams,
    bytesPerSecond: median(costs.map(({ bytes: count, seconds }) => count / seconds)),
    cpuSecondsPerGB: median(costs.map(cpuPerGB)),
    ratioToOpenssl: medianRatio(bases, costs.map(cpuPerGB)),
  }));
}

/** Runs `work` with the environment's wish for a variant, or without one. */
async function withVariant<Result>(variant: string, work: () => Promise<Result>): Promise<Result> {
  const before = process.env["SCATTERWIRE_DIGEST"];
  if (variant === CHEAPEST) delete process.env["SCATTERWIRE_DIGEST"];
  else process.env["SCATTERWIRE_DIGEST"] = variant;
  try {
    return await work();
  } finally {
    if (before === undefined) delete process.env["SCATTERWIRE_DIGEST"];
    else process.env["SCATTERWIRE_DIGEST"] = before;
  }
}

/** Making and checking a torrent of one file that was just written. */
async function benchTorrent(
  place: "memory" | "disk",
  size: number,
  rounds: number,
  signal: AbortSignal | undefined,
  begins: (round: number) => void,
): Promise<TorrentRow[]> {
  return withFolder(await folderFor(size, place), signal, async (folder) => {
    const data = await makeData(folder, size, signal);
    const torrent = join(folder, `${basename(data)}.torrent`);
    await writeFile(torrent, await createTorrentFile(data, { pieceLength: PIECE_LENGTH }));
    const metainfo = await readMetainfo(torrent);
    const tasks = {
      create: async () => {
        await createTorrentFile(data, { pieceLength: PIECE_LENGTH });
        return size;
      },
      check: async () => {
        const { complete } = await checkTorrent(metainfo, dirname(data));
        if (!complete) throw new Error("the data was found to be wrong");
        return size;
      },
    };
    const cells = (["create", "check"] as const).flatMap((work) =>
      [CHEAPEST, BASE].map((variant) => ({ work, variant, costs: [] as Cost[] })),
    );
    const base = new HotEngine(BASE);
    const bases: number[] = [];
    for (let round = 0; round < rounds; round++) {
      begins(round);
      bases.push(cpuPerGB(await costOf(() => base.run(1, size / 4))));
      for (const { work, variant, costs } of cells) {
        signal?.throwIfAborted();
        costs.push(await withVariant(variant, () => costOf(tasks[work])));
      }
    }
    base.close();
    return cells.map(({ work, variant, costs }) => ({
      work,
      place,
      variant,
      bytesPerSecond: median(costs.map(({ bytes, seconds }) => bytes / seconds)),
      cpuSecondsPerGB: median(costs.map(cpuPerGB)),
      cores: median(costs.map(({ cpuSeconds, seconds }) => cpuSeconds / seconds)),
      ratioToOpenssl: medianRatio(bases, costs.map(cpuPerGB)),
    }));
  });
}

export async function benchHashing(options: {
  size: number;
  rounds?: number;
  signal?: AbortSignal;
  onStep?: OnStep;
}): Promise<HashingResult> {
  const { size, rounds = ROUNDS_DEFAULT, signal, onStep } = options;
  const parts = ["hot blocks", "a torrent in memory", "a torrent on the disk"];
  const beginsOf =
    (part: number) =>
    (round: number): void => {
      const what = `${parts[part]}, round ${round + 1} of ${rounds}`;
      onStep?.({ done: part * rounds + round, total: parts.length * rounds, what });
    };
  const hot = await benchHot(size / 8, rounds, signal, beginsOf(0));
  const torrent = [
    ...(await benchTorrent("memory", size, rounds, signal, beginsOf(1))),
    ...(await benchTorrent("disk", size, rounds, signal, beginsOf(2))),
  ];
  return { machine: describeMachine(), size, rounds, hot, torrent };
}

function tableOf(head: string[], rows: string[][]): string {
  const colAligns = head.map((_, index) => (index === 0 ? "left" : "right")) as ("left" | "right")[];
  const table = new TextTable({ head, colAligns });
  for (const row of rows) table.push(row);
  return table.toString();
}

function hashingTables({ hot, torrent, size, rounds, machine }: HashingResult): string {
  const variants = [...new Set(hot.map(({ variant }) => variant))];
  const cell = ({ cpuSecondsPerGB, bytesPerSecond }: HotRow): string =>
    `${cpuSecondsPerGB.toFixed(3)}  ${(bytesPerSecond / 1e9).toFixed(2)}`;
  const hotTable = tableOf(
    ["streams", ...STREAMS.map(String)],
    variants.map((variant) => [variant, ...hot.filter((row) => row.variant === variant).map(cell)]),
  );
  const torrentTable = tableOf(
    ["cached", "data in", "digests", "GB/s", "CPU s/GB", "cores used", "per core, openssl = 1"],
    torrent.map((row) => [
      row.work,
      row.place,
      row.variant,
      (row.bytesPerSecond / 1e9).toFixed(2),
      row.cpuSecondsPerGB.toFixed(3),
      row.cores.toFixed(2),
      row.ratioToOpenssl.toFixed(2),
    ]),
  );
  return [
    `${machineName(machine)}; medians of ${rounds} rounds`,
    "",
    "SHA-1 of hot blocks of 16 KiB: CPU s/GB, and GB/s",
    hotTable,
    "",
    `A torrent of ${(size / 1e9).toFixed(2)} GB, pieces of 1 MiB`,
    torrentTable,
  ].join("\n");
}

/** The whole benchmark: what it found, as data and as text. */
export async function hashingAnswer(size: number, signal: AbortSignal, onStep?: OnStep): Promise<Answer> {
  const result = await benchHashing({ size, signal, ...(onStep === undefined ? {} : { onStep }) });
  return { data: { ...result }, text: hashingTables(result) };
}
