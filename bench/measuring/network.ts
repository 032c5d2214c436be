// A path as a real network has it: a network namespace at the other end of a pair of virtual Ethernet devices, with an mtu of
// 1500, segments that are not joined to larger ones on the way, and a delay, where the kernel has one to give. It needs
// root; where something cannot be had, the reason is told in words.
//
// Always: the namespace is gone when the work is over, and with it both devices.

import { spawnSync } from "node:child_process";
import { firstOf } from "./ends.js";

const MTU_BYTES = 1500;
const DELAY_MS = 2;
/** Packets that the delay line holds: more than a bandwidth of several GB/s fills in that time. */
const PACKETS_HELD = 100_000;

export interface NetworkPath {
  /** Where the program at the other end listens. */
  readonly host: string;
  /** What it is started with. */
  readonly prefix: readonly string[];
  /** Adds the delay to the way back, or says why there is none. */
  setDelay(on: boolean): string | undefined;
}

/** Works with a path, or with the reason why there is none. */
export async function withNetworkPath<Result>(
  wanted: boolean,
  work: (path: NetworkPath | string) => Promise<Result>,
): Promise<Result> {
  if (!wanted) return work("not asked for");
  const name = `scatterwire-${process.pid}`;
  const near = `swn${process.pid}`;
  const far = `swf${process.pid}`;
  // A network of its own for each process: two benchmarks do not meet.
  const third = process.pid % 256;
  const remove = (): void => void run("ip", "netns", "delete", name);
  process.once("exit", remove);
  try {
    return await work(setUp({ name, near, far, third }));
  } finally {
    process.off("exit", remove);
    remove();
    run("ip", "link", "delete", near);
  }
}

function setUp(names: { name: string; near: string; far: string; third: number }): NetworkPath | string {
  const { name, near, far, third } = names;
  const inside = ["ip", "netns", "exec", name];
  const host = `10.213.${third}.2`;
  const segments = ["gso_max_segs", "1", "gso_max_size", String(MTU_BYTES)];
  const steps: readonly (readonly string[])[] = [
    ["ip", "netns", "add", name],
    ["ip", "link", "add", near, "mtu", String(MTU_BYTES), "type", "veth", "peer", "name", far],
    ["ip", "link", "set", far, "netns", name],
    ["ip", "addr", "add", `10.213.${third}.1/24`, "dev", near],
    ["ip", "link", "set", near, ...segments, "up"],
    [...inside, "ip", "addr", "add", `${host}/24`, "dev", far],
    [...inside, "ip", "link", "set", far, "mtu", String(MTU_BYTES), ...segments, "up"],
    [...inside, "ip", "link", "set", "lo", "up"],
  ];
  for (const step of steps) {
    const error = run(...step);
    if (error !== undefined) return `no network namespace can be made (needs root and iproute2): ${error}`;
  }
  const setDelay = (on: boolean): string | undefined => {
    const discipline = on
      ? ["netem", "delay", `${DELAY_MS}ms`, "limit", String(PACKETS_HELD)]
      : ["pfifo", "limit", String(PACKETS_HELD)];
    const error = run(...inside, "tc", "qdisc", "replace", "dev", far, "root", ...discipline);
    return error === undefined ? undefined : `no delay can be set (needs tc and sch_netem): ${error}`;
  };
  return { host, prefix: inside, setDelay };
}

/** What went wrong, in words; undefined: nothing. */
function run(...command: string[]): string | undefined {
  const { status, stderr, error } = spawnSync(firstOf(command), command.slice(1), { encoding: "utf8" });
  if (error !== undefined) return error.message;
  return status === 0 ? undefined : `${command.join(" ")}: ${stderr.trim()}`;
}
