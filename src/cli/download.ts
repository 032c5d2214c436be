// scatterwire download: fetches a torrent from peers, verified and stored, and says what that cost.

import { Command } from "commander";
import {
  type PeerAddress,
  RECEIVE_MODES,
  type ReceiveModeName,
  readMetainfo,
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
  interruptSignal,
  note,
  oneOf,
  Progress,
  parseAddress,
  printJson,
  printLine,
  wholeNumber,
} from "./output.js";

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
}

const MIB = 1024 * 1024;

export function downloadCommand(): Command {
  return new Command("download")
    .description("fetch a torrent from peers; an interrupted download goes on where it was")
    .argument("<torrent>", "the torrent file")
    .option("-o, --output <dir>", "the folder to download to (not needed for storage memory and null)")
    .option("--peer <host:port>", "a peer to connect to; may be given several times", collect)
    .option("--listen <host:port>", "accept connections there; port 0 picks one")
    .option(
      "--receive-mode <mode>",
      `${RECEIVE_MODES.join(", ")} (default: adaptive)`,
      oneOf("--receive-mode", RECEIVE_MODES),
    )
    .option(
      "--storage <kind>",
      `${STORAGE_KINDS.join(", ")}`,
      oneOf("--storage", STORAGE_KINDS),
      "file" as StorageKind,
    )
    .option("--no-verify", "do not check pieces: for measuring only")
    .option("--pool-mib <n>", "memory for blocks, in MiB (default: 32)", wholeNumber("--pool-mib", 1, 2048))
    .option(
      "--max-requests <n>",
      "requests outstanding at one peer at most (default: 512)",
      wholeNumber("--max-requests", 1, 4096),
    )
    .option("--seed", "go on seeding when the download is complete, until Ctrl-C")
    .option(
      "--timeout <seconds>",
      "fail with status 1 if the download is not complete so long after it began (a check of old data is not counted)",
      wholeNumber("--timeout", 1, 31_536_000),
    )
    .option("--json", "print JSON lines, the last with what the download cost")
    .addHelpText(
      "after",
      `
Examples:
  scatterwire download album.torrent -o ./copy --peer 127.0.0.1:6881
  scatterwire download album.torrent -o ./copy --peer 127.0.0.1:6881 --storage direct --receive-mode speculative
  scatterwire download album.torrent --peer 127.0.0.1:6881 --storage null --no-verify --json`,
    )
    .action(run);
}

async function run(torrentFile: string, options: Options): Promise<void> {
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
  const torrent = session.addInBackground(metainfo, {
    ...(options.output === undefined ? {} : { directory: options.output }),
    storage: options.storage,
    verify: options.verify,
  });
  signal.addEventListener("abort", () => void torrent.close());
  if (signal.aborted) await torrent.close();
  torrent.on("warning", (text) => note(`scatterwire: ${text}`));
  try {
    await torrent.ready;
    if (listen !== undefined) {
      const { host, port } = await session.listen();
      if (options.json === true) printJson({ event: "listening", host, port });
      else note(`listening at ${host}:${port}`);
    }
    const started = startMeasuring();
    await finish(torrent, peers, options);
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

/** Resolves when the torrent is complete; rejects if it cannot be, or not in time. */
async function finish(torrent: Torrent, peers: readonly PeerAddress[], options: Options): Promise<void> {
  const progress = new Progress("downloading", torrent.layout.totalLength, options.json !== true);
  let lastError = "";
  let timeout: NodeJS.Timeout | undefined;
  const ticker = setInterval(() => {
    const { bytesVerified, downloadRate, peers: count } = torrent.progress();
    progress.update(bytesVerified, downloadRate, count);
  }, 250);
  const failed = new Promise<never>((_resolve, reject) => {
    torrent.on("peerDisconnected", (_address, error) => {
      if (error !== undefined) lastError = error.message;
    });
    torrent.on("outOfPeers", () => {
      if (options.listen !== undefined || torrent.state === "seeding") return;
      reject(
        new ExitError(
          EXIT_FAILED,
          `no peer is left to download from: ${lastError || "all connections were closed"}`,
        ),
      );
    });
    if (options.timeout !== undefined) {
      timeout = setTimeout(() => {
        const { piecesVerified, pieceCount } = torrent.progress();
        const why = lastError === "" ? "" : `; last: ${lastError}`;
        const got = `${piecesVerified} of ${pieceCount} pieces`;
        reject(new ExitError(EXIT_FAILED, `not complete after ${options.timeout} s (${got})${why}`));
      }, 1000 * options.timeout);
    }
  });
  try {
    for (const peer of peers) torrent.addPeer(peer);
    await Promise.race([torrent.done, failed]);
  } finally {
    clearInterval(ticker);
    clearTimeout(timeout);
    progress.stop();
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
    totalBytes: torrent.layout.totalLength,
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
  const rate = `${formatBytes(result.bytesPerSecond)}/s`;
  printLine(
    `${torrent.metainfo.name}: ${formatBytes(bytes)} in ${seconds.toFixed(2)} s, ${rate}, ${result.cpuSecondsPerGB.toFixed(3)} CPU s/GB`,
  );
}
