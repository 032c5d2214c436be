// How axes and their values are called where a person reads them. An axis that is not known here keeps its own name; its
// values are told by their type, so that a benchmark may bring new axes without asking the report.

import { namedIn } from "../measuring/ends.js";
import type { Axes } from "../measuring/results.js";

export type AxisValue = string | number | boolean;

interface AxisWords {
  readonly title: string;
  /** Before a value: "depth 16". */
  readonly before?: string;
  /** After a number: "4 peers". */
  readonly after?: readonly [one: string, many: string];
  /** A name alone would not say what it is the name of. */
  readonly isPhrase?: true;
  /** Instead of 0. */
  readonly zero?: string;
  /** Instead of true and false. */
  readonly switched?: readonly [on: string, off: string];
}

const WORDS: Readonly<Record<string, AxisWords>> = {
  mode: { title: "receive mode" },
  receiveMode: { title: "receive mode", before: "receiving" },
  depth: { title: "speculation depth", before: "depth" },
  peers: { title: "peers", after: ["peer", "peers"] },
  leechers: { title: "leechers", after: ["leecher", "leechers"] },
  poolBytes: { title: "pool", before: "pool" },
  receiveBufferBytes: { title: "socket buffer", before: "socket buffer", zero: "the kernel's own size" },
  contiguousBufferBytes: { title: "contiguous receive", before: "receives of up to" },
  traffic: { title: "traffic", before: "traffic" },
  storage: { title: "storage", before: "storage" },
  verify: { title: "hashing", switched: ["hashed", "not hashed"] },
  hashing: { title: "hashing", switched: ["hashed", "not hashed"] },
  sendMode: { title: "send mode" },
  encryption: { title: "encryption" },
  cached: { title: "data in the page cache", switched: ["cached", "not cached"] },
  queue: { title: "requests in flight", before: "queue" },
  bytes: { title: "payload", before: "payload of" },
  writeRunBytes: { title: "write run", before: "runs of" },
  way: { title: "way of storing" },
  where: { title: "where" },
  file: { title: "state of the file", before: "file" },
  skippedBytes: { title: "received before", before: "measured after" },
  populate: { title: "mapping", switched: ["populated", "not populated"] },
  rttMs: { title: "round trip", after: ["ms of round trip", "ms of round trip"] },
  linkBytesPerSecond: { title: "link", before: "a link of" },
  seeder: { title: "seeder", before: "from", isPhrase: true },
  runsInFlight: { title: "runs in flight", after: ["run in flight", "runs in flight"] },
};

/** "speculation depth" for depth; an unknown name is taken apart: "runLengthBytes" becomes "run length". */
export function axisTitle(axis: string): string {
  const known = Object.hasOwn(WORDS, axis) ? namedIn(WORDS, axis).title : undefined;
  return known ?? bareWords(axis);
}

function bareWords(axis: string): string {
  return axis
    .replace(/(?<=.)Bytes$/, "")
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .toLowerCase();
}

/** Whether a group is named for the axis: "pool" and "stored-pool" for poolBytes, "send-mode" for sendMode. */
export function isNamedFor(group: string, axis: string): boolean {
  const letters = group
    .toLowerCase()
    .replace(/^stored-/, "")
    .replaceAll(/[^a-z]/g, "");
  return letters !== "" && axis.toLowerCase().includes(letters);
}

export function isByteAxis(axis: string): boolean {
  return axis === "bytes" || axis.endsWith("Bytes");
}

/** The value alone, as an axis of a plot has it beneath its ticks: "8 MiB", "16", "hashed". */
export function axisTick(axis: string, value: AxisValue): string {
  const known: AxisWords | undefined = Object.hasOwn(WORDS, axis) ? namedIn(WORDS, axis) : undefined;
  if (value === 0 && known?.zero !== undefined) return known.zero;
  if (typeof value === "number") {
    if (axis.endsWith("BytesPerSecond")) return `${Number((value / 1e6).toFixed(2))} MB/s`;
    return isByteAxis(axis) ? binaryBytes(value) : value.toLocaleString("en-US");
  }
  if (typeof value === "string") return value;
  return known?.switched === undefined ? (value ? "yes" : "no") : known.switched[value ? 0 : 1];
}

/** The value as it stands in a list of conditions: "pool 8 MiB", "4 peers", "depth 16", "speculative". */
export function axisPhrase(axis: string, value: AxisValue): string {
  const tick = axisTick(axis, value);
  const words: AxisWords | undefined = Object.hasOwn(WORDS, axis) ? namedIn(WORDS, axis) : undefined;
  if (words?.after !== undefined) return `${tick} ${words.after[value === 1 ? 0 : 1]}`;
  if (value === 0 && words?.zero !== undefined) return `${words.title} of ${tick}`;
  if (words?.before !== undefined) return `${words.before} ${tick}`;
  if (words !== undefined) return tick;
  return typeof value === "boolean"
    ? `${value ? "" : "not "}${bareWords(axis)}`
    : `${bareWords(axis)} ${tick}`;
}

/** The value as the name of a bar or a line: as a phrase, but most names stand for themselves where their axis is known. */
export function axisName(axis: string, value: AxisValue): string {
  const words: AxisWords | undefined = Object.hasOwn(WORDS, axis) ? namedIn(WORDS, axis) : undefined;
  const isAlone = typeof value === "string" && words !== undefined && words.isPhrase !== true;
  return isAlone ? value : axisPhrase(axis, value);
}

export function conditions(axes: Axes, leftOut: readonly string[] = []): string {
  return Object.entries(axes)
    .filter(([axis]) => !leftOut.includes(axis))
    .map(([axis, value]) => axisPhrase(axis, value))
    .join(", ");
}

export function binaryBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(value < 10 ? 2 : 0))} ${units[unit]}`;
}

/** Numbers by size, false before true, names as a person would sort them. */
export function compareValues(left: AxisValue, right: AxisValue): number {
  if (typeof left === "number" && typeof right === "number") return left - right;
  return String(left).localeCompare(String(right), "en", { numeric: true });
}
