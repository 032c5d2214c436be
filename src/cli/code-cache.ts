// What V8 compiled of a verb, kept between starts: a process that downloads a gigabyte or two pays as much for V8 as for their bytes, and a part of
// that is reading and compiling what was the same the last time. The bundle has the verbs that use the library in one file for this,
// as CommonJS, since Node.js 20 takes no compiled code for modules of the language (scripts/bundle.mjs).
//
// Always: what is kept is believed only if this user alone can have written it, if all of it is there, and if it was made of this text by this
// Node.js: V8 checks little of what it is given, and runs it. Whatever is wrong with it, the verb runs without, and where
// nothing can be kept nobody is told: it is a matter of milliseconds.

import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { Script, constants as vmConstants } from "node:vm";
import { cacheFolder, makeFolders } from "./cache-folder.js";
import type { VerbModule } from "./verbs.js";

const VARIABLE = "SCATTERWIRE_CODE_CACHE";
const DIGEST_BYTES = 20;
const PREFIX = "code-";
/** A start that ends sooner has not compiled what a verb's work needs: it said what was wrong, or that there was nothing to do. */
const KEEP_FROM_MS = 500;
/** Of a verb that goes on for long, what was compiled by then is kept: most of what it needs, and what it began with is not yet forgotten. */
const KEEP_AFTER_MS = 10_000;
/** Written by others than its owner. */
const WRITABLE_BY_OTHERS = 0o022;

/** Where compiled code is kept, or undefined: the environment says that none is, or there is no place for it. */
export function codeCacheFolder(): string | undefined {
  const said = process.env[VARIABLE];
  if (said === "off") return undefined;
  return said === undefined || said === "" ? cacheFolder() : said;
}

/** When what was compiled is kept: at the end if that is not before `fromMs`, or `afterMs` after the start. */
export interface KeepTimes {
  readonly fromMs: number;
  readonly afterMs: number;
}

/**
 * Runs the verb of this name, which `file` exports under it: a bundle, named by a digest of what is in it, in CommonJS. Takes what the last
 * start compiled of it from `folder`, and keeps there what this one does if there was nothing; undefined: nothing is kept.
 */
export async function runCompiled(
  file: string,
  name: string,
  args: readonly string[],
  folder: string | undefined,
  { fromMs, afterMs }: KeepTimes = { fromMs: KEEP_FROM_MS, afterMs: KEEP_AFTER_MS },
): Promise<number> {
  const source = readFileSync(file, "latin1");
  const compiled =
    folder === undefined
      ? undefined
      : join(folder, `${PREFIX}${basename(file, ".cjs")}-${name}-${process.version}-${process.arch}`);
  const cachedData = compiled !== undefined && isOurs(dirname(compiled)) ? readCompiled(compiled) : undefined;
  const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: file,
    importModuleDynamically: vmConstants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  const module = { exports: {} as Record<string, VerbModule["run"]> };
  script.runInThisContext()(module.exports, builtinModule, module, file, dirname(file));
  const run = module.exports[name];
  if (run === undefined) throw new Error(`${file} has no verb ${name}`);
  if (compiled === undefined || (cachedData !== undefined && script.cachedDataRejected !== true))
    return run(args);
  let isKept = false;
  const keep = (): void => {
    if (!isKept) keepCompiled(compiled, script.createCachedData());
    isKept = true;
  };
  const timer = setTimeout(keep, afterMs);
  timer.unref();
  const startedMs = performance.now();
  const status = await run(args);
  clearTimeout(timer);
  // What a failure needs is not what the next start will.
  if (status === 0 && performance.now() - startedMs >= fromMs) keep();
  return status;
}

/** What is in a bundle asks for nothing else: packages that may not be there are imported. */
function builtinModule(name: string): unknown {
  const module = process.getBuiltinModule(name);
  if (module === undefined) throw new Error(`Node.js has no module ${name}`);
  return module;
}

/** Whether nobody but this user, as whom the code is to run, can have put a file there. */
function isOurs(folder: string): boolean {
  try {
    const { uid, mode } = lstatSync(folder);
    return (
      uid === process.geteuid?.() &&
      (mode & constants.S_IFMT) === constants.S_IFDIR &&
      (mode & WRITABLE_BY_OTHERS) === 0
    );
  } catch {
    return false;
  }
}

/** What was kept there, or undefined if that is nothing, or not as it was written. */
function readCompiled(path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const { uid, mode } = fstatSync(fd);
    if (uid !== process.geteuid?.() || (mode & WRITABLE_BY_OTHERS) !== 0) return undefined;
    const bytes = readFileSync(fd);
    const code = bytes.subarray(DIGEST_BYTES);
    return digestOf(code).equals(bytes.subarray(0, DIGEST_BYTES)) ? code : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** Keeps it, whole or not at all, in the place of what was made of other texts. */
function keepCompiled(path: string, code: Buffer): void {
  const folder = dirname(path);
  try {
    makeFolders(folder, { mode: 0o700 });
    if (!isOurs(folder)) return;
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;
    const fd = openSync(`${path}.new`, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      writeSync(fd, digestOf(code));
      writeSync(fd, code);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${path}.new`, path);
    const text = /^code-[^-]*-[^-]*-/.exec(basename(path))?.[0];
    for (const name of readdirSync(folder))
      if (name.startsWith(PREFIX) && text !== undefined && !name.startsWith(text)) rmSync(join(folder, name));
  } catch {
    // A full disk, or a folder that is somebody else's: the next start compiles again.
  }
}

function digestOf(code: Buffer): Buffer {
  return createHash("sha1").update(code).digest();
}
