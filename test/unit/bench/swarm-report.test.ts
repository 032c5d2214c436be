// What the report says of swarms around one slow seed: each sentence with rounds for which it is right, and with rounds for which it must say
// something else.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  framedSwarm,
  readSwarmResults,
  type SwarmFound,
  type SwarmRun,
} from "../../../bench/measuring/swarm-results.js";
import { makeReport } from "../../../bench/report/report.js";
import { swarmLead, swarmSentences } from "../../../bench/report/swarm-section.js";
import { temporaryFolder } from "../../support/data.js";
import { makeResults, makeTrials } from "./made-results.js";

/** One copy takes 10 s. */
const SWARM = { size: 100e6, rate: 10e6, leechers: 8 };

const rounds = (seconds: readonly number[], copies: readonly number[] = []): SwarmRun[] =>
  seconds.map((each, index) => ({ seconds: each, seedCopies: copies[index] ?? 1.5 }));

function found(
  scatterwire?: readonly SwarmRun[],
  libtorrent?: readonly SwarmRun[],
  mixed?: readonly SwarmRun[],
): SwarmFound {
  return { ...SWARM, runs: { scatterwire, libtorrent, mixed } };
}

const SLOW = rounds([20, 21, 20.5], [1.8, 1.9, 1.85]);
const FAST = rounds([16, 15, 15.5], [1.3, 1.2, 1.25]);

describe("what is said of swarms", () => {
  it("which swarm has all sooner, and to which the seed sends less, whichever it is", () => {
    assert.deepEqual(swarmSentences(found(FAST, SLOW)), [
      "Leechers of ours all have it sooner than libtorrent's: 1.55 × against 2.05 × one copy, 24 % less in the middle of 3 rounds, all of which agree.",
      "A seed sends less to ours than libtorrent's does to libtorrent's: 1.25 × against 1.85 × one copy, 32 % less in the middle of 3 rounds, all of which agree.",
    ]);
    assert.deepEqual(swarmSentences(found(SLOW, FAST)), [
      "Leechers of ours all have it later than libtorrent's: 2.05 × against 1.55 × one copy, 32 % more in the middle of 3 rounds, all of which agree.",
      "A seed sends more to ours than libtorrent's does to libtorrent's: 1.85 × against 1.25 × one copy, 48 % more in the middle of 3 rounds, all of which agree.",
    ]);
  });

  it("nothing where rounds are few, do not agree, or differ by little", () => {
    const [few] = swarmSentences(found(FAST.slice(0, 1), SLOW));
    assert.match(few ?? "", /is not known to differ .*, but 1 run cannot tell a difference from noise\.$/);
    const [torn] = swarmSentences(found(rounds([15, 25, 15]), rounds([20, 20, 20])));
    assert.match(torn ?? "", /not known to differ .*, but the ratio goes from 0.75 to 1.25 between runs\.$/);
    const [near] = swarmSentences(found(rounds([20, 20, 20]), rounds([20.2, 20.3, 20.1])));
    assert.equal(
      near,
      "The time until the last leecher has all is as libtorrent's, to 3 %: 2.00 × against 2.02 × one copy.",
    );
  });

  it("whether a mixed swarm is slower than the slower of both alone, whichever that is", () => {
    const of = (...all: Parameters<typeof found>): string | undefined => swarmSentences(found(...all))[2];
    const later = rounds([22, 23, 22.5]);
    assert.equal(
      of(FAST, SLOW, later),
      "Mixed, they take longer than the slower of both alone: 2.25 × against 2.05 × one copy of libtorrent's alone, in each round.",
    );
    assert.equal(
      of(SLOW, FAST, later),
      "Mixed, they take longer than the slower of both alone: 2.25 × against 2.05 × one copy of ours alone, in each round.",
    );
    assert.equal(
      of(FAST, SLOW, rounds([17, 17, 17])),
      "Mixed, they take no longer than the slower of both alone: 1.70 × against 2.05 × one copy of libtorrent's alone, in each round.",
    );
    assert.match(
      of(FAST, SLOW, rounds([19.9, 20.9, 20.4])) ?? "",
      /^Mixed, they take as long as the slower of both alone, to 3 %/,
    );
    assert.match(
      of(FAST, SLOW, rounds([19, 22, 20])) ?? "",
      /^Whether they take longer when they are mixed .* is not known: .*, but the ratio goes from/,
    );
    // Where one of both was not measured there is nothing to hold it against.
    assert.deepEqual(swarmSentences(found(FAST, undefined, later)), []);
    assert.deepEqual(swarmSentences(found(undefined, SLOW, later)), []);
  });

  it("in one line, of those that were measured only", () => {
    const file = (each: SwarmFound): Parameters<typeof swarmLead>[0][number] => ({
      path: "",
      results: framedSwarm("1", new Date(0), each),
    });
    assert.equal(
      swarmLead([file(found(FAST, SLOW, SLOW))]),
      "Until the last of 8 leechers has all, in times of one copy: scatterwire 1.55 ×, libtorrent 2.05 × and every other one libtorrent 2.05 ×",
    );
    assert.equal(
      swarmLead([file(found([])), file(found(undefined, SLOW))]),
      "Until the last of 8 leechers has all, in times of one copy: libtorrent 2.05 ×",
    );
    assert.equal(swarmLead([file(found([]))]), "Swarms around one slow seed: no round was measured");
  });
});

describe("the report of swarms", () => {
  const folder = temporaryFolder(after);
  const file = (name: string, value: unknown): string => {
    const path = join(folder, `${name}.json`);
    writeFileSync(path, JSON.stringify(value));
    return path;
  };

  it("is a page of its own, or stands with the lab's trials", async () => {
    const swarm = file("swarm", framedSwarm("1", new Date(0), found(FAST, SLOW)));
    const alone = await makeReport([swarm]);
    assert.equal(alone.verdict, undefined);
    assert.match(alone.text, /^Until the last of 8 leechers has all/);
    assert.match(alone.text, /- Leechers of ours all have it sooner/);
    const lab = makeResults(makeTrials([{ group: "depth", axes: { depth: 1 }, cost: 0.2 }]));
    const { machine } = framedSwarm("1", new Date(0), found());
    const both = await makeReport([swarm, file("lab", { ...lab, machine })]);
    assert.match(both.text, /- A seed sends less to ours/);
    for (const { html } of [alone, both]) {
      assert.match(html, /Leechers around one slow seed/);
      assert.match(html, /one copy of 100.MB takes 10.0.s/);
      assert.match(html, /Leechers of ours all have it sooner than libtorrent&#39;s/);
      assert.ok(html.includes('aria-label="Table of swarms"'));
      assert.equal([...html.matchAll(/<h3>Until the last one has all</g)].length, 1);
      assert.doesNotMatch(html, /NaN|undefined/);
    }
    const without = await makeReport([file("lab", { ...lab, machine })]);
    assert.doesNotMatch(without.html + without.text, /slow seed|Leechers of ours/);
    const nothing = await makeReport([file("nothing", framedSwarm("1", new Date(0), found([])))]);
    assert.doesNotMatch(nothing.html, /Leechers around one slow seed|NaN/);
  });

  it("refuses a file of another shape, with the place", async () => {
    const good = framedSwarm("1", new Date(0), found(FAST));
    const bad = { ...good, found: { ...good.found, runs: { scatterwire: [{ seconds: "1" }] } } };
    await assert.rejects(makeReport([file("bad", bad)]), {
      code: "USAGE_STATE",
      message: /bad\.json: found\.runs\.scatterwire\[0\]\.seconds should be a number/,
    });
    assert.throws(() => readSwarmResults({ ...good, swarms: 2 } as object), /schema 2 of swarms/);
  });
});
