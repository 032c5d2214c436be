// The tracker with real clients, which find each other through it and complete a torrent; and its benchmarks, tiny, with counters
// that agree.

import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { TrackerBench } from "../../bench/measuring/tracker-results.js";
import { NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { createTorrentFile } from "../../src/index.js";
import { startLibtorrent } from "../support/clients.js";
import { Program } from "../support/program.js";
import { required } from "../support/required.js";

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
    assert.ok(required(stopped.udp["announces"], "announces") >= 2);
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
      ...["bench", "tracker-load", `127.0.0.1:${port}`, "--duration", "1", "--workers", "2", "--json"],
      ...small,
    );
    const { status, last, errors } = await load.result();
    assert.equal(status, 0, errors);
    const { result } = last["found"] as { result: Record<string, number> };
    assert.ok(
      required(result["announcesPerSecond"], "announcesPerSecond") > 0 &&
        required(result["scrapesPerSecond"], "scrapesPerSecond") > 0,
    );
    const { p10, p100 } = result["announcesPerInfoHash"] as unknown as Record<string, number>;
    assert.ok(
      required(p10, "p10") > 0 && required(p100, "p100") >= required(p10, "p10"),
      "both workers told how often each torrent was answered",
    );
    assert.equal(result["errorsPerSecond"], 0);
    await tracker.stop("SIGINT");
    const { udp, totals } = tracker.lines.at(-1) as Record<"udp" | "totals", Record<string, number>>;
    // What was under way at the end is not counted by the load; its first connects are not either.
    const told = Math.round(
      required(result["announcesPerSecond"], "announcesPerSecond") * required(result["seconds"], "seconds"),
    );
    assert.ok(
      required(udp["announces"], "announces") >= told &&
        required(udp["announces"], "announces") <= told + 1024,
      `${udp["announces"]} and ${told}`,
    );
    assert.equal(
      required(udp["connects"], "connects") +
        required(udp["announces"], "announces") +
        required(udp["scrapes"], "scrapes"),
      udp["responses"],
    );
    assert.ok(
      required(totals["torrents"], "torrents") <= 1000 && required(totals["peersV4"], "peersV4") <= 2000,
    );
  });

  test("tracker-load counts what comes back, each kind by itself, and no more", {
    timeout: 60_000,
  }, async (t) => {
    // A tracker of the test's own, which answers so many requests and then nothing more.
    const ANSWERS = 1000;
    const PEERS = 3;
    const answered = { connects: 0, announces: 0, scrapes: 0, errors: 0 };
    const server = createSocket("udp4");
    t.after(() => server.close());
    let connected = 0;
    server.on("message", (request, { address, port }) => {
      const total = answered.connects + answered.announces + answered.scrapes + answered.errors;
      const action = request.readUInt32BE(8);
      // The first connects of both sockets are not a part of the load.
      const isFirst = action === 0 && connected < 2;
      if (!isFirst && total === ANSWERS) return;
      const isError = action !== 0 && total % 7 === 0;
      const answer = Buffer.alloc(isError ? 12 : action === 0 ? 16 : action === 1 ? 20 + 6 * PEERS : 20);
      answer.writeUInt32BE(isError ? 3 : action);
      request.copy(answer, 4, 12, 16);
      if (isFirst) connected++;
      else if (isError) answered.errors++;
      else if (action === 0) answered.connects++;
      else if (action === 1) answered.announces++;
      else answered.scrapes++;
      server.send(answer, port, address);
    });
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    const small = ["--torrents", "100", "--peers", "200", "--sockets-per-worker", "2", "--window", "64"];
    const load = Program.cli(
      ...["bench", "tracker-load", `127.0.0.1:${server.address().port}`, "--duration", "4", "--json"],
      ...["--weights", "10/80/10", ...small],
    );
    const { status, last, errors } = await load.result();
    assert.equal(status, 0, errors);
    const { found } = last as unknown as { found: { summary: string; result: Record<string, number> } };
    const { result, summary } = found;
    const counted = (name: string): number => Math.round((result[name] ?? 0) * (result["seconds"] ?? 0));
    assert.deepEqual(
      {
        connects: counted("connectsPerSecond"),
        announces: counted("announcesPerSecond"),
        scrapes: counted("scrapesPerSecond"),
        errors: counted("errorsPerSecond"),
      },
      answered,
    );
    assert.equal(counted("responsesPerSecond"), ANSWERS);
    assert.equal(result["peersPerAnnounce"], PEERS);
    assert.ok(counted("requestsPerSecond") >= ANSWERS);
    assert.match(summary, /^Test ran for 4 seconds\nAverage responses per second: \d+\.\d\d\n {2}- Connect/m);
    assert.match(summary, /at most 64 requests are under way/);
  });

  test("bench tracker, peer-store and tracker-repository run, tiny", { timeout: 180_000 }, async () => {
    const run = async (...args: string[]): Promise<Record<string, unknown>> => {
      const { status, last, errors } = await Program.cli("bench", ...args, "--json").result();
      assert.equal(status, 0, errors);
      return last["found"] as Record<string, unknown>;
    };
    const tiny = [
      "--runs",
      "1",
      "--duration",
      "1",
      "--summarize-last",
      "0",
      "--weights",
      "0/100/1",
      "--min-priority",
      "high",
    ];
    const few = ["--torrents", "1000", "--peers", "2000", "--cpus", "0", "--load-cpus", "0"];
    const { runs, failures, missing } = (await run("tracker", ...tiny, ...few)) as unknown as TrackerBench;
    assert.deepEqual(failures, []);
    const subjects = ["echo", "scatterwire", "scatterwire-redis", "opentracker", "bittorrent-tracker"];
    assert.deepEqual(
      [...new Set(runs.map(({ subject }) => subject)), ...missing].sort(),
      [...subjects].sort(),
    );
    for (const { subject, responsesPerSecond, errorsPerSecond, peersPerAnnounce, ...more } of runs) {
      assert.ok(responsesPerSecond > 0, subject);
      assert.equal(errorsPerSecond, 0, subject);
      if (subject !== "echo") assert.ok(peersPerAnnounce > 0, subject);
      assert.ok(more.peakRssBytes >= more.rssBytes && more.rssBytes > 0, subject);
      assert.equal(more.redisPeakRssBytes !== undefined, subject === "scatterwire-redis");
    }
    const { benchmarks, memory } = (await run("peer-store", "--milliseconds", "1", "--most", "1000")) as {
      benchmarks: unknown[];
      memory: { infoHashes: number; bytes: number }[];
    };
    assert.equal(benchmarks.length, 27);
    const largest = memory.find(({ infoHashes }) => infoHashes === 1000);
    assert.ok(
      largest !== undefined && largest.bytes / 1000 <= 49,
      `${largest?.bytes} bytes for 1000 torrents`,
    );
    const { results } = (await run("tracker-repository", "--samples", "10")) as { results: unknown[] };
    assert.equal(results.length, 3);
  });
});
