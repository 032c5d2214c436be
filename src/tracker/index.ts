// The public API of the tracker (`scatterwire/tracker`): re-exports only.

export { TrackerError, type TrackerErrorCode } from "../base/errors.js";
export type { HttpLimits } from "../native/http-server.js";
export type {
  AnnounceAnswer,
  AnnounceEvent,
  AnnounceRequest,
  PeerEndpoint,
  ScrapeEntry,
} from "./client/announce.js";
export { type ScrapeResult, scrapeTrackers } from "./client/scrape.js";
export type {
  Announce,
  PeerSink,
  SwarmCounters,
  SwarmStore,
  SwarmTotals,
} from "./peer-store/contract.js";
export { EVENT_COMPLETED, EVENT_NONE, EVENT_STARTED, EVENT_STOPPED } from "./peer-store/contract.js";
export { PeerStore, type PeerStoreOptions } from "./peer-store/peer-store.js";
export type { AdmissionRules } from "./server/admission.js";
export {
  ListReader,
  parseConnectionKey,
  parseInfoHashList,
  parseKeyList,
  parseTrackerConfig,
  type TrackerConfig,
} from "./server/config.js";
export {
  type ListeningAt,
  type ServiceCounters,
  TrackerService,
  type TrackerServiceOptions,
} from "./server/service.js";
export { Tracker, type TrackerCounters, type TrackerOptions } from "./server/tracker.js";
export type { UdpCounters } from "./server/udp-responder.js";
