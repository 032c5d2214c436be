// scatterwire bench receive: the matrix of receiving.

import { Command } from "commander";
import { benchReceive } from "../../../bench/suites/bench-receive.js";
import { entryOf } from "../../base/assert.js";
import { addLabOptions, type LabFlags, runLabVerb } from "./lab.js";

const SIZE_DEFAULT = 1024 ** 3;

export function receiveCommand(): Command {
  const command = new Command("receive").description(
    "what receiving costs: modes, peers, pools, buffers, traffic, storage and hashing, with the limit beside",
  );
  return addLabOptions(command, "1G")
    .addHelpText(
      "after",
      `
The limit is the same addon receiving the same stream into one buffer and ignoring it. The sender is a process of its
own, and its CPU is apart.

Examples:
  scatterwire bench receive -o receive.json
  scatterwire bench receive --only depth --only peers:peers=64 --runs 5
  scatterwire bench receive --full --only traffic:traffic=segments --size 256M
  scatterwire bench receive --full --size 4G -o full.json`,
    )
    .action(async (flags: LabFlags) => {
      await runLabVerb("receive", flags, SIZE_DEFAULT, (size, signal) =>
        benchReceive({ size, signal, full: flags.full === true, groups: groupsOf(flags) }),
      );
    });
}

function groupsOf(flags: LabFlags): string[] | undefined {
  return flags.only?.map((text) => entryOf(text.split(":"), 0));
}
