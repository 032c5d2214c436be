// What tests need of other programs beside starting them, which bench/processes/program.ts does for the lab and for tests alike.

import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

export { Program } from "../../bench/processes/program.js";

export const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** Throws unless the program can be run: a test with real clients never passes without them. */
export function requireProgram(command: string, args: readonly string[], debianPackage: string): void {
  const { error, status } = spawnSync(command, args, { stdio: "ignore" });
  if (error === undefined && status === 0) return;
  throw new Error(`${command} is missing: install it with "apt-get install ${debianPackage}"`);
}

/** A port that nothing listens at now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
