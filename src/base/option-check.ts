// Options that came from a caller who may have no type checker, held against their table: what is wrong is said before anything is
// opened, with what is allowed, and not by whatever first stumbles over it.

import { unreachable } from "./assert.js";
import { UsageError } from "./errors.js";
import { changesBetween } from "./nearest-word.js";
import { addressBytes } from "./network-address.js";

export interface WholeSpec {
  readonly kind: "whole";
  readonly min: number;
  readonly max: number;
  readonly multipleOf?: number;
}

/** Any number above one: a rate. */
export interface NumberSpec {
  readonly kind: "number";
  readonly above: number;
}

/** An array of whole numbers. */
export interface WholesSpec {
  readonly kind: "wholes";
  readonly min: number;
  readonly max: number;
}

export interface NameSpec {
  readonly kind: "name";
  readonly names: readonly string[];
}

export interface PlainSpec {
  readonly kind:
    | "flag"
    | "trackers"
    | "folder"
    | "text"
    | "texts"
    | "set"
    | "address"
    | "file"
    | "callback"
    | "signal";
}

/** Numeric addresses of others. */
export interface AddressesSpec {
  readonly kind: "addresses";
  /** What messages call one of them. Default: "a peer". */
  readonly each?: string;
}

/** Addresses to listen at: names may be among them, and port 0 picks one. */
export interface ListensSpec {
  readonly kind: "listens";
  readonly countMin: 0 | 1;
}

/** A Uint8Array; `length` undefined: of any length. */
export interface BytesSpec {
  readonly kind: "bytes";
  readonly length?: number;
}

/** A Uint32Array. */
export interface WordsSpec {
  readonly kind: "words";
  readonly length: number;
}

/** Something that has methods and other members. */
export interface PartSpec {
  readonly kind: "part";
  readonly methods: readonly string[];
  /** Its members that are arrays. */
  readonly lists: readonly string[];
}

/** Options of their own. */
export interface TableSpec {
  readonly kind: "table";
  readonly table: OptionSpecs;
}

export type OptionSpec =
  | WholeSpec
  | NumberSpec
  | WholesSpec
  | NameSpec
  | PlainSpec
  | AddressesSpec
  | ListensSpec
  | BytesSpec
  | WordsSpec
  | PartSpec
  | TableSpec;

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** A table that has each option of these, and no other. */
export type OptionsOf<Options> = Readonly<Record<keyof Options, OptionSpec>>;

/**
 * Throws UsageError `USAGE_OPTION` for a name that `table` has not, or a value that is not allowed; a missing or undefined one is.
 * `whose` says in the message what the options are of, `within` what stands before their names.
 */
export function checkOptions(table: OptionSpecs, options: unknown, whose: string, within = ""): void {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    refuse(`the options of ${whose} are an object, not ${show(options)}`);
  for (const [name, value] of Object.entries(options as object)) {
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (spec === undefined) refuseName(table, name, whose);
    else if (value !== undefined) checkOption(`${within}${name}`, spec, value);
  }
}

/** Throws UsageError `USAGE_OPTION` unless `value` is what `spec` allows. */
export function checkOption(name: string, spec: OptionSpec, value: unknown): void {
  switch (spec.kind) {
    case "whole":
      checkWhole(name, spec, value);
      break;
    case "number":
      check(
        typeof value === "number" && value > spec.above,
        `${name} is a number above ${spec.above}`,
        value,
      );
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
    case "file":
      check(typeof value === "string" && value !== "", `${name} is the path of a file`, value);
      break;
    case "text":
      check(typeof value === "string", `${name} is text`, value);
      break;
    case "texts":
      check(isArrayOfText(value), `${name} is an array of texts`, value);
      break;
    case "set":
      check(value instanceof Set, `${name} is a Set`, value);
      break;
    case "address":
      checkAddress(name, value, 0);
      break;
    case "addresses":
      checkAddresses(name, value, spec.each ?? "a peer", 1);
      break;
    case "listens":
      checkAddresses(name, value, `each of ${name}`, 0);
      check((value as unknown[]).length >= spec.countMin, `${name} names an address or more`, "none");
      break;
    case "wholes":
      check(Array.isArray(value), `${name} is an array of whole numbers`, value);
      for (const each of value as unknown[]) checkWhole(`each of ${name}`, { ...spec, kind: "whole" }, each);
      break;
    case "bytes":
      checkBytes(name, spec.length, value);
      break;
    case "words": {
      const isRight = value instanceof Uint32Array && value.length === spec.length;
      check(isRight, `${name} is a Uint32Array of ${spec.length} words`, value);
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
    case "table":
      checkOptions(spec.table, value, name, `${name}.`);
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

/** The same for all of an array, each of which messages call `each`. */
export function checkAddresses(name: string, value: unknown, each: string, portMin: 0 | 1): void {
  check(Array.isArray(value), `${name} is an array of addresses { host, port }`, value);
  for (const address of value as unknown[]) checkAddress(each, address, portMin);
}

/** Throws UsageError `USAGE_OPTION` unless `value` is a Uint8Array, of `length` bytes if that is said. */
export function checkBytes(name: string, length: number | undefined, value: unknown): void {
  const isBytes = value instanceof Uint8Array;
  check(isBytes, `${name} is a Uint8Array${length === undefined ? "" : ` of ${length} bytes`}`, value);
  check(length === undefined || (isBytes && value.length === length), `${name} has ${length} bytes`, value);
}

/** Throws UsageError `USAGE_OPTION` that says what is allowed, and what came, unless that is right. */
export function check(isRight: boolean, allowed: string, value: unknown): void {
  if (!isRight) refuse(`${allowed}, not ${show(value)}`);
}

function checkWhole(name: string, spec: WholeSpec, value: unknown): void {
  const { min, max, multipleOf = 1 } = spec;
  const fits = Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
  const step = multipleOf === 1 ? "" : `, a multiple of ${multipleOf}`;
  const allowed = `${name} is a whole number from ${min} to ${max}${step}`;
  check(fits && Number(value) % multipleOf === 0, allowed, value);
}

function checkPart(name: string, { methods, lists }: PartSpec, value: unknown): void {
  const members = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const isRight = methods.every((method) => typeof members[method] === "function");
  check(isRight, `${name} has the methods ${methods.join(", ")}`, value);
  for (const list of lists) check(Array.isArray(members[list]), `${name}.${list} is an array`, members[list]);
}

function isArrayOfText(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function isSignal(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { aborted, addEventListener } = value as { aborted?: unknown; addEventListener?: unknown };
  return typeof aborted === "boolean" && typeof addEventListener === "function";
}

function refuse(text: string): never {
  throw new UsageError("USAGE_OPTION", text);
}

function refuseName(table: OptionSpecs, name: string, whose: string): never {
  const names = Object.keys(table);
  const nearest = names
    .map((each) => ({ each, distance: changesBetween(name.toLowerCase(), each.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const isNear = nearest !== undefined && nearest.distance <= Math.max(2, name.length / 3);
  refuse(
    `${whose} has no option ${show(name)}; ${isNear ? `is ${nearest.each} meant?` : `those it has: ${names.join(", ")}`}`,
  );
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
