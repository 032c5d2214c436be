// What is asked for in an address, as a query of the store: /api/search, the feed and Torznab take the same parameters.

import { UsageError } from "../../base/errors.js";
import { SEARCH_PAGE_MAX, type SearchOrder, type SearchQuery } from "../store/store.js";

const ORDERS: readonly SearchOrder[] = ["newest", "largest", "smallest", "relevance"];
/** Bytes of a unit: "700M", "1.5GiB". Powers of 1024, as sizes are shown. */
const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/**
 * Reads q, min and max (bytes, or with K, M, G, T), from and to (a date, or milliseconds since 1970), order, limit and cursor.
 * Throws UsageError that names the parameter and what is allowed.
 */
export function readSearchRequest(parameters: URLSearchParams): SearchQuery {
  const text = parameters.get("q");
  const bytesMin = bytesOf(parameters, "min");
  const bytesMax = bytesOf(parameters, "max");
  const discoveredFromMs = timeOf(parameters, "from");
  const discoveredToMs = timeOf(parameters, "to");
  const order = orderOf(parameters.get("order"));
  const limit = limitOf(parameters.get("limit"));
  const cursor = given(parameters, "cursor");
  return {
    ...(text === null ? {} : { text }),
    ...(bytesMin === undefined ? {} : { bytesMin }),
    ...(bytesMax === undefined ? {} : { bytesMax }),
    ...(discoveredFromMs === undefined ? {} : { discoveredFromMs }),
    ...(discoveredToMs === undefined ? {} : { discoveredToMs }),
    ...(order === undefined ? {} : { order }),
    ...(limit === undefined ? {} : { limit }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** A field that a form left empty was not given. */
function given(parameters: URLSearchParams, name: string): string | undefined {
  return parameters.get(name)?.trim() || undefined;
}

function bytesOf(parameters: URLSearchParams, name: string): number | undefined {
  const text = given(parameters, name);
  if (text === undefined) return undefined;
  const [, digits, unit = ""] = /^(\d{1,15}(?:\.\d{1,6})?) ?([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const factor = UNITS[unit.toLowerCase()];
  if (digits === undefined || factor === undefined)
    throw refused(name, "a number of bytes, such as 700M or 1.5G", text);
  return Math.floor(Number(digits) * factor);
}

function timeOf(parameters: URLSearchParams, name: string): number | undefined {
  const text = given(parameters, name);
  if (text === undefined) return undefined;
  const atMs = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text);
  if (!Number.isFinite(atMs))
    throw refused(name, "a date such as 2026-01-31, or milliseconds since 1970", text);
  return Math.max(0, atMs);
}

function orderOf(text: string | null): SearchOrder | undefined {
  if (text === null || text === "") return undefined;
  const order = ORDERS.find((each) => each === text);
  if (order === undefined) throw refused("order", ORDERS.join(", "), text);
  return order;
}

function limitOf(text: string | null): number | undefined {
  if (text === null || text === "") return undefined;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > SEARCH_PAGE_MAX)
    throw refused("limit", `a whole number from 1 to ${SEARCH_PAGE_MAX}`, text);
  return limit;
}

function refused(name: string, allowed: string, text: string): UsageError {
  return new UsageError("USAGE_OPTION", `${name} is ${allowed}, not "${text.slice(0, 80)}"`);
}
