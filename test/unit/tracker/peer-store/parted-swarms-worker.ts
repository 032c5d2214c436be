// A thread of its own that announces to parted swarms: peers that only it has, in torrents that others have too.

import { parentPort, workerData } from "node:worker_threads";
import { EVENT_STARTED } from "../../../../src/tracker/peer-store/contract.js";
import { PartedSwarms, type PartedSwarmsMemory } from "../../../../src/tracker/peer-store/parted-swarms.js";
import { required } from "../../../support/required.js";
import { announce, announcement, Sink } from "./model.js";

const { memory, thread, torrents, peers, crowd, rounds } = workerData as {
  memory: PartedSwarmsMemory;
  thread: number;
  torrents: number;
  peers: number;
  crowd: number;
  rounds: number;
};
const swarms = new PartedSwarms(memory, thread);
const sink = new Sink();
const first = 30_000 * (thread - 1);
const CROWDED = 1_000_000;

function put(torrent: number, number: number): void {
  sink.at = 0;
  const seeder = number % 3 === 0;
  announce(
    swarms,
    announcement(torrent, { family: 4, number: first + number }, seeder, EVENT_STARTED, 30),
    sink,
  );
}

// Endless work says that it has begun; work with an end, that it has ended.
if (rounds > 1000) required(parentPort, "parent port").postMessage({});
for (let round = 0; round < rounds; round++) {
  for (let number = 0; number < crowd; number++) put(CROWDED, number);
  for (let torrent = 0; torrent < torrents; torrent++)
    for (let number = 0; number < peers; number++) put(torrent, number);
}
required(parentPort, "parent port").postMessage({ abandoned: swarms.locks.abandoned });
