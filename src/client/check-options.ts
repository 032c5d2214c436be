// Options that came from a caller who may have no type checker, held against their table: what is wrong is said before anything is
// opened, with what is allowed, and not by an assertion when the first peer comes.

import type { Duplex } from "node:stream";
import { unreachable } from "../base/assert.js";
import { UsageError } from "../base/errors.js";
import { changesBetween } from "../base/nearest-word.js";
import { addressBytes } from "../base/network-address.js";
import {
  type OptionSpec,
  type OptionTable,
  type PartOption,
  PEER_CONNECT_OPTIONS,
  SESSION_OPTIONS,
  TORRENT_OPTIONS,
  type WholeOption,
} from "./option-table.js";

/**
 * Throws UsageError `USAGE_OPTION` for a name that `table` has not, or a value that is not allowed; a missing or undefined one is.
 * `whose` says in the message what the options are of.
 */
export function checkOptions(table: OptionTable, options: unknown, whose: string): void {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    refuse(`the options of ${whose} are an object, not ${show(options)}`);
  for (const [name, value] of Object.entries(options as object)) {
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (spec === undefined) refuseName(table, name, whose);
    else if (value !== undefined) checkOption(name, spec, value);
  }
}

/** Throws UsageError `USAGE_OPTION` unless `value` is what `spec` allows. */
export function checkOption(name: string, spec: OptionSpec, value: unknown): void {
  switch (spec.kind) {
    case "whole":
      checkWhole(name, spec, value);
      break;
    case "name":
      check(spec.names.includes(value as string), `${name} is one of ${spec.names.join(", ")}`, value);
      break;
    case "flag":
      check(typeof value === "boolean", `${name} is true or false`, value);
      break;
    case "trackers": {
      const isRight = typeof value === "boolean" || isArrayOfText(value);
      check(isRight, `${name} is true, false or an array of addresses of trackers`, value);
      break;
    }
    case "folder": {
      const allowed = `${name} is the path of a folder ("." is the current one)`;
      check(typeof value === "string" && value !== "", allowed, value);
      break;
    }
    case "text":
      check(typeof value === "string", `${name} is text`, value);
      break;
    case "texts":
      check(isArrayOfText(value), `${name} is an array of texts`, value);
      break;
    case "address":
      checkAddress(name, value, 0);
      break;
    case "addresses":
      check(Array.isArray(value), `${name} is an array of addresses { host, port }`, value);
      for (const each of value as unknown[]) checkAddress("a peer", each, 1);
      break;
    case "wholes":
      check(Array.isArray(value), `${name} is an array of whole numbers`, value);
      for (const each of value as unknown[])
        checkWhole(`each of ${name}`, { kind: "whole", min: spec.min, max: spec.max, text: "" }, each);
      break;
    case "bytes": {
      const isBytes = value instanceof Uint8Array;
      check(isBytes, `${name} is a Uint8Array of ${spec.length} bytes`, value);
      check(isBytes && value.length === spec.length, `${name} has ${spec.length} bytes`, value);
      break;
    }
    case "callback":
      check(typeof value === "function", `${name} is a function`, value);
      break;
    case "part":
      checkPart(name, spec, value);
      break;
    case "signal":
      check(isSignal(value), `${name} is an AbortSignal`, value);
      break;
    default:
      unreachable(spec);
  }
}

/** Throws UsageError `USAGE_OPTION` unless `value` has a host and a port from `portMin` on, and a peer's host is a numeric address. */
export function checkAddress(name: string, value: unknown, portMin: 0 | 1): void {
  const example = `{ host: "127.0.0.1", port: 6881 }`;
  const isObject = typeof value === "object" && value !== null;
  const { host, port } = (isObject ? value : {}) as { host?: unknown; port?: unknown };
  check(
    isObject && typeof host === "string" && host !== "",
    `${name} is an address such as ${example}`,
    value,
  );
  // Names are looked up by nobody here: which of its addresses is meant, and for how long, is the program's to say.
  const isNumeric = portMin === 0 || addressBytes(host as string) !== undefined;
  check(isNumeric, `${name} has a numeric address as its host (dns.lookup() finds that of a name)`, host);
  const fits = Number.isInteger(port) && Number(port) >= portMin && Number(port) <= 65_535;
  check(fits, `${name} has a port, a whole number from ${portMin} to 65535`, port);
}

/** Throws UsageError `USAGE_OPTION`. */
export function checkReceiveMode(mode: unknown): void {
  checkOption("receiveMode", SESSION_OPTIONS.receiveMode, mode);
}

/** Throws UsageError `USAGE_OPTION`. */
export function checkPeer(address: unknown, options: unknown): void {
  checkAddress("a peer", address, 1);
  checkOptions(PEER_CONNECT_OPTIONS, options, "a peer");
}

/** Throws UsageError `USAGE_OPTION` for what is not a Duplex of bytes. */
export function checkStream(duplex: Duplex): void {
  const isDuplex =
    typeof duplex === "object" &&
    duplex !== null &&
    typeof duplex.read === "function" &&
    typeof duplex.write === "function" &&
    typeof duplex.destroy === "function";
  check(isDuplex, "a stream of bytes is a Duplex of node:stream", duplex);
  const isOfBytes =
    !duplex.readableObjectMode && !duplex.writableObjectMode && duplex.readableEncoding === null;
  check(isOfBytes, "the Duplex brings bytes: no objects, and no text of an encoding", duplex);
}

/** Throws UsageError `USAGE_OPTION`, also for a kind of storage that needs a folder and has none. */
export function checkTorrentOptions(options: {
  readonly storage?: string;
  readonly directory?: string;
  readonly lendBlocks?: boolean;
  readonly onBlock?: unknown;
  readonly customStorage?: unknown;
}): void {
  checkOptions(TORRENT_OPTIONS, options, "a torrent");
  if (options.lendBlocks === true && options.onBlock !== undefined)
    refuse("onBlock and lendBlocks both take the blocks: give one of them");
  if (options.customStorage !== undefined) {
    if (options.storage !== undefined || options.directory !== undefined)
      refuse("customStorage keeps the pieces: leave out storage and directory");
    return;
  }
  const storage = options.storage ?? TORRENT_OPTIONS.storage.default;
  if (options.directory === undefined && storage !== "memory" && storage !== "null")
    refuse(`storage "${storage}" needs a directory; only "memory" and "null" need none`);
}

function checkWhole(name: string, spec: WholeOption, value: unknown): void {
  const { min, max, multipleOf = 1 } = spec;
  const fits = Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
  const step = multipleOf === 1 ? "" : `, a multiple of ${multipleOf}`;
  const allowed = `${name} is a whole number from ${min} to ${max}${step}`;
  check(fits && Number(value) % multipleOf === 0, allowed, value);
}

function checkPart(name: string, { methods, lists }: PartOption, value: unknown): void {
  const members = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const isRight = methods.every((method) => typeof members[method] === "function");
  check(isRight, `${name} has the methods ${methods.join(", ")}`, value);
  for (const list of lists) check(Array.isArray(members[list]), `${name}.${list} is an array`, members[list]);
}

function isArrayOfText(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function check(isRight: boolean, allowed: string, value: unknown): void {
  if (!isRight) refuse(`${allowed}, not ${show(value)}`);
}

function refuse(text: string): never {
  throw new UsageError("USAGE_OPTION", text);
}

function refuseName(table: OptionTable, name: string, whose: string): never {
  const names = Object.keys(table);
  const nearest = names
    .map((each) => ({ each, distance: changesBetween(name.toLowerCase(), each.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const isNear = nearest !== undefined && nearest.distance <= Math.max(2, name.length / 3);
  refuse(
    `${whose} has no option ${show(name)}; ${isNear ? `is ${nearest.each} meant?` : `those it has: ${names.join(", ")}`}`,
  );
}

function isSignal(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { aborted, addEventListener } = value as { aborted?: unknown; addEventListener?: unknown };
  return typeof aborted === "boolean" && typeof addEventListener === "function";
}

/** A value in a message: short, and with quotes where it is text. */
function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "function") return "a function";
  if (value instanceof Uint8Array) return `${value.length}`;
  if (typeof value === "object" && value !== null) {
    const name = value.constructor?.name ?? "Object";
    return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
  }
  return String(value);
}
