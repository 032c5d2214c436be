// The hashing benchmark, tiny: it runs, cleans up, checks its own digests, and has a row for everything it names.

import assert from "node:assert/strict";
import { it } from "node:test";
import { benchHashing } from "../../../bench/suites/hashing.js";
import { loadBinding } from "../../../src/native/binding.js";

it("measures every variant, alone and in a torrent", { timeout: 120_000 }, async () => {
  const { hot, torrent } = await benchHashing({ size: 8 * 1024 * 1024, rounds: 1 });
  const variants = ["cheapest", ...loadBinding().digestVariants];
  assert.deepEqual([...new Set(hot.map(({ variant }) => variant))], variants);
  assert.equal(hot.length, variants.length * 6);
  for (const row of [...hot, ...torrent]) {
    assert.ok(row.bytesPerSecond > 1e6, JSON.stringify(row));
    assert.ok(row.cpuSecondsPerGB > 0 && row.ratioToOpenssl > 0, JSON.stringify(row));
  }
  assert.deepEqual([...new Set(torrent.map(({ work, place }) => `${work} ${place}`))].sort(), [
    "check disk",
    "check memory",
    "create disk",
    "create memory",
  ]);
});

it("lanes are cheaper than single streams where the processor has wide ones", {
  timeout: 120_000,
}, async (t) => {
  if (!loadBinding().digestVariants.includes("avx512x16")) return t.skip("this processor has no AVX-512");
  const { hot } = await benchHashing({ size: 64 * 1024 * 1024, rounds: 3 });
  const ratio = hot.find(({ variant, streams }) => variant === "cheapest" && streams === 16)?.ratioToOpenssl;
  // Between three and four when nothing else runs; CPU time wanders when something does.
  assert.ok(ratio !== undefined && ratio > 1.5, `16 streams: ${ratio} times as fast as one`);
});
