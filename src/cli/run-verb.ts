// Parses the command line of one verb and does what it says; whatever goes wrong becomes one line and an exit status.

import { Command, CommanderError } from "commander";
import { EXIT_USAGE, note, reportFailure } from "./output.js";
import { hasUnreadOutput, watchOutput } from "./standard-output.js";

/** `args`: all behind `scatterwire`, the verb first. Resolves to the exit status; never rejects. */
export async function runVerb(verb: Command, args: readonly string[]): Promise<number> {
  const program = new Command("scatterwire").addCommand(verb);
  exitInsteadOfThrowing(program);
  watchOutput(note);
  try {
    await program.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    const status = reportFailure(error);
    if (hasUnreadOutput()) process.exit(status);
    return status;
  }
}

/** Subcommands do not inherit this. */
function exitInsteadOfThrowing(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) exitInsteadOfThrowing(child);
}
