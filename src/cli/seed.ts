// scatterwire seed: serves a torrent until it is stopped.

import { Command } from "commander";
import { readMetainfo, SEND_MODES, type SendModeName, Session } from "../index.js";
import { findMissing } from "./missing.js";
import {
  collect,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_UNREADABLE,
  ExitError,
  formatBytes,
  interruptSignal,
  note,
  oneOf,
  parseAddress,
  printJson,
  printLine,
} from "./output.js";
import { Progress } from "./progress.js";
import { runVerb } from "./run-verb.js";
import { addSessionOptions, type SessionFlags, sessionOptions, tellSession } from "./session-options.js";
import { tellSources } from "./source-notes.js";
import { openDht, usesDhtFor } from "./torrent-dht.js";

/** How often progress is looked at. */
const LOOK_MS = 500;

interface Options extends SessionFlags {
  listen: string;
  sendMode?: SendModeName;
  peer?: string[];
  trackers: boolean;
  tracker?: string[];
  dht: boolean;
  dhtNode?: string[];
  check: boolean;
  superSeeding?: boolean;
  json?: boolean;
}

export function run(args: readonly string[]): Promise<number> {
  return runVerb(seedCommand(), args);
}

function seedCommand(): Command {
  const command = new Command("seed")
    .description("serve a torrent until Ctrl-C")
    .argument("<torrent>", "the torrent file")
    .argument("<dir>", "the folder that the torrent's file or folder lies in")
    .option("--listen <host:port>", "where to accept connections; port 0 picks one", "0.0.0.0:6881")
    .option(
      "--send-mode <mode>",
      `where blocks are sent from: ${SEND_MODES.join(", ")} (default: copy)`,
      oneOf("--send-mode", SEND_MODES),
    )
    .option("--peer <host:port>", "a peer to connect to; may be given several times", collect)
    .option("--no-trackers", "do not announce to trackers")
    .option(
      "--tracker <url>",
      "a tracker to announce to beside the torrent's own; may be given several times",
      collect,
    )
    .option(
      "--no-dht",
      "do not tell the DHT that it is here (it is told neither of private torrents, nor where --peer is given)",
    )
    .option("--dht-node <host:port>", "a node of the DHT to begin with; may be given several times", collect)
    .option(
      "--super-seeding",
      "where nobody else has it yet: show each peer a few pieces at a time, so that little more than one copy is sent before others have it",
    )
    .option("--no-check", "trust that the data is complete, and do not hash it first")
    .option("--json", "print JSON lines, the last with totals")
    .action(seed);
  return addSessionOptions(command, true).addHelpText(
    "after",
    `
Examples:
  scatterwire seed album.torrent .
  scatterwire seed album.torrent . --max-upload 500K --ip-filter blocked.p2p
  scatterwire seed album.torrent . --listen 127.0.0.1:6881 --send-mode mapped`,
  );
}

async function seed(torrent: string, directory: string, options: Options): Promise<void> {
  const signal = interruptSignal();
  const metainfo = await readMetainfo(torrent);
  const listen = await parseAddress(options.listen, "--listen");
  const peers = await Promise.all((options.peer ?? []).map((peer) => parseAddress(peer, "--peer")));
  const fromFlags = await sessionOptions(options);
  await using dht = usesDhtFor([metainfo], options) ? await openDht(options) : undefined;
  await using session = new Session({
    listen,
    ...(dht === undefined ? {} : { dht: dht.node }),
    uploadSlots: 64,
    ...fromFlags,
    ...(options.sendMode === undefined ? {} : { sendMode: options.sendMode }),
  });
  const json = options.json === true;
  tellSession(session, json);
  // Before the torrent: trackers are told the port.
  const address = await session.listen();
  const checking = new Progress({ label: "checking", total: metainfo.totalLength, json });
  const seed = session.addInBackground(metainfo, {
    directory,
    readOnly: true,
    assumeComplete: !options.check,
    superSeeding: options.superSeeding === true,
    trackers: options.trackers ? (options.tracker ?? true) : false,
    signal,
  });
  tellSources(seed, json);
  seed.on("checking", (fraction) => checking.update({ bytes: fraction * metainfo.totalLength }));
  seed.on("warning", (text) => note(`scatterwire: ${text}`));
  await seed.ready.finally(() => checking.stop());
  const { piecesVerified, pieceCount } = seed.progress();
  const { text, odd, all } = findMissing(metainfo, directory);
  // With --no-check all pieces are believed to be there; a file that is not there is nothing to believe in.
  if (piecesVerified < pieceCount || text !== undefined) {
    const good = `${directory} has ${piecesVerified} of ${pieceCount} good pieces`;
    const why = text === undefined ? good : all || !options.check ? text : `${good}: ${text}`;
    throw new ExitError(
      odd.length > 0 ? EXIT_UNREADABLE : EXIT_FAILED,
      `${why}; only complete data is seeded`,
    );
  }
  if (json) printJson({ event: "listening", host: address.host, port: address.port });
  else printLine(`seeding ${metainfo.name} at ${address.host}:${address.port}; Ctrl-C stops`);
  for (const peer of peers) seed.addPeer(peer);
  const progress = new Progress({ label: "seeding", json });
  const ticker = setInterval(() => {
    progress.update({ bytes: session.counters().sentPayloadBytes, peers: seed.progress().peers });
  }, LOOK_MS);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
  clearInterval(ticker);
  progress.stop();
  const counters = session.counters();
  if (json)
    printJson({
      ...counters,
      bytes: counters.sentPayloadBytes,
      sendMode: options.sendMode ?? "copy",
      cpuSeconds: cpuSeconds(),
    });
  else note(`sent ${formatBytes(counters.sentPayloadBytes)}`);
  await session.close();
  throw new ExitError(EXIT_INTERRUPTED);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
