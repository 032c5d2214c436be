// A node of the DHT for the verbs that use one: where it begins, and what it keeps from run to run.
//
// Always: nobody is asked of whom the command line does not know, or the saved state; a state that cannot be read is none.

import { dirname, join } from "node:path";
import { messageOf } from "../base/errors.js";
import { MIB } from "../base/limits.js";
import { readRegular } from "../base/regular-file.js";
import { replaceFile } from "../base/replaced-file.js";
import { Dht, type DhtOptions } from "../dht/index.js";
import type { PeerAddress } from "../index.js";
import { cacheFolder, makeFolders } from "./cache-folder.js";
import { EXIT_FAILED, ExitError, parseAddress } from "./output.js";

export interface DhtFlags {
  /** HOST:PORT, one virtual node each. */
  readonly listen?: readonly string[];
  /** HOST:PORT; undefined: the nodes that everybody knows; false: none. */
  readonly bootstrap?: readonly string[] | false;
  /** What `bootstrap` is called on the command line: --bootstrap, unless it is something else. */
  readonly bootstrapFlag?: string;
  readonly state?: string;
  readonly readOnly?: boolean;
}

/** Some thousand nodes. */
const STATE_BYTES_MAX = 16 * MIB;
/** Public nodes to begin with, which others keep up. */
const BOOTSTRAP = ["dht.libtorrent.org:25401", "router.bittorrent.com:6881", "dht.transmissionbt.com:6881"];

/** Rejects where there is nobody to begin with. */
export async function startDht(flags: DhtFlags): Promise<Dht> {
  return new Dht(await dhtOptionsOf(flags));
}

/** What the flags say. Rejects where there is nobody to begin with. */
export async function dhtOptionsOf(flags: DhtFlags): Promise<DhtOptions> {
  const listen = await Promise.all((flags.listen ?? []).map((text) => parseAddress(text, "--listen")));
  const saved = await readState(flags.state);
  const { bootstrapFlag = "--bootstrap" } = flags;
  const bootstrap = await entrances(flags.bootstrap, bootstrapFlag);
  if (bootstrap.length === 0 && flags.bootstrap === undefined && saved === undefined)
    throw new ExitError(
      EXIT_FAILED,
      `no node of the DHT to begin with can be found: name one with ${bootstrapFlag} HOST:PORT`,
    );
  return {
    bootstrap,
    readOnly: flags.readOnly === true,
    ...(listen.length > 0 ? { listen } : {}),
    ...(saved === undefined ? {} : { saved }),
  };
}

/** Keeps what it knows, and closes it. */
export async function stopDht(dht: Dht, state: string | undefined): Promise<void> {
  const saved = dht.save();
  dht.close();
  if (state !== undefined) await keepState(state, saved);
}

/** Writes what save() of a node gave: whole, or not at all. Rejects ExitError, which names the file. */
export async function keepState(state: string, saved: Uint8Array): Promise<void> {
  try {
    makeFolders(dirname(state));
    await replaceFile(state, [saved]);
  } catch (error) {
    throw new ExitError(EXIT_FAILED, `cannot write ${state}: ${messageOf(error)}`);
  }
}

/** Where downloads keep the nodes that they knew, if there is a place for it. */
export function defaultState(): string | undefined {
  const folder = cacheFolder();
  return folder === undefined ? undefined : join(folder, "dht.state");
}

async function entrances(names: readonly string[] | false | undefined, flag: string): Promise<PeerAddress[]> {
  const found: PeerAddress[] = [];
  for (const name of names === false ? [] : (names ?? BOOTSTRAP)) {
    try {
      found.push(await parseAddress(name, flag));
    } catch (error) {
      // Of the nodes that everybody knows, one that answers is enough.
      if (names !== undefined) throw error;
    }
  }
  return found;
}

async function readState(file: string | undefined): Promise<Uint8Array | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readRegular(file, STATE_BYTES_MAX);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new ExitError(EXIT_FAILED, `cannot read ${file}: ${message}`);
  }
}
