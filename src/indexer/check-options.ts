// Options of an indexer, checked once.

import { UsageError } from "../base/errors.js";
import type { IndexerOptions } from "./options.js";

/** However often a hash has failed, it is tried again after so long. */
export const RETRY_MS_MAX = 7 * 24 * 3_600_000;

/** Throws UsageError `USAGE_OPTION`. */
export function checkIndexerOptions(options: IndexerOptions): void {
  const { lookupsMax, lookupsPerSecond, connectionsMax, infoBytesMax, leaseMs, retryMs, owner } = options;
  checkNumber("leaseMs", leaseMs, 1000, 24 * 3_600_000, true);
  checkNumber("retryMs", retryMs, 1000, RETRY_MS_MAX, true);
  checkNumber("lookupsMax", lookupsMax, 1, 10_000, true);
  checkNumber("lookupsPerSecond", lookupsPerSecond, 0.001, Number.POSITIVE_INFINITY, false);
  checkNumber("connectionsMax", connectionsMax, 1, 65_536, true);
  checkNumber("infoBytesMax", infoBytesMax, 1024, 32 * 2 ** 20, true);
  if (typeof options.store?.claim !== "function")
    throw new UsageError("USAGE_OPTION", "an indexer needs a store: what openStore() resolves to");
  if (owner !== undefined && (typeof owner !== "string" || owner === "" || owner.length > 200))
    throw new UsageError("USAGE_OPTION", "owner is a text of 1 to 200 characters");
  for (const [name, value] of Object.entries(options.retention ?? {}))
    checkNumber(`retention.${name}`, value as number, 0, Number.MAX_SAFE_INTEGER, true);
}

function checkNumber(
  name: string,
  value: number | undefined,
  min: number,
  max: number,
  isWhole: boolean,
): void {
  if (value === undefined) return;
  if (value >= min && value <= max && (!isWhole || Number.isInteger(value))) return;
  throw new UsageError(
    "USAGE_OPTION",
    `${name} is a ${isWhole ? "whole " : ""}number from ${min} to ${max}, not ${value}`,
  );
}
