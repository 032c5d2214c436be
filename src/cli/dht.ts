// scatterwire dht: asks the DHT for peers of a torrent, how many it has, or for torrents, announces one, or is a node of it until it is stopped.
//
// What goes out: queries with our node's id and the info hash to nodes of the DHT, at most 4 a second to each address; for samples one query to a
// node, and the next when the node says so. Nothing else is told.

import { Command } from "commander";
import type { Dht } from "../dht/index.js";
import type { PeerAddress } from "../index.js";
import { startDht, stopDht } from "./dht-node.js";
import {
  collect,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_USAGE,
  ExitError,
  interruptSignal,
  note,
  printJson,
  printLine,
  wholeNumber,
} from "./output.js";
import { runVerb } from "./run-verb.js";

interface Options {
  listen?: string[];
  bootstrap?: string[] | false;
  state?: string;
  readOnly?: boolean;
  port?: number;
  seed?: boolean;
  count?: number;
  sweeps?: number;
  wait?: number;
  json?: boolean;
}

const WAIT_SECONDS_DEFAULT = 20;
/** A table that can be asked: as many as an answer has. */
const CONTACTS_ENOUGH = 8;
/** A network that has fewer: it was looked for others twice by then. */
const FEW_SETTLED_MS = 3000;
const STATUS_MS = 10_000;
const POLL_MS = 50;

export function run(args: readonly string[]): Promise<number> {
  return runVerb(dhtCommand(), args);
}

function dhtCommand(): Command {
  const verb = new Command("dht").description("ask the distributed hash table, or be a node of it");
  const shared = (name: string): Command =>
    new Command(name)
      .option("--listen <host:port>", "receive there; several times: several virtual nodes", collect)
      .option(
        "--bootstrap <host:port>",
        "a node of the DHT to begin with; may be given several times",
        collect,
      )
      .option("--no-bootstrap", "begin with nobody but nodes of --state")
      .option("--state <file>", "keep our id and known nodes in this file")
      .option("--json", "one JSON object per line");
  verb.addCommand(
    shared("lookup")
      .description("print the peers that nodes know of a torrent")
      .argument("<info hash>", "40 hexadecimal digits")
      .option(
        "--wait <seconds>",
        "wait at most so long for the first nodes (default: 20)",
        wholeNumber("--wait", 1, 3600),
      )
      .action(lookUp),
  );
  verb.addCommand(
    shared("announce")
      .description("tell the nearest nodes that this machine has a torrent, and print their peers")
      .argument("<info hash>", "40 hexadecimal digits")
      .option(
        "--port <port>",
        "where peers reach us (default: the port that queries come from)",
        wholeNumber("--port", 1, 65_535),
      )
      .option("--seed", "say that it has all of it (BEP 33)")
      .option(
        "--wait <seconds>",
        "wait at most so long for the first nodes (default: 20)",
        wholeNumber("--wait", 1, 3600),
      )
      .action(announce),
  );
  verb.addCommand(
    shared("scrape")
      .description("estimate how many seeds and other peers the nodes nearest to a torrent know (BEP 33)")
      .argument("<info hash>", "40 hexadecimal digits")
      .option(
        "--wait <seconds>",
        "wait at most so long for the first nodes (default: 20)",
        wholeNumber("--wait", 1, 3600),
      )
      .action(scrape),
  );
  verb.addCommand(
    shared("sample")
      .description("print torrents that nodes have heard of, until Ctrl-C")
      .option("--count <n>", "end after so many", wholeNumber("--count", 1, 2 ** 31))
      .option("--sweeps <n>", "end when the key space was gone through", wholeNumber("--sweeps", 1, 1000))
      .option(
        "--wait <seconds>",
        "wait at most so long for the first nodes (default: 20)",
        wholeNumber("--wait", 1, 3600),
      )
      .action(sample),
  );
  verb.addCommand(
    shared("node")
      .description("be a node until Ctrl-C")
      .option("--read-only", "ask, and answer nobody (BEP 43)")
      .action(beNode),
  );
  return verb.addHelpText(
    "after",
    `
Queries carry our node's id and the info hash that is asked for; each address gets 4 a second at the most.

Examples:
  scatterwire dht lookup 0123456789abcdef0123456789abcdef01234567
  scatterwire dht scrape 0123456789abcdef0123456789abcdef01234567
  scatterwire dht sample --count 1000
  scatterwire dht node --listen 0.0.0.0:6881 --state dht.state`,
  );
}

async function lookUp(text: string, options: Options): Promise<void> {
  const infoHash = parseHash(text);
  const signal = interruptSignal();
  const dht = await startDht(options);
  let count = 0;
  try {
    await enoughNodes(dht, options, signal);
    for await (const peer of dht.lookup(infoHash, { signal })) {
      count++;
      printPeer(peer, options);
    }
    if (options.json === true) printJson({ event: "done", peers: count });
    else note(`${count} peers`);
  } catch (error) {
    throw signal.aborted ? new ExitError(EXIT_INTERRUPTED, "") : error;
  } finally {
    await stopDht(dht, options.state);
  }
}

async function announce(text: string, options: Options): Promise<void> {
  const infoHash = parseHash(text);
  const signal = interruptSignal();
  const dht = await startDht(options);
  try {
    await enoughNodes(dht, options, signal);
    const { port = 0, seed = false } = options;
    const peers = new Set<string>();
    const nodes = await dht.announce(infoHash, { signal, port, seed }, (peer) => {
      const text = endpointText(peer);
      if (peers.has(text)) return;
      peers.add(text);
      printPeer(peer, options);
    });
    if (options.json === true) printJson({ event: "done", nodes, peers: peers.size });
    else note(`${nodes} nodes took the announce, and told of ${peers.size} peers`);
    if (nodes === 0) throw new ExitError(EXIT_FAILED, "no node took the announce");
  } catch (error) {
    throw signal.aborted ? new ExitError(EXIT_INTERRUPTED, "") : error;
  } finally {
    await stopDht(dht, options.state);
  }
}

async function scrape(text: string, options: Options): Promise<void> {
  const infoHash = parseHash(text);
  const signal = interruptSignal();
  const dht = await startDht(options);
  try {
    await enoughNodes(dht, options, signal);
    const { seeds, peers, nodes } = await dht.scrape(infoHash, { signal });
    if (options.json === true) printJson({ event: "done", seeds, peers, nodes });
    else if (nodes > 0) printLine(`about ${seeds} seeds and ${peers} other peers, by ${nodes} nodes`);
    // No node has heard an announce, or none has filters: which of the two nobody can tell.
    else printLine("no node tells of any");
  } catch (error) {
    throw signal.aborted ? new ExitError(EXIT_INTERRUPTED, "") : error;
  } finally {
    await stopDht(dht, options.state);
  }
}

/** Hashes that were printed, so that each is printed once: the last of them. */
const PRINTED_MAX = 1_000_000;

async function sample(options: Options): Promise<void> {
  const signal = interruptSignal();
  const dht = await startDht(options);
  const most = options.count ?? Number.POSITIVE_INFINITY;
  const printed = new Set<string>();
  let count = 0;
  try {
    await enoughNodes(dht, options, signal);
    const sweeps = options.sweeps === undefined ? {} : { sweeps: options.sweeps };
    for await (const { infoHashes, node } of dht.sample({ signal, ...sweeps })) {
      for (const bytes of infoHashes) {
        const infoHash = Buffer.from(bytes).toString("hex");
        if (count === most || printed.has(infoHash)) continue;
        const [oldest] = printed;
        if (oldest !== undefined && printed.size === PRINTED_MAX) printed.delete(oldest);
        printed.add(infoHash);
        count++;
        if (options.json === true) printJson({ event: "sample", infoHash, host: node.host, port: node.port });
        else printLine(infoHash);
      }
      if (count === most) break;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    const { asked, told } = dht.stats().sampling;
    if (options.json === true) printJson({ event: "done", torrents: count, asked, told });
    else note(`${count} torrents of ${told} nodes; ${asked} were asked`);
    await stopDht(dht, options.state);
  }
  if (signal.aborted) throw new ExitError(EXIT_INTERRUPTED, "");
}

async function beNode(options: Options): Promise<void> {
  const signal = interruptSignal();
  const dht = await startDht(options);
  for (const { host, port } of dht.addresses)
    if (options.json === true) printJson({ event: "listening", protocol: "dht", host, port });
    else note(`receiving at ${host} ${port}`);
  const tell = (): void => {
    const { contacts, torrentsKept, peersKept, announcesRefused, counters, bounds } = dht.stats();
    const kept = { contacts, torrentsKept, peersKept, announcesRefused };
    if (options.json === true) printJson({ event: "status", ...kept, ...counters, ...bounds });
    else
      note(
        `${contacts} nodes, ${torrentsKept} torrents and ${peersKept} peers kept; ` +
          `${counters.queriesReceived} queries answered, ${counters.queriesSent} sent`,
      );
  };
  const timer = setInterval(tell, STATUS_MS);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  clearInterval(timer);
  tell();
  await stopDht(dht, options.state);
}

function printPeer(peer: PeerAddress, options: Options): void {
  if (options.json === true) printJson({ event: "peer", host: peer.host, port: peer.port });
  else printLine(endpointText(peer));
}

function endpointText({ host, port }: PeerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Nodes to ask, or an error that says what to do. */
async function enoughNodes(dht: Dht, options: Options, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + 1000 * (options.wait ?? WAIT_SECONDS_DEFAULT);
  let settledAtMs = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const nowMs = performance.now();
    const { contacts, lookupsSearching } = dht.stats();
    // Until the first lookups of our own id know the nearest. Nodes that are gone keep them under way for much longer: those are not waited for.
    if (contacts === 0 || lookupsSearching > 0) settledAtMs = nowMs;
    const neededMs = contacts < CONTACTS_ENOUGH ? FEW_SETTLED_MS : POLL_MS;
    if (nowMs - settledAtMs >= neededMs || nowMs > untilMs) break;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  if (dht.stats().contacts === 0)
    throw new ExitError(
      EXIT_FAILED,
      "no node of the DHT has answered: name others with --bootstrap HOST:PORT",
    );
}

function parseHash(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{40}$/.test(text))
    throw new ExitError(EXIT_USAGE, `an info hash is 40 hexadecimal digits, not "${text}"`);
  return Buffer.from(text, "hex");
}
