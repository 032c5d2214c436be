// scatterwire seed: serves a torrent until it is stopped.

import { Command } from "commander";
import { readMetainfo, SEND_MODES, type SendModeName, Session } from "../index.js";
import {
  collect,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  ExitError,
  formatBytes,
  interruptSignal,
  note,
  oneOf,
  Progress,
  parseAddress,
  printJson,
  printLine,
} from "./output.js";

interface Options {
  listen: string;
  sendMode?: SendModeName;
  peer?: string[];
  check: boolean;
  json?: boolean;
}

export function seedCommand(): Command {
  return new Command("seed")
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
    .option("--no-check", "trust that the data is complete, and do not hash it first")
    .option("--json", "print JSON lines, the last with totals")
    .addHelpText(
      "after",
      "\nExample:\n  scatterwire seed album.torrent . --listen 127.0.0.1:6881 --send-mode mapped",
    )
    .action(run);
}

async function run(torrent: string, directory: string, options: Options): Promise<void> {
  const signal = interruptSignal();
  const metainfo = await readMetainfo(torrent);
  const listen = await parseAddress(options.listen, "--listen");
  const peers = await Promise.all((options.peer ?? []).map((peer) => parseAddress(peer, "--peer")));
  await using session = new Session({
    listen,
    uploadSlots: 64,
    ...(options.sendMode === undefined ? {} : { sendMode: options.sendMode }),
  });
  const progress = new Progress("checking", metainfo.totalLength, options.json !== true && options.check);
  const seed = session.addInBackground(metainfo, {
    directory,
    readOnly: true,
    assumeComplete: !options.check,
    signal,
  });
  seed.on("checking", (fraction) => progress.update(fraction * metainfo.totalLength));
  seed.on("warning", (text) => note(`scatterwire: ${text}`));
  await seed.ready.finally(() => progress.stop());
  const { piecesVerified, pieceCount } = seed.progress();
  if (piecesVerified < pieceCount) {
    throw new ExitError(
      EXIT_FAILED,
      `${directory} has ${piecesVerified} of ${pieceCount} good pieces: only complete data is seeded`,
    );
  }
  const address = await session.listen();
  if (options.json === true) printJson({ event: "listening", host: address.host, port: address.port });
  else printLine(`seeding ${metainfo.name} at ${address.host}:${address.port}; Ctrl-C stops`);
  for (const peer of peers) seed.addPeer(peer);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
  const counters = session.counters();
  if (options.json === true)
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
