// What a program hands to the DHT is checked once, here.
//
// Always: what is wrong is a UsageError, USAGE_OPTION, which names the option and what it may be.

import { UsageError } from "../base/errors.js";
import {
  checkBytes,
  checkOption,
  checkOptions,
  type OptionSpecs,
  type OptionsOf,
} from "../base/option-check.js";
import { compactAddress } from "../codec/compact-address.js";
import type { SocketAddress } from "../native/binding.js";
import { Contact } from "./contact.js";
import { ID_BYTES } from "./node-id.js";
import type { AnnounceOptions, DhtOptions, LookupOptions, SampleOptions } from "./options.js";

/** What the store of peers needs for one torrent of any size. */
const PEER_BYTES_MIN = 1024 * 1024;
const PEER_BYTES_MAX = 2 ** 40;

const RATE = { kind: "number", above: 0 } as const;
const PORT = { kind: "whole", min: 0, max: 65_535 } as const;
const NODE = "a node of the DHT";

const NODES = { kind: "addresses", each: NODE } as const;

export const DHT_OPTIONS = {
  listen: { kind: "listens", countMin: 1 },
  bootstrap: NODES,
  saved: { kind: "bytes" },
  id: { kind: "bytes", length: ID_BYTES },
  externalAddress: { kind: "text" },
  readOnly: { kind: "flag" },
  limitsNetworks: { kind: "flag" },
  incomingPerSecond: RATE,
  outgoingPerSecond: RATE,
  answersPerSecond: RATE,
  adaptsTimeouts: { kind: "flag" },
  usesCache: { kind: "flag" },
  staggersIds: { kind: "flag" },
  peerBytesMax: { kind: "whole", min: PEER_BYTES_MIN, max: PEER_BYTES_MAX },
  hashes: { kind: "part", methods: ["hashSeen"], lists: [] },
  inject: { kind: "callback" },
} as const satisfies OptionsOf<DhtOptions>;

const SCRAPE_OPTIONS = { signal: { kind: "signal" } } as const satisfies OptionSpecs;

const LOOKUP_OPTIONS = {
  ...SCRAPE_OPTIONS,
  noSeeds: { kind: "flag" },
  sampler: { kind: "address" },
} as const satisfies OptionsOf<LookupOptions>;

const ANNOUNCE_OPTIONS = {
  ...LOOKUP_OPTIONS,
  port: PORT,
  ports: { kind: "table", table: { v4: PORT, v6: PORT } },
  seed: { kind: "flag" },
} as const satisfies OptionsOf<AnnounceOptions>;

const SAMPLE_OPTIONS = {
  ...SCRAPE_OPTIONS,
  sweeps: { kind: "whole", min: 1, max: Number.MAX_SAFE_INTEGER },
} as const satisfies OptionsOf<SampleOptions>;

/** Each of these throws UsageError `USAGE_OPTION`. */
export function checkNode(options: DhtOptions): void {
  checkOptions(DHT_OPTIONS, options, NODE);
}

export function checkLookup(infoHash: Uint8Array, options: LookupOptions): void {
  checkId(infoHash);
  checkOptions(LOOKUP_OPTIONS, options, "a lookup");
}

export function checkScrape(infoHash: Uint8Array, options: object): void {
  checkId(infoHash);
  checkOptions(SCRAPE_OPTIONS, options, "a scrape");
}

export function checkAnnounce(infoHash: Uint8Array, options: AnnounceOptions, peers: unknown): void {
  checkId(infoHash);
  checkOptions(ANNOUNCE_OPTIONS, options, "an announce");
  if (peers !== undefined) checkOption("peers", { kind: "callback" }, peers);
}

export function checkSampling(options: SampleOptions): void {
  checkOptions(SAMPLE_OPTIONS, options, "sampling");
}

export function checkId(id: Uint8Array): void {
  checkBytes("an id or info hash of the DHT", ID_BYTES, id);
}

/** Nodes that are known by their addresses only. */
export function contactsOf(nodes: readonly SocketAddress[]): Contact[] {
  checkOption("nodes", NODES, nodes);
  return nodes.map(({ host, port }) => {
    const address = compactAddress(host);
    if (address === undefined)
      throw new UsageError("USAGE_OPTION", `${NODE} has an address without a zone, not ${host}`);
    const compact = new Uint8Array(ID_BYTES + address.length + 2);
    compact.set(address, ID_BYTES);
    compact[compact.length - 2] = port >> 8;
    compact[compact.length - 1] = port & 0xff;
    return new Contact(compact, address.length === 4 ? 4 : 6);
  });
}
