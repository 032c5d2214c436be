// Standard output and standard error that cannot be written to. Loaded before all else, and so it loads next to nothing.
//
// Always: output that nobody reads any more (`scatterwire info x | head`) is no failure, and nothing is left to say; what else is wrong
// with it (a full disk) is said in one line, and is one. What cannot be said on standard error stops nothing.

import { EXIT_FAILED } from "./exit.js";

let isWatched = false;
/** Somebody waits for what is written to standard output, and says what became of it. */
let isAwaited = false;
let tell = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** To be called before anything is written. `say`: how a line is said from now on. */
export function watchOutput(say = tell): void {
  tell = say;
  if (isWatched) return;
  isWatched = true;
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (isAwaited) return;
    if (error.code === "EPIPE") process.exit(process.exitCode);
    tell(`scatterwire: cannot write to standard output: ${error.message}`);
    process.exit(EXIT_FAILED);
  });
}

/** What was written, and nobody took, would keep a process that has nothing else to do. */
export function hasUnreadOutput(): boolean {
  return isAwaited && process.stdout.writableLength > 0;
}

/** Writes bytes to standard output. Resolves when they were taken, rejects with what the system says. */
export function writeBytes(bytes: Uint8Array): Promise<void> {
  isAwaited = true;
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
