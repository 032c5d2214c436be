// A swarm of twenty: our own client, libtorrent, transmission, aria2 and rtorrent, which know a magnet with nothing but trackers in it.
// They start at random moments, half of them insist on encryption, and one in ten is killed; whoever survives has all bytes. What is
// random follows from a seed, which is printed: SEED=<n> node --test dist/test/e2e/swarm.test.js
//
// Always: only trackers bring the first peers: no DHT, no multicast, and peer exchange in ours and libtorrent alone. Each has an address
// of its own, from which it connects and announces: transmission takes one connection of an address, and who asks a tracker from
// another address than it listens at is not found. Nothing is asked of when anything happens, but that all have ended before the
// watchdog. Our own client and libtorrent have one chance. Another program that has no new byte for a minute, as happened to an rtorrent
// once in some hundred, is started once more, in an empty folder, and that is said: what the others do wrong is not ours to judge.
//
// What limits the others here: transmission dials no loopback address, and opentracker has nobody ask again within half an hour: who
// comes last must be one that dials, and comes when the tracker names all that survive. No rtorrent insists on encryption: without the
// metadata, 0.9.8 understands nothing that comes behind a bitfield over RC4, and has the metadata from no seed of any kind (later versions
// refuse encrypted connections until they have it). One that insists completes only if it meets somebody who has the metadata and no piece.

import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import bencode from "bencode";
import { parseMetainfo } from "../../src/index.js";
import {
  aria2,
  type Client,
  type ClientKind,
  clientOf,
  createWithLibtorrent,
  libtorrent,
  libtorrentWith,
  rtorrent,
  transmission,
  until,
} from "../support/clients.js";
import { temporaryFolder, writeFiles } from "../support/data.js";
import { Program } from "../support/program.js";
import { makeRandom } from "../support/property.js";
import { npm, opentracker, ours as ourTracker, type TrackerKind, withTracker } from "../support/trackers.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const WATCHDOG_MS = 240_000;
const LOOK_PAUSE_MS = 250;
/** Two pieces of metadata, and more pieces of data than anybody takes from one peer. */
const BYTES = 14_000_003;
const PIECE_BYTES = 16_384;
const SEED_HOST = "127.0.0.9";
/** Of those that come for the sake of somebody who was started once more. */
const DIALLING_HOST = "127.0.0.8";
/** The seed needs some seconds for one copy, so that they have to share. */
const SEED_BYTES_PER_SECOND = 3_000_000;
const START_MS_MAX = 6000;
const KILLED = 2;
const STILL_MS_MAX = 60_000;
const KILL_AFTER_MS_MAX = 3000;

const ourClient: ClientKind = {
  name: "scatterwire",
  require: () => {},
  start: async (_role, torrent, directory, { encryption = "enabled", host = "127.0.0.1" } = {}) => {
    const program = Program.cli(
      ...["download", torrent, "-o", directory, "--listen", `${host}:0`],
      ...["--encryption", encryption, "--seed", "--json"],
    );
    const { port } = await program.line("port");
    return clientOf(program, Number(port), "SIGINT");
  },
};
const KINDS = [ourClient, libtorrent, transmission, aria2, rtorrent];
const EACH = 4;

/** One of the swarm that downloads. */
class Leecher {
  readonly name: string;
  readonly kind: ClientKind;
  readonly encryption: "enabled" | "required";
  readonly host: string;
  directory: string;
  readonly startMs: number;
  readonly killAfterMs: number | undefined;
  /** It starts when all others are known. */
  readonly isLast: boolean;
  readonly #expected: Buffer;
  client: Client | undefined;
  isKilled = false;
  /** Bytes that are right from the start on. */
  rightBytes = 0;
  /** When it was started, or had new bytes. */
  #movedAtMs = 0;
  #hadSecondChance = false;

  constructor(
    index: number,
    kind: ClientKind,
    folder: string,
    expected: Buffer,
    dice: Pick<Leecher, "startMs" | "killAfterMs" | "encryption" | "isLast">,
  ) {
    this.kind = kind;
    this.name = `${kind.name} ${index}`;
    this.encryption = dice.encryption;
    this.isLast = dice.isLast;
    this.host = `127.0.0.${10 + index}`;
    this.directory = join(folder, `copy-${index}`);
    this.startMs = dice.startMs;
    this.killAfterMs = dice.killAfterMs;
    this.#expected = expected;
  }

  /** Rejects when it cannot be started, and when `signal` is aborted before it is. */
  async run(magnet: string, othersAreKnown: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    mkdirSync(this.directory);
    await pass(this.startMs, undefined, { signal });
    if (this.isLast) while (!(await othersAreKnown())) await pass(LOOK_PAUSE_MS, undefined, { signal });
    const { encryption, host } = this;
    this.client = await this.kind.start("download", magnet, this.directory, { encryption, host });
    this.#movedAtMs = performance.now();
    if (this.killAfterMs === undefined) return;
    await pass(this.killAfterMs, undefined, { signal });
    this.isKilled = true;
    await this.client.kill();
  }

  /** It stands still, and is of those that are then started once more. */
  get isDueAgain(): boolean {
    if (this.kind === ourClient || this.kind === libtorrent) return false;
    const stillMs = performance.now() - this.#movedAtMs;
    return this.client !== undefined && !this.#hadSecondChance && stillMs > STILL_MS_MAX;
  }

  /** Starts it once more, with nothing of what it had. */
  async runAgain(magnet: string): Promise<void> {
    const { encryption, host, client } = this;
    this.#hadSecondChance = true;
    this.client = undefined;
    await client?.kill();
    this.directory = `${this.directory}-again`;
    this.rightBytes = 0;
    mkdirSync(this.directory);
    this.client = await this.kind.start("download", magnet, this.directory, { encryption, host });
    this.#movedAtMs = performance.now();
  }

  /** Looks how many bytes are right, from where it looked last: all that was read is read once. */
  look(): boolean {
    let file: number;
    try {
      file = openSync(join(this.directory, "data.bin"), "r");
    } catch {
      return false;
    }
    try {
      const chunk = Buffer.alloc(65_536);
      for (;;) {
        const read = readSync(file, chunk, 0, chunk.length, this.rightBytes);
        const expected = this.#expected.subarray(this.rightBytes, this.rightBytes + read);
        if (read === 0 || !chunk.subarray(0, read).equals(expected)) break;
        this.rightBytes += read;
        this.#movedAtMs = performance.now();
      }
    } finally {
      closeSync(file);
    }
    return this.rightBytes === BYTES;
  }

  describe(): string {
    const fate = this.isKilled
      ? "killed"
      : this.client === undefined
        ? "not started"
        : `${this.rightBytes} bytes right`;
    const said = fate.endsWith("right") && this.rightBytes < BYTES ? `: ${this.client?.describe()}` : "";
    return `${this.name} at ${this.host}:${this.client?.port}, ${this.encryption}, from ${this.startMs} ms: ${fate}${said}`;
  }
}

function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/** Nineteen that download: who they are, who insists on encryption, when each starts, and who is killed. */
function draw(folder: string, expected: Buffer): Leecher[] {
  const random = makeRandom(SEED);
  const kinds = KINDS.flatMap((kind) => Array.from({ length: EACH }, () => kind)).slice(1);
  const order = shuffled(kinds, random);
  const mayInsist = [...order.keys()].filter((index) => order[index] !== rtorrent);
  const insists = new Set(shuffled(mayInsist, random).slice(0, Math.ceil(order.length / 2)));
  const killed = new Set(shuffled([...order.keys()], random).slice(0, KILLED));
  const last = order.findIndex((kind, index) => kind !== transmission && !killed.has(index));
  return order.map((kind, index) => {
    const startMs = Math.floor(random() * START_MS_MAX);
    const killAfterMs = Math.floor(random() * KILL_AFTER_MS_MAX);
    return new Leecher(index, kind, folder, expected, {
      encryption: insists.has(index) ? "required" : "enabled",
      startMs,
      killAfterMs: killed.has(index) ? killAfterMs : undefined,
      isLast: index === last,
    });
  });
}

/** The addresses that a tracker names, asked over HTTP by one that nobody reaches. None while it does not answer: whoever asks, asks again. */
async function namedBy(url: string, infoHashHex: string): Promise<Set<string>> {
  const hash = infoHashHex.replace(/../g, "%$&");
  const fields = "port=1&uploaded=0&downloaded=0&left=1&numwant=200&compact=1";
  const body = await fetch(`${url}?info_hash=${hash}&peer_id=-XX0000-nobodylisten&${fields}`, {
    // opentracker closes a connection when it has answered.
    headers: { connection: "close" },
  }).then(
    (response) => response.arrayBuffer(),
    () => undefined,
  );
  if (body === undefined) return new Set();
  const { peers } = bencode.decode(Buffer.from(body)) as { peers: Uint8Array };
  const each = Array.from({ length: peers.length / 6 }, (_, index) => Buffer.from(peers).subarray(6 * index));
  return new Set(each.map((bytes) => `${bytes.subarray(0, 4).join(".")}:${bytes.readUInt16BE(4)}`));
}

async function complete(t: TestContext, tracker: TrackerKind): Promise<void> {
  const folder = temporaryFolder((leave) => t.after(leave));
  for (const kind of KINDS) kind.require();
  writeFiles(folder, { "data.bin": BYTES });
  const expected = readFileSync(join(folder, "data.bin"));
  const torrent = join(folder, "data.torrent");
  await createWithLibtorrent(join(folder, "data.bin"), torrent, PIECE_BYTES, false);
  const { infoHashHex } = parseMetainfo(readFileSync(torrent));
  const url = await tracker.start(t, "http", "127.0.0.1", infoHashHex);
  const magnet = `magnet:?xt=urn:btih:${infoHashHex}&dn=data.bin&tr=${encodeURIComponent(url)}`;

  // The seed has the torrent, and nobody else.
  writeFileSync(torrent, withTracker(readFileSync(torrent), url));
  const slow = libtorrentWith({ upload_rate_limit: SEED_BYTES_PER_SECOND });
  const seed = await slow.start("seed", torrent, folder, { encryption: "enabled", host: SEED_HOST });

  const leechers = draw(folder, expected);
  const othersAreKnown = async (): Promise<boolean> => {
    const named = await namedBy(url, infoHashHex);
    const others = leechers.filter((each) => !each.isLast && each.killAfterMs === undefined);
    return (
      others.every(({ host, client }) => named.has(`${host}:${client?.port}`)) &&
      named.has(`${SEED_HOST}:${seed.port}`)
    );
  };
  const failures: Error[] = [];
  const dialling: Client[] = [];
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  const runs = leechers.map((leecher) =>
    leecher
      .run(magnet, othersAreKnown, over.signal)
      .catch((error: Error) => failures.push(new Error(`${leecher.name}: ${error.message}`))),
  );
  // All of them are gone before the folders are.
  try {
    await allComplete(leechers, failures, async (leecher) => {
      t.diagnostic(`stands still, and is started once more: ${leecher.describe()}`);
      await leecher.runAgain(magnet);
      const at = `${leecher.host}:${leecher.client?.port}`;
      await until(async () => (await namedBy(url, infoHashHex)).has(at), WATCHDOG_MS, LOOK_PAUSE_MS);
      // Who is complete dials nobody, and transmission itself does not: somebody comes who does.
      const directory = `${leecher.directory}-dialled`;
      mkdirSync(directory);
      dialling.push(await libtorrent.start("download", magnet, directory, { host: DIALLING_HOST }));
    });
  } finally {
    over.abort();
    await Promise.all(runs);
    await Promise.all(
      [seed, ...dialling, ...leechers.map(({ client }) => client)].map((client) => client?.stop()),
    );
  }
}

/** Resolves when all that are to survive have all bytes, and the others are killed. */
async function allComplete(
  leechers: readonly Leecher[],
  failures: readonly Error[],
  runAgain: (leecher: Leecher) => Promise<void>,
): Promise<void> {
  const begin = performance.now();
  for (;;) {
    if (failures[0] !== undefined) throw failures[0];
    const missing = leechers.filter((leecher) => {
      if (leecher.killAfterMs !== undefined) return !leecher.isKilled;
      return !leecher.look();
    });
    if (missing.length === 0) break;
    for (const leecher of missing) if (leecher.isDueAgain) await runAgain(leecher);
    if (performance.now() - begin > WATCHDOG_MS)
      assert.fail(
        `not complete (SEED=${SEED}):\n${leechers.map((leecher) => leecher.describe()).join("\n")}`,
      );
    await pass(LOOK_PAUSE_MS);
  }
}

describe(`a swarm of twenty, from a magnet with trackers only (SEED=${SEED})`, () => {
  for (const tracker of [opentracker, npm, ourTracker])
    it(`completes, announced at ${tracker.name}`, { timeout: WATCHDOG_MS + 60_000 }, (t) =>
      complete(t, tracker),
    );
});
