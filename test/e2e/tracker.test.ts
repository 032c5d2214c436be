// The tracker with real clients, which find each other through it and complete a torrent; and its benchmarks, tiny, with counters
// that agree.

import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { createTorrentFile } from "../../src/index.js";
import { startLibtorrent } from "../support/clients.js";
import { CLI, Program } from "../support/program.js";

describe("tracker", () => {
  const folder = mkdtempSync(join(tmpdir(), "scatterwire-tracker-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("two libtorrents find each other through it and complete a torrent", {
    timeout: 120_000,
  }, async (t) => {
    requireInstalled(NEEDED.libtorrentForPython);
    const tracker = Program.cli("tracker", "--udp", "127.0.0.1:0", "--interval", "30", "--json");
    t.after(() => tracker.stop());
    const { port } = await tracker.line("port");
    const data = join(folder, "data.bin");
    writeFileSync(data, randomBytes(1_000_000));
    const torrent = join(folder, "data.torrent");
    writeFileSync(torrent, await createTorrentFile(data, { announce: [`udp://127.0.0.1:${port}/announce`] }));
    const seed = startLibtorrent("seed", torrent, folder);
    t.after(() => seed.stop());
    await seed.line("port");
    const to = join(folder, "copy");
    mkdirSync(to);
    const leech = startLibtorrent("download", torrent, to);
    t.after(() => leech.stop());
    assert.ok((await leech.line("done", 100_000))["done"]);
    await tracker.stop("SIGINT");
    const stopped = tracker.lines.at(-1) as { event: string; udp: Record<string, number> };
    assert.equal(stopped.event, "stopped");
    assert.ok(stopped.udp["announces"]! >= 2);
    assert.equal(stopped.udp["invalidIds"], 0);
  });

  test("tracker-load counts what the tracker answered, and all is answered", {
    timeout: 60_000,
  }, async (t) => {
    const tracker = Program.cli("tracker", "--udp", "127.0.0.1:0", "--json");
    t.after(() => tracker.stop());
    const { port } = await tracker.line("port");
    const small = ["--torrents", "1000", "--peers", "2000", "--sockets-per-worker", "2", "--window", "64"];
    const load = Program.cli(
      ...["bench", "tracker-load", `127.0.0.1:${port}`, "--duration", "1", "--json"],
      ...small,
    );
    const { status, last, errors } = await load.result();
    assert.equal(status, 0, errors);
    const result = last["result"] as Record<string, number>;
    assert.ok(result["announcesPerSecond"]! > 0 && result["scrapesPerSecond"]! > 0);
    assert.equal(result["errorsPerSecond"], 0);
    await tracker.stop("SIGINT");
    const { udp, totals } = tracker.lines.at(-1) as Record<"udp" | "totals", Record<string, number>>;
    // What was under way at the end is not counted by the load; its first connects are not either.
    const told = Math.round(result["announcesPerSecond"]! * result["seconds"]!);
    assert.ok(
      udp["announces"]! >= told && udp["announces"]! <= told + 1024,
      `${udp["announces"]} and ${told}`,
    );
    assert.equal(udp["connects"]! + udp["announces"]! + udp["scrapes"]!, udp["responses"]);
    assert.ok(totals["torrents"]! <= 1000 && totals["peersV4"]! <= 2000);
  });

  test("bench tracker, peer-store and tracker-repository run, tiny", { timeout: 120_000 }, async () => {
    const run = async (...args: string[]): Promise<Record<string, unknown>> => {
      const { status, last, errors } = await new Program(process.execPath, [
        CLI,
        "bench",
        ...args,
        "--json",
      ]).result();
      assert.equal(status, 0, errors);
      return last;
    };
    const tiny = [
      "--runs",
      "1",
      "--duration",
      "1",
      "--torrents",
      "1000",
      "--peers",
      "2000",
      "--cpus",
      "0",
      "--load-cpus",
      "0",
    ];
    const { runs } = (await run("tracker", "--only", "echo,scatterwire", ...tiny)) as {
      runs: { responsesPerSecond: number }[];
    };
    assert.equal(runs.length, 4);
    for (const { responsesPerSecond } of runs) assert.ok(responsesPerSecond > 0);
    const { benchmarks, memory } = (await run("peer-store", "--milliseconds", "1", "--most", "1000")) as {
      benchmarks: unknown[];
      memory: { infoHashes: number; bytes: number }[];
    };
    assert.equal(benchmarks.length, 27);
    const largest = memory.find(({ infoHashes }) => infoHashes === 1000)!;
    assert.ok(largest.bytes / 1000 <= 49, `${largest.bytes} bytes for 1000 torrents`);
    const { results } = (await run("tracker-repository", "--samples", "10")) as { results: unknown[] };
    assert.equal(results.length, 3);
  });
});
