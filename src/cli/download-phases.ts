// What a download shows while it works: that it looks for metadata, as long as one of its torrents has none; then how far checking is; then
// how far the download is. Several torrents are shown as one.

import type { Session, Torrent } from "../index.js";
import { describeMetadata } from "./metadata.js";
import { formatBytes, note, printJson } from "./output.js";
import { DETAIL_MARGIN, Progress, WIDTH_DEFAULT } from "./progress.js";

const LABELS = ["looking for metadata", "checking", "downloading"] as const;
type Label = (typeof LABELS)[number];

/** Letters of the map of pieces; with fewer it says nothing. */
const MAP_WIDTH = 40;
const MAP_WIDTH_MIN = 10;
const MAP_LETTERS = [" ", ".", ":", "+", "#"] as const;

/** Pieces of a part that are looked at, at the most: torrents may have millions. */
const MAP_LOOKS = 64;

/** How many pieces there are, and where there is room how much of each part of them, in their order: nothing, some, all. */
function describePieces(torrents: readonly Torrent[], done: number, total: number, columns: number): string {
  const text = `${done} of ${total} pieces`;
  const room = Math.min(MAP_WIDTH, columns - DETAIL_MARGIN - text.length - " []".length);
  // Of several torrents there is no map.
  const [first] = torrents;
  if (first === undefined || torrents.length > 1 || room < MAP_WIDTH_MIN) return text;
  return `${text} [${pieceMap(first, room)}]`;
}

function pieceMap({ have }: Torrent, width: number): string {
  const parts = Math.min(width, have.pieceCount);
  let letters = "";
  for (let part = 0; part < parts; part++) {
    const from = Math.floor((part * have.pieceCount) / parts);
    const to = Math.floor(((part + 1) * have.pieceCount) / parts);
    const step = Math.max(1, Math.floor((to - from) / MAP_LOOKS));
    let [looked, got] = [0, 0];
    for (let piece = from; piece < to; piece += step) {
      looked++;
      if (have.has(piece)) got++;
    }
    letters += MAP_LETTERS[Math.floor(((MAP_LETTERS.length - 1) * got) / looked)] ?? "";
  }
  return letters;
}

function countSources(torrents: readonly Torrent[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const torrent of torrents)
    for (const { source } of torrent.peers()) counts[source] = (counts[source] ?? 0) + 1;
  return counts;
}

function describeSources(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).sort(([, a], [, b]) => b - a);
  return parts.length === 0 ? "nobody yet" : parts.map(([name, count]) => `${name} ${count}`).join(", ");
}

export class Phases {
  readonly #session: Session;
  readonly #torrents: readonly Torrent[];
  readonly #json: boolean;
  #label: Label | undefined;
  #progress: Progress | undefined;

  constructor(session: Session, torrents: readonly Torrent[], json: boolean) {
    this.#session = session;
    this.#torrents = torrents;
    this.#json = json;
    for (const torrent of torrents) {
      torrent.on("checking", () => this.update());
      torrent.on("metadataProgress", (progress) => {
        if (json) printJson({ event: "metadata", ...progress });
        else note(describeMetadata(progress));
      });
    }
    this.update();
  }

  update(): void {
    const label = this.#now();
    const all = this.#torrents.map((torrent) => torrent.progress());
    const sum = (of: (progress: (typeof all)[number]) => number): number =>
      all.reduce((total, progress) => total + of(progress), 0);
    // What is not selected is looked at, and not fetched.
    const total =
      label === "checking" ? sum(({ bytesTotal }) => bytesTotal) : sum(({ bytesWanted }) => bytesWanted);
    if (label !== this.#label) {
      this.#progress?.stop();
      const end = label === "looking for metadata" ? {} : { total };
      this.#progress = new Progress({ label, ...end, json: this.#json });
      this.#label = label;
    }
    const peers = sum((each) => each.peers);
    if (label === "looking for metadata") this.#progress?.update({ bytes: 0, peers });
    else if (label === "checking")
      this.#progress?.update({ bytes: sum(({ checked, bytesTotal }) => checked * bytesTotal) });
    else {
      const movedBytes = this.#session.counters().payloadBytes;
      const bytes = sum(({ bytesWanted, bytesMissing }) => bytesWanted - bytesMissing);
      const pieces = { done: sum((each) => each.piecesVerified), total: sum((each) => each.pieceCount) };
      const uploadRate = sum((each) => each.uploadRate);
      this.#progress?.update({
        ...{ bytes, movedBytes, peers },
        details: () => [
          describePieces(this.#torrents, pieces.done, pieces.total, process.stderr.columns ?? WIDTH_DEFAULT),
          `sending ${formatBytes(uploadRate)}/s, ${formatBytes(this.#session.counters().sentPayloadBytes)} sent`,
          `peers of ${describeSources(countSources(this.#torrents))}`,
        ],
        fields: () => ({
          piecesVerified: pieces.done,
          pieceCount: pieces.total,
          uploadBytesPerSecond: Math.round(uploadRate),
          peersBySource: countSources(this.#torrents),
        }),
      });
    }
  }

  stop(): void {
    this.#progress?.stop();
  }

  /** That of the torrent that is least far; it never goes back. */
  #now(): Label {
    const states = this.#torrents.map(({ state }) => state);
    if (states.includes("metadata")) return LABELS[0];
    return states.includes("checking") ? LABELS[1] : LABELS[2];
  }
}
