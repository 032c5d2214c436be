#!/usr/bin/env node
// The command line: finds the verb and hands over. Whoever asks for help or the version waits for nothing else to be loaded.

import { VERSION } from "../base/version.js";
import { EXIT_USAGE } from "./exit.js";
import { watchOutput } from "./standard-output.js";
import { overview, similarVerb, VERBS } from "./verbs.js";

async function main(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === "help" && rest.length > 0) return main([...rest, "--help"]);
  const verb = VERBS.find(({ name }) => name === first);
  if (verb !== undefined) return (await verb.load()).run(args);
  // A verb watches for itself: the bundle has some of them with all that they use a second time, which this would not know of.
  watchOutput();
  if (first === undefined || first === "help" || first === "--help" || first === "-h") {
    (first === undefined ? process.stderr : process.stdout).write(overview());
    return first === undefined ? EXIT_USAGE : 0;
  }
  if (first === "--version" || first === "-V") {
    process.stdout.write(`${VERSION}\n`);
    return 0;
  }
  const what = first.startsWith("-") ? "option" : "verb";
  const similar = similarVerb(first);
  const hint = similar === undefined ? "`scatterwire --help` lists the verbs" : `did you mean ${similar}?`;
  process.stderr.write(`scatterwire: unknown ${what} ${JSON.stringify(first)}: ${hint}\n`);
  return EXIT_USAGE;
}

process.exitCode = await main(process.argv.slice(2));
