// The processes that run for us. All of them are ended when the benchmark ends, however it ends.

import type { ChildProcess } from "node:child_process";

const running = new Set<ChildProcess>();

/** Lets this process be ended with the benchmark, whoever started it. */
export function track(child: ChildProcess): void {
  running.add(child);
  const forget = (): void => {
    running.delete(child);
  };
  child.once("exit", forget);
  child.once("error", forget);
}

/** Ends what still runs. */
export function stopAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/**
 * Does `work`, and ends all processes that it started if it is not done in time: then it rejects, and says so. Processes that ran
 * before are left alone.
 */
export async function withDeadline<Result>(timeoutMs: number, work: () => Promise<Result>): Promise<Result> {
  const before = new Set(running);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    for (const child of running) if (!before.has(child)) child.kill("SIGKILL");
  }, timeoutMs);
  try {
    return await work();
  } catch (error) {
    if (!late) throw error;
    throw new Error(`not done after ${Math.round(timeoutMs / 1000)} s`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
