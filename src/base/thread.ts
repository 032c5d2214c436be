// Threads that run a script of ours, in whatever process they are begun.

import { Worker } from "node:worker_threads";

const INPUT_TYPE = "--input-type";

/**
 * Begins a thread. It has the options of its process, but where those say what kind of text the process was given with --eval: a thread would
 * inherit that, and Node.js refuses it for files. Then it has none, since Node.js takes no list of options that are the process's own.
 */
export function startThread(script: URL, workerData: unknown): Worker {
  const isForText = process.execArgv.some((option) => option.startsWith(INPUT_TYPE));
  return new Worker(script, isForText ? { workerData, execArgv: [] } : { workerData });
}
