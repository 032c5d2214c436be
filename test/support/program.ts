// What tests need of other programs beside starting them, which bench/processes/program.ts does for the lab and for tests alike.

import { fileURLToPath } from "node:url";
import { freePorts } from "../../bench/rivals/clients.js";

export { Program } from "../../bench/processes/program.js";

export const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** A port that nothing listens at now. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts();
  return port;
}
