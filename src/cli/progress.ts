// How far a verb is, told while it works: a line that is drawn again and again where standard error is a terminal, else a line
// of text every few seconds, and with --json an event on standard output.
//
// Always: each line is shorter than the terminal is wide, and the cursor waits at the beginning of the first. So when a window becomes
// narrower and the terminal folds the line, all of its rows are from the cursor on, and the next drawing clears them. Rate
// and time left are those of this run: what was there before it does not count.

import { entryOf, present } from "../base/assert.js";
import { formatBytes, formatClock, printJson, setStatusLine } from "./output.js";

/** How far it is now. */
export interface ProgressSample {
  /** Bytes that are done, of the total; for a seed, bytes that were sent. */
  readonly bytes: number;
  /** Bytes that came or went in this run, whatever became of them: what the rate is of. Default: `bytes`, less those at the start. */
  readonly movedBytes?: number;
  readonly peers?: number;
  /** Asked for more of it, a line each, where a terminal has room: most samples are told nobody. */
  readonly details?: () => readonly string[];
  /** Asked for more of it for an event. */
  readonly fields?: () => Readonly<Record<string, unknown>>;
}

export interface ProgressOptions {
  /** What is done: "downloading", "checking". */
  readonly label: string;
  /** Bytes in all; undefined where there is no end to it. */
  readonly total?: number;
  readonly json: boolean;
  readonly stream?: NodeJS.WriteStream;
  readonly nowMs?: () => number;
}

const DRAW_MS = 200;
const JSON_MS = 1000;
const TEXT_MS = 5000;
/** The rate is that of so long: long enough for large pieces to be no steps, short enough to follow a change. */
const RATE_WINDOW_MS = 10_000;
/** From less than this no rate is told. */
const RATE_MS_MIN = 100;
export const WIDTH_DEFAULT = 80;
const BAR_WIDTH_MIN = 10;
const BAR_WIDTH_MAX = 40;
const CLEAR_TO_END = "\u001b[J";
const CLEAR_LINE = "\u001b[K";
const ROWS_DEFAULT = 24;
/** Columns that a detail does not have: those before it, and the last. */
export const DETAIL_MARGIN = 3;
/** On a narrower terminal there is one line. */
const WIDTH_OF_DETAILS_MIN = 40;

interface Point {
  readonly atMs: number;
  readonly bytes: number;
}

/** What is told, in numbers. */
export interface ProgressFigures {
  readonly label: string;
  readonly bytes: number;
  readonly total: number | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly secondsLeft: number | undefined;
  readonly peers: number | undefined;
}

export class Progress {
  readonly #options: ProgressOptions;
  readonly #stream: NodeJS.WriteStream;
  readonly #nowMs: () => number;
  readonly #points: Point[] = [];
  #startBytes: number | undefined;
  #figures: ProgressFigures | undefined;
  #details: () => readonly string[] = () => [];
  #fields: () => Readonly<Record<string, unknown>> = () => ({});
  #toldMs: number;
  #toldBytes = -1;
  #toldPeers = -1;
  #stopped = false;
  readonly #onResize = (): void => this.#draw();

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#stream = options.stream ?? process.stderr;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#toldMs = this.#nowMs();
    if (!this.#isDrawn) return;
    this.#stream.on("resize", this.#onResize);
    setStatusLine({ hide: () => this.#stream.write(CLEAR_TO_END), show: () => this.#draw() });
  }

  /** May be called as often as one likes: it is told as often as makes sense. */
  update(sample: ProgressSample): void {
    if (this.#stopped) return;
    const now = this.#nowMs();
    this.#startBytes ??= sample.bytes;
    const moved = sample.movedBytes ?? sample.bytes - this.#startBytes;
    const bytesPerSecond = this.#rate(now, moved);
    if (sample.details !== undefined) this.#details = sample.details;
    if (sample.fields !== undefined) this.#fields = sample.fields;
    const { label, total } = this.#options;
    const left = total === undefined ? undefined : total - sample.bytes;
    this.#figures = {
      ...{ label, total, bytesPerSecond, peers: sample.peers, bytes: sample.bytes },
      // Without anybody to bring them, nobody knows when the rest will come.
      secondsLeft:
        left === undefined || sample.peers === 0 || !bytesPerSecond ? undefined : left / bytesPerSecond,
    };
    this.#tell(now);
  }

  /** Takes the line away. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    if (!this.#isDrawn) return;
    setStatusLine(undefined);
    this.#stream.off("resize", this.#onResize);
    if (this.#figures !== undefined) this.#stream.write(CLEAR_TO_END);
  }

  get #isDrawn(): boolean {
    return !this.#options.json && this.#stream.isTTY === true;
  }

  /** Bytes per second over the window; undefined until something has moved for long enough to tell. */
  #rate(now: number, moved: number): number | undefined {
    const points = this.#points;
    // As long as nothing moves, the clock has not begun: waiting for a peer is not slowness.
    if (moved === 0) points.length = 0;
    const last = points.at(-1);
    if (last === undefined || now - last.atMs >= RATE_MS_MIN) points.push({ atMs: now, bytes: moved });
    while (points.length > 2 && now - entryOf(points, 1).atMs >= RATE_WINDOW_MS) points.shift();
    const first = entryOf(points, 0);
    if (now - first.atMs < RATE_MS_MIN) return undefined;
    return (1000 * (moved - first.bytes)) / (now - first.atMs);
  }

  #tell(now: number): void {
    const { json } = this.#options;
    const figures = present(this.#figures, "what is told was noted");
    const pauseMs = json ? JSON_MS : this.#isDrawn ? DRAW_MS : TEXT_MS;
    if (now - this.#toldMs < pauseMs) return;
    // What goes on without end tells only what is new, so that a log does not grow while nothing happens.
    const isNews = figures.bytes !== this.#toldBytes || figures.peers !== this.#toldPeers;
    if (!isNews && this.#options.total === undefined && !this.#isDrawn) return;
    this.#toldMs = now;
    this.#toldBytes = figures.bytes;
    this.#toldPeers = figures.peers ?? 0;
    if (json) printJson({ ...progressEvent(figures), ...this.#fields() });
    else if (this.#isDrawn) this.#draw();
    else this.#stream.write(`${progressText(figures)}\n`);
  }

  #draw(): void {
    if (this.#figures === undefined || this.#stopped) return;
    const width = this.#stream.columns ?? WIDTH_DEFAULT;
    const room = (this.#stream.rows ?? ROWS_DEFAULT) - 2;
    const details = width < WIDTH_OF_DETAILS_MIN ? [] : this.#details().slice(0, Math.max(0, room));
    const lines = [
      progressLine(this.#figures, width),
      ...details.map((text) => `  ${cut(text, width - DETAIL_MARGIN)}`),
    ];
    // Each is cleared to its end, and below the last there is nothing; the cursor goes back to the first.
    const up = lines.length > 1 ? `\u001b[${lines.length - 1}A` : "";
    this.#stream.write(`${lines.join(`${CLEAR_LINE}\n`)}${CLEAR_TO_END}\r${up}`);
  }
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** One line of text where somebody watches, rewritten in place, cut to the terminal's width, and gone at the end. */
export class TextLine {
  readonly #stream: NodeJS.WriteStream;
  #text = "";

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.on("resize", this.#draw);
    setStatusLine({ hide: () => stream.write(CLEAR_TO_END), show: this.#draw });
  }

  readonly #draw = (): void => {
    const width = this.#stream.columns ?? WIDTH_DEFAULT;
    const cut = this.#text.length < width ? this.#text : `${this.#text.slice(0, width - 2)}…`;
    this.#stream.write(`${cut}${CLEAR_TO_END}\r`);
  };

  show(text: string): void {
    this.#text = text;
    this.#draw();
  }

  stop(): void {
    setStatusLine(undefined);
    this.#stream.off("resize", this.#draw);
    this.#stream.write(CLEAR_TO_END);
  }
}

/** The line for a terminal of `width` columns: shorter than that, and with as much in it as fits. */
export function progressLine(figures: ProgressFigures, width: number): string {
  const { label, bytes, total, bytesPerSecond, secondsLeft, peers } = figures;
  const room = width - 1;
  const rate = bytesPerSecond === undefined ? "" : `${formatBytes(bytesPerSecond)}/s`;
  const peersLong = peers === undefined ? "" : peersText(peers);
  const peersShort = peers === undefined ? "" : `${peers}p`;
  if (total === undefined) {
    const sent = `${formatBytes(bytes)} sent`;
    return firstFitting(
      [
        [label, peersLong, rate, sent],
        [peersLong, rate, sent],
        [peersLong, rate],
      ],
      "  ",
      room,
    );
  }
  const percent = percentOf(bytes, total);
  const left = secondsLeft === undefined ? "" : formatClock(secondsLeft);
  const eta = left === "" ? "" : `ETA ${left}`;
  const long = join([percent, amount(bytes, total, " of "), rate, peersLong, eta], "  ");
  const barWidth = Math.min(BAR_WIDTH_MAX, room - label.length - long.length - 4);
  if (barWidth >= BAR_WIDTH_MIN) return `${label}  ${bar(bytes / total, barWidth)}  ${long}`;
  const short = amount(bytes, total, "/");
  return firstFitting(
    [
      [`${label} `, percent, amount(bytes, total, " of "), rate, peersLong, eta],
      [percent, amount(bytes, total, " of "), rate, peersLong, eta],
      [percent, short, rate, peersShort, eta],
      [percent, short, rate, peersShort, left],
      [percent, short, rate, left],
      [percent, rate, left],
    ],
    " ",
    room,
  );
}

/** The same in words, for a log. */
function progressText({ label, bytes, total, bytesPerSecond, secondsLeft, peers }: ProgressFigures): string {
  const parts = [
    total === undefined
      ? `${formatBytes(bytes)} sent`
      : `${percentOf(bytes, total)} of ${formatBytes(total)}`,
    bytesPerSecond === undefined ? "" : `${formatBytes(bytesPerSecond)}/s`,
    peers === undefined ? "" : peersText(peers),
    secondsLeft === undefined ? "" : `ETA ${formatClock(secondsLeft)}`,
  ];
  return `${label}: ${join(parts, ", ")}`;
}

/** What --json tells. Bytes are whole: a check knows its progress as a fraction. */
export function progressEvent(figures: ProgressFigures): Record<string, unknown> {
  const { label, bytes, total, bytesPerSecond, secondsLeft, peers } = figures;
  return {
    event: "progress",
    doing: label,
    bytes: Math.floor(bytes),
    ...(total === undefined ? {} : { totalBytes: total }),
    bytesPerSecond: Math.round(bytesPerSecond ?? 0),
    ...(total === undefined
      ? {}
      : { secondsLeft: secondsLeft === undefined ? null : Math.ceil(secondsLeft) }),
    ...(peers === undefined ? {} : { peers }),
  };
}

function firstFitting(choices: readonly (readonly string[])[], between: string, room: number): string {
  for (const parts of choices) {
    const line = join(parts, between);
    if (line.length <= room) return line;
  }
  return join(choices.at(-1) ?? [], between).slice(0, Math.max(0, room));
}

function join(parts: readonly string[], between: string): string {
  return parts.filter((part) => part !== "").join(between);
}

/** "1.23 of 2.15 GB": the unit once where both have the same. */
function amount(bytes: number, total: number, between: string): string {
  const [done, all] = [formatBytes(bytes), formatBytes(total)];
  const unit = all.slice(all.indexOf(" "));
  return `${done.endsWith(unit) ? done.slice(0, -unit.length) : done}${between}${all}`;
}

/** Whole, and 100 % only when nothing is left. */
function percentOf(bytes: number, total: number): string {
  return `${total === 0 ? 100 : Math.floor((100 * bytes) / total)}%`;
}

function peersText(peers: number): string {
  return `${peers} peer${peers === 1 ? "" : "s"}`;
}

function bar(fraction: number, width: number): string {
  const inside = width - 2;
  const full = Math.min(inside, Math.floor(fraction * inside));
  return `[${"=".repeat(full)}${" ".repeat(inside - full)}]`;
}
