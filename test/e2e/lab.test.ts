// The lab's benchmarks, tiny: each runs, leaves nothing behind, and counts what can be known exactly, so that a wrong
// counter fails here.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { LabFigures, LabResults, LabTrial } from "../../bench/measuring/results.js";
import { NEEDED, requireInstalled } from "../../bench/rivals/installed.js";
import { createTorrentFile } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { Program } from "../support/program.js";
import { entryOf, required } from "../support/required.js";

const MIB = 1024 * 1024;
const SIZE = 16 * MIB;
const BLOCKS = SIZE / 16_384;
const HAVE_EVERY = 4;

/** Folders that this process made and left: others may be at work beside us. */
function leftBehind(pid: number | undefined): string[] {
  return [tmpdir(), "/dev/shm"].flatMap((folder) =>
    readdirSync(folder).filter((name) => name.startsWith(`scatterwire-bench-${pid}-`)),
  );
}

async function bench(...args: string[]): Promise<LabResults> {
  const program = Program.cli("bench", ...args, "--json");
  const { status, last, errors } = await program.result();
  assert.equal(status, 0, errors);
  assert.deepEqual(leftBehind(program.child.pid), []);
  return last as unknown as LabResults;
}

function figuresOf(results: LabResults, axes: Record<string, unknown>, subject = "scatterwire"): LabFigures {
  const found = results.trials.filter(
    (trial) =>
      trial.subject === subject && Object.entries(axes).every(([axis, value]) => trial.axes[axis] === value),
  );
  assert.equal(found.length, 1, `one trial of ${subject} ${JSON.stringify(axes)}`);
  return entryOf(found, 0).figures;
}

function checkSound({ figures, subject }: LabTrial): void {
  assert.equal(figures.payloadBytes, SIZE, subject);
  assert.ok(figures.seconds > 0 && figures.cpuSecondsPerGB > 0 && figures.peakRssBytes > 10 * MIB);
  const parts = figures.userSecondsPerGB + figures.systemSecondsPerGB;
  assert.ok(Math.abs(parts - figures.cpuSecondsPerGB) < 1e-9, "user and system make the whole");
  assert.ok(Math.abs(figures.bytesPerSecond * figures.seconds - SIZE) < 1, "bytes per second over seconds");
  assert.ok(
    required(figures.loadCpuSecondsPerGB, "load cpu seconds per gb") > 0,
    "the sender's CPU is there, apart",
  );
}

describe("the lab", { timeout: 900_000 }, () => {
  it("receive: tells modes apart by exact counters", async () => {
    const only = ["--only", "mode", "--only", "peers:peers=16", "--only", "traffic:traffic=haves"];
    const results = await bench("receive", "--size", "16M", "--runs", "1", ...only);
    assert.deepEqual(results.omissions, []);
    assert.equal(results.trials.length, 5 + 3 + 5);
    for (const trial of results.trials) checkSound(trial);
    const one = { peers: 1, traffic: "blocks" };
    const contiguous = figuresOf(results, { ...one, mode: "contiguous" });
    assert.equal(contiguous.copiedBytesPerByte, 1);
    assert.equal(contiguous.predictionHits, 0);
    const scatter = figuresOf(results, { ...one, mode: "scatter" });
    assert.equal(scatter.copiedBytesPerByte, 0);
    assert.ok(
      required(scatter.systemCallsPerBlock, "system calls per block") >= 1.95 &&
        required(scatter.systemCallsPerBlock, "system calls per block") < 2.2,
    );
    for (const mode of ["speculative", "adaptive"]) {
      const figures = figuresOf(results, { ...one, mode });
      assert.ok(required(figures.copiedBytesPerByte, "copied bytes per byte") < 0.05);
      assert.ok(
        required(figures.predictionHits, "prediction hits") > 0.9 * BLOCKS &&
          required(figures.predictionHits, "prediction hits") <= BLOCKS,
      );
      assert.ok(required(figures.systemCallsPerBlock, "system calls per block") < 1);
    }
    // One more message after every few blocks costs scatter two more calls each.
    const haves = required(
      figuresOf(results, { mode: "scatter", traffic: "haves" }).systemCallsPerBlock,
      "system calls per block",
    );
    assert.ok(haves >= 1.95 + 1 / HAVE_EVERY && haves < 2.2 + 3 / HAVE_EVERY, `${haves} calls per block`);
    // All bytes that calls brought: payload, headers, and a little of an opening. With several peers some blocks come twice,
    // at the end.
    for (const { axes, figures } of results.trials.filter((trial) => trial.axes["peers"] === 1)) {
      const bytes =
        required(figures.bytesPerSystemCall, "bytes per system call") *
        required(figures.systemCallsPerBlock, "system calls per block") *
        BLOCKS;
      const expected = SIZE + 13 * BLOCKS + (axes["traffic"] === "haves" ? (9 * BLOCKS) / HAVE_EVERY : 0);
      const opening = bytes - expected;
      assert.ok(opening > -200 && opening < 1000, `${opening} bytes of opening`);
    }
    assert.equal(results.trials.filter(({ subject }) => subject === "limit").length, 3);
  });

  it("receive: a contiguous receive takes what it may", async () => {
    const only = ["--only", "contiguous-buffer:contiguousBufferBytes=16384"];
    const results = await bench("receive", "--size", "16M", "--runs", "1", ...only);
    const figures = figuresOf(results, { contiguousBufferBytes: 16_384 });
    // Never more than 16 KiB, and about that much: a block comes with its header.
    assert.ok(
      required(figures.bytesPerSystemCall, "bytes per system call") <= 16_384,
      `${figures.bytesPerSystemCall} bytes per call`,
    );
    assert.ok(
      required(figures.systemCallsPerBlock, "system calls per block") >= 1 &&
        required(figures.systemCallsPerBlock, "system calls per block") < 1.3,
    );
  });

  it("receive: what comes to a seeder is requests, and scatter pays two calls for each", async () => {
    const results = await bench("receive", "--size", "16M", "--runs", "1", "--only", "requests");
    assert.equal(results.trials.length, 4);
    const calls = (mode: string): number =>
      required(figuresOf(results, { mode }).receiveCallsPerRequest, "receive calls per request");
    assert.ok(calls("scatter") > 1.9 && calls("scatter") < 2.3);
    for (const mode of ["contiguous", "speculative", "adaptive"]) assert.ok(calls(mode) < 0.5);
  });

  it("receive and seed: encrypted beside plaintext, and no byte is copied more for it", async () => {
    const run = (verb: "receive" | "seed") =>
      bench(verb, "--size", "16M", "--runs", "1", "--only", "encryption");
    const [received, sent] = [await run("receive"), await run("seed")];
    assert.deepEqual([received.trials.length, sent.trials.length], [4, 6]);
    const copied = (encryption: string, mode: string): number =>
      required(figuresOf(received, { encryption, mode }).copiedBytesPerByte, "copied bytes per byte");
    for (const encryption of ["plaintext", "encrypted"]) {
      assert.equal(copied(encryption, "contiguous"), 1);
      assert.ok(copied(encryption, "speculative") < 0.05, `${copied(encryption, "speculative")} copies`);
      for (const sendMode of ["copy", "mapped", "sendfile"])
        assert.ok(figuresOf(sent, { encryption, sendMode }).cpuSecondsPerGB > 0);
    }
  });

  it("receive: splits the costs, and they make the whole", async () => {
    const results = await bench("receive", "--size", "16M", "--runs", "1", "--only", "costs");
    for (const { figures, subject } of results.trials) {
      if (subject === "limit") continue;
      const { kernel, copying, framing, hashing, writing } = required(figures.costs, "costs");
      const sum = kernel + copying + framing + hashing + writing;
      assert.ok(kernel > 0 && framing >= 0);
      assert.ok(Math.abs(sum / figures.cpuSecondsPerGB - 1) < 0.01, "the parts make the whole");
    }
    const costs = (mode: string, storage: string): NonNullable<LabFigures["costs"]> =>
      required(figuresOf(results, { mode, storage }).costs, "costs");
    assert.equal(costs("speculative", "null").copying, 0);
    assert.ok(costs("contiguous", "null").copying > 0.01);
    assert.equal(costs("speculative", "null").hashing, 0);
    assert.ok(costs("speculative", "file").hashing > 0.05);
    assert.ok(costs("speculative", "file").writing > 0.05);
    assert.equal(costs("speculative", "null").writing, 0);
  });

  it("storage: measures every way, and answers in words", async () => {
    const program = Program.cli(
      "bench",
      "storage",
      "--size",
      "16M",
      "--runs",
      "1",
      "--only",
      "mapped-memory",
    );
    const { status, errors } = await program.result();
    assert.equal(status, 0, errors);
    const words = program.output.replace(/\s+/g, " ");
    assert.match(words, /Is receiving straight into a mapped file cheaper\?/);
    assert.match(words, /in 3 conditions, cheaper in 0, dearer in 0, not told apart in 3/);
    const results = await bench(
      "storage",
      "--size",
      "16M",
      "--runs",
      "1",
      "--only",
      "mapped-disk:file=sparse",
    );
    for (const trial of results.trials) checkSound(trial);
    assert.equal(figuresOf(results, { way: "into the mapping" }).copiedBytesPerByte, 0);
    assert.equal(figuresOf(results, { way: "contiguous, copied to the mapping" }).copiedBytesPerByte, 1);
    assert.equal(figuresOf(results, { way: "pool, pwritev" }).copiedBytesPerByte, 0);
  });

  it("storage: runs of O_DIRECT", async () => {
    const results = await bench("storage", "--size", "16M", "--runs", "1", "--only", "direct-run-length");
    const direct = results.trials.filter(({ axes }) => axes["way"] === "pool, O_DIRECT");
    if (direct.length > 0)
      assert.deepEqual(direct.map(({ axes }) => axes["writeRunBytes"]).sort(), [1048576, 16384, 262144]);
    else assert.match(entryOf(results.omissions, 0).reason, /O_DIRECT/);
  });

  it("seed: counts requests and calls", async () => {
    const only = ["--only", "receive-mode", "--only", "queue:queue=1", "--only", "leechers:leechers=4"];
    const results = await bench("seed", "--size", "16M", "--runs", "1", ...only);
    for (const { figures, axes } of results.trials) {
      // The leecher ends when it has enough; what it had asked for beyond that may have been sent.
      const more = (figures.payloadBytes - SIZE) / 16_384;
      const asked = Number(axes["leechers"]) * Number(axes["queue"]);
      assert.ok(more >= 0 && more <= asked, `${more} blocks more than asked for`);
      assert.ok(
        required(figures.requestsPerSecond, "requests per second") > 0 && figures.cpuSecondsPerGB > 0,
      );
    }
    const scatter = figuresOf(results, { receiveMode: "scatter" });
    assert.ok(
      required(scatter.receiveCallsPerRequest, "receive calls per request") > 1.9 &&
        required(scatter.receiveCallsPerRequest, "receive calls per request") < 2.3,
    );
    const contiguous = figuresOf(results, { receiveMode: "contiguous" });
    assert.ok(required(contiguous.receiveCallsPerRequest, "receive calls per request") < 0.5);
    const alone = figuresOf(results, { queue: 1, sendMode: "mapped" });
    assert.ok(
      Math.abs(required(alone.systemCallsPerBlock, "system calls per block") - 1) < 0.1,
      "one request, one writing call",
    );
    assert.ok(
      Math.abs(required(alone.receiveCallsPerRequest, "receive calls per request") - 1) < 0.1,
      "one request, one receiving call",
    );
  });

  it("wan: no bytes before their time, and no more than the link carries", async () => {
    requireInstalled(NEEDED.libtorrentLibrary);
    const results = await bench(
      ...["wan", "--size", "16M", "--runs", "1", "--rtt", "50", "--rate", "20M", "--peers", "2"],
    );
    assert.deepEqual(results.omissions, []);
    assert.equal(results.trials.length, 4);
    for (const { figures, subject } of results.trials) {
      assert.equal(figures.payloadBytes, SIZE, subject);
      const least = SIZE / (20 * MIB) + 2 * 0.05;
      assert.ok(figures.seconds > least, `${subject}: ${figures.seconds} s are more than ${least}`);
      assert.ok(
        required(figures.linkShare, "link share") > 0 && required(figures.linkShare, "link share") < 1,
      );
    }
  });

  it("goes on where it was interrupted", async () => {
    const output = join(temporaryFolder(after), "results.json");
    const args = ["receive", "--size", "16M", "--runs", "2", "--only", "mode", "-o", output];
    const first = Program.cli("bench", ...args);
    const journal = `${output}.journal`;
    const lines = (): string[] => {
      try {
        return readFileSync(journal, "utf8").trim().split("\n");
      } catch {
        return [];
      }
    };
    while (lines().length < 4) await new Promise((resolve) => setTimeout(resolve, 20));
    first.child.kill("SIGINT");
    assert.equal(await first.ended, 130, first.errors);
    assert.deepEqual(leftBehind(first.child.pid), []);
    const partial = JSON.parse(readFileSync(output, "utf8")) as LabResults;
    assert.ok(partial.trials.length >= 3 && partial.trials.length < 10);
    assert.match(first.errors, /the same command goes on/);
    // A crash in the middle of a line.
    writeFileSync(journal, `${lines().join("\n")}\n{"trial":{"verb"`);
    const { trials } = await bench(...args);
    assert.equal(trials.length, 10);
    const kept = trials.slice(0, partial.trials.length);
    assert.deepEqual(kept, partial.trials, "what was measured is not measured again");
    assert.deepEqual(lines(), [], "a complete run needs no journal");
    const keys = trials.map(({ subject, axes, round }) => JSON.stringify([subject, axes, round]));
    assert.equal(new Set(keys).size, 10, "each trial once");
  });

  it("refuses another run's journal, and a selection that selects nothing", async () => {
    const output = join(temporaryFolder(after), "results.json");
    writeFileSync(
      `${output}.journal`,
      `${JSON.stringify({ schema: 1, verb: "seed", version: "0", size: 1, startedAt: "" })}\n`,
    );
    const other = Program.cli("bench", "receive", "--size", "16M", "-o", output);
    assert.equal(await other.ended, 1);
    assert.match(other.errors, /journal of another run/);
    const nothing = Program.cli("bench", "receive", "--size", "16M", "--only", "nonsense");
    assert.notEqual(await nothing.ended, 0);
    assert.match(nothing.errors, /the groups are mode, depth/);
    const wrong = Program.cli("bench", "seed", "--only", "queue:queue");
    assert.equal(await wrong.ended, 2);
  });
});

describe("the lab's counters", { timeout: 600_000 }, () => {
  it("are those of strace -c, for each mode and for the limit", async () => {
    requireInstalled(NEEDED.strace);
    const folder = temporaryFolder(after);
    const data = join(folder, "data.bin");
    writeFileSync(data, bytesOf(7, SIZE));
    const torrent = join(folder, "data.torrent");
    writeFileSync(torrent, await createTorrentFile(data));
    const program = (name: string): string =>
      fileURLToPath(new URL(`../../bench/${name}.js`, import.meta.url));
    const seeder = new Program(process.execPath, [
      program("load/load-seeder"),
      torrent,
      data,
      "--have-every",
      "4",
    ]);
    after(() => seeder.stop("SIGINT"));
    const { host, port } = await seeder.line("event");
    const peer = `${host}:${port}`;
    const trial = (receiveMode: string): string[] => [
      program("measuring/trial-receive"),
      JSON.stringify({
        torrent,
        peers: [peer],
        session: { receiveMode },
        storage: "null",
        options: { verify: false },
      }),
    ];
    const subjects: [string, string[]][] = [
      ["the limit", [program("measuring/limit"), torrent, peer, "--have-every", "4"]],
      ...["contiguous", "scatter", "speculative"].map((mode): [string, string[]] => [mode, trial(mode)]),
    ];
    for (const [name, args] of subjects) {
      const log = join(folder, "strace");
      const traced = new Program("strace", [
        ...["-f", "-c", "-qq", "-e", "trace=readv", "-o", log, process.execPath],
        ...args,
      ]);
      const { status, last, errors } = await traced.result();
      assert.equal(status, 0, errors);
      const line = required(
        readFileSync(log, "utf8")
          .split("\n")
          .find((each) => each.trimEnd().endsWith(" readv")),
        "one of split",
      );
      const calls = Number(line.trim().split(/\s+/)[3]);
      assert.equal(Math.round(Number(last["systemCallsPerBlock"]) * BLOCKS), calls, name);
    }
  });
});
