// The pipeline against a path that is modelled: so much bandwidth, so much delay. Time is handed in.
//
// It is long, because what a peer is asked for depends on many ways to be slow, each a case of its own.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  BLOCK_SIZE,
  REQUESTS_INITIAL,
  REQUESTS_NEAR,
  REQUESTS_SHARE_MIN,
} from "../../../../src/base/limits.js";
import { PEER_REQUESTS_DEFAULT, RequestPipeline } from "../../../../src/client/peer/request-pipeline.js";
import { RequestShare } from "../../../../src/client/peer/request-share.js";
import { check } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";

/** A round trip that is not near. */
const FAR_MS = 20;

/** A peer that sends `blocksPerSecond` at the most, each `delayMs` after it was asked for at the earliest. */
class Path {
  readonly pipeline: RequestPipeline;
  delayMs: number;
  blocksPerSecond: number;
  nowMs = 0;
  received = 0;
  #queue: { sentAtMs: number; comesAtMs: number }[] = [];
  #freeAtMs = 0;

  constructor(pipeline: RequestPipeline, path: { delayMs: number; blocksPerSecond: number }) {
    this.pipeline = pipeline;
    this.delayMs = path.delayMs;
    this.blocksPerSecond = path.blocksPerSecond;
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (; this.nowMs < endMs; this.nowMs++) {
      while (this.#queue.length > 0 && entryOf(this.#queue, 0).comesAtMs <= this.nowMs) {
        this.pipeline.blockReceived(
          BLOCK_SIZE,
          required(this.#queue.shift(), "an entry of queue").sentAtMs,
          this.nowMs,
        );
        this.received++;
      }
      if (!this.pipeline.wantsMore(this.#queue.length)) continue;
      while (this.#queue.length < this.pipeline.target) {
        this.#freeAtMs = Math.max(this.#freeAtMs, this.nowMs + this.delayMs) + 1000 / this.blocksPerSecond;
        this.#queue.push({ sentAtMs: this.nowMs, comesAtMs: this.#freeAtMs });
      }
    }
  }
}

describe("RequestPipeline", () => {
  it("starts small, and smaller where the limit is", () => {
    assert.equal(new RequestPipeline(512, 0).target, REQUESTS_INITIAL);
    assert.equal(new RequestPipeline(3, 0).target, 3);
    assert.equal(new RequestPipeline(512, 0).growing, true);
  });

  it("takes a peer for the slower the longer nothing comes that is awaited, and for as fast as it was while nothing is", () => {
    const pipeline = new RequestPipeline(512, 0);
    assert.equal(pipeline.msFor(BLOCK_SIZE, 1000, false), 0, "not known");
    assert.ok(pipeline.msFor(BLOCK_SIZE, 1000, true) > 1e6, "for ever");
    const path = new Path(pipeline, { delayMs: FAR_MS, blocksPerSecond: 400 });
    path.run(3000);
    const { nowMs } = path;
    const at = (afterMs: number, isAwaited: boolean): number =>
      pipeline.msFor(400 * BLOCK_SIZE, nowMs + afterMs, isAwaited);
    assert.ok(Math.abs(at(0, true) - 1000) < 100, `${at(0, true)} of 1000 ms`);
    assert.equal(at(10_000, false), at(0, false));
    assert.ok(at(1000, true) > 2 * at(0, true), `${at(1000, true)} ms after a second`);
    assert.ok(at(10_000, true) > 15 * at(0, true), `${at(10_000, true)} ms after ten`);
  });

  it("takes a peer that was asked for nothing for a while for as fast as it was", () => {
    const pipeline = new RequestPipeline(512, 0);
    const path = new Path(pipeline, { delayMs: FAR_MS, blocksPerSecond: 400 });
    path.run(3000);
    const before = pipeline.msFor(400 * BLOCK_SIZE, path.nowMs, true);
    const askedMs = path.nowMs + 60_000;
    pipeline.resumed(path.nowMs, askedMs);
    for (let block = 1; block <= 40; block++)
      pipeline.blockReceived(BLOCK_SIZE, askedMs, askedMs + (5 * block) / 2);
    const after = pipeline.msFor(400 * BLOCK_SIZE, askedMs + 100, true);
    assert.ok(after > 0 && after < 2 * before, `${after} ms, ${before} before`);
  });

  it("does not forget for how long nothing came when nothing is awaited any more, and gives a slow one its time", () => {
    for (const [blocksPerSecond, times] of [
      [400, 15],
      [1 / 3, 2],
    ] as const) {
      const pipeline = new RequestPipeline(8, 0);
      const path = new Path(pipeline, { delayMs: FAR_MS, blocksPerSecond });
      path.run(30_010);
      const before = pipeline.msFor(BLOCK_SIZE, path.nowMs, false);
      pipeline.waitedInVain(path.nowMs + (blocksPerSecond < 1 ? 2000 : 10_000));
      const after = pipeline.msFor(BLOCK_SIZE, path.nowMs + 10_000, false);
      assert.ok(before > 0 && after > 0);
      if (blocksPerSecond < 1) assert.ok(after < times * before, `${after} ms, ${before} before`);
      else assert.ok(after > times * before, `${after} ms, ${before} before`);
    }
  });

  it("takes a peer that refuses all that it is asked for as not known, however fast it was", () => {
    const pipeline = new RequestPipeline(512, 0);
    const path = new Path(pipeline, { delayMs: FAR_MS, blocksPerSecond: 400 });
    path.run(3000);
    pipeline.refused(8);
    assert.ok(pipeline.msFor(BLOCK_SIZE, path.nowMs, false) > 0, "its queue is full");
    pipeline.refused(0);
    assert.equal(pipeline.msFor(BLOCK_SIZE, path.nowMs, false), 0);
  });

  it("grows by one with each block while throughput grows", () => {
    const pipeline = new RequestPipeline(512, 0);
    for (let block = 1; block <= 50; block++) {
      pipeline.blockReceived(BLOCK_SIZE, 0, 1);
      assert.equal(pipeline.target, REQUESTS_INITIAL + block);
    }
  });

  it("is bounded by our limit, and by what peers without reqq are known to queue", () => {
    const own = new RequestPipeline(40, 0);
    const peers = new RequestPipeline(4096, 0);
    for (let block = 0; block < 1000; block++) {
      own.blockReceived(BLOCK_SIZE, 0, FAR_MS);
      peers.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    }
    assert.equal(own.target, 40);
    assert.equal(
      peers.target,
      4 * PEER_REQUESTS_DEFAULT,
      "1000 blocks are a queue of 250 and one of 500, served",
    );
    const fresh = new RequestPipeline(4096, 0);
    for (let block = 0; block < PEER_REQUESTS_DEFAULT - 1; block++)
      fresh.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    assert.equal(fresh.target, PEER_REQUESTS_DEFAULT);
    peers.snub();
    for (let block = 0; block < PEER_REQUESTS_DEFAULT - 1; block++)
      peers.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    assert.equal(peers.target, PEER_REQUESTS_DEFAULT, "what it dropped silently ends the guessing");
  });

  it("grows by two with each block of a far peer", () => {
    const pipeline = new RequestPipeline(512, 0);
    for (let block = 1; block <= 50; block++) {
      pipeline.blockReceived(BLOCK_SIZE, 0, FAR_MS);
      assert.equal(pipeline.target, REQUESTS_INITIAL + 2 * block);
    }
  });

  it("reqq bounds it at once, downwards too, and below the start", () => {
    const pipeline = new RequestPipeline(512, 0);
    for (let block = 0; block < 200; block++) pipeline.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    pipeline.setPeerLimit(100);
    assert.equal(pipeline.target, 100);
    pipeline.setPeerLimit(2);
    assert.equal(pipeline.target, 2);
    pipeline.setPeerLimit(0);
    assert.equal(pipeline.target, 1, "one request must be possible");
  });

  it("fills a path with delay, and ends with three seconds of what it brings", () => {
    const pipeline = new RequestPipeline(4096, 0);
    pipeline.setPeerLimit(4096);
    const path = new Path(pipeline, { delayMs: 100, blocksPerSecond: 400 });
    path.run(6000);
    const before = path.received;
    path.run(2000);
    const rate = (path.received - before) / 2;
    assert.ok(rate > 380, `${rate} of 400 blocks per second`);
    assert.equal(pipeline.growing, false, "throughput cannot grow any more");
    assert.ok(pipeline.target >= 1100 && pipeline.target <= 1300, `${pipeline.target} requests`);
  });

  it("follows the bandwidth-delay product where the delay is long: twice the round trip", () => {
    const pipeline = new RequestPipeline(4096, 0);
    pipeline.setPeerLimit(4096);
    const path = new Path(pipeline, { delayMs: 3000, blocksPerSecond: 200 });
    path.run(60_000);
    const before = path.received;
    path.run(10_000);
    const rate = (path.received - before) / 10;
    assert.ok(rate > 180, `${rate} of 200 blocks per second`);
    assert.ok(pipeline.target >= 1000 && pipeline.target <= 1400, `${pipeline.target} requests`);
  });

  it("a slow path gets few requests, and no fewer than at the start", () => {
    const pipeline = new RequestPipeline(512, 0);
    const path = new Path(pipeline, { delayMs: 20, blocksPerSecond: 8 });
    path.run(30_000);
    assert.equal(pipeline.growing, false);
    assert.ok(pipeline.target <= 40, `${pipeline.target} requests for 8 blocks per second`);
    assert.ok(pipeline.target >= REQUESTS_INITIAL);
  });

  it("follows a path that becomes faster", () => {
    const pipeline = new RequestPipeline(4096, 0);
    pipeline.setPeerLimit(4096);
    const path = new Path(pipeline, { delayMs: 50, blocksPerSecond: 50 });
    path.run(20_000);
    const before = pipeline.target;
    assert.ok(before < 250, `${before} requests`);
    path.blocksPerSecond = 1000;
    path.run(20_000);
    assert.ok(pipeline.target > 5 * before, `${before} requests became ${pipeline.target}`);
  });

  it("says that a peer is fast above 50 MB/s, and not when it slows down or is snubbed", () => {
    const pipeline = new RequestPipeline(4096, 0);
    pipeline.setPeerLimit(4096);
    const path = new Path(pipeline, { delayMs: 5, blocksPerSecond: 6000 });
    path.run(3000);
    assert.equal(pipeline.isHighRate, true);
    path.blocksPerSecond = 1500;
    path.run(10_000);
    assert.equal(pipeline.isHighRate, false);
    path.blocksPerSecond = 6000;
    path.run(10_000);
    assert.equal(pipeline.isHighRate, true);
    pipeline.snub();
    assert.equal(pipeline.isHighRate, false);
  });

  it("asks in batches: a quarter of the target, 64 at the most", () => {
    const pipeline = new RequestPipeline(512, 0);
    assert.equal(pipeline.wantsMore(0), true);
    assert.equal(pipeline.wantsMore(12), true);
    assert.equal(pipeline.wantsMore(13), false);
    assert.equal(pipeline.wantsMore(16), false);
    assert.equal(pipeline.wantsMore(1000), false);
    pipeline.setPeerLimit(512);
    for (let block = 0; block < 600; block++) pipeline.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    assert.equal(pipeline.target, 512);
    assert.equal(pipeline.wantsMore(512 - 64), true);
    assert.equal(pipeline.wantsMore(512 - 63), false);
    pipeline.setPeerLimit(1);
    assert.deepEqual([pipeline.wantsMore(0), pipeline.wantsMore(1)], [true, false]);
  });

  it("asks less of a peer that refuses, and more again as it serves what it is asked for", () => {
    const pipeline = new RequestPipeline(512, 0);
    pipeline.setPeerLimit(512);
    for (let block = 0; block < 300; block++) pipeline.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    assert.ok(pipeline.target > 300);
    pipeline.refused(40);
    assert.equal(pipeline.target, 40);
    for (let block = 0; block < 39; block++) pipeline.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    assert.equal(pipeline.target, 40);
    pipeline.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    pipeline.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    assert.ok(pipeline.target > 40 && pipeline.target <= 45, `${pipeline.target}`);
    for (let block = 0; block < 5000; block++) pipeline.blockReceived(BLOCK_SIZE, 0, FAR_MS);
    assert.equal(pipeline.target, 512);
    pipeline.refused(0);
    assert.equal(pipeline.target, 1);
  });

  it("a snubbed peer is left with one request until a block comes, and starts small then", () => {
    const pipeline = new RequestPipeline(512, 0);
    for (let block = 0; block < 100; block++) pipeline.blockReceived(BLOCK_SIZE, 0, 1);
    pipeline.snub();
    assert.deepEqual([pipeline.target, pipeline.snubbed, pipeline.growing], [1, true, true]);
    pipeline.blockReceived(BLOCK_SIZE, 0, 20_000);
    assert.deepEqual([pipeline.target, pipeline.snubbed], [REQUESTS_INITIAL + 1, false]);
  });

  it("stays within its bounds whatever happens", () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant("block"), value: fc.nat(2000) }),
      fc.record({ kind: fc.constant("limit"), value: fc.integer({ min: -5, max: 5000 }) }),
      fc.record({ kind: fc.constant("snub"), value: fc.constant(0) }),
    );
    check(
      fc.property(fc.integer({ min: 1, max: 4096 }), fc.array(event, { maxLength: 200 }), (limit, events) => {
        const pipeline = new RequestPipeline(limit, 0);
        // Without reqq the peer's limit is our guess, which grows.
        let peerLimit = Number.POSITIVE_INFINITY;
        let nowMs = 0;
        for (const { kind, value } of events) {
          if (kind === "block") {
            nowMs += value % 400;
            pipeline.blockReceived(BLOCK_SIZE, Math.max(0, nowMs - value), nowMs);
          } else if (kind === "limit") {
            peerLimit = Math.max(1, value);
            pipeline.setPeerLimit(value);
          } else pipeline.snub();
          const { target } = pipeline;
          assert.ok(Number.isInteger(target) && target >= 1, `a target of ${target}`);
          assert.ok(target <= Math.min(limit, peerLimit), `${target} is within ${limit} and ${peerLimit}`);
        }
      }),
      300,
    );
  });
});

describe("RequestPipeline: peers that answer at once", () => {
  /** 400 blocks, four a millisecond, each a millisecond after it was asked for; after `every` of them the socket is empty. */
  const serve = (
    pipeline: RequestPipeline,
    fromMs: number,
    silence?: { every: number; ms: number },
  ): number => {
    let nowMs = fromMs;
    let askedMs: number | undefined;
    for (let block = 1; block <= 400; block++) {
      if (block % 4 === 0) nowMs++;
      pipeline.blockReceived(BLOCK_SIZE, askedMs ?? nowMs - 1, nowMs);
      askedMs = undefined;
      if (silence === undefined || block % silence.every !== 0) continue;
      pipeline.drained(nowMs);
      askedMs = nowMs;
      nowMs += silence.ms;
    }
    return nowMs;
  };
  const make = (share: RequestShare): RequestPipeline => {
    const pipeline = new RequestPipeline(512, 0, share);
    pipeline.setPeerLimit(512);
    return pipeline;
  };

  it("share a budget, which is divided anew when one comes, is snubbed or goes", () => {
    const share = new RequestShare(REQUESTS_NEAR);
    const first = make(share);
    let nowMs = serve(first, 0);
    assert.equal(first.target, REQUESTS_NEAR);
    const second = make(share);
    serve(second, 0);
    assert.equal(second.target, REQUESTS_NEAR / 2);
    nowMs = serve(first, nowMs);
    assert.equal(first.target, REQUESTS_NEAR / 2);
    second.snub();
    nowMs = serve(first, nowMs);
    assert.equal(first.target, REQUESTS_NEAR);
    serve(second, nowMs);
    second.close();
    second.close();
    serve(first, nowMs);
    assert.equal(first.target, REQUESTS_NEAR);
    first.close();
    assert.equal(share.each(true), REQUESTS_NEAR, "nobody shares any more");
  });

  it("are asked for more while one is alone and brings blocks at a high rate", () => {
    const share = new RequestShare(REQUESTS_NEAR, 3 * REQUESTS_NEAR);
    const first = make(share);
    const nowMs = serve(first, 0);
    assert.equal(first.isHighRate, true);
    assert.equal(first.target, 3 * REQUESTS_NEAR);
    assert.equal(share.each(false), REQUESTS_NEAR, "one of a low rate is not");
    const second = make(share);
    serve(second, 0);
    serve(first, nowMs);
    assert.equal(first.target, REQUESTS_NEAR / 2);
  });

  it("give their share back when they bring nothing any more", () => {
    const share = new RequestShare(REQUESTS_NEAR);
    const [first, second] = [make(share), make(share)];
    const nowMs = serve(first, 0);
    serve(second, 0);
    first.tick(nowMs + 900);
    assert.equal(share.each(true), REQUESTS_NEAR / 2);
    first.tick(nowMs + 1100);
    assert.equal(share.each(true), REQUESTS_NEAR);
    serve(first, nowMs + 5000);
    assert.equal(share.each(true), REQUESTS_NEAR / 2, "and take it again when they do");
  });

  it("have enough for whole receives, however many they are", () => {
    const share = new RequestShare(REQUESTS_NEAR);
    const pipelines = Array.from({ length: 50 }, () => make(share));
    for (const pipeline of pipelines) serve(pipeline, 0);
    assert.equal(entryOf(pipelines, -1).target, REQUESTS_SHARE_MIN);
  });

  it("keep what they bring in two round trips where that is more", () => {
    const pipeline = make(new RequestShare(REQUESTS_NEAR));
    for (let block = 1; block <= 600; block++)
      pipeline.blockReceived(BLOCK_SIZE, Math.trunc(block / 20), 8 + Math.trunc(block / 20));
    // 20 blocks a millisecond, 8 ms away.
    assert.ok(pipeline.target >= 300 && pipeline.target <= 450, `${pipeline.target}`);
  });

  it("are not among them if they are silent for long now and then: a short queue is all that a burst brings", () => {
    const bursts = make(new RequestShare(REQUESTS_NEAR));
    serve(bursts, 0, { every: 100, ms: 500 });
    assert.ok(bursts.target > 300, `${bursts.target}`);
    const pauses = make(new RequestShare(REQUESTS_NEAR));
    serve(pauses, 0, { every: 100, ms: 5 });
    assert.equal(pauses.target, REQUESTS_NEAR);
  });

  it("silence counts from the request, if nothing was asked for before", () => {
    const pipeline = make(new RequestShare(REQUESTS_NEAR));
    const nowMs = serve(pipeline, 0);
    pipeline.drained(nowMs);
    serve(pipeline, nowMs + 200);
    assert.equal(pipeline.target, REQUESTS_NEAR);
  });
});
