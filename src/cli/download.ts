// scatterwire download: fetches a torrent from peers, verified and stored, and says what that cost.

import { Command } from "commander";
import {
  type PeerAddress,
  RECEIVE_MODES,
  type ReceiveModeName,
  readMetainfo,
  SESSION_OPTIONS,
  Session,
  STORAGE_KINDS,
  type StorageKind,
  type Torrent,
  UsageError,
} from "../index.js";
import {
  collect,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_USAGE,
  ExitError,
  formatBytes,
  formatDuration,
  interruptSignal,
  note,
  oneOf,
  parseAddress,
  printJson,
  printLine,
  wholeNumber,
} from "./output.js";
import { Progress } from "./progress.js";
import { runVerb } from "./run-verb.js";

interface Options {
  output?: string;
  peer?: string[];
  listen?: string;
  receiveMode?: ReceiveModeName;
  storage: StorageKind;
  verify: boolean;
  poolMib?: number;
  maxRequests?: number;
  seed?: boolean;
  timeout?: number;
  json?: boolean;
  verbose?: boolean;
}

const MIB = 1024 * 1024;
const { maxRequests, poolBytes } = SESSION_OPTIONS;
const poolMin = poolBytes.min / MIB;
const poolMax = poolBytes.max / MIB;
/** How often progress is looked at. */
const LOOK_MS = 200;
/** After all peers were given up, they are tried anew so much later. */
const RETRY_MS = 10_000;

export function run(args: readonly string[]): Promise<number> {
  return runVerb(downloadCommand(), args);
}

function downloadCommand(): Command {
  return new Command("download")
    .description("fetch a torrent from peers; an interrupted download goes on where it was")
    .argument("<torrent>", "the torrent file")
    .option("-o, --output <dir>", "the folder to download to (not needed for storage memory and null)")
    .option("--peer <host:port>", "a peer to connect to; may be given several times", collect)
    .option("--listen <host:port>", "accept connections there; port 0 picks one")
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
    .option("--seed", "go on seeding when the download is complete, until Ctrl-C")
    .option(
      "--timeout <seconds>",
      "fail with status 1 when nothing has arrived for so long (default: keep trying)",
      wholeNumber("--timeout", 1, 31_536_000),
    )
    .option("--verbose", "say at the end what the download cost")
    .option("--json", "print JSON lines: progress each second, and last what the download cost")
    .addHelpText(
      "after",
      `
Examples:
  scatterwire download album.torrent -o ./copy --peer 127.0.0.1:6881
  scatterwire download album.torrent -o ./copy --peer 127.0.0.1:6881 --storage direct --receive-mode speculative
  scatterwire download album.torrent --peer 127.0.0.1:6881 --storage null --no-verify --json`,
    )
    .action(download);
}

async function download(torrentFile: string, options: Options): Promise<void> {
  const signal = interruptSignal();
  const needsFolder = options.storage !== "memory" && options.storage !== "null";
  if (needsFolder && options.output === undefined) {
    throw new ExitError(EXIT_USAGE, `storage "${options.storage}" needs a folder: give -o DIR`);
  }
  if (options.peer === undefined && options.listen === undefined) {
    throw new ExitError(
      EXIT_USAGE,
      "nobody to download from: give --peer HOST:PORT, or --listen HOST:PORT to wait for peers",
    );
  }
  const metainfo = await readMetainfo(torrentFile);
  const peers = await Promise.all((options.peer ?? []).map((peer) => parseAddress(peer, "--peer")));
  const listen = options.listen === undefined ? undefined : await parseAddress(options.listen, "--listen");
  await using session = new Session({
    ...(listen === undefined ? {} : { listen }),
    ...(options.receiveMode === undefined ? {} : { receiveMode: options.receiveMode }),
    ...(options.poolMib === undefined ? {} : { poolBytes: options.poolMib * MIB }),
    ...(options.maxRequests === undefined ? {} : { maxRequests: options.maxRequests }),
  });
  session.on("warning", (text) => note(`scatterwire: ${text}`));
  const torrent = session.addInBackground(metainfo, {
    ...(options.output === undefined ? {} : { directory: options.output }),
    storage: options.storage,
    verify: options.verify,
  });
  // What goes wrong then is told by session.close(), which waits for the same end.
  signal.addEventListener("abort", () => void torrent.close().catch(() => {}));
  if (signal.aborted) await torrent.close();
  for (const each of [session, torrent]) each.on("warning", (text) => note(`scatterwire: ${text}`));
  try {
    await opened(torrent, options);
    if (listen !== undefined) {
      const { host, port } = await session.listen();
      if (options.json === true) printJson({ event: "listening", host, port });
      else note(`listening at ${host}:${port}`);
    }
    const started = startMeasuring();
    await finish(session, torrent, peers, options);
    report(session, torrent, started, options);
    if (options.seed === true) {
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve());
      });
    }
  } catch (error) {
    // Resume data is safe before the program says that it stopped.
    await session.close();
    if (signal.aborted && error instanceof UsageError && error.code === "ABORTED") {
      throw new ExitError(EXIT_INTERRUPTED, "stopped; the same command goes on with the download");
    }
    throw error;
  }
  await session.close();
  if (signal.aborted) throw new ExitError(EXIT_INTERRUPTED);
}

/** Resolves when what was there before is checked. */
async function opened(torrent: Torrent, options: Options): Promise<void> {
  const total = torrent.progress().bytesTotal;
  const progress = new Progress({ label: "checking", total, json: options.json === true });
  torrent.on("checking", (fraction) => progress.update({ bytes: fraction * total }));
  await torrent.ready.finally(() => progress.stop());
}

/** Resolves when the torrent is complete; rejects if it cannot be, or nothing comes for too long. */
async function finish(
  session: Session,
  torrent: Torrent,
  peers: readonly PeerAddress[],
  options: Options,
): Promise<void> {
  const total = torrent.progress().bytesTotal;
  const progress = new Progress({ label: "downloading", total, json: options.json === true });
  const patience = new Patience(torrent, peers, options);
  const look = (): void => {
    const movedBytes = session.counters().payloadBytes;
    const { bytesVerified, peers: count } = torrent.progress();
    progress.update({ bytes: bytesVerified, movedBytes, peers: count });
    patience.look(movedBytes);
  };
  const ticker = setInterval(look, LOOK_MS);
  try {
    for (const peer of peers) torrent.addPeer(peer);
    await Promise.race([torrent.done, patience.lost]);
  } finally {
    clearInterval(ticker);
    progress.stop();
  }
}

/**
 * Keeps trying: peers that are gone may come back. Says so once each time that nobody is left, and gives up only when nothing
 * has arrived for as long as was asked for.
 */
class Patience {
  /** Rejects when it is at its end. */
  readonly lost: Promise<never>;
  readonly #torrent: Torrent;
  readonly #peers: readonly PeerAddress[];
  readonly #timeoutMs: number;
  #giveUp!: (error: ExitError) => void;
  #movedBytes = 0;
  #movedMs = performance.now();
  #retryMs = Number.POSITIVE_INFINITY;
  #isAlone = false;
  #lastError = "";

  constructor(torrent: Torrent, peers: readonly PeerAddress[], options: Options) {
    this.#torrent = torrent;
    this.#peers = peers;
    this.#timeoutMs = options.timeout === undefined ? Number.POSITIVE_INFINITY : 1000 * options.timeout;
    this.lost = new Promise<never>((_resolve, reject) => {
      this.#giveUp = reject;
    });
    // It may end between two looks, when nobody waits for it any more.
    this.lost.catch(() => {});
    torrent.on("peerDisconnected", (_address, error) => {
      if (error !== undefined) this.#lastError = error.message;
    });
    torrent.on("outOfPeers", () => this.#outOfPeers());
  }

  /** Is called several times a second. */
  look(movedBytes: number): void {
    const now = performance.now();
    if (movedBytes !== this.#movedBytes) {
      this.#movedBytes = movedBytes;
      this.#movedMs = now;
      this.#isAlone = false;
    }
    if (now >= this.#retryMs) {
      this.#retryMs = Number.POSITIVE_INFINITY;
      for (const peer of this.#peers) this.#torrent.addPeer(peer);
    }
    if (now - this.#movedMs < this.#timeoutMs) return;
    const { piecesVerified, pieceCount } = this.#torrent.progress();
    const why = this.#lastError === "" ? "" : `; last: ${this.#lastError}`;
    const got = `${piecesVerified} of ${pieceCount} pieces`;
    this.#giveUp(
      new ExitError(EXIT_FAILED, `nothing arrived for ${this.#timeoutMs / 1000} s (${got})${why}`),
    );
  }

  #outOfPeers(): void {
    if (this.#torrent.state === "seeding" || this.#peers.length === 0) return;
    this.#retryMs = performance.now() + RETRY_MS;
    if (this.#isAlone) return;
    this.#isAlone = true;
    const why = this.#lastError === "" ? "" : ` (${this.#lastError})`;
    note(`scatterwire: no peer is left${why}: trying again until one is there`);
  }
}

interface Started {
  readonly timeMs: number;
  readonly cpu: NodeJS.CpuUsage;
}

function startMeasuring(): Started {
  return { timeMs: performance.now(), cpu: process.cpuUsage() };
}

function report(session: Session, torrent: Torrent, started: Started, options: Options): void {
  const seconds = (performance.now() - started.timeMs) / 1000;
  const { user, system } = process.cpuUsage(started.cpu);
  const cpuSeconds = (user + system) / 1e6;
  const counters = session.counters();
  const bytes = counters.payloadBytes;
  const gigabytes = bytes / 1e9;
  const per = (value: number, divisor: number): number => (divisor === 0 ? 0 : value / divisor);
  const result = {
    event: "done",
    bytes,
    seconds,
    bytesPerSecond: per(bytes, seconds),
    cpuSeconds,
    cpuSecondsPerGB: per(cpuSeconds, gigabytes),
    cpuUserSeconds: user / 1e6,
    cpuSystemSeconds: system / 1e6,
    systemCallsPerBlock: per(counters.receiveCalls, counters.blocksReceived),
    copiedBytesPerByte: per(counters.bytesCopied, bytes),
    predictionHits: counters.predictionHits,
    predictionMisses: counters.predictionMisses,
    receiveMode: options.receiveMode ?? "adaptive",
    storage: torrent.storageKind,
    verified: options.verify,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    peers: torrent.progress().peers,
    totalBytes: torrent.progress().bytesTotal,
    wastedBytes: counters.wastedBytes,
    receiveCalls: counters.receiveCalls,
    blocksReceived: counters.blocksReceived,
    poolBytes: session.poolBytes,
    storageCounters: torrent.storageCounters() ?? null,
  };
  if (options.json === true) {
    printJson(result);
    return;
  }
  printLine(summary(torrent, bytes, seconds));
  if (options.verbose !== true) return;
  const calls = `${result.systemCallsPerBlock.toFixed(3)} receiving calls per block`;
  const copied = `${result.copiedBytesPerByte.toFixed(3)} bytes copied per byte`;
  printLine(
    `${cpuSeconds.toFixed(2)} CPU s (${result.cpuSecondsPerGB.toFixed(3)} per GB), ${calls}, ${copied}, peak RSS ${formatBytes(result.peakRssBytes)}`,
  );
}

/** What came, in which time, and how fast on the average. */
function summary(torrent: Torrent, bytes: number, seconds: number): string {
  const { name } = torrent;
  const totalLength = torrent.progress().bytesTotal;
  if (bytes === 0) return `${name}: ${formatBytes(totalLength)}, all of it was there already`;
  const rate = `${formatBytes(seconds === 0 ? 0 : bytes / seconds)}/s on average`;
  const before = bytes < totalLength ? ` (${formatBytes(totalLength)} in all)` : "";
  return `${name}: ${formatBytes(bytes)} in ${formatDuration(seconds)}, ${rate}${before}`;
}
