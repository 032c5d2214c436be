// What every verb shares: lines of JSON or of text on standard output, one-line errors on standard error, a progress bar
// on a terminal, and the exit status.
//
//   0 done    1 failed    2 wrong usage    130 stopped by Ctrl-C

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { Presets, SingleBar } from "cli-progress";
import { type PeerAddress, ScatterwireError, UsageError } from "../index.js";

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_INTERRUPTED = 130;

/** Ends the program with this status; thrown where everything is closed already. */
export class ExitError extends Error {
  readonly status: number;

  constructor(status: number, message = "") {
    super(message);
    this.status = status;
  }
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** Names from a torrent file may hold characters that steer a terminal: those are shown as a mark. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, "\ufffd");
}

/** Whoever read our output has gone (`scatterwire info x | head`): that is no failure, and nothing is left to say. */
export function endQuietlyOnClosedPipe(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(process.exitCode);
  });
}

/** Text for a person who may be watching, apart from the result. */
export function note(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
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
    return error instanceof UsageError && error.code === "USAGE_OPTION" ? EXIT_USAGE : EXIT_FAILED;
  }
  if (isSystemError(error)) {
    note(`scatterwire: ${error.message}`);
    return EXIT_FAILED;
  }
  const message = error instanceof Error ? error.message : String(error);
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

/** A bar on standard error where that is a terminal; nothing otherwise. `total` in bytes. */
export class Progress {
  readonly #bar: SingleBar | undefined;

  constructor(label: string, total: number, enabled: boolean) {
    if (!enabled || !process.stderr.isTTY) return;
    this.#bar = new SingleBar(
      {
        format: `${label} [{bar}] {percentage}%  {rate}  {peers}ETA {eta_formatted}`,
        stream: process.stderr,
        hideCursor: true,
        etaBuffer: 50,
        clearOnComplete: true,
      },
      Presets.rect,
    );
    this.#bar.start(total, 0, { rate: "", peers: "" });
  }

  update(value: number, bytesPerSecond?: number, peers?: number): void {
    this.#bar?.update(value, {
      rate: bytesPerSecond === undefined ? "" : `${formatBytes(bytesPerSecond)}/s`,
      peers: peers === undefined ? "" : `${peers} peer${peers === 1 ? "" : "s"}  `,
    });
  }

  stop(): void {
    this.#bar?.stop();
  }
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

/** "host:port" or "[v6]:port" to a numeric address; names are looked up. Rejects with exit status 2 for what is none. */
export async function parseAddress(text: string, option: string): Promise<PeerAddress> {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  // Port 0 picks one, which makes sense for listening only.
  const portMin = option === "--listen" ? 0 : 1;
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

/** For commander: an option that may be given several times. */
export function collect(value: string, all: readonly string[] = []): string[] {
  return [...all, value];
}

/** For commander: a whole number from `min` to `max`. */
export function wholeNumber(option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new ExitError(EXIT_USAGE, `${option} takes a whole number from ${min} to ${max}, not "${text}"`);
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
