// Which command line of ours the lab and the tests start: the bundle, which is what users run, and its modules one by one where there is none.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Names another one: the tests say by it that they mean what was compiled last. */
export const CLI_VARIABLE = "SCATTERWIRE_CLI";

export const BUNDLED_CLI = fileURLToPath(new URL("../../bundle/main.js", import.meta.url));
export const MODULES_CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** The path of its script. */
export function commandLine(): string {
  return process.env[CLI_VARIABLE] ?? (existsSync(BUNDLED_CLI) ? BUNDLED_CLI : MODULES_CLI);
}
