// What every verb shares: lines of JSON or of text on standard output, one-line errors on standard error, values from the
// command line, and the exit status.
//
//   0 done    1 failed    2 wrong usage    3 data that is there cannot be read    130 stopped by Ctrl-C

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { messageOf, ScatterwireError, UsageError } from "../base/errors.js";
import type { PeerAddress } from "../index.js";
import { EXIT_FAILED, EXIT_INTERRUPTED, EXIT_UNREADABLE, EXIT_USAGE, ExitError } from "./exit.js";

export { EXIT_FAILED, EXIT_INTERRUPTED, EXIT_UNREADABLE, EXIT_USAGE, ExitError } from "./exit.js";

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(text: string): void {
  writeApart(process.stdout, `${printable(text)}\n`);
}

/** A line that is drawn again and again at the bottom of a terminal. */
export interface StatusLine {
  hide(): void;
  show(): void;
}

let statusLine: StatusLine | undefined;

/** What is printed from now on is kept apart from this line. */
export function setStatusLine(line: StatusLine | undefined): void {
  statusLine = line;
}

function writeApart(stream: NodeJS.WriteStream, text: string): void {
  statusLine?.hide();
  stream.write(text);
  statusLine?.show();
}

/** Names from a torrent file may hold characters that steer a terminal: those are shown as a mark. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, "\ufffd");
}

/** Text for a person who may be watching, apart from the result. */
export function note(text: string): void {
  writeApart(process.stderr, `${printable(text)}\n`);
}

/** Says in one line why it failed, and returns the exit status. DEBUG=scatterwire shows the stack. */
export function reportFailure(error: unknown): number {
  if (error instanceof ExitError) {
    if (error.message !== "") note(`scatterwire: ${error.message}`);
    return error.status;
  }
  const debugging = process.env["DEBUG"]?.includes("scatterwire") === true;
  if (debugging) console.error(error);
  if (error instanceof ScatterwireError) {
    note(`scatterwire: ${error.message.replaceAll("\n", " ")}`);
    if (error.code === "ABORTED") return EXIT_INTERRUPTED;
    if (error.code === "STORAGE_UNREADABLE") return EXIT_UNREADABLE;
    return error instanceof UsageError && error.code === "USAGE_OPTION" ? EXIT_USAGE : EXIT_FAILED;
  }
  if (isSystemError(error)) {
    note(`scatterwire: ${error.message}`);
    return EXIT_FAILED;
  }
  const message = messageOf(error);
  note(`scatterwire: ${message.replaceAll("\n", " ")}${debugging ? "" : " (DEBUG=scatterwire shows where)"}`);
  return EXIT_FAILED;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === "number";
}

/** An AbortSignal that Ctrl-C and SIGTERM trigger. A second Ctrl-C leaves at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return controller.signal;
}

export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  // What would be written as 1000 belongs to the next unit.
  while (value >= (unit === 0 ? 1000 : 999.95) && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 9.995 ? 2 : 1)} ${units[unit]}`;
}

/** For a person: "5.2 s", "3 min 12 s", "2 h 5 min". */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "0:07", "12:34", "1:02:03"; in days from 100 hours on. Never longer than eight characters. */
export function formatClock(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole >= 100 * 3600) {
    const days = Math.round(whole / 86_400);
    return days > 9999 ? "> 27 yr" : `${days} d`;
  }
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** "host:port" or "[v6]:port" to a numeric address; names are looked up. Rejects with exit status 2 for anything else. */
export async function parseAddress(text: string, option: string): Promise<PeerAddress> {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  // Port 0 picks one, which makes sense for listening only.
  const portMin = ["--listen", "--peers", "--udp", "--http", "--metrics", "--stream-http"].includes(option)
    ? 0
    : 1;
  const isWrong = match?.[1] !== undefined && isIP(match[1]) !== 6;
  if (host === undefined || isWrong || port < portMin || port > 65_535) {
    throw new ExitError(
      EXIT_USAGE,
      `${option} takes HOST:PORT, such as 127.0.0.1:6881 or [::1]:6881, not "${text}"`,
    );
  }
  if (isIP(host) !== 0) return { host, port };
  try {
    return { host: (await lookup(host)).address, port };
  } catch {
    throw new ExitError(EXIT_FAILED, `${option} ${text}: the name ${host} cannot be found`);
  }
}

/** For commander: an option that may be given several times; behind its own --no-… it begins anew. */
export function collect(value: string, all: readonly string[] | false = []): string[] {
  return all === false ? [value] : [...all, value];
}

/** For commander: a whole number from `min` to `max`. */
export function wholeNumber(option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new ExitError(EXIT_USAGE, `${option} takes a whole number from ${min} to ${max}, not "${text}"`);
  };
}

/** For commander: a number of bytes such as 262144, 256K or 1M, from `min` to `max`. K, M and G are powers of 1024. */
export function byteCount(option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const match = /^(\d+)([KMG]?)$/i.exec(text);
    const unit = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[match?.[2]?.toUpperCase() ?? ""] ?? 1;
    const value = Number(match?.[1]) * unit;
    if (match !== null && value >= min && value <= max) return value;
    throw new ExitError(
      EXIT_USAGE,
      `${option} takes a number of bytes such as 268435456 or 256M, from ${min} to ${max}, not "${text}"`,
    );
  };
}

/** For commander: one of some names. */
export function oneOf<Name extends string>(option: string, names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    throw new ExitError(EXIT_USAGE, `${option} is one of ${names.join(", ")}, not "${text}"`);
  };
}
