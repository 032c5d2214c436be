// One byte stream, cut anywhere, through all receive modes: the same messages, the same bytes, every byte accounted.
//
// One file, because plain cuts, any cuts and interruptions are one experiment with more and more freedom, over the same streams.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BLOCK_SIZE } from "../../src/base/limits.js";
import { AdaptiveMode } from "../../src/client/receive/adaptive.js";
import { ContiguousMode } from "../../src/client/receive/contiguous.js";
import type { ReceiveMode } from "../../src/client/receive/receive-mode.js";
import { ScatterMode } from "../../src/client/receive/scatter.js";
import { SpeculativeMode } from "../../src/client/receive/speculative.js";
import { check, makeRandom } from "../support/property.js";
import { entryOf, required } from "../support/required.js";
import { type Fed, type FeedOptions, feed, type Player, World } from "./feed.js";
import { type Act, buildStream, FAULTS, type Seen, type Stream, type StreamPlan } from "./streams.js";

interface ModeCase {
  readonly name: string;
  make(): { mode: ReceiveMode; nextMode?: () => ReceiveMode | undefined };
}

const PLAIN_MODES: readonly ModeCase[] = [
  { name: "contiguous", make: () => ({ mode: new ContiguousMode() }) },
  { name: "scatter", make: () => ({ mode: new ScatterMode() }) },
  { name: "scatter, contiguous when idle", make: () => ({ mode: new ScatterMode(true) }) },
  ...[1, 2, 16, 64].map((depth) => ({
    name: `speculative ${depth}`,
    make: () => ({ mode: new SpeculativeMode(depth) }),
  })),
  { name: "adaptive", make: () => ({ mode: new AdaptiveMode(16) }) },
];

/** Changes its mode before about every second receive. */
function switching(seed: number): ModeCase {
  return {
    name: `switching (${seed})`,
    make: () => {
      const random = makeRandom(seed);
      const any = () => entryOf(PLAIN_MODES, Math.floor(random() * PLAIN_MODES.length)).make().mode;
      return { mode: any(), nextMode: () => (random() < 0.5 ? any() : undefined) };
    },
  };
}

const MODES: readonly ModeCase[] = [...PLAIN_MODES, switching(1), switching(2)];
let world = new World();

/** Plays a stream in the one world of this file; a new one after a failure, so that one failure is one failure. */
function play(stream: Stream, options: FeedOptions): Fed {
  try {
    return feed(world, stream, options);
  } catch (error) {
    world = new World();
    throw error;
  }
}

/** Feeds the stream through one mode and holds what was seen against what was said. */
function run(stream: Stream, modeCase: ModeCase, options: Omit<FeedOptions, "mode" | "nextMode">): Fed {
  try {
    const fed = play(stream, { ...modeCase.make(), ...options });
    compare(fed, stream);
    return fed;
  } catch (error) {
    if (error instanceof Error) error.message = `${modeCase.name}: ${error.message}`;
    throw error;
  }
}

function compare(fed: Fed, stream: Stream): void {
  assert.equal(fed.errorCode, stream.errorCode);
  const seen = fed.dropped === 0 ? fed.seen : undropped(fed.seen);
  if (seen.length === stream.seen.length && seen.every((each, index) => each === stream.seen[index])) return;
  assert.deepEqual(seen, stream.seen);
}

/** What would have been seen had no block been dropped. */
function undropped(seen: readonly Seen[]): Seen[] {
  return seen.map((each) => each.replace("dropped", "block"));
}

function checkAccount(fed: Fed, stream: Stream, modeCase: ModeCase): void {
  const { counters } = fed;
  assert.equal(counters.payloadBytes + counters.wastedBytes, stream.payloadBytes + stream.unwantedBytes);
  if (fed.dropped === 0) assert.equal(counters.payloadBytes, stream.payloadBytes);
  assert.ok(counters.bytesCopied <= counters.payloadBytes);
  if (modeCase.name === "contiguous")
    assert.equal(counters.bytesCopied, counters.payloadBytes, "copied exactly once");
}

function checkNoCopies(fed: Fed, stream: Stream, modeCase: ModeCase): void {
  if (modeCase.name === "scatter") assert.equal(fed.counters.bytesCopied, 0, "scatter copies nothing");
  if (!stream.plain || !modeCase.name.startsWith("speculative")) return;
  assert.equal(fed.counters.bytesCopied, 0, "nothing is copied while all guesses hold");
  assert.equal(fed.counters.predictionMisses, 0);
}

/** Every kind of message, blocks in and out of order, short ones, unwanted ones; small enough for exhaustive cuts. */
function smallStream(blockLength: number, handshake = true): Stream {
  const block = (which = 0): Act => ({ kind: "block", which });
  return buildStream({
    handshake,
    window: 5,
    lengths: [blockLength, blockLength, blockLength, 3, blockLength, blockLength, blockLength],
    acts: [
      { kind: "bitfield", bytes: 9 },
      { kind: "extended", bytes: 90 },
      { kind: "unchoke" },
      block(),
      block(),
      { kind: "have", piece: 7 },
      block(),
      block(3),
      { kind: "keepAlive" },
      { kind: "keepAlive" },
      block(),
      { kind: "unwanted", which: 0 },
      block(),
      // Around the most that is gathered without the heap.
      { kind: "extended", bytes: 61 },
      { kind: "extended", bytes: 62 },
      { kind: "extended", bytes: 63 },
      { kind: "extended", bytes: 64 },
      { kind: "reject", which: 1 },
      block(),
      { kind: "unknown", bytes: 0 },
      block(2),
      block(1),
      block(),
      { kind: "choke" },
      { kind: "request" },
      { kind: "have", piece: 1 },
      { kind: "unchoke" },
      block(),
      { kind: "unwanted", which: 3 },
      { kind: "have", piece: 2 },
      block(4),
      block(),
    ],
  });
}

const LANDS: readonly { name: string; lands: ((index: number) => boolean) | undefined }[] = [
  { name: "in the pool", lands: undefined },
  { name: "in a mapped file", lands: () => true },
  { name: "in both", lands: (index) => index % 3 !== 1 },
];

describe("receive modes: one stream, cut", () => {
  for (const { name, lands } of LANDS) {
    it(`at every place in two, blocks ${name}`, () => {
      for (const blockLength of [20, 1, 40]) {
        const stream = smallStream(blockLength);
        for (const modeCase of MODES) {
          for (let cut = 0; cut < stream.bytes.length; cut++) {
            const fed = run(stream, modeCase, {
              cuts: [cut],
              lands,
              release: cut % 2 === 0 ? "at once" : "late",
            });
            checkAccount(fed, stream, modeCase);
            if (lands === undefined) checkNoCopies(fed, stream, modeCase);
          }
        }
      }
    });

    it(`into single bytes, and into all stretches up to 40 bytes, blocks ${name}`, () => {
      const stream = smallStream(25);
      for (const modeCase of MODES) {
        for (let stretch = 1; stretch <= 40; stretch++) {
          for (const release of ["at once", "late"] as const) {
            const fed = run(stream, modeCase, { cuts: every(stretch, stream), lands, release });
            checkAccount(fed, stream, modeCase);
          }
        }
      }
    });
  }

  it("anywhere, and no block is copied while all come as asked for", () => {
    const stream = buildStream({
      acts: Array(12).fill({ kind: "block", which: 0 }),
      lengths: [22],
      window: 6,
      handshake: false,
    });
    for (const modeCase of MODES) {
      for (let first = 1; first < stream.bytes.length; first++) {
        const fed = run(stream, modeCase, { cuts: [first, first + 1 + (first % 50)], release: "at once" });
        checkNoCopies(fed, stream, modeCase);
      }
    }
  });

  it("around a message that is longer than the buffer", () => {
    const block: Act = { kind: "block", which: 0 };
    const acts: Act[] = [block, { kind: "bitfield", bytes: 400_000 }, block, block];
    const stream = buildStream({ acts, lengths: [BLOCK_SIZE], window: 4, handshake: false });
    for (const modeCase of MODES) {
      for (const stretch of [1e9, 100_003, 16_384])
        run(stream, modeCase, { cuts: every(stretch, stream), release: "late" });
    }
  });

  it("at every place around the headers of blocks of full size", () => {
    const block = (which = 0): Act => ({ kind: "block", which });
    const acts: Act[] = [
      block(),
      block(),
      { kind: "have", piece: 3 },
      block(),
      block(1),
      { kind: "extended", bytes: 16380 },
      block(),
    ];
    const stream = buildStream({ acts, lengths: [BLOCK_SIZE], window: 4, handshake: false });
    const starts = messageStarts(stream.bytes);
    for (const modeCase of MODES) {
      for (const start of starts) {
        for (let cut = Math.max(0, start - 3); cut < start + 18; cut++) {
          const fed = run(stream, modeCase, { cuts: [cut], release: "at once" });
          checkAccount(fed, stream, modeCase);
          checkNoCopies(fed, stream, modeCase);
        }
      }
    }
  });
});

function* every(stretch: number, stream: Stream): Iterable<number> {
  for (let at = stretch; at < stream.bytes.length; at += stretch) yield at;
}

/** Offsets at which messages begin, in a stream without handshake. */
function messageStarts(bytes: Uint8Array): number[] {
  const starts: number[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; at += 4 + view.getUint32(at)) starts.push(at);
  return starts;
}

// ── any stream ─────────────────────────────────────────────────────────────────────────────────────────────────

const which = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(20) });

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 30, arbitrary: fc.record({ kind: fc.constant("block" as const), which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("unwanted" as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reject" as const), which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("have" as const), piece: fc.nat(1 << 24) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom("keepAlive", "choke", "unchoke", "unchoke", "request") }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("extended" as const, "bitfield" as const, "unknown" as const),
      bytes: fc.oneof(fc.nat(80), fc.nat(5000), fc.constantFrom(16370, 16384, 16397), fc.nat(60_000)),
    }),
  },
) as fc.Arbitrary<Act>;

const blockLengths = fc.oneof(
  fc.constant([BLOCK_SIZE]),
  fc.constantFrom([BLOCK_SIZE, BLOCK_SIZE - 1], [BLOCK_SIZE, 1], [BLOCK_SIZE, BLOCK_SIZE, 5000]),
  fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 5 }),
  fc.array(fc.integer({ min: 1, max: BLOCK_SIZE }), { minLength: 1, maxLength: 5 }),
);

const streamPlans: fc.Arbitrary<StreamPlan> = fc.record({
  acts: fc.array(act, { maxLength: 60, size: "max" }),
  lengths: blockLengths.map((lengths) =>
    Array.from({ length: 160 }, (_, index) => entryOf(lengths, index % lengths.length)),
  ),
  window: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(40)),
  handshake: fc.boolean(),
});

/** How much arrives at a time: dribbles, stretches about as long as a block, or all at once. */
const arrivals = fc.oneof(
  fc.constant([1e9]),
  fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 30 }),
  fc.array(
    fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 20_000 }), fc.constant(16397)),
    {
      minLength: 1,
      maxLength: 30,
    },
  ),
  fc.constantFrom([16397], [16384], [13, 16384], [5, 8, 16384], [16396], [16398], [4]),
);

function* cutsOf(stretches: readonly number[], length: number): Iterable<number> {
  let at = 0;
  for (let index = 0; at < length; index++) {
    at += entryOf(stretches, index % stretches.length);
    // Streams of long messages in tiny stretches would take all day and show nothing more.
    if (index > 3000) return;
    yield at;
  }
}

const circumstances = fc.record({
  arrivals,
  release: fc.constantFrom("at once" as const, "late" as const),
  landing: fc.constantFrom(...LANDS),
  freeSlots: fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 6 }) },
    { weight: 1, arbitrary: fc.integer({ min: 7, max: 70 }) },
  ),
  seed: fc.nat(1 << 20),
});

describe("receive modes: any stream, any cuts", () => {
  it("give the same messages and the same bytes, and account for each", () => {
    check(
      fc.property(streamPlans, circumstances, (plan, { arrivals, release, landing, freeSlots, seed }) => {
        const stream = buildStream(plan);
        for (const modeCase of [...PLAIN_MODES, switching(seed)]) {
          const cuts = cutsOf(arrivals, stream.bytes.length);
          const fed = run(stream, modeCase, { cuts, release, lands: landing.lands, freeSlots });
          checkAccount(fed, stream, modeCase);
          if (landing.lands === undefined) checkNoCopies(fed, stream, modeCase);
          const fullBlocks = plan.lengths.every((length) => length === BLOCK_SIZE);
          // After a choke nothing is expected, so a contiguous receive takes all it may; a peer whose blocks lie behind its
          // unchoke in the same receive, asked for by nobody yet, is one of these tests only.
          const unchokes = plan.acts.some(({ kind }) => kind === "choke");
          const planned =
            modeCase.name === "scatter" || (modeCase.name === "contiguous" && fullBlocks && !unchokes);
          if (freeSlots === undefined || planned)
            assert.equal(fed.dropped, 0, `${modeCase.name}: no block is dropped`);
        }
      }),
      120,
    );
  });

  it("end with the same error at the same message when a stream is malformed", () => {
    check(
      fc.property(streamPlans, fc.constantFrom(...Object.keys(FAULTS)), circumstances, (plan, fault, how) => {
        const stream = buildStream({ ...plan, acts: plan.acts.slice(0, 12), fault });
        for (const modeCase of [...PLAIN_MODES, switching(how.seed)]) {
          const cuts = cutsOf(how.arrivals, stream.bytes.length);
          run(stream, modeCase, {
            cuts,
            release: how.release,
            lands: how.landing.lands,
            freeSlots: how.freeSlots,
          });
        }
      }),
      150,
    );
  });

  it("end with the same error wherever a malformed message is cut", () => {
    for (const fault of Object.keys(FAULTS)) {
      const acts: Act[] = [
        { kind: "block", which: 0 },
        { kind: "have", piece: 1 },
      ];
      const stream = buildStream({ acts, lengths: [30], window: 2, handshake: false, fault });
      for (const modeCase of MODES) {
        for (let cut = 0; cut < Math.min(stream.bytes.length, 150); cut++) {
          run(stream, modeCase, { cuts: [cut], release: "at once" });
        }
      }
    }
  });

  it("agree about bytes that make no sense, and never trip an assertion", () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 300, size: "max" }),
      // Small numbers make more headers that pass.
      fc.array(fc.constantFrom(0, 0, 0, 0, 1, 2, 5, 7, 9, 13, 20, 30, 64, 255), {
        maxLength: 300,
        size: "max",
      }),
    );
    check(
      fc.property(streamPlans, anyBytes, circumstances, (plan, bytes, how) => {
        const sound = buildStream({ ...plan, handshake: false, acts: plan.acts.slice(0, 6) });
        const stream = { ...sound, bytes: Buffer.concat([sound.bytes, Uint8Array.from(bytes)]) };
        let first: Fed | undefined;
        for (const modeCase of [...PLAIN_MODES, switching(how.seed)]) {
          const cuts = cutsOf(how.arrivals, stream.bytes.length);
          const fed = feedToAnyEnd(stream, {
            ...modeCase.make(),
            cuts,
            release: how.release,
            lands: how.landing.lands,
          });
          first ??= fed;
          assert.equal(fed.errorCode, first.errorCode, modeCase.name);
          assert.deepEqual(fed.seen, first.seen, modeCase.name);
        }
      }),
      200,
    );
  });
});

/** As feed(), for streams that may end in the middle of a message. */
function feedToAnyEnd(stream: Stream, options: FeedOptions): Fed {
  return play(stream, { ...options, mayEndAnywhere: true });
}

// ── what the connection does meanwhile ─────────────────────────────────────────────────────────────────────────

describe("receive modes: interrupted", () => {
  it("skip the rest of a block that another peer brought, and publish nothing of it", () => {
    check(
      fc.property(streamPlans, circumstances, (plan, { arrivals, release, landing, freeSlots, seed }) => {
        const stream = buildStream(plan);
        for (const modeCase of [...PLAIN_MODES, switching(seed)]) {
          const random = makeRandom(seed);
          const committed = (player: Player): void => {
            const { receiver } = player;
            if (receiver.payloadLeft === 0 || random() < 0.5) return;
            const { blockPiece, blockBegin } = receiver;
            assert.equal(receiver.skipBlock(blockPiece, blockBegin + 1), false);
            assert.equal(receiver.skipBlock(blockPiece, blockBegin), true);
            assert.equal(receiver.skipBlock(blockPiece, blockBegin), false);
            player.cancelled.add(`${blockPiece}/${blockBegin}`);
          };
          const cuts = cutsOf(arrivals, stream.bytes.length);
          const cancelled = new Set<string>();
          const fed = play(stream, {
            ...modeCase.make(),
            cuts,
            release,
            lands: landing.lands,
            freeSlots,
            committed: (player) => {
              committed(player);
              for (const key of player.cancelled) cancelled.add(key);
            },
          });
          const left = stream.seen.filter(
            (each) => !each.startsWith("block") || !cancelled.has(entryOf(each.split(" "), 1)),
          );
          assert.deepEqual(undropped(fed.seen), left, modeCase.name);
          const { counters } = fed;
          assert.equal(
            counters.payloadBytes + counters.wastedBytes,
            stream.payloadBytes + stream.unwantedBytes,
          );
        }
      }),
      80,
    );
  });

  it("give all memory back when the connection ends anywhere", () => {
    const stream = smallStream(30, false);
    for (const modeCase of MODES) {
      for (let end = 0; end < stream.bytes.length; end += 3) {
        const cutOff = { ...stream, bytes: stream.bytes.subarray(0, end) };
        feedToAnyEnd(cutOff, { ...modeCase.make(), cuts: [], release: "late" });
      }
    }
  });

  it("stop at once when the host closes the connection from inside a call", () => {
    const stream = smallStream(30);
    for (const modeCase of MODES) {
      for (let stopAfter = 1; stopAfter < stream.seen.length; stopAfter += 2) {
        const fed = feedToAnyEnd(stream, { ...modeCase.make(), cuts: [], release: "late", stopAfter });
        assert.deepEqual(fed.seen, stream.seen.slice(0, stopAfter), modeCase.name);
      }
    }
  });
});

// ── what it costs ──────────────────────────────────────────────────────────────────────────────────────────────

describe("receive modes: cost of a plain download", () => {
  const blocks = 128;
  const plan: StreamPlan = {
    acts: Array(blocks).fill({ kind: "block", which: 0 }),
    lengths: [BLOCK_SIZE],
    window: 128,
    handshake: false,
  };
  const callsOf = (name: string): Fed => {
    const modeCase = required(
      PLAIN_MODES.find((each) => each.name === name),
      "one of plain modes",
    );
    return run(buildStream(plan), modeCase, { cuts: [], release: "at once" });
  };

  it("is two calls per block for scatter", () => {
    assert.equal(callsOf("scatter").calls, 2 * blocks);
  });

  it("is one call per 16 blocks for speculative 16 and adaptive, and no copy", () => {
    for (const name of ["speculative 16", "adaptive"]) {
      const fed = callsOf(name);
      assert.equal(fed.calls, blocks / 16, name);
      assert.equal(fed.counters.bytesCopied, 0);
      assert.equal(fed.counters.predictionHits, blocks);
    }
  });

  it("is one call per buffer for contiguous, and one copy", () => {
    const fed = callsOf("contiguous");
    assert.ok(fed.calls <= Math.ceil(fed.counters.receivedBytes / (256 * 1024)));
    assert.equal(fed.counters.bytesCopied, blocks * BLOCK_SIZE);
  });
});
