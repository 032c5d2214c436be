// What benchmarks share that are run by hand (node dist/bench/suites/NAME.js [BYTES] [--json]): their arguments, and an end on
// Ctrl-C that leaves nothing behind.

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

/** The first argument that is no flag, in bytes, or `otherwise`. Ends the program if it is not a number. */
export function sizeArgument(otherwise: number): number {
  const text = process.argv.slice(2).find((argument) => !argument.startsWith("--"));
  if (text === undefined) return otherwise;
  const size = Number(text);
  if (Number.isSafeInteger(size) && size >= 1024 * 1024) return size;
  console.error(`scatterwire: a size in bytes, at least 1048576, is expected instead of "${text}"`);
  process.exit(EXIT_USAGE);
}

/** Runs `work` with a signal that Ctrl-C aborts; says in one line why it failed. A second Ctrl-C leaves at once. */
export async function interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    await work(controller.signal);
  } catch (error) {
    console.error(`scatterwire: ${(error as Error).message}`);
    process.exitCode = controller.signal.aborted ? EXIT_INTERRUPTED : EXIT_FAILED;
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}
