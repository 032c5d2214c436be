// A program's own order of pieces: it is kept to, and whatever the program does in it, the download goes on.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { UserCalls } from "../../../../src/base/user-calls.js";
import { Picker, type PickingPeer } from "../../../../src/client/torrent/picker.js";
import { StrategyQueue } from "../../../../src/client/torrent/piece-strategy.js";
import { Wanted } from "../../../../src/client/torrent/wanted.js";
import { type PieceStrategy, type PieceView, Session, type Torrent } from "../../../../src/index.js";
import { collectUncaught } from "../../../support/uncaught.js";
import { closeWhole, makeShared, nowhere, seed } from "../session/loopback.js";

const PIECES = 600;
const PEER: PickingPeer = { hasRequested: () => false, partWith: () => false };
const LAYOUT = {
  pieceCount: PIECES,
  pieceLength: 16_384,
  totalLength: PIECES * 16_384,
  blocksInPiece: () => 1,
  pieceLengthOf: () => 16_384,
};

interface Picking {
  readonly picker: Picker;
  readonly queue: StrategyQueue;
  readonly warnings: string[];
  /** Picks so many pieces, and lets the program be asked after each. */
  pick(count: number): Promise<number[]>;
}

function picking(strategy: PieceStrategy, has: (piece: number) => boolean = () => true): Picking {
  const wanted = new Wanted(LAYOUT);
  const picker = new Picker(LAYOUT, { wanted, random: () => 0 });
  const userCalls = new UserCalls();
  const warnings: string[] = [];
  const queue = picker.setStrategy(
    (availability) =>
      new StrategyQueue({
        ...{ strategy, pieceCount: PIECES, pieceLength: 16_384, wanted, availability, userCalls },
        warn: (text) => void warnings.push(text),
      }),
  );
  const pieces = new PieceSet(PIECES);
  for (let piece = 0; piece < PIECES; piece++) if (has(piece)) pieces.add(piece);
  picker.peerAdded(pieces);
  const pick = async (count: number): Promise<number[]> => {
    const picked: number[] = [];
    const out = new Int32Array(2);
    for (; count > 0; count--) {
      if (picker.pick(pieces, 1, out, PEER) === 1) picked.push(out[0] ?? -1);
      await userCalls.flushed();
    }
    picker.checkInvariants();
    return picked;
  };
  return { picker, queue, warnings, pick };
}

/** The last ones first. */
function* backwards({ pieceCount, isOpen }: PieceView): Iterable<number> {
  for (let piece = pieceCount - 1; piece >= 0; piece--) if (isOpen(piece)) yield piece;
}

describe("A piece strategy", () => {
  it("says which pieces are begun, to the last one", async () => {
    const { queue, pick } = picking({ next: backwards });
    queue.ask();
    await pick(0);
    await new Promise((resolve) => setImmediate(resolve));
    const picked = await pick(PIECES);
    assert.deepEqual(
      picked,
      Array.from({ length: PIECES }, (_, index) => PIECES - 1 - index),
    );
  });

  it("is passed over for what a peer does not have, and where it names nothing", async () => {
    const { queue, pick } = picking({ next: () => [7, 3, 5] }, (piece) => piece !== 3);
    queue.ask();
    await new Promise((resolve) => setImmediate(resolve));
    const picked = await pick(PIECES);
    assert.deepEqual(picked.slice(0, 2), [7, 5]);
    assert.equal(new Set(picked).size, PIECES - 1);
  });

  it("sees what is open, how rare and how much wanted it is, and indices that are none do no harm", async () => {
    let seen: unknown[] = [];
    const { queue, pick } = picking({
      next: (view) => {
        seen = [view.pieceCount, view.pieceLength, view.isOpen(4), view.availability(4), view.priority(4)];
        for (const wrong of [-1, PIECES, 1.5, Number.NaN])
          seen.push(view.isOpen(wrong) || view.availability(wrong) !== 0 || view.priority(wrong) !== 0);
        return [];
      },
    });
    queue.ask();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(seen, [PIECES, 16_384, true, 1, 4, false, false, false, false]);
    await pick(1);
  });

  it("that names nonsense is warned of once, and looked at so far only", async () => {
    let yielded = 0;
    const { queue, pick, warnings } = picking({
      *next() {
        yield* [-1, 2.5, "x" as unknown as number, Number.NaN, PIECES];
        for (;;) {
          yielded++;
          yield -1;
        }
      },
    });
    for (let times = 0; times < 2; times++) {
      queue.ask();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /named -1, which is no piece: a piece is a whole number from 0 to 599/);
    assert.ok(yielded <= 2 * 65_536);
    assert.equal(new Set(await pick(PIECES)).size, PIECES);
  });
});

describe("A download with a piece strategy", { timeout: 120_000 }, () => {
  async function download(make: (torrent: () => Torrent | undefined) => PieceStrategy): Promise<number[]> {
    const shared = await makeShared(3_000_000, 16_384);
    const seeder = await seed(shared);
    // Few at a time, so that pieces are verified about as they are begun.
    const session = new Session({ maxRequests: 2 });
    let torrent: Torrent | undefined;
    const pieceStrategy = make(() => torrent);
    torrent = session.addInBackground(shared.metainfo, nowhere({ pieceStrategy, peers: [seeder.address] }));
    const order: number[] = [];
    torrent.on("piece", (piece) => order.push(piece));
    await torrent.ready;
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
    return order;
  }

  it("begins where the program says", async () => {
    const order = await download(() => ({ next: backwards }));
    assert.ok((order[0] ?? 0) > 100, `the first of ${order.length} pieces was ${order[0]}`);
  });

  it("goes on when the program throws, and the program hears of it", async () => {
    const told = await collectUncaught(async () => {
      await download(() => ({
        next: () => {
          throw new Error("no idea");
        },
      }));
    });
    assert.match(String(told[0]), /no idea/);
  });

  it("goes on when what comes cannot be walked through", async () => {
    const told = await collectUncaught(async () => {
      await download(() => ({ next: () => 5 as unknown as number[] }));
    });
    assert.ok(told[0] instanceof TypeError);
  });

  it("goes on when the program changes the torrent meanwhile", async () => {
    let calls = 0;
    await download((torrent) => ({
      next: (view) => {
        calls++;
        torrent()?.select({ pieces: [calls % view.pieceCount], priority: 1 + (calls % 7) });
        if (calls === 2) torrent()?.pause();
        torrent()?.resume();
        return backwards(view);
      },
    }));
    assert.ok(calls > 0);
  });
});
