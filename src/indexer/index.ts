// The public API of the indexer (`scatterwire/indexer`): re-exports only.

export type { FetcherCounters } from "./fetch/fetcher-counters.js";
export { Indexer } from "./indexer.js";
export type { IndexerCounters, IndexerEvents, IndexerOptions, IndexerStats } from "./options.js";
export { openStore } from "./store/open-store.js";
export {
  type Claim,
  type ClaimRequest,
  type FoundTorrent,
  HASHES_MAX_DEFAULT,
  type IndexedFile,
  type IndexedTorrent,
  type IndexedTorrentDetails,
  type IndexStore,
  type Outcome,
  type Pruned,
  type Retention,
  SEARCH_CANDIDATES_MAX,
  SEARCH_PAGE_MAX,
  SETTLED_MAX_DEFAULT,
  type SearchOrder,
  type SearchPage,
  type SearchQuery,
  type Sighting,
  STATISTICS_STEP_MS,
  type StoreOptions,
  type StoreStats,
  type StoreStep,
  type StoreTotals,
  type WorkDone,
} from "./store/store.js";
export { IndexFace, type IndexFaceOptions } from "./web/index-face.js";
