// Parses the command line of one verb and does what it says; whatever goes wrong becomes one line and an exit status.

import { Command, CommanderError } from "commander";
import { EXIT_USAGE, note, reportFailure } from "./output.js";
import { hasUnreadOutput, watchOutput } from "./standard-output.js";

/** `args`: all behind `scatterwire`, the verb first. Resolves to the exit status; never rejects. */
export async function runVerb(verb: Command, args: readonly string[]): Promise<number> {
  const program = new Command("scatterwire").addCommand(verb);
  speakAsWeDo(program, "scatterwire");
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

/** Errors of commander are thrown, and told in one line as all others are. Subcommands do not inherit this. */
function speakAsWeDo(command: Command, path: string): void {
  command.exitOverride();
  command.configureOutput({ outputError: (text) => note(`scatterwire: ${wrongUsage(text, path)}`) });
  for (const child of command.commands) speakAsWeDo(child, `${path} ${child.name()}`);
}

/** `text` as commander puts it: a sentence behind "error:", and perhaps a similar word in brackets on a line of its own. */
function wrongUsage(text: string, path: string): string {
  const [error = "", hint] = text.trim().split("\n");
  const what = error.replace(/^error: /, "").replace(/\.$/, "");
  return hint === undefined
    ? `${what}: \`${path} --help\` says what it takes`
    : `${what} ${hint.replace("(Did", "(did")}`;
}
