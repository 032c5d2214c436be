// The file that a verb writes what it made to: looked at before hours of work, written beside and put in place as a whole, so that there is
// never half of it, and never nothing where something was.
//
// Always: what is there is written over only by who says --force.

import { constants, existsSync, statSync } from "node:fs";
import { access, link, open, rename, unlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { messageOf } from "../base/errors.js";
import { EXIT_FAILED, EXIT_USAGE, ExitError } from "./exit.js";

export interface OutputFile {
  readonly path: string;
  /** The option that names it, such as "-o". */
  readonly flag: string;
  /** --force was given; undefined: the verb has no such option. */
  readonly force?: boolean | undefined;
}

/** Rejects ExitError if the file cannot be written, or is there already and not to be written over. */
export async function checkOutput(output: OutputFile): Promise<void> {
  if (output.force !== true && output.path !== "" && existsSync(output.path)) refuseToOverwrite(output);
  await checkPlace(output);
}

/** Rejects ExitError if no file can be written there, whether there is one already or not. */
export async function checkPlace({ path, flag }: Pick<OutputFile, "path" | "flag">): Promise<void> {
  if (path === "") throw new ExitError(EXIT_USAGE, `${flag} takes the name of a file`);
  const folder = dirname(path);
  const status = statSync(folder, { throwIfNoEntry: false });
  if (status?.isDirectory() !== true) throw new ExitError(EXIT_FAILED, `there is no folder ${folder}`);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
    throw new ExitError(EXIT_FAILED, `${path} is a folder: give the name of a file`);
  await access(folder, constants.W_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
    throw new ExitError(EXIT_FAILED, `cannot write to ${folder}: ${error.message}`);
  });
}

/** Rejects ExitError, which names the file. */
export async function writeOutput(output: OutputFile, bytes: Uint8Array | string): Promise<void> {
  try {
    await write(output, bytes);
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError(EXIT_FAILED, `cannot write ${output.path}: ${messageOf(error)}`);
  }
}

async function write(output: OutputFile, bytes: Uint8Array | string): Promise<void> {
  const { path, force } = output;
  // What is no file, such as /dev/stdout, is written to and not replaced.
  if (force === true && statSync(path, { throwIfNoEntry: false })?.isFile() === false)
    return writeFile(path, bytes);
  const fresh = join(dirname(path), `.${basename(path).slice(0, 200)}.${process.pid}.new`);
  const file = await open(fresh, "wx", 0o666);
  try {
    await file.writeFile(bytes).finally(() => file.close());
    if (force === true) await rename(fresh, path);
    else await putInPlace(fresh, output);
  } catch (error) {
    await unlink(fresh).catch(() => {});
    throw error;
  }
}

/** Like a rename that overwrites nothing. */
async function putInPlace(fresh: string, output: OutputFile): Promise<void> {
  try {
    await link(fresh, output.path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || existsSync(output.path)) refuseToOverwrite(output);
    // A file system without links.
    return rename(fresh, output.path);
  }
  await unlink(fresh);
}

function refuseToOverwrite({ path, flag, force }: OutputFile): never {
  const hint =
    force === undefined ? "name another file" : `give --force to write over it, or another file with ${flag}`;
  throw new ExitError(EXIT_FAILED, `${path} is there already: ${hint}`);
}
