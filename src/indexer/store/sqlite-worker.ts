// A thread that SQLite waits in: one that writes, or one that reads. It is started by sqlite-store.ts, which tells it the file.
//
// Always: one call after the other, each answered once, with its value or with what SQLite said.

import { parentPort, workerData } from "node:worker_threads";
import { assert, present } from "../../base/assert.js";
import { ScatterwireError } from "../../base/errors.js";
import { openSqlite, type SqliteDatabase } from "./sqlite-database.js";
import { SqliteReader } from "./sqlite-reader.js";
import { checkVersion, migrate } from "./sqlite-schema.js";
import { SqliteWriter } from "./sqlite-writer.js";

export interface SqliteTask {
  readonly file: string;
  readonly kind: "writer" | "reader";
}

/** `nowMs`: the store's clock may be a test's. */
export interface SqliteCall {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
  readonly nowMs: number;
}

export interface SqliteAnswer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: {
    readonly kind: string;
    readonly code: string;
    readonly message: string;
    readonly errcode: number;
  };
}

/** Node.js 22 would say in each thread of each index that its SQLite is an experiment: nobody who asked for an index can do anything about it. */
const warned = process.listeners("warning");
process.removeAllListeners("warning").on("warning", (warning) => {
  if (warning.name !== "ExperimentalWarning") for (const listener of warned) listener(warning);
});

const port = parentPort;
assert(port !== null, "this module is a thread's, started by a store");
const { file, kind } = workerData as SqliteTask;
let nowMs = 0;
let database: SqliteDatabase | undefined;
let methods: Readonly<Record<string, (...args: never[]) => unknown>> = {};

async function open(): Promise<void> {
  const opened = await openSqlite(file, (database) => checkVersion(database, file));
  try {
    if (kind === "writer") migrate(opened, file);
  } catch (error) {
    opened.close();
    throw error;
  }
  const clock = (): number => nowMs;
  methods = methodsOf(kind === "writer" ? new SqliteWriter(opened, clock) : new SqliteReader(opened, clock));
  database = opened;
}

type Methods = Record<string, (...args: never[]) => unknown>;

function methodsOf(object: object): Methods {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter(
    (name) => name !== "constructor",
  );
  return Object.fromEntries(
    names.map((name) => [
      name,
      present((object as Methods)[name], "an object has what it names").bind(object),
    ]),
  );
}

/** Loading SQLite takes a while: what comes meanwhile waits. */
let turn = Promise.resolve();
port.on("message", (call: SqliteCall) => {
  turn = turn.then(() => answer(call));
});

async function answer(call: SqliteCall): Promise<void> {
  nowMs = call.nowMs;
  try {
    const value = await perform(call);
    port?.postMessage({ id: call.id, value } satisfies SqliteAnswer);
  } catch (error) {
    port?.postMessage({ id: call.id, error: told(error) } satisfies SqliteAnswer);
  }
  if (call.method === "close") port?.close();
}

async function perform({ method, args }: SqliteCall): Promise<unknown> {
  if (method === "close") return database?.close();
  if (database === undefined) await open();
  return method === "open" ? undefined : methods[method]?.(...(args as never[]));
}

/** An error's class does not come across, so that what matters of it is told. */
function told(error: unknown): NonNullable<SqliteAnswer["error"]> {
  const { message, errcode, code } = error as { message?: string; errcode?: number; code?: string };
  const kind = error instanceof ScatterwireError ? error.name : "";
  return { kind, code: code ?? "", message: message ?? String(error), errcode: errcode ?? 0 };
}
