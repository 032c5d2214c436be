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

/** A hash that somebody named. */
export interface Sighting {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** How often it was seen since it was told last. */
  readonly hits: number;
}

/** What an indexer asks for: hashes that wait, in their natural order. */
export interface ClaimRequest {
  /** Whose the claim is: a name among the indexers of the store. */
  readonly owner: string;
  /** 20 bytes: the first hash that waits at or behind it, and those that follow in order. */
  readonly from: Uint8Array;
  /** And none from this one on; undefined: to the end of the key space. */
  readonly to?: Uint8Array | undefined;
  /** Hashes at the most. */
  readonly count: number;
  /** Milliseconds after which what is claimed is anybody's again. */
  readonly leaseMs: number;
}

/** A hash that is one indexer's until its lease ends. */
export interface Claim {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** How often it was tried before. */
  readonly attempts: number;
}

/** A file of a torrent in the index. */
export interface IndexedFile {
  /** From the torrent's folder, parted by "/"; safe to show, not to open. */
  readonly path: string;
  /** Its length. */
  readonly bytes: number;
}

/** A torrent as its info dictionary says it. */
export interface FoundTorrent {
  /** 20 bytes: the SHA-1 of its info dictionary. */
  readonly infoHash: Uint8Array;
  /** As it is written there: anybody's words, to be escaped where they are shown. */
  readonly name: string;
  /** Of all files together. */
  readonly bytes: number;
  /** Of each piece but the last. */
  readonly pieceBytes: number;
  /** Whether its maker wants it to be found by its trackers only (BEP 27). */
  readonly isPrivate: boolean;
  /** How many files it has; `files` may be cut to the first of them. */
  readonly fileCount: number;
  /** In the torrent's order. */
  readonly files: readonly IndexedFile[];
}

/** What became of a hash that was claimed: its torrent, one that cannot be shown, or a failure that is tried again in `retryMs` milliseconds. */
export type Outcome =
  | { readonly kind: "fetched"; readonly torrent: FoundTorrent }
  | { readonly kind: "unusable"; readonly infoHash: Uint8Array }
  | { readonly kind: "failed"; readonly infoHash: Uint8Array; readonly retryMs: number };

/** What an indexer did since it told last. */
export interface WorkDone {
  /** Whose work it is. */
  readonly owner: string;
  /** Lookups that were begun. */
  readonly lookups: number;
  /** Queries that its nodes sent. */
  readonly queries: number;
  /** Torrents whose dictionaries were asked of peers. */
  readonly fetches: number;
}

/** A torrent in the index, without its files. */
export interface IndexedTorrent {
  /** 40 hexadecimal digits. */
  readonly infoHash: string;
  /** Anybody's words: to be escaped where they are shown. */
  readonly name: string;
  /** Of all files together. */
  readonly bytes: number;
  /** Of each piece but the last. */
  readonly pieceBytes: number;
  /** Whether its maker wants it to be found by its trackers only (BEP 27). */
  readonly isPrivate: boolean;
  /** Files that it has, whether they are kept or not. */
  readonly fileCount: number;
  /** When it came into the index: milliseconds since 1970. */
  readonly discoveredMs: number;
  /** When its hash was seen last: milliseconds since 1970. */
  readonly seenMs: number;
  /** How often its hash was seen. */
  readonly hits: number;
}

/** A torrent in the index, with its files. */
export interface IndexedTorrentDetails extends IndexedTorrent {
  /** In the torrent's order: at most the first 5,000. */
  readonly files: readonly IndexedFile[];
}

/** Newest, largest or smallest first, or what fits the text best. */
export type SearchOrder = "newest" | "largest" | "smallest" | "relevance";

/** What is searched for; what is not given does not matter. */
export interface SearchQuery {
  /**
   * Words that all have to stand in the name or in paths of files; `word*` begins so, `-word` must not stand there, `"two words"` stand side
   * by side. Case, accents and punctuation do not matter. Undefined or without a word: all torrents.
   */
  readonly text?: string;
  /** Bytes of all files together, at the least. */
  readonly bytesMin?: number;
  /** Bytes of all files together, at the most. */
  readonly bytesMax?: number;
  /** Not before this: milliseconds since 1970. */
  readonly discoveredFromMs?: number;
  /** Not after this: milliseconds since 1970. */
  readonly discoveredToMs?: number;
  /** Default "newest". Of a text's matches the newest SEARCH_CANDIDATES_MAX are put in any other order; "relevance" needs a text. */
  readonly order?: SearchOrder;
  /** From 1 to SEARCH_PAGE_MAX; default 50. */
  readonly limit?: number;
  /** What the page before said, with the same query. */
  readonly cursor?: string;
}

/** Torrents that match, as many as a page has. */
export interface SearchPage {
  /** In the order that was asked for. */
  readonly torrents: readonly IndexedTorrent[];
  /** For the next page; undefined at the end. */
  readonly cursor: string | undefined;
  /** False: time ran out before the page was full; the cursor goes on from there. */
  readonly isWhole: boolean;
}

/** Torrents of a page at the most. */
export const SEARCH_PAGE_MAX = 200;
/** Of a text's matches so many, the newest, are put in any other order than newest first. */
export const SEARCH_CANDIDATES_MAX = 2048;

/** What is kept; what is beyond goes, the longest unseen first. */
export interface Retention {
  /** Torrents at the most. */
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

/** Hashes that wait or rest which an indexer keeps at the most where nothing else is said: some 200 bytes each. */
export const HASHES_MAX_DEFAULT = 10_000_000;
/** Hashes that are kept out where nothing else is said: some 200 bytes each. */
export const SETTLED_MAX_DEFAULT = 5_000_000;
/** Statistics go back so far; what is older is in the sums of stats() only. */
export const HISTORY_MS_MAX = 90 * 24 * 3_600_000;
/** Of an indexer that has not been heard for so long nothing is told or kept any more. */
export const INDEXER_MS_MAX = 24 * 3_600_000;

/** What one call of `prune()` took away. */
export interface Pruned {
  /** Torrents that went. */
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
  /** Torrents that came into the index, those that left it included. */
  readonly fetched: number;
  /** Failures, each time. */
  readonly failed: number;
  /** Hashes whose dictionaries are right and no torrents that can be shown. */
  readonly unusable: number;
  /** Hashes that are out for good, or were pruned. */
  readonly removed: number;
  /** Lookups that indexers made. */
  readonly lookups: number;
  /** Queries that their nodes sent. */
  readonly queries: number;
  /** Torrents whose dictionaries were asked of peers. */
  readonly fetches: number;
}

/** Sums of all indexers, and what is there now. */
export interface StoreStats extends StoreTotals {
  /** What the store takes on its disk. */
  readonly storeBytes: number;
  /** Who was at work in the last day, and when each was heard of last: milliseconds since 1970. */
  readonly indexers: readonly { readonly owner: string; readonly seenMs: number }[];
}

/** What happened in STATISTICS_STEP_MS from `atMs` on, all indexers together. */
export interface StoreStep extends Omit<StoreTotals, "torrents"> {
  /** When it begins: milliseconds since 1970. */
  readonly atMs: number;
}

/** Milliseconds of a step of `history()`. */
export const STATISTICS_STEP_MS = 10 * 60_000;

/**
 * Where an index is kept: the contract that SQLite's and PostgreSQL's stores keep. Methods reject with StoreError: STORE_FULL, STORE_BUSY,
 * STORE_UNREACHABLE, STORE_CLOSED, STORE_FAILED.
 */
export interface IndexStore {
  /** Which of both it is. */
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
  /** One torrent with its files; undefined if it is not in the index. `infoHash`: 20 bytes. */
  get(infoHash: Uint8Array): Promise<IndexedTorrentDetails | undefined>;
  /** Throws UsageError for a query that is none. */
  search(query: SearchQuery): Promise<SearchPage>;
  /** Sums of all indexers since the store was made, and who is at work. */
  stats(): Promise<StoreStats>;
  /** Steps from `sinceMs` on, the oldest first, at most `count` of them. */
  history(sinceMs: number, count: number): Promise<StoreStep[]>;
  /** Waits for what is under way. Idempotent. */
  close(): Promise<void>;
}

/** Of opening a store. */
export interface StoreOptions {
  /** Milliseconds since 1970. Default: the machine's clock; with PostgreSQL the server's. */
  readonly nowMs?: () => number;
}
