// What is told while a verb works: the line for every width, rates and times of this run only, and what a log or a program gets.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatClock, formatDuration, note } from "../../../src/cli/output.js";
import { Progress, type ProgressFigures, progressEvent, progressLine } from "../../../src/cli/progress.js";
import { entryOf } from "../../support/required.js";

/** Erases from the cursor to the end of the screen. */
const CLEAR = "\u001b[J";

const FIGURES: ProgressFigures = {
  label: "downloading",
  bytes: 1.23e9,
  total: 2.15e9,
  bytesPerSecond: 512.3e6,
  secondsLeft: 12,
  peers: 3,
};

/** A terminal of `columns`, or a pipe, that keeps what was written to it. */
class FakeStream extends EventEmitter {
  written = "";
  readonly isTTY: boolean;
  columns: number | undefined;

  constructor(columns?: number) {
    super();
    this.isTTY = columns !== undefined;
    this.columns = columns;
  }

  write(text: string): boolean {
    this.written += text;
    return true;
  }

  /** What was drawn last, without what clears behind it. */
  get line(): string {
    return entryOf((this.written.split("\r").at(-2) ?? "").split("\n"), -1).replace(CLEAR, "");
  }
}

/** Progress over a clock of its own. */
function watch(
  columns: number | undefined,
  total: number | undefined,
): { stream: FakeStream; progress: Progress; at: (ms: number) => void } {
  const stream = new FakeStream(columns);
  let now = 0;
  const progress = new Progress({
    ...{ label: total === undefined ? "seeding" : "downloading", json: false, nowMs: () => now },
    ...(total === undefined ? {} : { total }),
    stream: stream as unknown as NodeJS.WriteStream,
  });
  return {
    stream,
    progress,
    at: (ms) => {
      now = ms;
    },
  };
}

describe("the lines below it", () => {
  const draw = (columns: number, rows?: number): string => {
    const { stream, progress, at } = watch(columns, 100);
    if (rows !== undefined) (stream as { rows?: number }).rows = rows;
    const details = ["3 of 7 pieces", "x".repeat(200), "peers of dht 5, tracker 2"];
    at(1000);
    progress.update({ bytes: 50, peers: 1, details: () => details });
    progress.stop();
    return stream.written;
  };

  it("are as many as there is room for, none of them wider than the terminal, and gone at the end", () => {
    const written = draw(60, 30);
    const drawn = written.slice(0, written.indexOf("\r"));
    const lines = drawn.split("\n").map((line) => line.replace(CLEAR, "").replace("\u001b[K", ""));
    assert.equal(lines.length, 4);
    assert.ok(
      lines.every(({ length }) => length < 60),
      lines.join("|"),
    );
    assert.match(entryOf(lines, 1), /3 of 7 pieces/);
    assert.match(entryOf(lines, 3), /peers of dht 5, tracker 2/);
    assert.ok(written.includes(`${CLEAR}\r\u001b[3A`), "the cursor waits where the first begins");
    assert.ok(written.endsWith(CLEAR));
    assert.equal(draw(60, 4).slice(0, written.indexOf("\r")).split("\n").length, 3);
  });

  it("are put together where they are shown, and not for each sample", () => {
    const { progress, at } = watch(60, 100);
    let asked = 0;
    const details = (): string[] => [`asked ${++asked} times`];
    for (let ms = 0; ms < 1000; ms += 10) {
      at(ms);
      progress.update({ bytes: ms / 10, peers: 1, details });
    }
    progress.stop();
    assert.equal(asked, 4, "drawn each 200 ms");
    const log = watch(undefined, 100);
    log.at(10_000);
    log.progress.update({ bytes: 50, peers: 1, details });
    log.progress.stop();
    assert.equal(asked, 4, "a log has none");
  });

  it("are none on a narrow terminal", () => {
    assert.equal(draw(39).includes("\n"), false);
    assert.equal(draw(39).includes("pieces"), false);
  });
});

describe("the progress line", () => {
  it("has bytes, total, rate, peers and time left at 80 columns", () => {
    for (const part of ["57%", "1.23 of 2.15 GB", "512.3 MB/s", "3 peers", "ETA 0:12"])
      assert.ok(progressLine(FIGURES, 80).includes(part), `${part} in ${progressLine(FIGURES, 80)}`);
  });

  it("has all of them at 40 columns too, shorter", () => {
    assert.equal(progressLine(FIGURES, 40), "57% 1.23/2.15 GB 512.3 MB/s 3p ETA 0:12");
  });

  it("is shorter than any terminal is wide, and tells how long it takes down to 40 columns", () => {
    const figures = fc.record({
      label: fc.constantFrom("downloading", "checking", "hashing"),
      bytes: fc.double({ min: 0, max: 1, noNaN: true }),
      total: fc.integer({ min: 1, max: 2 ** 50 }),
      bytesPerSecond: fc.double({ min: 0, max: 2e10, noNaN: true }),
      secondsLeft: fc.double({ min: 0, max: 1e9, noNaN: true }),
      peers: fc.integer({ min: 0, max: 5000 }),
    });
    fc.assert(
      fc.property(figures, fc.integer({ min: 1, max: 200 }), (each, width) => {
        const line = progressLine({ ...each, bytes: Math.floor(each.bytes * each.total) }, width);
        assert.ok(line.length < width, `${line.length} of ${width}: ${line}`);
        if (width >= 40) assert.ok(line.endsWith(formatClock(each.secondsLeft)), line);
        if (width >= 40) assert.match(line, /%/);
      }),
    );
  });

  it("says nothing of what it does not know", () => {
    const unknown = { ...FIGURES, bytes: 0, bytesPerSecond: undefined, secondsLeft: undefined, peers: 0 };
    assert.equal(progressLine(unknown, 48), "downloading  0% 0 B of 2.15 GB 0 peers");
  });

  it("of a seed has peers, rate and what was sent", () => {
    const seeding = { ...FIGURES, label: "seeding", total: undefined, secondsLeft: undefined };
    assert.equal(progressLine(seeding, 80), "seeding  3 peers  512.3 MB/s  1.23 GB sent");
    assert.equal(progressLine(seeding, 40), "3 peers  512.3 MB/s  1.23 GB sent");
  });
});

describe("progress on a terminal", () => {
  it("counts this run only: what was there before makes it neither faster nor nearer", () => {
    const { stream, progress, at } = watch(80, 1000e6);
    progress.update({ bytes: 600e6, movedBytes: 0, peers: 1 });
    at(1000);
    progress.update({ bytes: 600e6, movedBytes: 0, peers: 1 });
    at(2000);
    progress.update({ bytes: 610e6, movedBytes: 10e6, peers: 1 });
    assert.match(stream.line, /10\.0 MB\/s {2}1 peer {2}ETA 0:39$/);
  });

  it("begins with the rate that there is, and does not creep up to it", () => {
    const { stream, progress, at } = watch(80, 1000e6);
    // Five seconds without a peer are no slowness.
    for (let ms = 0; ms <= 5000; ms += 200) {
      at(ms);
      progress.update({ bytes: 0, movedBytes: 0, peers: 0 });
    }
    for (let ms = 5200; ms <= 5800; ms += 200) {
      at(ms);
      progress.update({ bytes: 0, movedBytes: (ms - 5000) * 50e3, peers: 1 });
    }
    assert.match(stream.line, / 50\.0 MB\/s /);
  });

  it("follows a change within its window, and knows no time when nothing comes", () => {
    const { stream, progress, at } = watch(80, 1000e6);
    let moved = 0;
    for (let ms = 0; ms <= 20_000; ms += 200) {
      at(ms);
      moved += 20e3;
      progress.update({ bytes: moved, peers: 1 });
    }
    assert.match(stream.line, / 100\.0 kB\/s /);
    for (let ms = 20_200; ms <= 33_000; ms += 200) {
      at(ms);
      progress.update({ bytes: moved, peers: 0 });
    }
    assert.match(stream.line, / 0 B\/s {2}0 peers$/);
  });

  it("is drawn from the first column, clears what is behind it, and leaves the cursor where a fold begins", () => {
    const { stream, progress, at } = watch(80, 1000);
    at(300);
    progress.update({ bytes: 500 });
    assert.equal(stream.written, `${stream.line}${CLEAR}\r`);
    const wide = stream.line.length;
    stream.columns = 40;
    stream.emit("resize");
    assert.ok(stream.line.length < 40 && wide < 80, stream.line);
    progress.stop();
    assert.ok(stream.written.endsWith(`\r${CLEAR}`), "the line is taken away");
    assert.equal(stream.listenerCount("resize"), 0);
  });

  it("makes room for a note, and comes back below it", (context) => {
    const { stream, progress, at } = watch(80, 1000);
    context.mock.method(process.stderr, "write", (text: string) => stream.write(text));
    at(300);
    progress.update({ bytes: 500 });
    stream.written = "";
    note("careful");
    progress.stop();
    assert.equal(stream.written, `${CLEAR}careful\n${stream.line}${CLEAR}\r${CLEAR}`);
  });
});

describe("progress without a terminal", () => {
  it("is a line every few seconds", () => {
    const { stream, progress, at } = watch(undefined, 1000e6);
    for (let ms = 0; ms <= 11_000; ms += 200) {
      at(ms);
      progress.update({ bytes: ms * 10e3, peers: 2 });
    }
    progress.stop();
    assert.equal(
      stream.written,
      "downloading: 5% of 1.00 GB, 10.0 MB/s, 2 peers, ETA 1:35\ndownloading: 10% of 1.00 GB, 10.0 MB/s, 2 peers, ETA 1:30\n",
    );
  });

  it("of a seed says only what is new, so that a log does not grow while nothing happens", () => {
    const { stream, progress, at } = watch(undefined, undefined);
    for (let ms = 0; ms <= 60_000; ms += 500) {
      at(ms);
      progress.update({ bytes: ms < 30_000 ? 0 : 5000, peers: ms < 30_000 ? 0 : 1 });
    }
    assert.deepEqual(stream.written.split("\n").length - 1, 2);
    assert.match(stream.written, /^seeding: 0 B sent, 0 peers\nseeding: 5\.00 kB sent, .*1 peer\n$/);
  });
});

describe("times for a person", () => {
  const clocks: [number, string][] = [
    [0, "0:00"],
    [6.1, "0:07"],
    [754, "12:34"],
    [3723, "1:02:03"],
    [359_999, "99:59:59"],
    [360_000, "4 d"],
    [1e12, "> 27 yr"],
  ];
  for (const [seconds, text] of clocks)
    it(`${seconds} s left are ${text}`, () => assert.equal(formatClock(seconds), text));

  const durations: [number, string][] = [
    [0.04, "0.0 s"],
    [5.24, "5.2 s"],
    [9.96, "10 s"],
    [59.6, "1 min 0 s"],
    [192, "3 min 12 s"],
    [7500, "2 h 5 min"],
  ];
  for (const [seconds, text] of durations)
    it(`${seconds} s took ${text}`, () => assert.equal(formatDuration(seconds), text));
});

describe("the progress event", () => {
  it("has whole bytes, also where the progress is known as a fraction", () => {
    const event = progressEvent({ ...FIGURES, bytes: 9_754_500.818 });
    assert.equal(event["bytes"], 9_754_500);
    assert.equal(event["totalBytes"], FIGURES.total);
  });
});
