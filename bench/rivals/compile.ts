// The C++ programs of this folder, compiled when they are first needed and kept until their source or its flags change. They
// are sources in the package and no part of its build: whoever never compares needs neither compiler nor libtorrent.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, stat } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Program } from "../processes/program.js";
import { MissingError, NEEDED, requireInstalled } from "./installed.js";

export type HarnessName =
  | "process-clock"
  | "receive-loop"
  | "writev-seeder"
  | "storage-writer"
  | "libtorrent-harness";

const COMPILER = process.env["CXX"] ?? "c++";
const FLAGS = ["-std=c++17", "-O2", "-pthread"];
const LIBTORRENT = "libtorrent-rasterbar";

const compiled = new Map<HarnessName, Promise<string>>();

/** The path of the program, compiled now if need be. Rejects MissingError when what it takes is not installed. */
export function harness(name: HarnessName): Promise<string> {
  const known = compiled.get(name) ?? compile(name);
  compiled.set(name, known);
  return known;
}

async function compile(name: HarnessName): Promise<string> {
  const source = sourceOf(`${name}.cc`);
  const libraries = name === "libtorrent-harness" ? await libtorrentFlags() : [];
  const key = createHash("sha1");
  for (const part of [await readFile(source), COMPILER, ...FLAGS, ...libraries]) key.update(part);
  const program = join(await cacheFolder(), `${name}-${key.digest("hex").slice(0, 16)}`);
  if (existsSync(program)) return program;
  const unfinished = `${program}.${process.pid}`;
  // Libraries come after the source that needs them.
  const { status, output } = await runTool(COMPILER, [...FLAGS, source, "-o", unfinished, ...libraries]);
  if (status === undefined)
    throw new MissingError(`no C++ compiler (${COMPILER}): install it with "apt-get install g++"`);
  if (status !== 0) throw new Error(`${name}.cc does not compile:\n${output}`);
  await rename(unfinished, program);
  return program;
}

/** A folder of the user's own, in which nobody else can have put a program. */
async function cacheFolder(): Promise<string> {
  const { uid } = userInfo();
  const folder = join(tmpdir(), `scatterwire-${uid}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { uid: owner, mode } = await stat(folder);
  if (owner !== uid || (mode & 0o022) !== 0)
    throw new MissingError(
      `${folder} belongs to somebody else: remove it, or set TMPDIR to a folder of your own`,
    );
  return folder;
}

/** The sources stand beside this file's own source, which is not where the compiled file is. */
function sourceOf(name: string): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const candidates = [join(here, name), join(here, "../../../bench/rivals", name)];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new MissingError(`${name} is in the repository, and not in this package`);
  return found;
}

async function libtorrentFlags(): Promise<string[]> {
  requireInstalled(NEEDED.libtorrentLibrary);
  const { output } = await runTool("pkg-config", ["--cflags", "--libs", LIBTORRENT]);
  return output.trim().split(/\s+/);
}

/** Which libtorrent the harness is compiled against, such as "2.0.8". */
export async function libtorrentVersion(): Promise<string> {
  return (await runTool("pkg-config", ["--modversion", LIBTORRENT])).output.trim();
}

/** Runs a program to its end; status undefined says that there is no such program. */
export async function runTool(
  command: string,
  args: readonly string[],
): Promise<{ status: number | null | undefined; output: string }> {
  const program = new Program(command, args);
  const status = await program.ended;
  return { status: program.missing ? undefined : status, output: program.output + program.errors };
}
