// Starts and ends the load generators beside a trial, and keeps what they said.

import { fileURLToPath } from "node:url";
import { LineProgram } from "../processes/line-program.js";

const SEEDER = fileURLToPath(new URL("./load-seeder.js", import.meta.url));
const LEECHER = fileURLToPath(new URL("./load-leecher.js", import.meta.url));

export interface LoadResult {
  readonly payloadBytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly connections: number;
  /** Of a leecher. */
  readonly requests?: number;
}

export interface SeederOptions {
  readonly torrent: string;
  readonly file: string;
  /** Addresses to listen at, one for each peer that the downloader shall see. */
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
  ask(): Promise<Record<string, unknown>>;
  /** Ends it, and answers what it did. */
  stop(): Promise<LoadResult>;
}

export async function startLoadSeeder(options: SeederOptions): Promise<LoadSeeder> {
  const { torrent, file, peers, host = "127.0.0.1" } = options;
  const command = [...(options.prefix ?? []), process.execPath, SEEDER, torrent, file];
  // One address several times gets a port of its own each time: each is another peer.
  for (let peer = 0; peer < peers; peer++) command.push("--host", host);
  if (options.haveEvery !== undefined) command.push("--have-every", String(options.haveEvery));
  if (options.silentQueue === true) command.push("--silent-queue");
  if (options.shuffle === true) command.push("--shuffle");
  if (options.segmentBytes !== undefined) command.push("--segment", String(options.segmentBytes));
  const program = new LineProgram(command[0]!, command.slice(1));
  await program.waitFor(peers);
  return {
    addresses: program.lines.map((line) => `${line["host"]}:${line["port"]}`),
    ask: () => program.ask(),
    stop: async () => (await program.stop()) as unknown as LoadResult,
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
export async function runLoadLeecher(options: LeecherOptions): Promise<LoadResult> {
  const { torrent, address, connections, queue, bytes } = options;
  const program = new LineProgram(process.execPath, [
    ...[LEECHER, torrent, "--connect", address, "--connections", String(connections)],
    ...["--queue", String(queue), "--bytes", String(bytes)],
    ...(options.random === true ? ["--random"] : []),
  ]);
  return (await program.result()) as unknown as LoadResult;
}
