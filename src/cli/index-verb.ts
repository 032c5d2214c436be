// scatterwire index: finds out which torrents there are in the DHT, and keeps what they hold in a file or in PostgreSQL, until Ctrl-C.
//
// What goes out: queries with info hashes to nodes of the DHT, and connections to peers that those name, for info dictionaries and nothing else.
// The help says how each is bounded.

import { Command } from "commander";
import { readRegular } from "../base/regular-file.js";
import type { DhtOptions } from "../dht/index.js";
import {
  Indexer,
  type IndexerStats,
  IndexFace,
  type IndexStore,
  openStore,
  type Retention,
  type StoreStats,
} from "../indexer/index.js";
import { dhtOptionsOf, keepState } from "./dht-node.js";
import { IndexScreen } from "./index-screen.js";
import {
  byteCount,
  collect,
  EXIT_INTERRUPTED,
  EXIT_USAGE,
  ExitError,
  interruptSignal,
  note,
  parseAddress,
  printJson,
  printLine,
  wholeNumber,
} from "./output.js";
import { runVerb } from "./run-verb.js";

interface Options {
  store?: string;
  nodes?: number;
  listen?: string[];
  peers?: string;
  bootstrap?: string[] | false;
  state?: string;
  add?: string[];
  lookups?: number;
  rate?: number;
  connections?: number;
  keepTorrents?: number;
  keepBytes?: number;
  keepDays?: number;
  keepHashes?: number;
  keepSettled?: number;
  lease?: number;
  retry?: number;
  private?: boolean;
  http?: string;
  tokenFile?: string;
  collect: boolean;
  sample: boolean;
  duration?: number;
  json?: boolean;
}

const TOKEN_BYTES_MAX = 65_536;
const STATUS_MS = 10_000;
const SCREEN_MS = 500;
const TOTAL_MS = 5000;
const DAY_MS = 86_400_000;
const NODES_MAX = 256;
const GIB = 2 ** 30;

export function run(args: readonly string[]): Promise<number> {
  return runVerb(indexCommand(), args);
}

function indexCommand(): Command {
  return new Command("index")
    .description("find torrents in the DHT and keep what they hold, until Ctrl-C")
    .option("--store <place>", "a file of SQLite, made if it is not there, or postgres://USER@HOST/DATABASE")
    .option(
      "--nodes <n>",
      "virtual nodes at the one address of --listen, each at a port of its own: for tests",
      wholeNumber("--nodes", 1, NODES_MAX),
    )
    .option(
      "--listen <host:port>",
      "receive there for the DHT; several times: several virtual nodes, an address each",
      collect,
    )
    .option(
      "--peers <host:port>",
      "accept connections from peers there: it brings torrents of peers that cannot be connected to",
    )
    .option("--bootstrap <host:port>", "a node of the DHT to begin with; may be given several times", collect)
    .option("--no-bootstrap", "begin with nobody but nodes of --state")
    .option("--state <file>", "keep our id and known nodes in this file")
    .option("--add <info hash>", "look for this torrent, too; may be given several times", collect)
    .option(
      "--lookups <n>",
      "lookups at once (default: 3 for each virtual node)",
      wholeNumber("--lookups", 1, 10_000),
    )
    .option(
      "--rate <n>",
      "lookups a second at the most (default: any number)",
      wholeNumber("--rate", 1, 100_000),
    )
    .option(
      "--connections <n>",
      "connections to peers at once (default: 200)",
      wholeNumber("--connections", 1, 65_536),
    )
    .option(
      "--keep-torrents <n>",
      "keep so many torrents; the oldest make room",
      wholeNumber("--keep-torrents", 1, 2 ** 40),
    )
    .option(
      "--keep-bytes <n>",
      "keep the store below so many bytes (such as 10G)",
      byteCount("--keep-bytes", 2 ** 20, 2 ** 16 * GIB),
    )
    .option("--keep-days <n>", "keep torrents for so many days", wholeNumber("--keep-days", 1, 36_500))
    .option(
      "--keep-hashes <n>",
      "keep so many hashes that wait for their turn (default: 10 million)",
      wholeNumber("--keep-hashes", 1000, 2 ** 40),
    )
    .option(
      "--keep-settled <n>",
      "remember so many hashes of which nothing is kept: unusable, or pruned (default: 5 million)",
      wholeNumber("--keep-settled", 1000, 2 ** 40),
    )
    .option(
      "--lease <seconds>",
      "if this indexer dies, others may take over what it has claimed after so long (default: 300)",
      wholeNumber("--lease", 1, 86_400),
    )
    .option(
      "--retry <seconds>",
      "look a hash that nobody had up again after so long, then after twice as long, and so on (default: 3600)",
      wholeNumber("--retry", 1, 604_800),
    )
    .option(
      "--http <host:port>",
      "a page to search with, JSON, a feed, Torznab and metrics; others than this machine need --token-file",
    )
    .option(
      "--token-file <file>",
      "a file with the token that --http asks for before it shows names of torrents",
    )
    .option("--private", "keep torrents that are marked private, too")
    .option("--no-collect", "do not take hashes that others ask our nodes for")
    .option("--no-sample", "do not ask nodes what they keep (BEP 51)")
    .option("--duration <seconds>", "stop after so long", wholeNumber("--duration", 1, 31_536_000))
    .option("--json", "one JSON object per line: torrents as they come, and what it does every ten seconds")
    .addHelpText(
      "after",
      `
What it sends: about 20 to 60 small datagrams to nodes of the DHT for each hash that it looks up, each with our node's id and the hash, at
most 4 a second to one address; and connections to peers that those nodes name, for the info dictionary (names, sizes and digests of
files) and nothing of the files. --rate, --lookups and --connections bound it: --rate 1 is less than most clients send. Some routers
cannot keep as many far ends apart, and become slow for everybody: begin with --rate 5. With --peers, those who ask our nodes for a torrent
that could not be had are told our address among its peers.

Nodes of one address are taken for an attack: give each --listen an address of its own.

Ctrl-C writes what was found and gives back what was claimed, for others that use the same store.

Examples:
  scatterwire index --store index.db --listen 0.0.0.0:6881 --state dht.state
  scatterwire index --store postgres://index@db.example/torrents --listen 192.0.2.1:6881 --listen 192.0.2.2:6881
  scatterwire index --store index.db --rate 5 --keep-bytes 10G --http 127.0.0.1:8080`,
    )
    .action(index);
}

async function index(options: Options): Promise<void> {
  const signal = interruptSignal();
  if (options.store === undefined)
    throw new ExitError(EXIT_USAGE, "where to keep it? give --store FILE or --store postgres://…");
  const added = (options.add ?? []).map(parseHash);
  const dht = withNodes(await dhtOptionsOf(options), options.nodes);
  const { tokenFile } = options;
  if (tokenFile !== undefined && options.http === undefined)
    throw new ExitError(EXIT_USAGE, "--token-file goes with --http");
  const token =
    tokenFile === undefined
      ? undefined
      : (await readRegular(tokenFile, TOKEN_BYTES_MAX)).toString("utf8").trim();
  const listen = options.http === undefined ? undefined : await parseAddress(options.http, "--http");
  const store = await openStore(options.store);
  let indexer: Indexer | undefined;
  let face: IndexFace | undefined;
  try {
    indexer = new Indexer({
      store,
      dht,
      collects: options.collect,
      samples: options.sample,
      keepsPrivate: options.private === true,
      ...(options.peers === undefined ? {} : { listen: await parseAddress(options.peers, "--peers") }),
      ...(options.lookups === undefined ? {} : { lookupsMax: options.lookups }),
      ...(options.rate === undefined ? {} : { lookupsPerSecond: options.rate }),
      ...(options.connections === undefined ? {} : { connectionsMax: options.connections }),
      ...(options.lease === undefined ? {} : { leaseMs: 1000 * options.lease }),
      ...(options.retry === undefined ? {} : { retryMs: 1000 * options.retry }),
      ...retentionOf(options),
    });
    if (listen !== undefined) face = await serve(indexer, store, listen, token, options.json === true);
    indexer.add(added);
    await work(indexer, store, options, signal);
  } finally {
    await face?.close();
    // Whether or not the state can be written, what is claimed is given back.
    await indexer?.close();
    await store.close();
    if (indexer !== undefined && options.state !== undefined) await keepState(options.state, indexer.save());
  }
  if (signal.aborted) throw new ExitError(EXIT_INTERRUPTED, "");
}

/** Over HTTP; it tells where. */
async function serve(
  indexer: Indexer,
  store: IndexStore,
  listen: { readonly host: string; readonly port: number },
  token: string | undefined,
  isJson: boolean,
): Promise<IndexFace> {
  const status = (): Record<string, number> => {
    const entries = Object.entries(flat(indexer.stats()));
    return Object.fromEntries(
      entries.filter((entry): entry is [string, number] => typeof entry[1] === "number"),
    );
  };
  const { face, address } = await IndexFace.start({ store, listen, token, status });
  const { host, port } = address;
  if (isJson) printJson({ event: "listening", protocol: "http", host, port });
  else note(`searching at http://${host.includes(":") ? `[${host}]` : host}:${port}/`);
  return face;
}

async function work(
  indexer: Indexer,
  store: IndexStore,
  options: Options,
  signal: AbortSignal,
): Promise<void> {
  const isJson = options.json === true;
  const screen = isJson || process.stderr.isTTY !== true ? undefined : new IndexScreen(process.stderr);
  for (const { host, port } of indexer.addresses)
    if (isJson) printJson({ event: "listening", protocol: "dht", host, port });
  const { listenAddress } = indexer;
  if (isJson && listenAddress !== undefined)
    printJson({ event: "listening", protocol: "peers", ...listenAddress });
  if (!isJson)
    note(
      `${indexer.addresses.length} virtual nodes, keeping torrents in ${nameOf(options.store)}; Ctrl-C stops`,
    );
  indexer.on("torrent", (torrent) => {
    if (isJson) printJson({ event: "torrent", ...torrent });
    else if (screen !== undefined) screen.found(torrent);
    else printLine(`${torrent.infoHash} ${torrent.name}`);
  });
  indexer.on("warning", (message) => {
    if (isJson) printJson({ event: "warning", message });
    else note(`scatterwire: ${message}`);
  });
  let total: StoreStats | undefined;
  let askedMs = Number.NEGATIVE_INFINITY;
  let isOver = false;
  const tell = async (): Promise<void> => {
    const stats = indexer.stats();
    // What it counts is counted anew each time: that may take long where there are millions.
    if (performance.now() - askedMs >= TOTAL_MS) {
      askedMs = performance.now();
      total = await store.stats().catch(() => undefined);
      // That took its time: all may have been said meanwhile.
      if (isOver) return;
    }
    if (isJson) printJson({ event: "status", torrents: total?.torrents, ...flat(stats) });
    else if (screen !== undefined) screen.draw(stats, total);
    else note(lineOf(stats, total?.torrents));
  };
  const timer = setInterval(() => void tell(), screen === undefined ? STATUS_MS : SCREEN_MS);
  await new Promise<void>((resolve) => {
    const seconds = options.duration;
    const end = seconds === undefined ? undefined : setTimeout(resolve, 1000 * seconds);
    const stop = (): void => {
      clearTimeout(end);
      resolve();
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  isOver = true;
  clearInterval(timer);
  screen?.close();
  if (!isJson) note("writing what was found, and giving back what was claimed");
  await indexer.close();
  const { counters } = indexer.stats();
  if (isJson) printJson({ event: "done", ...counters });
  else note(`${counters.stored} torrents were stored in this run, of ${counters.lookups} lookups`);
}

function lineOf(stats: IndexerStats, torrents: number | undefined): string {
  const { counters, dht } = stats;
  return (
    `${torrents ?? "?"} torrents; ${counters.stored} new of ${counters.lookups} lookups, ${stats.fetchesUnderWay} being fetched; ` +
    `${counters.hashesNew} hashes new, ${dht.contacts} nodes known, ${dht.counters.queriesSent} queries sent`
  );
}

function flat({ counters, fetcher, dht, ...rest }: IndexerStats): Record<string, unknown> {
  const { contacts, announcesRefused } = dht;
  return {
    ...rest,
    ...counters,
    ...fetcher,
    contacts,
    queriesSent: dht.counters.queriesSent,
    ...prefixed("dht", { ...dht.counters, ...dht.bounds, announcesRefused }),
    ...prefixed("dhtSampling", dht.sampling),
  };
}

function prefixed(prefix: string, counters: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(counters).map(([name, value]) => [
      `${prefix}${name.slice(0, 1).toUpperCase()}${name.slice(1)}`,
      value,
    ]),
  );
}

/** A URL may have a password, with any characters in it, or as a parameter. */
function nameOf(place = ""): string {
  if (!/^postgres(ql)?:/.test(place)) return place;
  return place.replace(/^(\w+:\/\/[^:@/?]*):.*@/, "$1:…@").replace(/([?&]password=)[^&]*/gi, "$1…");
}

/** Several virtual nodes at one address. */
function withNodes(dht: DhtOptions, count: number | undefined): DhtOptions {
  const { listen = [{ host: "0.0.0.0", port: 0 }] } = dht;
  const [first] = listen;
  if (count === undefined || first === undefined) return { ...dht, listen };
  if (listen.length > 1)
    throw new ExitError(
      EXIT_USAGE,
      "--nodes goes with one --listen; several --listen are a virtual node each",
    );
  const ports = Array.from({ length: count }, (_, at) => (at === 0 ? first.port : 0));
  return { ...dht, listen: ports.map((port) => ({ host: first.host, port })) };
}

function retentionOf(options: Options): { retention?: Retention } {
  const { keepTorrents, keepBytes, keepDays, keepHashes, keepSettled } = options;
  const retention = {
    ...(keepTorrents === undefined ? {} : { torrentsMax: keepTorrents }),
    ...(keepBytes === undefined ? {} : { storeBytesMax: keepBytes }),
    ...(keepDays === undefined ? {} : { ageMsMax: keepDays * DAY_MS }),
    ...(keepHashes === undefined ? {} : { hashesMax: keepHashes }),
    ...(keepSettled === undefined ? {} : { settledMax: keepSettled }),
  };
  return Object.keys(retention).length === 0 ? {} : { retention };
}

function parseHash(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{40}$/.test(text))
    throw new ExitError(EXIT_USAGE, `an info hash is 40 hexadecimal digits, not "${text}"`);
  return Uint8Array.from(Buffer.from(text, "hex"));
}
