// The options that `download` and `seed` have in common: whom the session talks to, from where, how fast, and what it writes down.
//
// Always: what is not given is left to the session's own defaults; what is wrong ends with exit status 2 before a session is made.

import { isIP } from "node:net";
import type { Command } from "commander";
import { messageOf } from "../base/errors.js";
import { MIB } from "../base/limits.js";
import { readRegular } from "../base/regular-file.js";
import {
  AddressRanges,
  ENCRYPTION_POLICIES,
  type EncryptionPolicy,
  SESSION_OPTIONS,
  type Session,
  type SessionOptions,
} from "../index.js";
import { byteCount, collect, EXIT_FAILED, EXIT_USAGE, ExitError, note, oneOf, printJson } from "./output.js";

export interface SessionFlags {
  readonly encryption?: EncryptionPolicy;
  readonly localPeers?: boolean;
  readonly portMapping?: boolean;
  readonly outgoing?: string[];
  readonly ipFilter?: string;
  readonly maxDownload?: number;
  readonly maxUpload?: number;
  readonly record?: string;
  readonly trace?: string;
}

/** Lists that are published have some MiB. */
const FILTER_BYTES_MAX = 256 * MIB;
const { maxDownloadBytesPerSecond: rate } = SESSION_OPTIONS;

/** Adds them; `isSeed`: nothing is downloaded. */
export function addSessionOptions(command: Command, isSeed: boolean): Command {
  if (!isSeed)
    command.option(
      "--max-download <rate>",
      "bytes received in a second at the most; K, M and G are understood",
      byteCount("--max-download", 1, rate.max),
    );
  command
    .option(
      "--max-upload <rate>",
      "bytes sent in a second at the most; K, M and G are understood",
      byteCount("--max-upload", 1, rate.max),
    )
    .option(
      "--encryption <policy>",
      `${ENCRYPTION_POLICIES.join(", ")} (default: ${SESSION_OPTIONS.encryption.default}): never, when a peer wants it, or always`,
      oneOf("--encryption", ENCRYPTION_POLICIES),
    )
    .option(
      "--outgoing <address>",
      "this machine's address that connections to peers, trackers, web seeds and the DHT are made from; may be given for IPv4 and for IPv6 (default: that of --listen, unless it is a wildcard)",
      collect,
    )
    .option("--ip-filter <file>", "addresses of peers to keep out: lines of .dat, .p2p or CIDR lists")
    .option("--local-peers", "tell peers of the same network, and hear of them, by multicast")
    .option("--port-mapping", "ask the router to forward the port, by PCP, NAT-PMP or UPnP")
    .option("--record <file>", "record what goes over all connections, for scatterwire replay")
    .option("--trace <file>", "write a timeline for Perfetto (ui.perfetto.dev)");
  return command;
}

/** What the session says of itself: warnings, and once each port that a router lets peers through to. */
export function tellSession(session: Session, json: boolean): void {
  session.on("warning", (text) => note(`scatterwire: ${text}`));
  const said = new Set<string>();
  session.on("portMapped", (mapping) => {
    const { family, port, portOutside, protocol } = mapping;
    if (json) printJson({ event: "portMapped", ...mapping, host: mapping.host ?? null });
    // Of IPv6 each of our addresses has a mapping, and they change.
    const where = family === 4 ? `at port ${portOutside} of the router` : `over IPv6 at port ${portOutside}`;
    const line = `port ${port} is mapped by ${protocol}: peers outside reach it ${where}`;
    if (!json && !said.has(line)) note(line);
    said.add(line);
  });
}

/** Rejects with exit status 1 where the filter cannot be read, and 2 for an address that is none. */
export async function sessionOptions(flags: SessionFlags): Promise<SessionOptions> {
  for (const address of flags.outgoing ?? [])
    if (isIP(address) === 0)
      throw new ExitError(
        EXIT_USAGE,
        `--outgoing takes a numeric address of this machine, such as 192.168.1.5, not "${address}"`,
      );
  return {
    localPeers: flags.localPeers === true,
    ...(flags.portMapping === undefined ? {} : { portMapping: flags.portMapping }),
    ...(flags.encryption === undefined ? {} : { encryption: flags.encryption }),
    ...(flags.outgoing === undefined ? {} : { outgoingAddresses: flags.outgoing }),
    ...(flags.ipFilter === undefined ? {} : { ipFilter: await readFilter(flags.ipFilter) }),
    ...(flags.maxDownload === undefined ? {} : { maxDownloadBytesPerSecond: flags.maxDownload }),
    ...(flags.maxUpload === undefined ? {} : { maxUploadBytesPerSecond: flags.maxUpload }),
    ...(flags.record === undefined ? {} : { record: flags.record }),
    ...(flags.trace === undefined ? {} : { traceFile: flags.trace }),
  };
}

/** A list of which no line is understood is no list: nobody would be kept out, and nobody would notice. */
async function readFilter(path: string): Promise<AddressRanges> {
  let text: string;
  try {
    text = (await readRegular(path, FILTER_BYTES_MAX)).toString("latin1");
  } catch (error) {
    throw new ExitError(EXIT_FAILED, `--ip-filter ${path} cannot be read: ${messageOf(error)}`);
  }
  const ranges = AddressRanges.parse(text);
  const { linesSkipped, count } = ranges;
  if (count === 0 && linesSkipped > 0)
    throw new ExitError(
      EXIT_USAGE,
      `--ip-filter ${path} has no line that is understood, such as "1.2.3.0/24" or "1.2.3.0 - 1.2.3.255"`,
    );
  if (linesSkipped > 0)
    note(
      `scatterwire: ${linesSkipped} lines of ${path} are not understood, and left out; ${count} ranges are kept out`,
    );
  return ranges;
}
