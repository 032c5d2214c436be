// One trial of seeding, in a process of its own: a Session seeds two torrents, one to become warm with and one to be measured
// with. It is told by one argument of JSON, says where it listens, and for each line of standard input tells what it
// has sent and spent so far, as a JSON line. It ends with its standard input.

import { readMetainfo, Session, type SessionOptions, type TransferCounters } from "../../src/index.js";
import { printLine, whenTold } from "../load/load-loop.js";
import { entryOf } from "./ends.js";

export interface SeedTrial {
  /** Torrents of files that are there, whole and right, with the folders that they lie in. */
  readonly torrents: readonly { readonly torrent: string; readonly directory: string }[];
  readonly session: Pick<
    SessionOptions,
    "receiveMode" | "sendMode" | "uploadSlots" | "poolBytes" | "clockCosts" | "encryption"
  >;
}

export interface SeedReading {
  readonly counters: TransferCounters;
  readonly costs: {
    readonly receive: number;
    readonly send: number;
    readonly copy: number;
    readonly read: number;
  };
  readonly usage: NodeJS.ResourceUsage;
}

async function main(): Promise<void> {
  const trial = JSON.parse(entryOf(process.argv, 2)) as SeedTrial;
  const session = new Session({ ...trial.session, listen: { host: "127.0.0.1", port: 0 } });
  for (const { torrent, directory } of trial.torrents) {
    const metainfo = await readMetainfo(torrent);
    await session.add(metainfo, { directory, readOnly: true, assumeComplete: true });
  }
  printLine({ event: "listening", ...(await session.listen()) });
  const tell = (): void => {
    const reading: SeedReading = {
      counters: session.counters(),
      costs: session.costs(),
      usage: process.resourceUsage(),
    };
    printLine(reading);
  };
  whenTold(() => void session.close().then(() => process.exit()), tell);
}

await main();
