// What a program throws in its listeners becomes an `uncaughtException`: here it is collected instead of failing the test.

/** Runs `body`; resolves to what was thrown meanwhile where nobody caught it. */
export async function collectUncaught(body: () => Promise<void>): Promise<unknown[]> {
  const errors: unknown[] = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => errors.push(error));
  try {
    await body();
    // What was thrown last is told by a microtask.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const listener of before) process.on("uncaughtException", listener);
  }
  return errors;
}
