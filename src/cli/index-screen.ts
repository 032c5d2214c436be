// What an indexer does, drawn again and again where standard error is a terminal: rates, what is under way, and the torrents that came last.
//
// Always: each line is shorter than the terminal is wide, and the cursor waits at the beginning of the first: what else is printed stands above.

import type { IndexerStats, StoreStats } from "../indexer/index.js";
import { cutToColumns } from "./columns.js";
import { formatBytes, formatDuration, setStatusLine } from "./output.js";

export interface FoundLine {
  readonly name: string;
  readonly bytes: number;
  readonly fileCount: number;
}

const LAST_MAX = 8;
/** Rates are those of so long. */
const WINDOW_MS = 60_000;
const WIDTH_DEFAULT = 80;
const CLEAR_TO_END = "\u001b[J";

interface Point {
  readonly atMs: number;
  readonly figures: Readonly<Record<string, number>>;
}

export class IndexScreen {
  readonly #stream: NodeJS.WriteStream;
  readonly #nowMs: () => number;
  readonly #startedMs: number;
  readonly #last: FoundLine[] = [];
  readonly #points: Point[] = [];
  #lines: readonly string[] = [];

  constructor(stream: NodeJS.WriteStream, nowMs: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#nowMs = nowMs;
    this.#startedMs = nowMs();
    setStatusLine({ hide: () => stream.write(CLEAR_TO_END), show: () => this.#show() });
  }

  found(torrent: FoundLine): void {
    this.#last.unshift(torrent);
    this.#last.length = Math.min(this.#last.length, LAST_MAX);
  }

  draw(stats: IndexerStats, total: StoreStats | undefined): void {
    const nowMs = this.#nowMs();
    const { counters, dht, fetcher } = stats;
    const figures = {
      lookups: counters.lookupsConverged,
      stored: counters.stored,
      queries: dht.counters.queriesSent,
      connected: fetcher.connected,
      hashes: counters.hashesNew,
    };
    this.#points.push({ atMs: nowMs, figures });
    while (this.#points.length > 2 && nowMs - (this.#points[0]?.atMs ?? nowMs) > WINDOW_MS)
      this.#points.shift();
    const per10Minutes = (name: keyof typeof figures): string => {
      const [first] = this.#points;
      const seconds = (nowMs - (first?.atMs ?? nowMs)) / 1000;
      return seconds < 1 ? "–" : grouped((600 * (figures[name] - (first?.figures[name] ?? 0))) / seconds);
    };
    this.#lines = [
      `${total === undefined ? "the store does not answer" : `${grouped(total.torrents)} torrents in ${formatBytes(total.storeBytes)}, ${grouped(total.hashes)} hashes known`}; running ${formatDuration((nowMs - this.#startedMs) / 1000)}`,
      `in 10 minutes   ${per10Minutes("stored")} torrents, ${per10Minutes("lookups")} lookups, ${per10Minutes("hashes")} new hashes`,
      `sent            ${per10Minutes("queries")} queries and ${per10Minutes("connected")} connections in 10 minutes`,
      `under way       ${stats.lookupsUnderWay} hashes, ${stats.fetchesUnderWay} fetches over ${stats.connections} connections`,
      `waiting         ${grouped(stats.hashesWaiting)} hashes and ${stats.outcomesWaiting} outcomes to be written; ${counters.failed} hashes that nobody had`,
      `the DHT         ${dht.contacts} nodes known${dht.externalAddress === undefined ? "" : `, who see us at ${dht.externalAddress}`}`,
      ...this.#last.map(
        ({ name, bytes, fileCount }) =>
          `  ${formatBytes(bytes).padStart(9)} ${String(fileCount).padStart(5)} file${fileCount === 1 ? " " : "s"}  ${name}`,
      ),
    ];
    this.#stream.write(CLEAR_TO_END);
    this.#show();
  }

  /** Takes it away. */
  close(): void {
    setStatusLine(undefined);
    this.#stream.write(CLEAR_TO_END);
  }

  #show(): void {
    if (this.#lines.length === 0) return;
    const width = (this.#stream.columns ?? WIDTH_DEFAULT) - 1;
    const rows = Math.max(1, (this.#stream.rows ?? LAST_MAX + this.#lines.length) - 1);
    const lines = this.#lines.slice(0, rows).map((line) => cutToColumns(line, width));
    this.#stream.write(`${lines.join("\n")}\r${lines.length > 1 ? `\u001b[${lines.length - 1}A` : ""}`);
  }
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
