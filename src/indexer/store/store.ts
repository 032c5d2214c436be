// What an index is kept in: info hashes that were seen, who works on which, the torrents that were found, and what became of the rest.
// One contract for both stores (SQLite for one machine, PostgreSQL for many); test/unit/indexer/store/contract.ts holds them to it.
//
//   waiting ──claim──▶ claimed ──finish──▶ fetched     its torrent is in the index
//      ▲                  │
//      │                  ├──finish──────▶ unusable    right by its hash, and no torrent that can be shown
//      └── when it is ────┴──finish──────▶ resting     tried again at `retryMs`
//          due, or the lease ends
//   any ──remove──▶ removed                            for good: a removed hash never waits again, however often it is seen
//   fetched ──prune──▶ expired                         the same, until there are too many of them (Retention.settledMax)
//
// Always: a hash has one live claim at the most, whoever asks, on however many machines. What a dead indexer had claimed waits again when
// its lease ends. A torrent is in the index completely or not at all, and only if its hash was not removed. Every answer comes in bounded
// time, or is a StoreError. Times are milliseconds since 1970, by the store's clock.

export interface Sighting {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** How often it was seen since it was told last. */
  readonly hits: number;
}

export interface ClaimRequest {
  readonly owner: string;
  /** 20 bytes: the first hash that waits at or behind it, and those that follow in order. */
  readonly from: Uint8Array;
  /** And none from this one on; undefined: to the end of the key space. */
  readonly to?: Uint8Array | undefined;
  /** Hashes at the most. */
  readonly count: number;
  readonly leaseMs: number;
}

export interface Claim {
  readonly infoHash: Uint8Array;
  /** How often it was tried before. */
  readonly attempts: number;
}

export interface IndexedFile {
  /** From the torrent's folder, parted by "/"; safe to show, not to open. */
  readonly path: string;
  readonly bytes: number;
}

/** A torrent as its info dictionary says it. */
export interface FoundTorrent {
  readonly infoHash: Uint8Array;
  readonly name: string;
  readonly bytes: number;
  readonly pieceBytes: number;
  readonly isPrivate: boolean;
  /** How many files it has; `files` may be cut to the first of them. */
  readonly fileCount: number;
  readonly files: readonly IndexedFile[];
}

export type Outcome =
  | { readonly kind: "fetched"; readonly torrent: FoundTorrent }
  | { readonly kind: "unusable"; readonly infoHash: Uint8Array }
  | { readonly kind: "failed"; readonly infoHash: Uint8Array; readonly retryMs: number };

/** What an indexer did since it told last. */
export interface WorkDone {
  readonly owner: string;
  readonly lookups: number;
  readonly queries: number;
  readonly fetches: number;
}

export interface IndexedTorrent {
  /** 40 hexadecimal digits. */
  readonly infoHash: string;
  readonly name: string;
  readonly bytes: number;
  readonly pieceBytes: number;
  readonly isPrivate: boolean;
  readonly fileCount: number;
  readonly discoveredMs: number;
  /** When its hash was seen last, and how often. */
  readonly seenMs: number;
  readonly hits: number;
}

export interface IndexedTorrentDetails extends IndexedTorrent {
  readonly files: readonly IndexedFile[];
}

export type SearchOrder = "newest" | "largest" | "smallest" | "relevance";

export interface SearchQuery {
  /**
   * Words that all have to stand in the name or in paths of files; `word*` begins so, `-word` must not stand there, `"two words"` stand side
   * by side. Case, accents and punctuation do not matter. Undefined or without a word: all torrents.
   */
  readonly text?: string;
  readonly bytesMin?: number;
  readonly bytesMax?: number;
  readonly discoveredFromMs?: number;
  readonly discoveredToMs?: number;
  /** Default "newest". Of a text's matches the newest SEARCH_CANDIDATES_MAX are put in any other order; "relevance" needs a text. */
  readonly order?: SearchOrder;
  /** From 1 to SEARCH_PAGE_MAX; default 50. */
  readonly limit?: number;
  /** What the page before said, with the same query. */
  readonly cursor?: string;
}

export interface SearchPage {
  readonly torrents: readonly IndexedTorrent[];
  /** For the next page; undefined at the end. */
  readonly cursor: string | undefined;
  /** False: time ran out before the page was full; the cursor goes on from there. */
  readonly isWhole: boolean;
}

export const SEARCH_PAGE_MAX = 200;
export const SEARCH_CANDIDATES_MAX = 2048;

/** What is kept; what is beyond goes, the longest unseen first. */
export interface Retention {
  readonly torrentsMax?: number;
  /** Bytes that the whole store takes. */
  readonly storeBytesMax?: number;
  /** Torrents that were discovered longer ago. */
  readonly ageMsMax?: number;
  /** Hashes that wait or rest; those seen longest ago are forgotten, and may be seen again. */
  readonly hashesMax?: number;
  /**
   * Hashes that are kept out of the index, unusable ones and those of torrents that went by these bounds: those seen longest ago are forgotten, and
   * may be found again. What remove() took stays.
   */
  readonly settledMax?: number;
}

/** What an indexer keeps at the most where nothing else is said: some 200 bytes each. */
export const HASHES_MAX_DEFAULT = 10_000_000;
export const SETTLED_MAX_DEFAULT = 5_000_000;
/** Statistics go back so far; what is older is in the sums of stats() only. */
export const HISTORY_MS_MAX = 90 * 24 * 3_600_000;
/** Of an indexer that has not been heard for so long nothing is told or kept any more. */
export const INDEXER_MS_MAX = 24 * 3_600_000;

export interface Pruned {
  readonly torrents: number;
  /** Of both kinds: those that waited, and those that were settled. */
  readonly hashes: number;
  /** There may be more to do: calls are short. */
  readonly isOver: boolean;
}

/** Sums of all indexers since the store was made. */
export interface StoreTotals {
  /** Hashes that were ever new. */
  readonly hashes: number;
  /** Torrents in the index. */
  readonly torrents: number;
  readonly fetched: number;
  readonly failed: number;
  readonly unusable: number;
  readonly removed: number;
  readonly lookups: number;
  readonly queries: number;
  readonly fetches: number;
}

export interface StoreStats extends StoreTotals {
  /** What the store takes on its disk. */
  readonly storeBytes: number;
  readonly indexers: readonly { readonly owner: string; readonly seenMs: number }[];
}

/** What happened in STATISTICS_STEP_MS from `atMs` on, all indexers together. */
export interface StoreStep extends Omit<StoreTotals, "torrents"> {
  readonly atMs: number;
}

export const STATISTICS_STEP_MS = 10 * 60_000;

export interface IndexStore {
  readonly kind: "sqlite" | "postgresql";
  /** Hashes that are new wait from now on; those that are known are counted. Resolves to how many were new. */
  see(sightings: readonly Sighting[]): Promise<number>;
  /** Claims what waits, in order of the hashes. */
  claim(request: ClaimRequest): Promise<Claim[]>;
  /**
   * Says what became of hashes. For each, whether it counted: a failure does if `owner` has the claim; what was found does unless
   * another has the claim, or the hash is removed, or was found before.
   */
  finish(owner: string, outcomes: readonly Outcome[]): Promise<boolean[]>;
  /** Gives back all that `owner` has claimed: it waits at once. How many. */
  release(owner: string): Promise<number>;
  /** Adds to the statistics, and says that the owner is there. */
  worked(work: WorkDone): Promise<void>;
  /** Takes torrents out of the index for good. How many were in it. Hashes that were never seen are kept out, too. */
  remove(infoHashes: readonly Uint8Array[]): Promise<number>;
  /** Takes away what is beyond these bounds, a little at a time, and whatever of the statistics is too old. */
  prune(retention: Retention): Promise<Pruned>;
  get(infoHash: Uint8Array): Promise<IndexedTorrentDetails | undefined>;
  /** Throws UsageError for a query that is none. */
  search(query: SearchQuery): Promise<SearchPage>;
  stats(): Promise<StoreStats>;
  /** Steps from `sinceMs` on, the oldest first, at most `count` of them. */
  history(sinceMs: number, count: number): Promise<StoreStep[]>;
  /** Waits for what is under way. Idempotent. */
  close(): Promise<void>;
}

export interface StoreOptions {
  /** Milliseconds since 1970. Default: the machine's clock; with PostgreSQL the server's. */
  readonly nowMs?: () => number;
}
