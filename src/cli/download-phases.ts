// What a download shows while it works: that it looks for metadata, as long as one of its torrents has none; then how far checking is; then
// how far the download is. Several torrents are shown as one.

import type { Session, Torrent } from "../index.js";
import { describeMetadata } from "./metadata.js";
import { note, printJson } from "./output.js";
import { Progress } from "./progress.js";

const LABELS = ["looking for metadata", "checking", "downloading"] as const;
type Label = (typeof LABELS)[number];

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
    const total = sum(({ bytesTotal }) => bytesTotal);
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
      this.#progress?.update({ bytes: sum(({ bytesVerified }) => bytesVerified), movedBytes, peers });
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
