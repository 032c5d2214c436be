// One file of a download to standard output, or over HTTP, from its first byte on, while the rest comes.

import { entryOf, present } from "../base/assert.js";
import type { Torrent } from "../index.js";
import { EXIT_FAILED, EXIT_USAGE, ExitError } from "./exit.js";
import { chooseFiles } from "./file-choice.js";
import { type FileServer, serveFile } from "./file-server.js";
import { note, parseAddress, printJson } from "./output.js";
import { writeBytes } from "./standard-output.js";

export interface StreamOptions {
  readonly stream?: string;
  readonly streamHttp?: string;
  readonly json?: boolean;
}

/** Throws ExitError with the status for wrong usage, before anything is opened. */
export function checkStreaming(options: StreamOptions, torrents: number): void {
  if (options.stream === undefined) {
    if (options.streamHttp !== undefined) throw usage("--stream-http needs --stream FILE: which file it is");
    return;
  }
  if (torrents !== 1) throw usage("--stream is of one torrent");
  if (options.streamHttp !== undefined) return;
  if (options.json === true)
    throw usage("--stream writes the file to standard output, and so does --json: give --stream-http");
  if (process.stdout.isTTY)
    throw usage(
      "--stream writes the file to standard output: pipe it to a player, or give --stream-http 127.0.0.1:0",
    );
}

function usage(text: string): ExitError {
  return new ExitError(EXIT_USAGE, text);
}

/** The one file that is meant. Throws ExitError. */
export function streamedFile(torrent: Torrent, choice: string): number {
  const found = chooseFiles(
    present(torrent.metainfo, "a torrent that streams has its metadata").files,
    [choice],
    "--stream",
  );
  if (found.length !== 1)
    throw usage(`--stream ${choice}: ${found.length} files match, and one can be streamed`);
  return entryOf(found, 0);
}

/** Resolves when all of the file was written. Rejects ExitError when nobody reads any more, or it cannot be written. */
export async function streamToOutput(torrent: Torrent, fileIndex: number): Promise<void> {
  const stream = torrent.createReadStream(fileIndex);
  for await (const bytes of stream) {
    try {
      await writeBytes(bytes as Uint8Array);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // EPIPE: the player has seen enough.
      const what =
        code === "EPIPE" ? "nobody reads the stream any more" : `cannot write to standard output: ${message}`;
      throw new ExitError(EXIT_FAILED, `${what}; the same command goes on with the download`);
    }
  }
}

export async function streamOverHttp(
  torrent: Torrent,
  fileIndex: number,
  address: string,
  options: StreamOptions,
): Promise<FileServer> {
  const server = await serveFile(torrent, fileIndex, await parseAddress(address, "--stream-http"));
  if (options.json === true) printJson({ event: "streaming", url: server.url });
  else note(`streaming at ${server.url}`);
  return server;
}
