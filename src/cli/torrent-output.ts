// Where `create` writes to: looked at before hours of hashing, written beside and put in place as a whole, so that there is never
// half of a torrent file, and never nothing where one was.

import { constants, existsSync, statSync } from "node:fs";
import { access, link, open, rename, unlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { messageOf } from "../base/errors.js";
import { type Metainfo, torrentFileOf } from "../index.js";
import { EXIT_FAILED, EXIT_USAGE, ExitError } from "./exit.js";

/** Rejects ExitError if the file cannot be written, or is there already and not to be written over. */
export async function checkOutput(output: string, force: boolean): Promise<void> {
  if (output === "") throw new ExitError(EXIT_USAGE, "-o takes the name of a file");
  if (!force && existsSync(output)) refuseToOverwrite(output);
  const folder = dirname(output);
  const status = statSync(folder, { throwIfNoEntry: false });
  if (status?.isDirectory() !== true) throw new ExitError(EXIT_FAILED, `there is no folder ${folder}`);
  if (statSync(output, { throwIfNoEntry: false })?.isDirectory() === true)
    throw new ExitError(EXIT_FAILED, `${output} is a folder: give the name of a file`);
  await access(folder, constants.W_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
    throw new ExitError(EXIT_FAILED, `cannot write to ${folder}: ${error.message}`);
  });
}

/** Rejects ExitError, which names the file. */
export async function writeOutput(output: string, bytes: Uint8Array, force: boolean): Promise<void> {
  try {
    await write(output, bytes, force);
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError(EXIT_FAILED, `cannot write ${output}: ${messageOf(error)}`);
  }
}

async function write(output: string, bytes: Uint8Array, force: boolean): Promise<void> {
  // What is no file, such as /dev/stdout, is written to and not replaced.
  if (force && statSync(output, { throwIfNoEntry: false })?.isFile() === false)
    return writeFile(output, bytes);
  const fresh = join(dirname(output), `.${basename(output).slice(0, 200)}.${process.pid}.new`);
  const file = await open(fresh, "wx", 0o666);
  try {
    await file.writeFile(bytes).finally(() => file.close());
    if (force) await rename(fresh, output);
    else await putInPlace(fresh, output);
  } catch (error) {
    await unlink(fresh).catch(() => {});
    throw error;
  }
}

/** A torrent file of a torrent, where none is. Rejects ExitError. */
export async function saveTorrent(output: string, metainfo: Metainfo): Promise<void> {
  await checkOutput(output, false);
  await writeOutput(output, torrentFileOf(metainfo), false);
}

/** Like a rename that overwrites nothing. */
async function putInPlace(fresh: string, output: string): Promise<void> {
  try {
    await link(fresh, output);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || existsSync(output)) refuseToOverwrite(output);
    // A file system without links.
    return rename(fresh, output);
  }
  await unlink(fresh);
}

function refuseToOverwrite(output: string): never {
  throw new ExitError(
    EXIT_FAILED,
    `${output} is there already: give --force to write over it, or another -o`,
  );
}
