// Our tracker and four clients at addresses that are no loopback ones, in a network namespace of its own: transmission announces over IPv6
// only from a global address, and dials no loopback addresses. test/e2e/tracker-namespace.test.ts runs this file by `unshare`.
//
// usage: node tracker-clients-in-namespace.js udp|http 4|6
//
// Prints {"seeded": [clients]} when those have all bytes, who found transmission by the tracker; {"found": "transmission"} when transmission
// has all bytes, which found ours; and in both {"scraped": …}, what the tracker says of the swarm then.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts, makeAria2, startTransmission as startDaemon } from "../../bench/rivals/clients.js";
import { createTorrentFile } from "../../src/index.js";
import { TrackerService } from "../../src/tracker/index.js";
import { startLibtorrent, until } from "./clients.js";
import { bytesOf } from "./data.js";
import { Program } from "./program.js";

const TIMEOUT_MS = 200_000;
/** Of host 1 over IPv6, by the /etc/hosts of the namespace. */
const TRACKER_NAME = "tracker.test";
const DATA = bytesOf(9, 500_000);

type Protocol = "udp" | "http";

interface Place {
  readonly home: string;
  readonly torrent: string;
  readonly service: TrackerService;
  /** Of the family: a host of each program. */
  host(number: number): string;
  readonly family: 4 | 6;
  readonly protocol: Protocol;
}

const stops: (() => Promise<unknown>)[] = [];

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

async function makePlace(home: string, protocol: Protocol, family: 4 | 6): Promise<Place> {
  const host = (number: number): string => (family === 4 ? `10.77.0.${number}` : `2001:db8:77::${number}`);
  mkdirSync(home);
  const service = await TrackerService.start({
    [protocol]: [{ host: host(1), port: 0 }],
    ...(protocol === "http" ? { udp: [] } : { udp: [{ host: host(1), port: 0 }] }),
    store: { bytesMax: 2 ** 24 },
    intervalSeconds: 30,
  });
  stops.push(() => service.close());
  const [at] = service.listening;
  const source = join(home, "data.bin");
  await writeFile(source, DATA);
  const torrent = join(home, "data.torrent");
  // transmission reads no IPv6 address in the URL of an UDP tracker: there the tracker has a name.
  const name = protocol === "udp" && family === 6 ? TRACKER_NAME : bracketed(host(1));
  const announce = [`${protocol}://${name}:${at?.port}/announce`];
  await writeFile(torrent, await createTorrentFile(source, { announce }));
  return { home, torrent, service, host, family, protocol };
}

async function startTransmission(place: Place, role: "seed" | "download"): Promise<string> {
  const { home, torrent, host, family } = place;
  const directory = role === "seed" ? home : folderFor(place, "transmission");
  const config = join(home, "transmission-home");
  mkdirSync(config);
  const { program, rpc } = await startDaemon(config, {
    // Over IPv6 it announces from an address of the system's choice, if it is not told one of IPv4.
    ...(family === 4 ? { "bind-address-ipv4": host(2) } : { "bind-address-ipv6": host(2) }),
    "download-dir": directory,
  });
  stops.push(() => program.stop());
  await rpc.add(torrent, directory, role);
  return join(directory, "data.bin");
}

function folderFor({ home }: Place, name: string): string {
  const folder = join(home, name);
  mkdirSync(folder);
  return folder;
}

function startOthers(place: Place): Promise<string[]> {
  const { torrent, host, protocol, family } = place;
  const libtorrent = folderFor(place, "libtorrent");
  const at = { listen_interfaces: `${bracketed(host(3))}:0`, outgoing_interfaces: host(3) };
  const peer = startLibtorrent("download", torrent, libtorrent, at);
  stops.push(() => peer.stop());
  const ours = folderFor(place, "ours");
  const download = Program.cli(
    "download",
    torrent,
    "-o",
    ours,
    "--listen",
    `${bracketed(host(5))}:0`,
    "--json",
  );
  stops.push(() => download.stop());
  const copies = [join(libtorrent, "data.bin"), join(ours, "data.bin")];
  // It asks UDP trackers through the socket of its DHT, which it has for IPv4.
  return protocol === "udp" && family === 6
    ? Promise.resolve(copies)
    : startAria2(place).then((copy) => [...copies, copy]);
}

async function startAria2(place: Place): Promise<string> {
  const { torrent, host, family } = place;
  const directory = folderFor(place, "aria2");
  const home = folderFor(place, "aria2-home");
  const [dhtPort] = await freePorts();
  // Of IPv6 it takes no address there.
  const more = family === 4 ? [`--interface=${host(4)}`] : [];
  if (place.protocol === "udp")
    more.push("--enable-dht=true", `--dht-listen-port=${dhtPort}`, `--dht-file-path=${join(home, "dht")}`);
  const client = makeAria2(() => Promise.resolve(more));
  const { program } = await client.start({ role: "download", torrent, directory, home });
  stops.push(() => program.stop());
  return join(directory, "data.bin");
}

function isWhole(path: string): Promise<boolean> {
  return readFile(path).then(
    (bytes) => bytes.equals(DATA),
    () => false,
  );
}

function peersOf({ service, family }: Place): number {
  const { totals } = service.counters();
  return family === 4 ? totals.peersV4 : totals.peersV6;
}

async function scraped({ torrent }: Place): Promise<object> {
  const { last } = await Program.cli("scrape", torrent, "--json").result();
  return { seeders: last["seeders"], leechers: last["leechers"] };
}

async function main(protocol: Protocol, family: 4 | 6): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "scatterwire-tracker-namespace-"));
  try {
    const first = await makePlace(join(home, "first"), protocol, family);
    await startTransmission(first, "seed");
    await until(() => Promise.resolve(peersOf(first) >= 1), TIMEOUT_MS);
    const copies = await startOthers(first);
    await until(async () => (await Promise.all(copies.map(isWhole))).every(Boolean), TIMEOUT_MS);
    const seeded = copies.map((copy) => copy.split("/").at(-2));
    process.stdout.write(`${JSON.stringify({ seeded, scraped: await scraped(first) })}\n`);

    const second = await makePlace(join(home, "second"), protocol, family);
    const listen = ["--listen", `${bracketed(second.host(5))}:0`];
    const seed = Program.cli("seed", second.torrent, second.home, ...listen, "--json");
    stops.push(() => seed.stop());
    await until(() => Promise.resolve(peersOf(second) >= 1), TIMEOUT_MS);
    const copy = await startTransmission(second, "download");
    await until(() => isWhole(copy), TIMEOUT_MS);
    process.stdout.write(`${JSON.stringify({ found: "transmission", scraped: await scraped(second) })}\n`);
  } finally {
    await Promise.all(stops.map((stop) => stop().catch(() => undefined)));
    rmSync(home, { recursive: true, force: true });
  }
}

await main(process.argv[2] === "http" ? "http" : "udp", process.argv[3] === "6" ? 6 : 4);
