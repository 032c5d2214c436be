// Tracing of states and messages: a JSON line for each, to a function or, with SCATTERWIRE_TRACE=1, to standard
// error; SCATTERWIRE_TRACE=FILE appends to that file. Off, it costs one comparison per message.

import { appendFileSync, existsSync, statSync, unlinkSync } from "node:fs";
import type { Ground } from "../ground.js";

/** Called by connections. Details are plain values. */
export type TraceSink = (peer: string, event: string, details: Record<string, unknown>) => void;

/** One thing that happened to a connection; what else it has depends on `event`. */
export interface TraceRecord {
  /** Milliseconds of a clock that only goes on; it begins anywhere. */
  readonly timeMs: number;
  /** `host:port` of the connection; empty for what is about none. */
  readonly peer: string;
  /** What happened: `state`, `message`, `receive-mode`, `snubbed`, `left out`. */
  readonly event: string;
  readonly [detail: string]: unknown;
}

/** The sink that a session's `trace` option, or else the environment, asks for; undefined: tracing is off. */
export function makeTraceSink(
  listener: ((record: TraceRecord) => void) | undefined,
  ground: Pick<Ground, "nowMs">,
): TraceSink | undefined {
  const target = listener ?? listenerFromEnvironment();
  if (target === undefined) return undefined;
  return (peer, event, details) => target({ timeMs: ground.nowMs(), peer, event, ...details });
}

function listenerFromEnvironment(): ((record: TraceRecord) => void) | undefined {
  const setting = process.env["SCATTERWIRE_TRACE"];
  if (setting === undefined || setting === "" || setting === "0") return undefined;
  if (setting === "1") return (record) => process.stderr.write(`${JSON.stringify(record)}\n`);
  return fileSink(setting);
}

/**
 * Appends to a file. One that cannot be written to, or is full, ends the tracing and nothing else; if it was not there before and has nothing in
 * it, it goes.
 */
function fileSink(path: string): (record: TraceRecord) => void {
  const isNew = !existsSync(path);
  let ended = false;
  return (record) => {
    if (ended) return;
    try {
      appendFileSync(path, `${JSON.stringify(record)}\n`);
    } catch (error) {
      ended = true;
      if (isNew) removeEmpty(path);
      process.emitWarning(`SCATTERWIRE_TRACE ends: ${String(error)}`, "ScatterwireWarning");
    }
  };
}

function removeEmpty(path: string): void {
  try {
    if (statSync(path).size === 0) unlinkSync(path);
  } catch {
    // It was never made, or somebody else has it now.
  }
}

/** One sink for whoever of the two wants to know. */
export function bothSinks(one: TraceSink | undefined, other: TraceSink | undefined): TraceSink | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return (peer, event, details) => {
    one(peer, event, details);
    other(peer, event, details);
  };
}
