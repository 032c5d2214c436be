// All that a session stands on: the addon, the ground (time, timers, chance), and the descriptors of the process. The system's by default;
// test/support/simulated-network.ts has one in which whole sessions run over virtual time.

import type { DescriptorBudget } from "../base/descriptor-budget.js";
import { type Ground, SYSTEM_GROUND } from "../base/ground.js";
import { loadBinding, type NativeBinding } from "./binding.js";
import { processDescriptors } from "./descriptors.js";
import { type Gateway, systemGateway } from "./gateway.js";

export interface World {
  readonly binding: NativeBinding;
  readonly ground: Ground;
  readonly descriptors: DescriptorBudget;
  /** Where the router of a kind of addresses is asked to let peers in; by default nobody knows of one. */
  readonly gateway?: (family: 4 | 6) => Gateway | undefined;
}

/** Throws UsageError `ADDON_MISSING` if the addon is not built. */
export function systemWorld(): World {
  return {
    binding: loadBinding(),
    ground: SYSTEM_GROUND,
    descriptors: processDescriptors(),
    gateway: systemGateway,
  };
}
