// bench receive from its place to its plan: data and folders are made, and what this machine cannot do is found out.

import { closeSync, constants, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../src/base/errors.js";
import { type BenchPlace, withPlace } from "../measuring/bench-place.js";
import { withNetworkPath } from "../measuring/network.js";
import type { Workshop } from "../measuring/run.js";
import { planReceive, receiveGroups } from "./receive.js";

export interface ReceiveBenchOptions {
  readonly size: number;
  readonly signal: AbortSignal;
  readonly full: boolean;
  /** Groups that are asked for; undefined: all. */
  readonly groups: readonly string[] | undefined;
}

export function benchReceive({ size, signal, full, groups }: ReceiveBenchOptions): Workshop {
  const asked = receiveGroups(full).filter(({ name }) => groups?.includes(name) ?? true);
  const points = asked.flatMap((group) => group.points);
  const stores = points.some(({ storage }) => storage !== undefined && storage !== "null");
  const needsNetwork = points.some(({ traffic }) => traffic === "segments" || traffic === "delayed");
  return (work) =>
    withNetworkPath(needsNetwork, (network) =>
      withPlace({ size, signal, stored: stores ? size : 0, storedIn: "memory" }, (place) =>
        work(planReceive(place, full, network, directReason(place))),
      ),
    );
}

/** Why O_DIRECT cannot be used in the place's folder; undefined: it can. */
export function directReason(place: BenchPlace): string | undefined {
  const path = join(place.target, "direct");
  const flag = (constants as { O_DIRECT?: number }).O_DIRECT;
  if (flag === undefined) return "this platform has no O_DIRECT";
  try {
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | flag));
    return undefined;
  } catch (error) {
    return `${place.target} takes no O_DIRECT: ${messageOf(error)}`;
  } finally {
    rmSync(path, { force: true });
  }
}
