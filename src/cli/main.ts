#!/usr/bin/env node
// The command line: one file per verb, and this one, which knows them all.

import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { benchCommand } from "./bench.js";
import { checkCommand } from "./check.js";
import { createCommand } from "./create.js";
import { downloadCommand } from "./download.js";
import { infoCommand } from "./info.js";
import { EXIT_USAGE, endQuietlyOnClosedPipe, reportFailure } from "./output.js";
import { seedCommand } from "./seed.js";

const packageUrl = new URL("../../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageUrl, "utf8")) as { version: string };

const program = new Command("scatterwire")
  .description("A BitTorrent peer wire engine: downloads, seeds, and measures what receiving costs.")
  .version(version)
  .addHelpText(
    "after",
    `
Examples:
  scatterwire create ./album -o album.torrent
  scatterwire seed album.torrent . --listen 127.0.0.1:6881
  scatterwire download album.torrent -o ./copy --peer 127.0.0.1:6881
  scatterwire bench loopback

Exit status: 0 done; 1 failed; 2 wrong usage; 130 stopped by Ctrl-C, with resume data safe.`,
  );
for (const make of [createCommand, infoCommand, checkCommand, downloadCommand, seedCommand, benchCommand]) {
  program.addCommand(make());
}
exitInsteadOfThrowing(program);

/** Subcommands do not inherit this. */
function exitInsteadOfThrowing(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) exitInsteadOfThrowing(child);
}

endQuietlyOnClosedPipe();
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else process.exitCode = reportFailure(error);
}
