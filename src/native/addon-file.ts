// Which file is the addon: one that was compiled here, else one that the package brings for this platform, processor and C library.
// Nothing is loaded here, and no script has to have run: a package whose prebuilt addon fits works as it was unpacked.
//
// Of the addons that a package brings one fits at the most, and its name says why: `scatterwire-linux-x64-glibc-napi8.node`. Every
// Node.js that has that version of Node-API, or a later one, loads it.

import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What binding.gyp defines as NAPI_VERSION; a test compares them. */
export const NODE_API_VERSION = 8;

export type Libc = "glibc" | "musl";

/** The name of the prebuilt addon for a platform, a processor and, on Linux, a C library. */
export function prebuiltName(platform: string, arch: string, libc: Libc | undefined): string {
  const parts = ["scatterwire", platform, arch, ...(libc === undefined ? [] : [libc])];
  return `${parts.join("-")}-napi${NODE_API_VERSION}.node`;
}

/** The prebuilt addon that this process could load, whether it is there or not. */
export function prebuiltFile(): string {
  const libc = process.platform === "linux" ? libcOf(process.execPath) : undefined;
  return join(packageRoot(), "prebuilds", prebuiltName(process.platform, process.arch, libc));
}

/** The addon's file, or undefined where there is none that fits. */
export function findAddon(): string | undefined {
  const built = join(packageRoot(), "build/Release/scatterwire.node");
  if (existsSync(built)) return built;
  const prebuilt = prebuiltFile();
  return existsSync(prebuilt) ? prebuilt : undefined;
}

/** The folder of the package. These modules and the bundle of them lie differently deep in it. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json")) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

/** Where an ELF file of 64 bits has what is asked for: offsets in its header, and in an entry of its table of program headers. */
const ELF = {
  magic: 0x7f454c46,
  headerBytes: 64,
  class: 4,
  class64: 2,
  tableOffset: 32,
  entryBytes: 54,
  entryCount: 56,
  type: 0,
  typeInterpreter: 3,
  offset: 8,
  length: 32,
} as const;
const INTERPRETER_BYTES_MAX = 4096;

/**
 * The C library that a program runs with, by the loader that it names: `ld-musl-x86_64.so.1`, `ld-linux-x86-64.so.2`. Both may lie
 * on one machine, and only this says which one is used. What names none, or cannot be read, is taken for glibc's.
 */
export function libcOf(program: string): Libc {
  try {
    return /(^|\/)ld-musl-[^/]*$/.test(interpreterOf(program)) ? "musl" : "glibc";
  } catch {
    return "glibc";
  }
}

/** The loader that an ELF program names, or "". Little-endian, 64 bits: what there are prebuilt addons for. */
function interpreterOf(program: string): string {
  const fd = openSync(program, "r");
  try {
    const read = (offset: number, length: number): Buffer => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
    };
    const header = read(0, ELF.headerBytes);
    if (header.readUInt32BE(0) !== ELF.magic || header[ELF.class] !== ELF.class64) return "";
    const entryBytes = header.readUInt16LE(ELF.entryBytes);
    const table = read(
      Number(header.readBigUInt64LE(ELF.tableOffset)),
      entryBytes * header.readUInt16LE(ELF.entryCount),
    );
    for (let entry = 0; entry + entryBytes <= table.length; entry += entryBytes) {
      if (table.readUInt32LE(entry + ELF.type) !== ELF.typeInterpreter) continue;
      const length = Number(table.readBigUInt64LE(entry + ELF.length));
      const name = read(
        Number(table.readBigUInt64LE(entry + ELF.offset)),
        Math.min(length, INTERPRETER_BYTES_MAX),
      );
      return name.toString("latin1").replace(/\0+$/, "");
    }
    return "";
  } finally {
    closeSync(fd);
  }
}
