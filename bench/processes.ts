// The processes of a benchmark: one per trial, so that each is measured whole and begins alike. All of them are ended when
// the benchmark ends, however it ends.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const running = new Set<ChildProcess>();

function start(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Ends what still runs. */
export function stopAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** Runs a program to its end and returns the JSON object of its last line. Rejects with what it said on standard error. */
export async function runJson(args: readonly string[]): Promise<Record<string, unknown>> {
  const child = start(args);
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
