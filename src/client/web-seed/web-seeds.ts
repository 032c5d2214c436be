// The web seeds of one torrent: which are asked, and when one that failed has another chance.
//
//   waiting ──blocks are wanted──▶ joined (a peer of the torrent) ──server fails──▶ waiting, for longer each time
//                                        └── wrong bytes, another file, no ranges: never again
//
// Always: no more than JOINED_MAX are peers at one time; none while nothing is wanted. Where others wait for a place, the slowest makes room
// once a minute: servers that bring a little, for ever, keep nobody out. Once one has sent crumbs, the others are tried one by one.

import { createHash } from "node:crypto";
import { Agent as HttpAgent } from "node:http";
import { type AgentOptions, Agent as HttpsAgent } from "node:https";
import type { PeerError } from "../../base/errors.js";
import type { Ground } from "../../base/ground.js";
import { LONG_URL_MAX } from "../../base/limits.js";
import type { SourceFor } from "../../base/network-address.js";
import type { HttpGround } from "../../native/http-get.js";
import { boundKept } from "../../native/kept-connections.js";
import type { NameResolver } from "../../native/names.js";
import type { WebSeedStatus } from "../options.js";
import type { JoiningTorrent } from "../torrent/peer-source.js";
import { WebSeedCrumbsError } from "./web-file.js";
import { WebSeedStream } from "./web-seed-stream.js";

const JOINED_MAX = 4;
const TURN_MS = 60_000;
/** Of one torrent. */
const WEB_SEEDS_MAX = 100;
const RETRY_MS = 5000;
const RETRY_MS_MAX = 30 * 60_000;
const REJOIN_MS = 30_000;
/**
 * So long after one that sent crumbs only one joins in a tick: what Node.js has read of its answer, 64 KiB, takes a tenth of a second of the
 * loop, and four in each second, one after the other of a hundred, take half of it.
 */
const CRUMBS_MS = 30_000;
/** Connections to one server that are kept for the next run: those of JOINED_MAX web seeds, which may all be there. */
const IDLE_SOCKETS_MAX = JOINED_MAX;
/** A connection that is kept waits so long for the next run, and no longer: a session may have had hundreds of servers. */
const KEPT_MS = 15_000;
const KEEPING = { keepAlive: true, maxFreeSockets: IDLE_SOCKETS_MAX, timeout: KEPT_MS };
const PEER_ID_PREFIX = "-WS0000-";

/** What all web seeds of a session share: connections that are kept. */
export class WebSeedHttp implements HttpGround {
  readonly ground: Ground;
  readonly names: NameResolver;
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
  readonly sourceFor: SourceFor | undefined;

  constructor(
    ground: Ground,
    names: NameResolver,
    sourceFor?: SourceFor,
    agent: Pick<AgentOptions, "ca" | "timeout"> = {},
  ) {
    this.ground = ground;
    this.names = names;
    this.sourceFor = sourceFor;
    this.http = boundKept(new HttpAgent({ ...KEEPING, ...agent }));
    this.https = boundKept(new HttpsAgent({ ...KEEPING, ...agent }));
  }

  close(): void {
    this.http.destroy();
    this.https.destroy();
    this.names.close();
  }
}

interface WebSeed {
  readonly url: string;
  readonly base: URL | undefined;
  state: WebSeedStatus["state"];
  stream: WebSeedStream | undefined;
  failures: number;
  dueMs: number;
  joinedMs: number;
  /** Blocks that its stream had brought a minute ago. */
  blocksBefore: number;
  error: string | undefined;
}

export class WebSeeds {
  readonly #http: HttpGround;
  readonly #torrent: JoiningTorrent;
  readonly #seeds: WebSeed[];
  #roomMadeMs: number;
  /** When one was found last that sends crumbs. */
  #crumbsMs = Number.NEGATIVE_INFINITY;

  constructor(http: HttpGround, torrent: JoiningTorrent, urls: readonly string[]) {
    this.#http = http;
    this.#torrent = torrent;
    this.#roomMadeMs = http.ground.nowMs();
    this.#seeds = [...new Set(urls)].slice(0, WEB_SEEDS_MAX).map((url) => {
      const base = url.length <= LONG_URL_MAX && URL.canParse(url) ? new URL(url) : undefined;
      const isAsked = base?.protocol === "http:" || base?.protocol === "https:";
      return {
        url,
        base,
        state: isAsked ? "waiting" : "never",
        stream: undefined,
        failures: 0,
        dueMs: 0,
        joinedMs: 0,
        blocksBefore: 0,
        error: isAsked ? undefined : "web seeds are asked over http and https",
      };
    });
  }

  get status(): WebSeedStatus[] {
    return this.#seeds.map(({ url, state, error }) => ({ url, state, error }));
  }

  /** Time passed; about once a second. */
  tick(): void {
    const now = this.#http.ground.nowMs();
    const { wantsBlocks } = this.#torrent;
    let joined = 0;
    for (const seed of this.#seeds) {
      if (seed.stream !== undefined && !wantsBlocks) seed.stream.end();
      if (seed.stream !== undefined) joined++;
    }
    if (!wantsBlocks) return;
    // Who had no place yet comes first, and then who had one longest ago.
    const due = this.#seeds.filter((seed) => isDue(seed, now)).sort((one, other) => one.dueMs - other.dueMs);
    let joining = now - this.#crumbsMs < CRUMBS_MS ? 1 : JOINED_MAX;
    for (const seed of due)
      if (joined < JOINED_MAX && joining > 0 && this.#join(seed, now)) {
        joined++;
        joining--;
      }
    if (joined >= JOINED_MAX) this.#makeRoom(now);
  }

  stop(): void {
    for (const { stream } of this.#seeds) stream?.end();
  }

  #makeRoom(now: number): void {
    if (now - this.#roomMadeMs < TURN_MS) return;
    this.#roomMadeMs = now;
    let slowest: WebSeed | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const seed of this.#seeds) {
      const { stream, blocksBefore, joinedMs } = seed;
      if (stream === undefined) continue;
      const blocks = stream.blocks - blocksBefore;
      seed.blocksBefore = stream.blocks;
      if (now - joinedMs < TURN_MS || blocks >= fewest) continue;
      slowest = seed;
      fewest = blocks;
    }
    if (slowest === undefined || !this.#seeds.some((seed) => isDue(seed, now))) return;
    slowest.dueMs = now;
    slowest.stream?.end();
  }

  #join(seed: WebSeed, now: number): boolean {
    const { base } = seed;
    const { content, infoHash } = this.#torrent;
    if (base === undefined || content === undefined) return false;
    const { layout, have, isSingleFile } = content;
    const peerId = Buffer.concat([
      Buffer.from(PEER_ID_PREFIX),
      createHash("sha1")
        .update(seed.url)
        .digest()
        .subarray(0, 20 - PEER_ID_PREFIX.length),
    ]);
    const http = this.#http;
    // A path may be a secret of whoever made the torrent: peers are shown to people by the host.
    return this.#torrent.join(
      base.origin,
      (parts) => {
        const stream = new WebSeedStream({
          ...parts,
          ...{ http, ground: http.ground, base, layout, have, isSingleFile, infoHash, peerId },
        });
        seed.stream = stream;
        seed.state = "joined";
        seed.joinedMs = now;
        seed.blocksBefore = 0;
        return stream;
      },
      (error, lackedMemory) => this.#ended(seed, error, lackedMemory),
    );
  }

  #ended(seed: WebSeed, error: PeerError | undefined, lackedMemory: boolean): void {
    const { failure, blocks } = seed.stream ?? {};
    seed.stream = undefined;
    if (error?.code === "PEER_BANNED" || error?.code === "PEER_BAD_PIECE") {
      seed.state = "never";
      seed.error = "it sent wrong bytes";
      this.#tell(seed);
      return;
    }
    seed.state = "waiting";
    if (blocks !== undefined && blocks > 0) seed.failures = 0;
    // Whatever it was that there is no room for now, there may be later; of memory the torrent knows.
    if (failure === undefined && error !== undefined && !lackedMemory)
      seed.dueMs = this.#http.ground.nowMs() + REJOIN_MS;
    if (failure === undefined) return;
    if (failure instanceof WebSeedCrumbsError) this.#crumbsMs = this.#http.ground.nowMs();
    seed.failures++;
    seed.error = failure.message;
    const pauseMs =
      failure.retryMs ?? Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(20, seed.failures - 1));
    if (pauseMs === Number.POSITIVE_INFINITY) seed.state = "never";
    seed.dueMs = this.#http.ground.nowMs() + pauseMs;
    this.#tell(seed);
  }

  #tell({ url, state, error }: WebSeed): void {
    this.#torrent.tellWebSeed({ url, state, error });
  }
}

function isDue({ state, stream, dueMs }: WebSeed, now: number): boolean {
  return state === "waiting" && stream === undefined && now >= dueMs;
}
