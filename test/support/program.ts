// What tests need of other programs beside starting them, which bench/processes/program.ts does for the lab and for tests alike.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BUNDLED_CLI, CLI_VARIABLE, commandLine, MODULES_CLI } from "../../bench/processes/command-line.js";
import { freePorts } from "../../bench/rivals/clients.js";

export { Program } from "../../bench/processes/program.js";

const SOURCES = fileURLToPath(new URL("../../../src/", import.meta.url));

// `npm test` makes the bundle. Whoever changes something, compiles it and runs one test means what was compiled, and not a bundle of before.
process.env[CLI_VARIABLE] ??= isOlder(BUNDLED_CLI, SOURCES) ? MODULES_CLI : BUNDLED_CLI;
// Where a test is run alone: not in the user's own folder.
process.env["SCATTERWIRE_CODE_CACHE"] ??= "off";

/** The script of our command line: what users run. */
export const CLI = commandLine();

/** It is not there, or older than what it is made of. */
function isOlder(file: string, folder: string): boolean {
  const madeMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  return sources.some((name) => statSync(join(folder, name)).mtimeMs > madeMs);
}

/** A port that nothing listens at now. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts();
  return port;
}
