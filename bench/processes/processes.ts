// The processes of a benchmark: one per trial, so that each is measured whole and begins alike. All of them are ended when
// the benchmark ends, however it ends.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const running = new Set<ChildProcess>();

function start(args: readonly string[], { prefix = [], environment = {} }: Launch = {}): ChildProcess {
  const command = [...prefix, process.execPath, ...args];
  const child = spawn(command[0]!, command.slice(1), {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  track(child);
  return child;
}

/** Lets this process be ended with the benchmark, whoever started it. */
export function track(child: ChildProcess): void {
  running.add(child);
  child.once("exit", () => running.delete(child));
}

/** Ends what still runs. */
export function stopAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/**
 * Does `work`, and ends all processes that it started if it is not done in time: then it rejects, and says so. Processes that ran
 * before are left alone.
 */
export async function withDeadline<Result>(timeoutMs: number, work: () => Promise<Result>): Promise<Result> {
  const before = new Set(running);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    for (const child of running) if (!before.has(child)) child.kill("SIGKILL");
  }, timeoutMs);
  try {
    return await work();
  } catch (error) {
    if (!late) throw error;
    throw new Error(`not done after ${Math.round(timeoutMs / 1000)} s`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

export interface Launch {
  /** A command that the program is started by, such as ["perf", "stat"]. */
  readonly prefix?: readonly string[];
  /** Added to our own environment. */
  readonly environment?: NodeJS.ProcessEnv;
}

/** Runs a program to its end and returns the JSON object of its last line. Rejects with what it said on standard error. */
export async function runJson(
  args: readonly string[],
  launch: Launch = {},
): Promise<Record<string, unknown>> {
  const child = start(args, launch);
  let output = "";
  let errors = "";
  child.stdout!.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr!.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  if (status !== 0) throw new Error(errors.trim() || `a measured process ended with status ${status}`);
  return JSON.parse(output.trim().split("\n").at(-1)!) as Record<string, unknown>;
}

export function runCli(args: readonly string[]): Promise<Record<string, unknown>> {
  return runJson([CLI, ...args, "--json"]);
}

export interface Seeder {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** Our own seeder, in a process of its own, serving from a mapping. */
export async function startSeeder(torrent: string, directory: string): Promise<Seeder> {
  const child = start([
    CLI,
    "seed",
    torrent,
    directory,
    "--listen",
    "127.0.0.1:0",
    "--send-mode",
    "mapped",
    "--no-check",
    "--json",
  ]);
  let errors = "";
  child.stderr!.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const line = await new Promise<string>((resolve, reject) => {
    let output = "";
    child.stdout!.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes("\n")) resolve(output.split("\n")[0]!);
    });
    child.once("close", () => reject(new Error(errors.trim() || "the seeder ended")));
  });
  const { host, port } = JSON.parse(line) as { host: string; port: number };
  return {
    host,
    port,
    stop: async () => {
      const ended = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGINT");
      await ended;
    },
  };
}
