// Our own seeder, in a process of its own, serving from a mapping: the other end of a download that is measured whole.

import { Program } from "./program.js";
import { number, object, string } from "./shape.js";

export const LISTENING = object({ port: number, host: string });

export interface Seeder {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** Rejects with what the seeder said when it does not come to listen. */
export async function startSeeder(torrent: string, directory: string): Promise<Seeder> {
  const program = Program.cli(
    ...["seed", torrent, directory, "--listen", "127.0.0.1:0"],
    ...["--send-mode", "mapped", "--no-check", "--json"],
  );
  const { host, port } = await program.read(LISTENING);
  return { host, port, stop: () => program.stop("SIGINT") };
}
