// scatterwire tracker: keeps swarms, and answers who announces, until it is stopped.
//
// What the command line says goes before what the file of --config says. SIGHUP reads lists and keys again: all of them are taken, or,
// if one is wrong, none.

import { dirname, resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Command } from "commander";
import { coalesce } from "../base/coalesce.js";
import { messageOf, UsageError } from "../base/errors.js";
import { MIB } from "../base/limits.js";
import { openRegular, readRegular } from "../base/regular-file.js";
import {
  type AdmissionRules,
  ListReader,
  parseConnectionKey,
  parseTrackerConfig,
  type TrackerConfig,
  TrackerService,
  type TrackerServiceOptions,
} from "../tracker/index.js";
import {
  collect,
  EXIT_FAILED,
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
  udp?: string[];
  http?: string[];
  ws?: boolean;
  metrics?: string;
  workers?: number;
  config?: string;
  redis?: string;
  interval?: number;
  peers?: number;
  memoryMib?: number;
  torrents?: number;
  newTorrents?: number;
  duration?: number;
  json?: boolean;
}

/** Of a configuration, a token, a key. */
const CONFIG_BYTES_MAX = MIB;
const WORKERS_MAX = 64;
const MEMORY_MIB_DEFAULT = 1024;
const TORRENTS_DEFAULT = 2 ** 24 - 1;

/**
 * V8 puts small functions into their callers up to a budget that is meant for large programs. This one has a few hot paths of many
 * small functions, and answers a tenth cheaper with a larger one.
 */
const INLINING = [
  "--max-inlined-bytecode-size=1500",
  "--max-inlined-bytecode-size-cumulative=12000",
  "--max-optimized-bytecode-size=200000",
];

export function run(args: readonly string[]): Promise<number> {
  for (const flag of INLINING) setFlagsFromString(flag);
  return runVerb(trackerCommand(), args);
}

function trackerCommand(): Command {
  return new Command("tracker")
    .description("run a tracker until Ctrl-C")
    .option("--udp <host:port>", "receive there; port 0 picks one; may be given several times", collect)
    .option("--http <host:port>", "listen there for HTTP; may be given several times", collect)
    .option("--ws", "WebTorrent signalling over WebSockets at the addresses of --http (needs the package ws)")
    .option("--metrics <host:port>", "an operator's address: metrics, a statistics page, REST")
    .option("--redis <url>", "share swarms with other trackers by a Redis or Valkey (needs @redis/client)")
    .option(
      "--workers <n>",
      "threads that answer UDP, one for each core; HTTP stays with the first thread (default: 1)",
      wholeNumber("--workers", 1, WORKERS_MAX),
    )
    .option("--config <file>", "settings in a JSON file; what is said here goes before them")
    .option(
      "--interval <seconds>",
      "how long clients wait between announces (default: 900)",
      wholeNumber("--interval", 30, 3600),
    )
    .option("--peers <n>", "peers in an answer at the most (default: 200)", wholeNumber("--peers", 0, 1000))
    .option(
      "--memory-mib <n>",
      `memory for swarms; the oldest make room (default: ${MEMORY_MIB_DEFAULT})`,
      wholeNumber("--memory-mib", 1, 65_536),
    )
    .option(
      "--torrents <n>",
      `torrents at the most; the oldest make room (default: ${TORRENTS_DEFAULT})`,
      wholeNumber("--torrents", 1, 2 ** 30 - 1),
    )
    .option(
      "--new-torrents <n>",
      "new torrents that one address (IPv6: /64, and eight times as many a /48) may bring in a minute (default: any number)",
      wholeNumber("--new-torrents", 1, 2 ** 20 - 1),
    )
    .option("--duration <seconds>", "stop after so long", wholeNumber("--duration", 1, 31_536_000))
    .option("--json", "print JSON lines: where it listens, reloads, and totals at the end")
    .addHelpText(
      "after",
      `
SIGHUP reads the lists and keys that the configuration names again.

Examples:
  scatterwire tracker --udp 0.0.0.0:6969 --udp [::]:6969 --http 0.0.0.0:6969
  scatterwire tracker --config tracker.json
  scatterwire tracker --udp 127.0.0.1:0 --json --duration 60`,
    )
    .action(serve);
}

async function serve(options: Options): Promise<void> {
  const signal = interruptSignal();
  const config = await readConfig(options);
  const service = await TrackerService.start(await serviceOptions(options, config));
  try {
    dropPrivileges(config);
  } catch (error) {
    await service.close();
    throw error;
  }
  for (const { protocol, host, port } of service.listening) {
    if (options.json === true) printJson({ event: "listening", protocol, host, port });
    else
      printLine(
        `${protocol === "metrics" ? "statistics at http" : `tracker at ${protocol}`}://${host.includes(":") ? `[${host}]` : host}:${port}; Ctrl-C stops`,
      );
  }
  const reload = coalesce(() => reloadRules(service, config, options.json === true));
  process.on("SIGHUP", reload);
  const startedMs = performance.now();
  const timer =
    options.duration === undefined
      ? undefined
      : setTimeout(() => process.kill(process.pid, "SIGTERM"), 1000 * options.duration);
  await new Promise<void>((stop) => {
    if (signal.aborted) stop();
    signal.addEventListener("abort", () => stop());
  });
  clearTimeout(timer);
  process.off("SIGHUP", reload);
  const seconds = (performance.now() - startedMs) / 1000;
  await service.close();
  const counters = service.counters();
  const { user, system } = process.cpuUsage();
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  if (options.json === true)
    printJson({ event: "stopped", seconds, cpuSeconds: (user + system) / 1e6, peakRssBytes, ...counters });
  else {
    const answered = counters.udp.responses + counters.http.requests;
    note(`answered ${answered} requests, ${counters.totals.torrents} torrents known`);
  }
  if (options.duration === undefined || seconds < options.duration) throw new ExitError(EXIT_INTERRUPTED);
}

/** What the file says, with its paths seen from where it lies, under what the command line says. */
async function readConfig(options: Options): Promise<TrackerConfig> {
  const said = {
    ...(options.udp === undefined ? {} : { udp: options.udp }),
    ...(options.http === undefined ? {} : { http: options.http }),
    ...(options.ws === undefined ? {} : { webSockets: options.ws }),
    ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
    ...(options.redis === undefined ? {} : { redis: options.redis }),
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    ...(options.interval === undefined ? {} : { intervalSeconds: options.interval }),
    ...(options.peers === undefined ? {} : { peersMax: options.peers }),
    ...(options.memoryMib === undefined ? {} : { memoryMib: options.memoryMib }),
    ...(options.torrents === undefined ? {} : { torrentsMax: options.torrents }),
    ...(options.newTorrents === undefined ? {} : { newTorrentsPerMinute: options.newTorrents }),
  };
  if (options.config === undefined) return said;
  const file = parseTrackerConfig(await readText(options.config), options.config);
  const folder = dirname(options.config);
  const paths = [
    "allowList",
    "denyList",
    "keysFile",
    "tokenFile",
    "downloadsFile",
    "connectionKeyFile",
  ] as const;
  const found = paths.flatMap((key) => (file[key] === undefined ? [] : [[key, resolve(folder, file[key])]]));
  return { ...file, ...(Object.fromEntries(found) as Partial<TrackerConfig>), ...said };
}

async function serviceOptions(options: Options, config: TrackerConfig): Promise<TrackerServiceOptions> {
  if ((config.udp ?? config.http ?? []).length === 0)
    throw new ExitError(EXIT_USAGE, "where to receive? give --udp HOST:PORT or --http HOST:PORT");
  if ((config.user === undefined) !== (config.group === undefined))
    throw new ExitError(EXIT_USAGE, "user and group go together: one alone would keep what the other may do");
  const rules = await readRules(config);
  const { newTorrentsPerMinute, evictionsPerMinute, peersPerAddressMax, peersPerTorrentMax } = config;
  const { connectionMinutes, connectionKeyFile } = config;
  const { trustedProxies, httpLimits, downloadsFile, metrics, tokenFile } = config;
  const { redis, redisLogMib } = config;
  return {
    udp: await Promise.all((config.udp ?? []).map((text) => parseAddress(text, "--udp"))),
    http: await Promise.all((config.http ?? []).map((text) => parseAddress(text, "--http"))),
    intervalSeconds: config.intervalSeconds ?? 900,
    peersMax: config.peersMax ?? 200,
    store: {
      bytesMax: (config.memoryMib ?? MEMORY_MIB_DEFAULT) * MIB,
      torrentsMax: config.torrentsMax ?? TORRENTS_DEFAULT,
      ...(newTorrentsPerMinute === undefined ? {} : { newTorrentsPerMinute }),
      ...(evictionsPerMinute === undefined ? {} : { evictionsPerMinute }),
      ...(peersPerAddressMax === undefined ? {} : { peersPerAddressMax }),
      ...(peersPerTorrentMax === undefined ? {} : { peersPerTorrentMax }),
    },
    ...(connectionMinutes === undefined ? {} : { connectionSlots: connectionMinutes }),
    ...(connectionKeyFile === undefined
      ? {}
      : { connectionKey: parseConnectionKey(await readText(connectionKeyFile), connectionKeyFile) }),
    ...(trustedProxies === undefined ? {} : { trustedProxies }),
    ...(httpLimits === undefined ? {} : { httpLimits }),
    ...(downloadsFile === undefined ? {} : { downloadsFile }),
    ...(redis === undefined ? {} : { redis }),
    ...(redisLogMib === undefined ? {} : { redisLogBytesMax: redisLogMib * MIB }),
    webSockets: config.webSockets === true,
    ...(config.workers === undefined ? {} : { workers: config.workers }),
    ...(metrics === undefined ? {} : { metrics: await parseAddress(metrics, "--metrics") }),
    ...(tokenFile === undefined ? {} : { token: (await readText(tokenFile)).trim() }),
    ...(rules === undefined ? {} : { rules }),
    onWarning: (message) =>
      options.json === true ? printJson({ event: "warning", message }) : note(`scatterwire: ${message}`),
  };
}

/** All lists that the configuration names, as they are now; undefined if it names none. */
async function readRules(config: TrackerConfig): Promise<AdmissionRules | undefined> {
  const { allowList, denyList, keysFile } = config;
  if (allowList === undefined && denyList === undefined && keysFile === undefined) return undefined;
  return {
    ...(allowList === undefined ? {} : { allow: await readList("hash", allowList) }),
    ...(denyList === undefined ? {} : { deny: await readList("hash", denyList) }),
    ...(keysFile === undefined ? {} : { keys: await readList("key", keysFile) }),
  };
}

/** Piece by piece: others are answered between two of them. One that is being written is not taken for what it will be. */
async function readList(kind: "hash" | "key", path: string): Promise<Set<string>> {
  const file = await openRegular(path);
  try {
    const reader = new ListReader(kind, path);
    const before = await file.stat();
    for await (const text of file.createReadStream({ encoding: "utf8", autoClose: false }))
      reader.read(String(text));
    const { size, mtimeMs } = await file.stat();
    if (size !== before.size || mtimeMs !== before.mtimeMs)
      throw new UsageError("USAGE_OPTION", `${path}: it changed while it was read`);
    return reader.end();
  } finally {
    await file.close();
  }
}

async function readText(path: string): Promise<string> {
  return (await readRegular(path, CONFIG_BYTES_MAX)).toString("utf8");
}

async function reloadRules(service: TrackerService, config: TrackerConfig, json: boolean): Promise<void> {
  try {
    const rules = await readRules(config);
    if (rules === undefined) return;
    await service.replaceRulesInSteps(rules);
    const sizes = { allow: rules.allow?.size, deny: rules.deny?.size, keys: rules.keys?.size };
    if (json) printJson({ event: "reloaded", ...sizes });
    else note("lists and keys were read again");
  } catch (error) {
    const message = `lists and keys stay as they were: ${messageOf(error)}`;
    if (json) printJson({ event: "warning", message });
    else note(`scatterwire: ${message}`);
  }
}

/** Becomes somebody who may do less, once all ports are bound: groups first, as a user who may not change them comes next. */
function dropPrivileges({ user, group }: TrackerConfig): void {
  if (user === undefined || group === undefined) return;
  try {
    const { setgroups, setgid, setuid } = process;
    if (setgroups === undefined || setgid === undefined || setuid === undefined)
      throw new Error("a program cannot become another user on this system");
    setgroups([]);
    setgid(group);
    setuid(user);
  } catch (error) {
    throw new ExitError(EXIT_FAILED, `cannot become ${user}:${group}: ${messageOf(error)}`);
  }
}
