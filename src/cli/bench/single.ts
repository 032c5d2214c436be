// The verbs of `bench` that answer one question by themselves, without a matrix of trials: allocations, memory, hashing, guest.

import { Command } from "commander";
import type { Answer, OnStep } from "../../../bench/measuring/answer.js";
import { EXIT_FAILED, ExitError, interruptSignal, printJson, printLine } from "../output.js";
import { parseSize } from "./arguments.js";
import { LabProgress } from "./lab-progress.js";

interface Flags {
  size?: number;
  json?: boolean;
}

function singleCommand(
  name: string,
  description: string,
  size: { readonly bytes: number; readonly text: string },
  answer: (size: number, signal: AbortSignal, onStep: OnStep) => Promise<Answer>,
): Command {
  return new Command(name)
    .description(description)
    .option(
      "--size <bytes>",
      `size of the torrent; K, M and G are understood (default: ${size.text})`,
      parseSize,
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", `\nExample:\n  scatterwire bench ${name} --size 256M`)
    .action(async (flags: Flags) => {
      const progress = new LabProgress(flags.json !== true);
      const { data, text, failure } = await answer(flags.size ?? size.bytes, interruptSignal(), (step) =>
        progress.step(step),
      ).finally(() => progress.stop());
      if (flags.json === true) printJson(data);
      else printLine(text);
      if (failure !== undefined) throw new ExitError(EXIT_FAILED, failure);
    });
}

const GIB = { bytes: 1024 ** 3, text: "1G" };

export async function allocationsCommand(): Promise<Command> {
  const { allocationsAnswer } = await import("../../../bench/suites/allocations.js");
  const description = "shows that nothing is allocated per block; exit status 1 if something is";
  return singleCommand("allocations", description, GIB, allocationsAnswer);
}

export async function memoryCommand(): Promise<Command> {
  const { memoryAnswer } = await import("../../../bench/suites/memory.js");
  const description = "peak memory of verified downloads to files, over piece lengths";
  return singleCommand("memory", description, { bytes: 2 * GIB.bytes, text: "2G" }, memoryAnswer);
}

export async function hashingCommand(): Promise<Command> {
  const { hashingAnswer } = await import("../../../bench/suites/hashing.js");
  const description = "what hashing costs: every way this machine has, create and check";
  return singleCommand("hashing", description, GIB, hashingAnswer);
}

export async function guestCommand(): Promise<Command> {
  const { guestAnswer } = await import("../../../bench/suites/guest.js");
  const description = "how long the host's fs.stat and dns.lookup take beside us; exit status 1 if too long";
  return singleCommand("guest", description, GIB, guestAnswer);
}
