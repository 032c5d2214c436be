// scatterwire bench wan: far peers, through a link with a round trip and a bandwidth.

import { Command } from "commander";
import { benchWan } from "../../../bench/rivals/wan.js";
import { wholeNumber } from "../output.js";
import { parseSize } from "./arguments.js";
import { addLabOptions, type LabFlags, runLabVerb } from "./lab.js";

interface WanFlags extends LabFlags {
  rtt?: number[];
  rate?: number;
  peers?: number[];
}

const SIZE_DEFAULT = 512 * 1024 ** 2;
const RATE_DEFAULT = 60e6;
const RTT_DEFAULT = [100, 200];
const PEERS_DEFAULT = [1, 4];

export function wanCommand(): Command {
  const command = new Command("wan").description(
    "downloads from far peers: a link with a round trip and a bandwidth, libtorrent beside us",
  );
  return addLabOptions(command, "512M")
    .option("--rtt <list>", `round trips in milliseconds (default: ${RTT_DEFAULT})`, numbers("--rtt", 2000))
    .option(
      "--rate <bytes>",
      "bytes per second of the link; K, M and G are understood (default: 60000000)",
      parseSize,
    )
    .option("--peers <list>", `seeders behind the link (default: ${PEERS_DEFAULT})`, numbers("--peers", 64))
    .addHelpText(
      "after",
      `
The link is a relay that delays each direction by half of the round trip and lets all connections together carry no more than its rate.
"of link" is the part of the link's rate that was reached, from the first connection to the last piece, slow start included.

Examples:
  scatterwire bench wan --runs 1
  scatterwire bench wan --rtt 50,300 --rate 20M --only far:peers=1`,
    )
    .action(async (flags: WanFlags) => {
      const { rtt = RTT_DEFAULT, rate = RATE_DEFAULT, peers = PEERS_DEFAULT } = flags;
      await runLabVerb("wan", flags, SIZE_DEFAULT, (size, signal) =>
        benchWan({ size, signal, rttMs: rtt, linkBytesPerSecond: rate, peers }),
      );
    });
}

function numbers(option: string, most: number): (text: string) => number[] {
  return (text) => [...new Set(text.split(",").map(wholeNumber(option, 1, most)))];
}
