// Which web seeds of a torrent are peers: four at a time, and the slowest makes room for who waits, so that servers which bring a little and
// never end keep nobody out.

import { strict as assert } from "node:assert";
import { describe, it, type TestContext } from "node:test";
import { type Ground, SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import type { ByteStream } from "../../../../src/client/stream/byte-stream.js";
import type { JoiningTorrent } from "../../../../src/client/torrent/peer-source.js";
import { WebSeedCrumbsError, WebSeedError } from "../../../../src/client/web-seed/web-file.js";
import { WebSeedStream } from "../../../../src/client/web-seed/web-seed-stream.js";
import { WebSeedHttp, WebSeeds } from "../../../../src/client/web-seed/web-seeds.js";

const PIECE = 65_536;
const PIECES = 100;
const EAGAIN = -11;

/** A torrent that wants everything, and who is its peer now, by the port. */
class Torrent implements JoiningTorrent {
  readonly infoHash = new Uint8Array(20);
  readonly joined = new Map<string, { stream: ByteStream; leave: () => void }>();
  readonly content = {
    layout: new Layout({
      pieceLength: PIECE,
      totalLength: PIECES * PIECE,
      files: [{ path: ["data.bin"], length: PIECES * PIECE, offset: 0, padding: false }],
    }),
    have: new PieceSet(PIECES),
    isSingleFile: true,
  };
  wantsBlocks = true;

  join(...[host, make, ended]: Parameters<JoiningTorrent["join"]>): boolean {
    const memory = new Memory(new Uint8Array(2 ** 20));
    const stream = make({ memory, plan: new Float64Array(64), atTurnEnd: () => {}, eagain: EAGAIN });
    this.joined.set(host, { stream, leave: () => ended(undefined, false) });
    return true;
  }

  tellWebSeed(): void {}

  /** Those whose streams ended are peers no more, as a connection has it. Returns who is left. */
  settle(): string[] {
    for (const [host, { stream, leave }] of this.joined) {
      if (stream.fill(0, 1) === EAGAIN) continue;
      this.joined.delete(host);
      stream.close();
      leave();
    }
    return [...this.joined.keys()].sort();
  }
}

function setUp(t: TestContext, count: number) {
  let nowMs = 0;
  const timer = { ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} };
  const ground: Ground = { ...SYSTEM_GROUND, nowMs: () => nowMs, after: () => timer, every: () => timer };
  const http = new WebSeedHttp(ground, { resolve: async () => [], close: () => {} });
  t.after(() => http.close());
  const torrent = new Torrent();
  const hosts = Array.from({ length: count }, (_, index) => `http://seed${index}`);
  const seeds = new WebSeeds(
    http,
    torrent,
    hosts.map((host) => `${host}/data.bin`),
  );
  t.after(() => seeds.stop());
  /** Seconds pass; who is joined at the end of them. */
  const pass = (seconds: number): string[] => {
    for (let second = 0; second < seconds; second++) {
      seeds.tick();
      torrent.settle();
      nowMs += 1000;
    }
    return torrent.settle();
  };
  /** Blocks come from one of them. */
  const bring = (host: string, blocks: number): void => {
    const stream = torrent.joined.get(host)?.stream as { blocks: number } | undefined;
    assert.ok(stream !== undefined, `${host} is joined`);
    stream.blocks += blocks;
  };
  const fail = (host: string, error: WebSeedError): void => {
    const stream = torrent.joined.get(host)?.stream;
    assert.ok(stream instanceof WebSeedStream, `${host} is joined`);
    stream.end(error);
  };
  return { hosts, pass, bring, fail };
}

describe("the places of web seeds", () => {
  it("are taken by those that come first, and kept where nobody waits", (t) => {
    const { hosts, pass } = setUp(t, 4);
    assert.deepEqual(pass(1), hosts);
    assert.deepEqual(pass(600), hosts);
  });

  it("are made room in by the slowest, once a minute, where others wait; and each has its turn", (t) => {
    const { hosts, pass, bring } = setUp(t, 12);
    const [fast = "", fair = ""] = hosts;
    const here = new Set<string>();
    assert.deepEqual(pass(30), hosts.slice(0, 4));
    for (let minute = 0; minute < 20; minute++) {
      bring(fast, 1000);
      bring(fair, 100);
      const joined = pass(60);
      assert.equal(joined.length, 4);
      for (const host of joined) here.add(host);
    }
    assert.deepEqual([...here].sort(), [...hosts].sort(), "all have had a place");
    assert.ok(pass(1).includes(fast) && pass(1).includes(fair), "the fast ones keep theirs");
  });

  it("are taken one by one for a while, once a server has sent crumbs", (t) => {
    const { pass, fail } = setUp(t, 12);
    for (const host of pass(1)) fail(host, new WebSeedError("it is down", 600_000));
    assert.deepEqual(pass(0), []);
    assert.equal(pass(1).length, 4, "others may be up");
    for (const host of pass(0)) fail(host, new WebSeedCrumbsError("it sends crumbs"));
    assert.deepEqual(pass(0), []);
    for (const count of [1, 2, 3, 4, 4]) assert.equal(pass(1).length, count);
    for (const host of pass(0)) fail(host, new WebSeedError("it is down", 1000));
    assert.equal(pass(2).length, 1);
    assert.equal(pass(40).length, 4);
    for (const host of pass(0)) fail(host, new WebSeedError("it is down", 1000));
    assert.deepEqual(pass(0), []);
    assert.equal(pass(2).length, 4, "it was long ago");
  });
});
