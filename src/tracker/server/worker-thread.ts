// A worker thread of a tracker: UDP sockets of its own, swarms that it shares with the other threads. It is started by
// worker-group.ts, which tells it what to do.
//
// Always: whatever it counts is published ten times a second, and when it is told to stop. What it throws ends it, and another one
// takes its place.

import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../base/assert.js";
import { loadBinding } from "../../native/binding.js";
import { PartedSwarms } from "../peer-store/parted-swarms.js";
import { countersOfParts, guardParts, PartAdmission } from "./part-guard.js";
import { Tracker } from "./tracker.js";
import { publishCounters } from "./worker-counters.js";
import type { WorkerOrders, WorkerTask } from "./worker-group.js";

const PUBLISH_MS = 100;

const { releasePages } = loadBinding();
const port = parentPort;
assert(port !== null, "this module is a thread's, started by a tracker");
const task = workerData as WorkerTask;
const admission = new PartAdmission(task.lists, (words, at) => swarms.hash(words, at));
const guards = guardParts(task.guard, admission);
const swarms = new PartedSwarms(task.memory, task.thread, guards.guard, { release: releasePages });
for (const change of task.changes) admission.change(change);
const tracker = new Tracker({ ...task.options, udp: [], descriptors: task.descriptors, swarms });
const publish = (): void => {
  const { udp, swarms: counted } = tracker.counters();
  publishCounters(task.counters, { udp, swarms: counted, parts: countersOfParts(swarms, guards) });
};
const timer = setInterval(publish, PUBLISH_MS);

port.on("message", (orders: WorkerOrders) => {
  if (orders.lists !== undefined) admission.replace(orders.lists);
  if (orders.change !== undefined) admission.change(orders.change);
  if (orders.stop !== true) return;
  clearInterval(timer);
  tracker.close();
  publish();
  port.close();
});
port.postMessage("serving");
