// Who is served, by what each peer gives and by lot.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  Choker,
  type ChokerPeer,
  OPTIMISTIC_MS,
  QUOTA_BYTES_DEFAULT,
  TURN_MS_MAX,
  TURN_MS_MIN,
} from "../../../../src/client/torrent/choker.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";

const ROUND_MS = 10_000;

function peer(id: number, is: Partial<ChokerPeer> = {}): ChokerPeer {
  return {
    id,
    interested: true,
    downloadRate: 0,
    uploadRate: 0,
    isSeedOrUploadOnly: false,
    unchokedSinceMs: undefined,
    snubbed: false,
    lapsed: false,
    timesTaken: 0,
    sentSinceUnchokeBytes: 0,
    servedBeforeMs: undefined,
    ...is,
  };
}

function sorted(ids: Iterable<number>): number[] {
  return [...ids].sort((a, b) => a - b);
}

/** Plays rounds: unchokes who was chosen, and lets the served ones take `rateOf` bytes per second. */
class Rounds {
  readonly choker: Choker;
  readonly seeding: boolean;
  readonly rateOf: (id: number) => number;
  peers: ChokerPeer[];
  nowMs = 0;

  constructor(
    choker: Choker,
    peers: ChokerPeer[],
    seeding: boolean,
    rateOf: (id: number) => number = () => 1e6,
  ) {
    this.choker = choker;
    this.peers = peers;
    this.seeding = seeding;
    this.rateOf = rateOf;
  }

  next(): number[] {
    const { nowMs, seeding } = this;
    const chosen = this.choker.choose(this.peers, { nowMs, seeding });
    this.nowMs += ROUND_MS;
    this.peers = this.peers.map((each) => {
      if (!chosen.has(each.id))
        return { ...each, unchokedSinceMs: undefined, sentSinceUnchokeBytes: 0, uploadRate: 0 };
      const rate = this.rateOf(each.id);
      const sent =
        (each.unchokedSinceMs === undefined ? 0 : each.sentSinceUnchokeBytes) + (rate * ROUND_MS) / 1000;
      const unchokedSinceMs = each.unchokedSinceMs ?? nowMs;
      return { ...each, unchokedSinceMs, sentSinceUnchokeBytes: sent, uploadRate: rate };
    });
    return sorted(chosen);
  }
}

describe("Choker: downloading", () => {
  it("serves those that send us most, and one more", () => {
    const choker = new Choker({ slots: 4, random: makeRandom(1) });
    const peers = Array.from({ length: 10 }, (_, id) => peer(id, { downloadRate: 100 * id }));
    const chosen = choker.choose(peers, { nowMs: 0, seeding: false });
    assert.equal(chosen.size, 4);
    for (const id of [9, 8, 7]) assert.ok(chosen.has(id));
    assert.equal(choker.optimisticIds.length, 1);
  });

  it("gives nothing for what a snubbed peer once sent, a chance by lot at most", () => {
    const choker = new Choker({ slots: 2, random: makeRandom(1) });
    const peers = [peer(1, { downloadRate: 9999, snubbed: true }), peer(2, { downloadRate: 1 }), peer(3)];
    const seen = new Set<number>();
    for (let round = 0; round < 30; round++) {
      const chosen = choker.choose(peers, { nowMs: round * ROUND_MS, seeding: false });
      assert.ok(chosen.has(2), "the one that sends keeps its slot");
      for (const id of chosen) seen.add(id);
    }
    assert.deepEqual(sorted(seen), [1, 2, 3]);
  });

  it("serves nobody who is not interested, has everything, or wants nothing", () => {
    const choker = new Choker({ slots: 4, random: makeRandom(1) });
    const peers = [
      peer(1, { interested: false, downloadRate: 5 }),
      peer(2, { isSeedOrUploadOnly: true, downloadRate: 5 }),
      peer(3),
    ];
    assert.deepEqual(sorted(choker.choose(peers, { nowMs: 0, seeding: false })), [3]);
    assert.deepEqual(sorted(choker.choose(peers, { nowMs: 0, seeding: true })), [3]);
  });

  it("fills all slots at the start, when nobody has sent anything", () => {
    const choker = new Choker({ slots: 4, random: makeRandom(7) });
    const peers = Array.from({ length: 10 }, (_, id) => peer(id));
    const first = sorted(choker.choose(peers, { nowMs: 0, seeding: false }));
    assert.equal(first.length, 4);
    assert.deepEqual(
      sorted(choker.choose(peers, { nowMs: OPTIMISTIC_MS - 1, seeding: false })),
      first,
      "for 30 s",
    );
    const second = sorted(choker.choose(peers, { nowMs: OPTIMISTIC_MS, seeding: false }));
    assert.equal(second.filter((id) => first.includes(id)).length, 0, "then it is the turn of others");
  });

  it("gives the one slot that there is to whoever sends, or by lot", () => {
    const choker = new Choker({ slots: 1, random: makeRandom(1) });
    assert.equal(choker.choose([peer(1), peer(2)], { nowMs: 0, seeding: false }).size, 1);
    assert.deepEqual(
      sorted(choker.choose([peer(1), peer(2, { downloadRate: 1 })], { nowMs: 0, seeding: false })),
      [2],
    );
  });

  it("tries somebody in the one slot that there is for a third of the time, and the best has the rest", () => {
    const choker = new Choker({ slots: 1, random: makeRandom(4) });
    const peers = [peer(1, { downloadRate: 9 }), peer(2), peer(3), peer(4)];
    const served = new Map<number, number>();
    for (let nowMs = 0; nowMs < 30 * 3 * OPTIMISTIC_MS; nowMs += ROUND_MS) {
      const chosen = choker.choose(peers, { nowMs, seeding: false });
      assert.equal(chosen.size, 1);
      const [id] = chosen;
      served.set(required(id, "id"), (served.get(required(id, "id")) ?? 0) + 1);
    }
    assert.equal(served.get(1), 30 * 6);
    for (const id of [2, 3, 4])
      assert.ok(required(served.get(id), "how often it was served") >= 3, `peer ${id} was tried`);
    // One that was tried and turns out the best keeps the slot to the end of its time, and has it then.
    const other = new Choker({ slots: 1, random: makeRandom(5) });
    const [tried] = other.choose(peers, { nowMs: 2 * OPTIMISTIC_MS, seeding: false });
    const now = peers.map((each) => (each.id === tried ? { ...each, downloadRate: 20 } : each));
    for (const nowMs of [2 * OPTIMISTIC_MS + ROUND_MS, 3 * OPTIMISTIC_MS])
      assert.deepEqual([...other.choose(now, { nowMs, seeding: false })], [tried]);
  });

  it("turns the optimistic slot every 30 s, and not before when asked in between", () => {
    const choker = new Choker({ slots: 2, random: makeRandom(3) });
    const peers = [peer(1, { downloadRate: 5 }), peer(2), peer(3), peer(4)];
    const turns: number[] = [];
    for (let nowMs = 0; nowMs < 20 * OPTIMISTIC_MS; nowMs += 1000) {
      const chosen = choker.choose(peers, { nowMs, seeding: false });
      chosen.delete(1);
      const [id] = [...chosen] as [number];
      if (turns.at(-1) !== id) {
        turns.push(id);
        assert.equal(nowMs % OPTIMISTIC_MS, 0);
      }
    }
    assert.equal(turns.length, 20, "another peer each time");
    assert.deepEqual(sorted(new Set(turns)), [2, 3, 4]);
  });

  it("leaves the optimistic slot where it is when nobody else wants it", () => {
    const choker = new Choker({ slots: 2, random: makeRandom(3) });
    const peers = [peer(1, { downloadRate: 5 }), peer(2)];
    for (let round = 0; round < 10; round++) {
      assert.deepEqual(sorted(choker.choose(peers, { nowMs: round * ROUND_MS, seeding: false })), [1, 2]);
    }
  });

  it("draws newcomers three times as often", () => {
    let newcomers = 0;
    const rounds = 4000;
    for (let seed = 0; seed < rounds; seed++) {
      const choker = new Choker({ slots: 2, random: makeRandom(seed) });
      const choose = (...peers: ChokerPeer[]) => choker.choose(peers, { nowMs: 0, seeding: false });
      choose(peer(2), peer(3));
      choose(peer(2, { interested: false }), peer(3, { interested: false }));
      if (choose(peer(1, { downloadRate: 5 }), peer(2), peer(3), peer(4)).has(4)) newcomers++;
    }
    // Tickets: 1 + 1 for those that were served, 3 for the newcomer.
    assert.ok(Math.abs(newcomers / rounds - 3 / 5) < 0.05, `${newcomers} of ${rounds}`);
  });

  it("has no optimistic slot, nor one in return, for who has taken the torrent several times while another waits", () => {
    const choker = new Choker({ slots: 2, random: makeRandom(3) });
    const once = peer(1);
    const greedy = [peer(2), peer(3, { downloadRate: 5 }), peer(4)];
    choker.choose(greedy, { nowMs: 0, seeding: false });
    const later = greedy.map((each) => ({ ...each, timesTaken: 1 }));
    for (let nowMs = 1000; nowMs < 20 * OPTIMISTIC_MS; nowMs += ROUND_MS) {
      const chosen = choker.choose([...later, once], { nowMs, seeding: false });
      assert.ok(chosen.has(1) && chosen.size === 2);
      assert.deepEqual(choker.optimisticIds, [1]);
    }
  });

  it("frees the optimistic slot when its holder has earned another", () => {
    const choker = new Choker({ slots: 2, random: () => 0 });
    const first = choker.choose([peer(1), peer(2), peer(3)], { nowMs: 0, seeding: false });
    assert.deepEqual(sorted(first), [1, 2]);
    const second = choker.choose([peer(1, { downloadRate: 10 }), peer(2), peer(3)], {
      nowMs: 1,
      seeding: false,
    });
    assert.deepEqual(sorted(second), [1, 2]);
    assert.deepEqual(choker.optimisticIds, [2]);
  });
});

describe("Choker: seeding", () => {
  it("serves each of many in turn, the one that waited longest first", () => {
    const peers = Array.from({ length: 12 }, (_, id) => peer(id));
    const rounds = new Rounds(new Choker({ slots: 3 }), peers, true, () => QUOTA_BYTES_DEFAULT);
    const served: number[][] = [];
    for (let round = 0; round < 16; round++) served.push(rounds.next());
    // A turn takes 20 s, so two rounds.
    assert.deepEqual(served.filter((_, round) => round % 2 === 0).slice(0, 5), [
      [0, 1, 2],
      [3, 4, 5],
      [6, 7, 8],
      [9, 10, 11],
      [0, 1, 2],
    ]);
  });

  it("ends a turn after a minute though the quota is not used up, and after 20 s when nothing is taken", () => {
    const slow = new Rounds(new Choker({ slots: 1 }), [peer(1), peer(2)], true, () => 1000);
    const turns: number[] = [];
    for (let round = 0; round < 12; round++) turns.push(entryOf(slow.next(), 0));
    assert.equal(turns.indexOf(2) * ROUND_MS, TURN_MS_MAX);
    const idle = new Rounds(new Choker({ slots: 1 }), [peer(1), peer(2)], true, () => 0);
    turns.length = 0;
    for (let round = 0; round < 12; round++) turns.push(entryOf(idle.next(), 0));
    assert.equal(turns.indexOf(2) * ROUND_MS, TURN_MS_MIN);
  });

  it("ends the turn of who has taken the torrent several times, for whoever has not; nobody else waits: it goes on", () => {
    const choker = new Choker({ slots: 1 });
    const greedy = peer(1, { timesTaken: 3, unchokedSinceMs: 0, uploadRate: 1e9 });
    assert.deepEqual([...choker.choose([greedy], { nowMs: 1000, seeding: true })], [1]);
    const others = [peer(2, { lapsed: true }), peer(3, { timesTaken: 2 })];
    assert.deepEqual([...choker.choose([greedy, ...others], { nowMs: 1000, seeding: true })], [2]);
  });

  it("lets everybody stay while there are slots for all", () => {
    const rounds = new Rounds(new Choker({ slots: 3 }), [peer(1), peer(2)], true, () => QUOTA_BYTES_DEFAULT);
    for (let round = 0; round < 20; round++) assert.deepEqual(rounds.next(), [1, 2]);
    rounds.peers.push(peer(3), peer(4));
    const next = rounds.next();
    assert.ok(next.includes(3) && next.includes(4), "those whose turn is over make room at once");
  });

  it("starves nobody, whatever the rates", () => {
    check(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 25 }),
        fc.nat(1 << 20),
        (slots, count, seed) => {
          const random = makeRandom(seed);
          const rates = Array.from({ length: count }, () => Math.floor(random() ** 4 * 1e8));
          const peers = Array.from({ length: count }, (_, id) => peer(id));
          const rounds = new Rounds(new Choker({ slots, random }), peers, true, (id) => entryOf(rates, id));
          const seen = new Set<number>();
          const needed = 1 + Math.ceil(count / slots) * (TURN_MS_MAX / ROUND_MS);
          for (let round = 0; round < needed; round++) {
            const chosen = rounds.next();
            assert.equal(chosen.length, Math.min(slots, count), "no slot stays empty");
            for (const id of chosen) seen.add(id);
          }
          assert.equal(seen.size, count);
        },
      ),
      60,
    );
  });
});

describe("Choker: always", () => {
  it("chooses as many as it may, interested ones only, and the same for the same dice", () => {
    const peers = fc.array(
      fc.record({
        interested: fc.boolean(),
        isSeedOrUploadOnly: fc.boolean(),
        snubbed: fc.boolean(),
        lapsed: fc.boolean(),
        timesTaken: fc.constantFrom(0, 0, 1, 2),
        downloadRate: fc.constantFrom(0, 0, 1, 5, 1e6),
        uploadRate: fc.constantFrom(0, 1, 1e6),
        unchokedSinceMs: fc.option(fc.nat(100_000), { nil: undefined }),
        sentSinceUnchokeBytes: fc.constantFrom(0, 1e9),
        servedBeforeMs: fc.option(fc.nat(100_000), { nil: undefined }),
      }),
      { maxLength: 20 },
    );
    const rounds = fc.array(
      fc.record({ peers, seeding: fc.boolean(), passedMs: fc.nat(40_000), soon: fc.nat(3) }),
      { maxLength: 12 },
    );
    check(
      fc.property(fc.integer({ min: 1, max: 8 }), rounds, fc.nat(1 << 20), (slots, script, seed) => {
        const [choker, twin] = [1, 2].map(() => new Choker({ slots, random: makeRandom(seed) })) as [
          Choker,
          Choker,
        ];
        let nowMs = 0;
        for (const round of script) {
          nowMs += round.passedMs;
          const all = round.peers.map((each, id) => ({ id: id + round.soon, ...each }));
          const chosen = choker.choose(all, { nowMs, seeding: round.seeding });
          assert.deepEqual(twin.choose(all, { nowMs, seeding: round.seeding }), chosen);
          choker.checkInvariants();
          const eligible = all.filter((each) => each.interested && !each.isSeedOrUploadOnly);
          assert.equal(chosen.size, Math.min(slots, eligible.length));
          for (const id of chosen) assert.ok(eligible.some((each) => each.id === id));
          const [served, others] = [true, false].map((is) =>
            eligible.filter(({ id }) => chosen.has(id) === is).map(({ timesTaken }) => timesTaken),
          ) as [number[], number[]];
          assert.ok(Math.max(...served) <= Math.min(...others), "nobody is before one who has taken less");
        }
      }),
      150,
    );
  });
});
