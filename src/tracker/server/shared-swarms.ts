// Swarms that several trackers share: a store of this tracker's own, which also takes in what others heard, and notes what this one hears
// for them. Who carries the notes between trackers (redis-log.ts) takes them from here; no sockets and no clocks but the time that is told.
//
// An answer never waits for another machine: each tracker has all swarms in its own memory. What is shared are announces, and they may
// come late, twice, or not at all: whoever announces again is known everywhere again.
//
// Always: notes that nobody takes are bounded, the oldest go first, and are counted. What comes from others is checked.

import {
  type AdoptingStore,
  type Announce,
  type AnnouncesAhead,
  EVENT_COMPLETED,
  EVENT_STOPPED,
  type PeerSink,
  type SwarmBrowser,
  type SwarmCounters,
  type SwarmStore,
  type SwarmTotals,
} from "../peer-store/contract.js";
import { RecordReader, RecordWriter } from "./announce-records.js";

/** Announces of one family, in the order they came; from `bornMs` on, by the time that advance() was told. */
export interface Notes {
  readonly family: 4 | 6;
  readonly bytes: Buffer;
  readonly count: number;
  readonly bornMs: number;
}

export interface SharedCounters {
  /** Announces of this tracker that others were to be told of; those of them that nobody took in time. */
  noted: number;
  dropped: number;
  /** Announces of others that were taken in; chunks of them that made no sense. */
  adopted: number;
  malformed: number;
}

/** Some 300,000 announces, where many come at once. */
export const NOTES_BYTES_MAX = 8 * 2 ** 20;
/** What keeping a few announces costs beside their bytes. */
const NOTES_BYTES_EACH = 256;

export class SharedSwarms implements SwarmStore, SwarmBrowser {
  seeders = 0;
  leechers = 0;
  downloads = 0;
  readonly shared: SharedCounters = { noted: 0, dropped: 0, adopted: 0, malformed: 0 };
  /** Told of each download that another tracker counted just now: 5 words of the info hash. */
  onDownload: ((hash: number, words: Uint32Array, at: number) => void) | undefined;
  readonly #store: SwarmStore & SwarmBrowser & AdoptingStore;
  readonly #notesBytesMax: number;
  readonly #writers = { 4: new RecordWriter(4), 6: new RecordWriter(6) } as const;
  readonly #readers = { 4: new RecordReader(4), 6: new RecordReader(6) } as const;
  readonly #hash: (words: Uint32Array, at: number) => number;
  #waiting: Notes[] = [];
  #waitingBytes = 0;
  #nowMs = 0;

  constructor(store: SwarmStore & SwarmBrowser & AdoptingStore, notesBytesMax = NOTES_BYTES_MAX) {
    this.#store = store;
    this.#notesBytesMax = notesBytesMax;
    this.#hash = (words, at) => store.hash(words, at);
  }

  get counters(): Readonly<SwarmCounters> {
    return this.#store.counters;
  }

  hash(words: Uint32Array, at: number): number {
    return this.#store.hash(words, at);
  }

  lookAhead(announces: AnnouncesAhead): void {
    this.#store.lookAhead(announces);
  }

  announce(hash: number, request: Announce, sink: PeerSink): number {
    const store = this.#store;
    // Whoever leaves what nobody knows is no news; nor is a peer that the store did not keep.
    const isStop = request.event === EVENT_STOPPED;
    const isNews = !isStop || store.scrape(hash, request.hash, request.hashAt);
    const { peersOverBudget } = store.counters;
    const told = store.announce(hash, request, sink);
    this.#report();
    const isKept = this.seeders + this.leechers > 0 && store.counters.peersOverBudget === peersOverBudget;
    if (isStop ? isNews : isKept) this.#note(request);
    return told;
  }

  scrape(hash: number, words: Uint32Array, at: number): boolean {
    const known = this.#store.scrape(hash, words, at);
    this.#report();
    return known;
  }

  /** Several times a second, as for every store: what was noted until then goes together. */
  advance(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#store.advance(nowMs);
    this.#seal(this.#writers[4]);
    this.#seal(this.#writers[6]);
  }

  totals(): SwarmTotals {
    return this.#store.totals();
  }

  copyHashes(from: number, count: number, words: Uint32Array): number {
    return this.#store.copyHashes(from, count, words);
  }

  copyPeers(words: Uint32Array, at: number, family: 4 | 6, want: number, sink: PeerSink): number {
    return this.#store.copyPeers(words, at, family, want, sink);
  }

  /** What is next for the others; it is whoever took it that sees that it arrives. Undefined: nothing is waiting. */
  take(): Notes | undefined {
    const notes = this.#waiting.shift();
    if (notes !== undefined) this.#waitingBytes -= NOTES_BYTES_EACH + notes.bytes.length;
    return notes;
  }

  get hasNotes(): boolean {
    return this.#waiting.length > 0;
  }

  /** Gives back what could not be told, before all that is waiting; in the order it was taken. */
  giveBack(notes: readonly Notes[]): void {
    this.#waiting = [...notes, ...this.#waiting];
    for (const { bytes } of notes) this.#waitingBytes += NOTES_BYTES_EACH + bytes.length;
    this.#bound();
  }

  /** The time that was told last: by it `bornMs` becomes an age. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Takes in what another tracker noted `ageMs` ago. `isNews`: since this tracker listens, and not what it was told to catch up. */
  adopt(family: 4 | 6, bytes: Uint8Array, ageMs: number, isNews: boolean): void {
    const reader = this.#readers[family];
    if (!reader.open(bytes)) {
      this.shared.malformed++;
      return;
    }
    for (let first = 0; first < reader.count; ) {
      const count = reader.expect(first, this.#hash);
      if (count > 1) this.#store.lookAhead(reader.ahead);
      for (let index = 0; index < count; index++)
        this.#adoptOne(reader.ahead.hashes[index] ?? 0, reader.get(first, index), ageMs, isNews);
      first += count;
    }
    this.shared.adopted += reader.count;
  }

  #adoptOne(hash: number, request: Announce, ageMs: number, isNews: boolean): void {
    const store = this.#store;
    if (request.event !== EVENT_COMPLETED || !isNews || this.onDownload === undefined) {
      store.adopt(hash, request, ageMs);
      return;
    }
    store.scrape(hash, request.hash, request.hashAt);
    const before = store.downloads;
    store.adopt(hash, request, ageMs);
    if (store.downloads > before) this.onDownload(hash, request.hash, request.hashAt);
  }

  #report(): void {
    this.seeders = this.#store.seeders;
    this.leechers = this.#store.leechers;
    this.downloads = this.#store.downloads;
  }

  #note(request: Announce): void {
    this.shared.noted++;
    const writer = this.#writers[request.family];
    if (writer.add(request)) this.#seal(writer);
  }

  #seal(writer: RecordWriter): void {
    const { count, family } = writer;
    if (count === 0) return;
    const bytes = writer.take();
    this.#waiting.push({ family, bytes, count, bornMs: this.#nowMs });
    this.#waitingBytes += NOTES_BYTES_EACH + bytes.length;
    this.#bound();
  }

  #bound(): void {
    while (this.#waitingBytes > this.#notesBytesMax) {
      const oldest = this.take();
      if (oldest === undefined) return;
      this.shared.dropped += oldest.count;
    }
  }
}
