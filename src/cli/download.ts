// scatterwire download: fetches torrents from peers, verified and stored, and says what that cost.

import { Command } from "commander";
import { entryOf, present } from "../base/assert.js";
import { messageOf } from "../base/errors.js";
import { MIB } from "../base/limits.js";
import {
  type Magnet,
  type Metainfo,
  type PeerAddress,
  RECEIVE_MODES,
  type ReceiveModeName,
  SESSION_OPTIONS,
  Session,
  STORAGE_KINDS,
  type StorageKind,
  type Torrent,
  UsageError,
} from "../index.js";
import { Phases } from "./download-phases.js";
import { reportAll, reportOne, type Started, startMeasuring } from "./download-report.js";
import { checkStreaming, streamedFile, streamOverHttp, streamToOutput } from "./download-stream.js";
import { selectionOf, selectLate } from "./file-choice.js";
import type { FileServer } from "./file-server.js";
import {
  collect,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_USAGE,
  ExitError,
  formatBytes,
  interruptSignal,
  note,
  oneOf,
  parseAddress,
  printJson,
  wholeNumber,
} from "./output.js";
import { Patience } from "./patience.js";
import { runVerb } from "./run-verb.js";
import { checkSavedTorrent, saveTorrent } from "./saved-torrent.js";
import { addSessionOptions, type SessionFlags, sessionOptions, tellSession } from "./session-options.js";
import { tellSources } from "./source-notes.js";
import { loadTorrent, trackersOf } from "./torrent-argument.js";
import { openDht, usesDhtFor } from "./torrent-dht.js";

interface Options extends SessionFlags {
  output?: string;
  peer?: string[];
  listen?: string;
  trackers: boolean;
  tracker?: string[];
  dht: boolean;
  dhtNode?: string[];
  receiveMode?: ReceiveModeName;
  storage: StorageKind;
  verify: boolean;
  poolMib?: number;
  maxRequests?: number;
  saveTorrent?: string;
  select?: string[];
  sequential?: boolean;
  stream?: string;
  streamHttp?: string;
  seedRatio?: number;
  seed?: boolean;
  timeout?: number;
  json?: boolean;
  verbose?: boolean;
}

const { maxRequests, poolBytes } = SESSION_OPTIONS;
const poolMin = poolBytes.min / MIB;
const poolMax = poolBytes.max / MIB;
/** How often progress is looked at. */
const LOOK_MS = 200;
/** Where connections are accepted if nobody says, so that peers from trackers can reach us; any other port where that is taken. */
const PORT = 6881;

export function run(args: readonly string[]): Promise<number> {
  return runVerb(downloadCommand(), args);
}

function downloadCommand(): Command {
  const command = new Command("download")
    .description("fetch torrents from peers; an interrupted download continues where it stopped")
    .argument("<torrents...>", "torrent files, their addresses on the web, or magnet links")
    .option("-o, --output <dir>", "the folder to download to (not needed for storage memory and null)")
    .option("--peer <host:port>", "a peer to connect to; may be given several times", collect)
    .option(
      "--listen <host:port>",
      "accept connections there; port 0 picks one (default: 6881 if trackers are asked)",
    )
    .option("--no-trackers", "ask no trackers for peers")
    .option(
      "--no-dht",
      "do not ask the DHT for peers (it is asked neither for private torrents, nor where --peer is given)",
    )
    .option("--dht-node <host:port>", "a node of the DHT to begin with; may be given several times", collect)
    .option(
      "--tracker <url>",
      "a tracker to ask beside the torrents' own; may be given several times",
      collect,
    )
    .option(
      "--receive-mode <mode>",
      `${RECEIVE_MODES.join(", ")} (default: ${SESSION_OPTIONS.receiveMode.default})`,
      oneOf("--receive-mode", RECEIVE_MODES),
    )
    .option(
      "--storage <kind>",
      `${STORAGE_KINDS.join(", ")}`,
      oneOf("--storage", STORAGE_KINDS),
      "file" as StorageKind,
    )
    .option("--no-verify", "do not check pieces: for measuring only")
    .option(
      "--pool-mib <n>",
      `memory for blocks, in MiB (${poolMin} to ${poolMax}, default ${poolBytes.default / MIB})`,
      wholeNumber("--pool-mib", poolMin, poolMax),
    )
    .option(
      "--max-requests <n>",
      `requests outstanding at one peer at most (${maxRequests.min} to ${maxRequests.max}, default ${maxRequests.default})`,
      wholeNumber("--max-requests", maxRequests.min, maxRequests.max),
    )
    .option(
      "--save-torrent <file>",
      "write a torrent file, too, if there is one torrent; an existing file is not overwritten",
    )
    .option(
      "--select <files>",
      "fetch these only: an index or indices (3, 0-4, 1,5-7), a folder, or a pattern such as '*.flac'; may be given several times",
      collect,
    )
    .option("--sequential", "fetch from the front, for whoever reads while it comes")
    .option("--stream <file>", "write this file to standard output while it comes, from its beginning")
    .option(
      "--stream-http <host:port>",
      "with --stream: serve it there, for a player to open and to seek in, until Ctrl-C; port 0 picks one",
    )
    .option("--seed-ratio <r>", "go on seeding until so many times the download was sent", seedRatio)
    .option("--seed", "go on seeding when the download is complete, until Ctrl-C")
    .option(
      "--timeout <seconds>",
      "fail with status 1 when nothing has arrived for so long (default: keep trying)",
      wholeNumber("--timeout", 1, 31_536_000),
    )
    .option("--verbose", "say at the end what the download cost")
    .option("--json", "print JSON lines: progress each second, and last what the download cost")
    .action(download);
  return addSessionOptions(command, false).addHelpText(
    "after",
    `
Examples:
  scatterwire download album.torrent -o ./copy
  scatterwire download album.torrent -o ./copy --select '*.flac' --max-download 2M --max-upload 200K --seed-ratio 1.5
  scatterwire download film.torrent -o ./copy --stream '*.mkv' | mpv -
  scatterwire download film.torrent -o ./copy --stream '*.mkv' --stream-http 127.0.0.1:8080
  scatterwire download 'magnet:?xt=urn:btih:…&tr=…' https://example.org/other.torrent -o ./copy
  scatterwire download album.torrent -o ./copy --no-trackers --peer 127.0.0.1:6881 --storage direct --receive-mode speculative
  scatterwire download album.torrent --peer 127.0.0.1:6881 --storage null --no-verify --json`,
  );
}

async function download(names: readonly string[], options: Options): Promise<void> {
  const signal = interruptSignal();
  const needsFolder = options.storage !== "memory" && options.storage !== "null";
  if (needsFolder && options.output === undefined) {
    throw new ExitError(EXIT_USAGE, `storage "${options.storage}" needs a folder: give -o DIR`);
  }
  checkStreaming(options, names.length);
  checkSaving(options, names.length);
  const sources = await Promise.all(names.map((name) => loadTorrent(name, signal)));
  if (options.saveTorrent !== undefined)
    await checkSavedTorrent(options.saveTorrent, entryOf(sources, 0).infoHash);
  const asksTrackers =
    options.trackers &&
    (options.tracker !== undefined || sources.some((source) => trackersOf(source).length > 0));
  const usesDht = usesDhtFor(sources, options);
  const namesPeers = sources.some((source) => "peers" in source && source.peers.length > 0);
  const hasWebSeeds = sources.some(({ webSeeds }) => webSeeds.length > 0);
  const findsSome = asksTrackers || usesDht || namesPeers || hasWebSeeds || options.localPeers === true;
  if (options.peer === undefined && options.listen === undefined && !findsSome) {
    throw new ExitError(
      EXIT_USAGE,
      "nobody to download from: no tracker is named, and the DHT is not asked; give --tracker URL, --peer HOST:PORT, or --listen HOST:PORT to wait for peers",
    );
  }
  const peers = await Promise.all((options.peer ?? []).map((peer) => parseAddress(peer, "--peer")));
  const listen = options.listen === undefined ? undefined : await parseAddress(options.listen, "--listen");
  const fromFlags = await sessionOptions(options);
  await using dht = usesDht ? await openDht(options) : undefined;
  await using session = new Session({
    ...(listen === undefined ? {} : { listen }),
    ...fromFlags,
    ...(dht === undefined ? {} : { dht: dht.node }),
    ...(options.receiveMode === undefined ? {} : { receiveMode: options.receiveMode }),
    ...(options.poolMib === undefined ? {} : { poolBytes: options.poolMib * MIB }),
    ...(options.maxRequests === undefined ? {} : { maxRequests: options.maxRequests }),
  });
  tellSession(session, options.json === true);
  // Before the torrents: trackers are told the port.
  await startListening(session, listen, asksTrackers || usesDht || options.localPeers === true, options);
  const torrents = sources.map((source) => addTorrent(session, source, options));
  const serving: FileServer[] = [];
  // What goes wrong then is told by session.close(), which waits for the same end.
  const stop = (): void => {
    for (const torrent of torrents) torrent.close().catch(() => {});
  };
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  let failed: readonly unknown[] = [];
  try {
    const patience = new Patience(torrents, peers, options.timeout);
    failed = await finish(session, torrents, peers, patience, options, serving);
    await goOn(session, torrents, signal, options);
  } catch (error) {
    // Resume data is safe before the program says that it stopped.
    for (const server of serving) await server.close();
    await session.close();
    if (signal.aborted && error instanceof UsageError && error.code === "ABORTED") {
      throw new ExitError(EXIT_INTERRUPTED, "stopped; the same command goes on with the download");
    }
    throw error;
  }
  for (const server of serving) await server.close();
  await session.close();
  if (signal.aborted) throw new ExitError(EXIT_INTERRUPTED);
  if (failed.length > 0)
    throw new ExitError(
      EXIT_FAILED,
      `${failed.length} of ${torrents.length} torrents could not be downloaded`,
    );
}

function checkSaving({ saveTorrent: path }: Options, torrentCount: number): void {
  if (path !== undefined && torrentCount > 1)
    throw new ExitError(EXIT_USAGE, `--save-torrent takes one torrent, and ${torrentCount} are given`);
}

async function startListening(
  session: Session,
  listen: PeerAddress | undefined,
  isFound: boolean,
  options: Options,
): Promise<void> {
  if (listen !== undefined) {
    const { host, port } = await session.listen();
    if (options.json === true) printJson({ event: "listening", host, port });
    else note(`listening at ${host}:${port}`);
  } else if (isFound) {
    const at = (port: number): Promise<PeerAddress> => session.listen({ host: "0.0.0.0", port });
    const { port } = await at(PORT).catch(() => at(0));
    // Where there is no IPv6 nobody connects over it.
    await session.listen({ host: "::", port }).catch(() => {});
  }
}

function addTorrent(session: Session, source: Metainfo | Magnet, options: Options): Torrent {
  const torrent = session.addInBackground(source, {
    ...(options.output === undefined ? {} : { directory: options.output }),
    storage: options.storage,
    verify: options.verify,
    order: options.sequential === true || options.stream !== undefined ? "sequential" : "rarest",
    ...selectionOf(source, options),
    trackers: options.trackers ? (options.tracker ?? true) : false,
  });
  torrent.on("warning", (text) => note(`scatterwire: ${text}`));
  tellSources(torrent, options.json === true);
  return torrent;
}

/** After the download: seeds and serves for as long as was asked for. */
async function goOn(
  session: Session,
  torrents: readonly Torrent[],
  signal: AbortSignal,
  { seed, seedRatio: times, streamHttp, json }: Options,
): Promise<void> {
  if (seed === true || streamHttp !== undefined) {
    await interrupted(signal);
    return;
  }
  if (times === undefined) return;
  const due = times * torrents.reduce((sum, torrent) => sum + torrent.progress().bytesWanted, 0);
  if (json !== true) note(`seeding until ${formatBytes(due)} are sent; Ctrl-C stops`);
  while (!signal.aborted && session.counters().sentPayloadBytes < due)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}

/** For commander: a number above 0, such as 1.5. */
function seedRatio(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0) return value;
  throw new ExitError(EXIT_USAGE, `--seed-ratio takes a number above 0, such as 1.5, not "${text}"`);
}

/**
 * Resolves when each torrent is complete, or cannot be: to why those cannot. Rejects if nothing comes for too long, and, where there
 * is one torrent only, with what prevented that.
 */
async function finish(
  session: Session,
  torrents: readonly Torrent[],
  peers: readonly PeerAddress[],
  patience: Patience,
  options: Options,
  serving: FileServer[],
): Promise<readonly unknown[]> {
  const json = options.json === true;
  const shown = new Phases(session, torrents, json);
  const ticker = setInterval(() => {
    shown.update();
    patience.look(session.counters().payloadBytes);
  }, LOOK_MS);
  let started: Started | undefined;
  // A magnet has no file of those that were selected: nothing else is wrong with it, and nobody waits for the listener.
  let refuse: (error: Error) => void = () => {};
  const refused = new Promise<never>((_, reject) => {
    refuse = reject;
  });
  refused.catch(() => {});
  const one = async (torrent: Torrent): Promise<void> => {
    // A torrent that still looks for its metadata needs peers for that.
    if (torrent.state === "metadata") {
      torrent.once("metadata", () => {
        try {
          selectLate(torrent, options);
        } catch (error) {
          refuse(error as Error);
        }
      });
      for (const peer of peers) torrent.addPeer(peer);
    }
    await torrent.ready;
    if (options.saveTorrent !== undefined)
      await saveTorrent(
        options.saveTorrent,
        present(torrent.metainfo, "a torrent that is ready has metadata"),
      );
    started ??= startMeasuring();
    for (const peer of peers) torrent.addPeer(peer);
    const { stream, streamHttp } = options;
    const file = stream === undefined ? -1 : streamedFile(torrent, stream);
    if (file >= 0 && streamHttp !== undefined)
      serving.push(await streamOverHttp(torrent, file, streamHttp, options));
    const isOutput = file >= 0 && streamHttp === undefined;
    await Promise.all([torrent.done, ...(isOutput ? [streamToOutput(torrent, file)] : [])]);
    if (torrents.length > 1) reportOne(torrent, json);
  };
  try {
    const all = torrents.map((torrent) =>
      one(torrent).catch((error: unknown) => {
        if (torrents.length === 1 || (error instanceof UsageError && error.code === "ABORTED")) throw error;
        note(`scatterwire: ${torrent.name}: ${messageOf(error)}`);
        return { error };
      }),
    );
    const results = await Promise.race([Promise.all(all), patience.lost, refused]);
    shown.stop();
    const failed = results.filter((result) => result !== undefined);
    const isOutput = options.stream !== undefined && options.streamHttp === undefined;
    if (failed.length < torrents.length && !isOutput)
      reportAll(session, torrents, started ?? startMeasuring(), options);
    return failed;
  } finally {
    clearInterval(ticker);
    shown.stop();
  }
}

function interrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
}
