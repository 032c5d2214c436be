// The index on the command line: it finds torrents in the DHT, and is searched over HTTP while it runs.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { openStore } from "../../src/indexer/index.js";
import { makeIndexable, temporaryIndex, until } from "../support/index-network.js";
import { Program } from "../support/program.js";

const TORRENTS = 12;
const TOKEN = "what-searchers-have-to-show";

interface Said {
  readonly event?: unknown;
  readonly protocol?: unknown;
  readonly host?: unknown;
  readonly port?: unknown;
}

describe("scatterwire index", { timeout: 600_000 }, () => {
  it("indexes what is announced, is searched over HTTP with its token, and ends well", async (t) => {
    const { infoHashes, options } = await makeIndexable(t, TORRENTS);
    const place = temporaryIndex(t);
    const tokenFile = join(dirname(place), "token");
    writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
    const program = Program.cli(
      ...["index", "--store", place, "--json", "--http", "127.0.0.1:0", "--token-file", tokenFile],
      ...options,
    );
    t.after(() => program.stop());
    const http = (): Said | undefined =>
      (program.lines as Said[]).find(({ event, protocol }) => event === "listening" && protocol === "http");
    await until(() => http() !== undefined || program.over, "it listens");
    const origin = `http://127.0.0.1:${String(http()?.port)}`;
    const headers = { authorization: `Bearer ${TOKEN}` };
    assert.equal((await fetch(`${origin}/api/search?q=torrent`)).status, 401);
    const found = async (): Promise<{ name: string; infoHash: string }[]> => {
      const answer = await fetch(`${origin}/api/search?q=torrent+number`, { headers });
      return ((await answer.json()) as { torrents: { name: string; infoHash: string }[] }).torrents;
    };
    await until(async () => (await found()).length === TORRENTS, "all torrents are found");
    assert.deepEqual((await found()).map(({ infoHash }) => infoHash).sort(), [...infoHashes].sort());
    const statistics = (await (await fetch(`${origin}/statistics`)).json()) as {
      store: { torrents: number };
      status: Record<string, number>;
    };
    assert.equal(statistics.store.torrents, TORRENTS);
    assert.equal(statistics.status["stored"], TORRENTS);
    const metrics = await (await fetch(`${origin}/metrics`)).text();
    for (const name of [
      "dht_malformed",
      "dht_over_rate",
      "dht_unanswered",
      "dht_sampling_samples_too_far",
      "lied",
    ])
      assert.match(metrics, new RegExp(`^scatterwire_index_status\\{name="${name}"\\} \\d+$`, "m"));
    assert.match(await (await fetch(`${origin}/`)).text(), /<title>Index of torrents<\/title>/);
    await program.stop("SIGINT");
    assert.equal((await program.result()).status, 130);
    const store = await openStore(place);
    t.after(() => store.close());
    assert.equal((await store.stats()).torrents, TORRENTS);
  });

  it("refuses to be searched by others without a token, before it does anything", async (t) => {
    const place = temporaryIndex(t);
    const quiet = ["index", "--store", place, "--listen", "127.0.0.1:0", "--no-bootstrap"];
    for (const [more, told] of [
      [["--http", "0.0.0.0:0"], /give a token/],
      [["--token-file", place], /--token-file goes with --http/],
    ] as const) {
      const program = Program.cli(...quiet, ...more);
      t.after(() => program.stop());
      const { status, errors } = await program.result();
      assert.equal(status, 2, errors);
      assert.match(errors, told);
    }
  });
});
