// Starts and ends the load generators beside a trial, and keeps what they said.

import { fileURLToPath } from "node:url";
import { Program } from "../processes/program.js";
import { LISTENING } from "../processes/seeder.js";
import { number, type ObjectShape, object, type ValueOf } from "../processes/shape.js";

const SEEDER = fileURLToPath(new URL("./load-seeder.js", import.meta.url));
const LEECHER = fileURLToPath(new URL("./load-leecher.js", import.meta.url));

const LOAD_RESULT = object({
  payloadBytes: number,
  seconds: number,
  cpuSeconds: number,
  connections: number,
});
const LEECHER_RESULT = object({
  payloadBytes: number,
  seconds: number,
  cpuSeconds: number,
  connections: number,
  requests: number,
});

/** What a load generator did, by its own clock. */
export type LoadResult = ValueOf<typeof LOAD_RESULT>;
export type LeecherResult = ValueOf<typeof LEECHER_RESULT>;

export interface SeederOptions {
  readonly torrent: string;
  readonly file: string;
  /** Addresses to listen at, one for each peer that the downloader is to see. */
  readonly peers: number;
  readonly host?: string;
  readonly haveEvery?: number;
  readonly shuffle?: boolean;
  readonly segmentBytes?: number;
  /** Nobody is told how many requests it queues (BEP 10's `reqq`). */
  readonly silentQueue?: boolean;
  /** What the program is started with, such as ["ip", "netns", "exec", …]. */
  readonly prefix?: readonly string[];
}

export interface LoadSeeder {
  /** HOST:PORT, one per peer. */
  readonly addresses: readonly string[];
  /** What it has done so far. */
  ask<Value>(shape: ObjectShape<Value>): Promise<Value>;
  /** Ends it, and answers what it did. */
  stop(): Promise<LoadResult>;
}

export async function startLoadSeeder(options: SeederOptions): Promise<LoadSeeder> {
  const { torrent, file, peers, host = "127.0.0.1" } = options;
  const args = [torrent, file];
  // One address several times gets a port of its own each time: each is another peer.
  for (let peer = 0; peer < peers; peer++) args.push("--host", host);
  if (options.haveEvery !== undefined) args.push("--have-every", String(options.haveEvery));
  if (options.silentQueue === true) args.push("--silent-queue");
  if (options.shuffle === true) args.push("--shuffle");
  if (options.segmentBytes !== undefined) args.push("--segment", String(options.segmentBytes));
  const program = Program.node(SEEDER, args, { prefix: options.prefix });
  const addresses: string[] = [];
  while (addresses.length < peers) {
    const address = await program.read(LISTENING);
    addresses.push(`${address.host}:${address.port}`);
  }
  return {
    addresses,
    ask: (shape) => program.ask(shape),
    stop: () => program.finish(LOAD_RESULT),
  };
}

export interface LeecherOptions {
  readonly torrent: string;
  /** HOST:PORT of the seeder. */
  readonly address: string;
  readonly connections: number;
  readonly queue: number;
  readonly bytes: number;
  readonly random?: boolean;
}

/** Runs a leecher to its end. */
export function runLoadLeecher(options: LeecherOptions): Promise<LeecherResult> {
  const { torrent, address, connections, queue, bytes } = options;
  const program = Program.node(LEECHER, [
    ...[torrent, "--connect", address, "--connections", String(connections)],
    ...["--queue", String(queue), "--bytes", String(bytes)],
    ...(options.random === true ? ["--random"] : []),
  ]);
  return program.answer(LEECHER_RESULT);
}
