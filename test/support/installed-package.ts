// The package as somebody installs it: packed by npm, and installed by npm from that in an empty folder, with nothing to compile with.
//
// Nothing comes from a registry: the packages that it depends on are packed from what is installed here. Install scripts do not run, and
// optional packages are left out, so what is found working works for everybody.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Program } from "../../bench/processes/program.js";
import { required } from "./required.js";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface Manifest {
  readonly version: string;
  readonly os: readonly string[];
  readonly cpu: readonly string[];
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

export interface InstalledPackage {
  /** The folder of the program that uses the package. */
  readonly folder: string;
  /** Where the package lies in it. */
  readonly home: string;
  /** What `npm pack` made. */
  readonly tarball: string;
  /** Runs a program in the folder, with what an installation has in PATH: node and a shell. Resolves when it has ended. */
  run(command: string, ...args: string[]): Promise<Program>;
  /** Runs npm there. */
  npm(...args: string[]): Promise<Program>;
}

/** Packages that `names` need at run time, themselves included. */
function withDependencies(names: readonly string[], found = new Set<string>()): Set<string> {
  for (const name of names) {
    if (found.has(name)) continue;
    found.add(name);
    withDependencies(Object.keys(manifestOf(join(ROOT, "node_modules", name)).dependencies ?? {}), found);
  }
  return found;
}

/** Packs folders, and tells name → file. */
function pack(to: string, ...folders: string[]): Map<string, string> {
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", to, ...folders];
  const told = execFileSync("npm", args, {
    cwd: ROOT,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const packed = JSON.parse(told) as { name: string; filename: string }[];
  return new Map(packed.map(({ name, filename }) => [name, join(to, filename)]));
}

/**
 * The script of the npm that is in PATH, which an installation calls without a PATH to find it in. npm itself is asked: it need not lie beside the
 * Node.js that it runs in.
 */
function npmScript(): string {
  const script = execFileSync("npm", ["exec", "--offline", "--call", 'echo "$npm_execpath"'], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return realpathSync(script.trim());
}

/** Packs, with the addon of this machine prebuilt in it as in a release, and installs in `folder`, which is empty. */
export async function installPackage(folder: string): Promise<InstalledPackage> {
  execFileSync(process.execPath, [join(ROOT, "scripts/build-prebuilt.mjs")], { stdio: "pipe" });
  const [packages, programs] = [join(folder, "packages"), join(folder, "programs")];
  for (const each of [packages, programs]) mkdirSync(each);
  symlinkSync(process.execPath, join(programs, "node"));
  symlinkSync("/bin/sh", join(programs, "sh"));
  const tarball = required(pack(packages).get("scatterwire"), "an entry of pack");
  const dependencies = Object.keys(manifestOf(ROOT).dependencies ?? {});
  const folders = [...withDependencies(dependencies)].map((name) => join(ROOT, "node_modules", name));
  const overrides = Object.fromEntries(
    [...pack(packages, ...folders)].map(([name, file]) => [name, `file:${file}`]),
  );
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, overrides }));

  const script = npmScript();
  const run = async (command: string, ...args: string[]): Promise<Program> => {
    const program = new Program(command, args, { cwd: folder, environment: { PATH: programs } });
    await program.ended;
    return program;
  };
  const npm = (...args: string[]): Promise<Program> =>
    run(process.execPath, script, ...args, "--offline", "--cache", join(folder, "cache"));
  const installed = await npm(
    ...["install", tarball, "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"],
  );
  if (installed.child.exitCode !== 0) throw new Error(`npm install failed: ${installed.errors}`);
  return { folder, home: join(folder, "node_modules/scatterwire"), tarball, run, npm };
}
