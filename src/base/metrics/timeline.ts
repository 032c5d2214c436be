// What happened when, as a file that Perfetto and chrome://tracing open: the JSON of Chrome's trace events. Tracks are the loop, the work
// that it gave to other threads, and each peer.
//
// Always: the file is bounded, and whole or not it can be opened: readers of the format take an array that does not end. Only who asked for
// it pays for it: without a timeline nobody looks at a clock.

import { BoundedFile } from "../bounded-file.js";
import type { Ground } from "../ground.js";
import { KIB, MIB } from "../limits.js";
import type { TraceSink } from "./trace.js";

const BYTES_MAX = 256 * MIB;
const CHUNK_BYTES = 64 * KIB;
/** Names whose tracks are known: beyond, one that comes again gets another track. */
const TRACKS_MAX = 65_536;
const LOOP_TRACK = 1;
const MICROSECONDS_PER_MS = 1000;

export class Timeline {
  readonly #file: BoundedFile;
  readonly #ground: Pick<Ground, "nowMs">;
  readonly #sinceMs: number;
  readonly #tracks = new Map<string, number>();
  #trackCount = LOOP_TRACK;
  #text = "[\n";
  /** For connections: each state and message is an instant of its peer's track. */
  readonly sink: TraceSink = (peer, event, details) =>
    this.instant(this.track(peer), event === "message" ? `message ${String(details["id"])}` : event, details);

  /** Throws UsageError `USAGE_OPTION` if there is such a file already, or none can be made. */
  constructor(path: string, ground: Pick<Ground, "nowMs">, warn: (text: string) => void) {
    this.#ground = ground;
    this.#sinceMs = ground.nowMs();
    this.#file = new BoundedFile(path, BYTES_MAX, {
      ends: (why, reason) => {
        warn(
          reason === "empty"
            ? `nothing is traced: ${path} ${why}`
            : `the trace ends: ${path} ${why}; what is in it can be opened`,
        );
        return Buffer.from("{}]\n");
      },
    });
    this.#name(LOOP_TRACK, "loop");
  }

  /** Milliseconds, for slices. */
  nowMs(): number {
    return this.#ground.nowMs();
  }

  /** The track of this name. */
  track(name: string): number {
    const known = this.#tracks.get(name);
    if (known !== undefined) return known;
    if (this.#tracks.size === TRACKS_MAX) this.#tracks.clear();
    const track = ++this.#trackCount;
    this.#tracks.set(name, track);
    this.#name(track, name);
    return track;
  }

  /** Something that took from `startMs` until now, on a track; 1 is the loop's. */
  slice(track: number, name: string, startMs: number, args: object): void {
    const duration = (this.nowMs() - startMs) * MICROSECONDS_PER_MS;
    const ts = this.#microseconds(startMs);
    this.#add({ ph: "X", pid: 1, tid: track, ts, dur: Math.round(duration * 10) / 10, name, args });
  }

  turn(startMs: number, args: object): void {
    this.slice(LOOP_TRACK, "turn", startMs, args);
    this.#flush(CHUNK_BYTES);
  }

  instant(track: number, name: string, args: object): void {
    this.#add({ ph: "i", s: "t", pid: 1, tid: track, ts: this.#microseconds(this.nowMs()), name, args });
  }

  /** Work elsewhere, from its begin() to its end(): `id` names it among those under way. */
  begin(id: number, name: string, args: object): void {
    this.#add({
      ph: "b",
      cat: "job",
      id,
      pid: 1,
      tid: LOOP_TRACK,
      ts: this.#microseconds(this.nowMs()),
      name,
      args,
    });
  }

  end(id: number, name: string, args: object): void {
    this.#add({
      ph: "e",
      cat: "job",
      id,
      pid: 1,
      tid: LOOP_TRACK,
      ts: this.#microseconds(this.nowMs()),
      name,
      args,
    });
  }

  /** Writes what waits, and closes the file. Resolves when that is done, or has failed. Idempotent. */
  close(): Promise<void> {
    this.#flush(0);
    return this.#file.close(Buffer.from("{}]\n"));
  }

  #name(track: number, name: string): void {
    this.#add({ ph: "M", pid: 1, tid: track, name: "thread_name", args: { name } });
  }

  /** A tenth of a microsecond is what the clock tells. */
  #microseconds(ms: number): number {
    return Math.round((ms - this.#sinceMs) * MICROSECONDS_PER_MS * 10) / 10;
  }

  #add(event: object): void {
    if (!this.#file.isOpen) return;
    this.#text += `${JSON.stringify(event)},\n`;
    // A turn that is never over must not fill the memory either.
    this.#flush(MIB);
  }

  #flush(from: number): void {
    if (this.#text.length <= from) return;
    this.#file.add(Buffer.from(this.#text));
    this.#text = "";
  }
}
