// From a mode's name to the mode. A mode holds state of one connection only where it adapts; the others are shared.

import { unreachable } from "../../base/assert.js";
import { AdaptiveMode } from "./adaptive.js";
import { ContiguousMode } from "./contiguous.js";
import type { ReceiveMode, ReceiveModeName } from "./receive-mode.js";
import { ScatterMode } from "./scatter.js";
import { SpeculativeMode } from "./speculative.js";

/** What was asked for: a mode, and whether `scatter` is meant for peers that we download from only. */
export interface ReceiveModeChoice {
  readonly name: ReceiveModeName;
  readonly depth: number;
  readonly contiguousWhenIdle: boolean;
}

export function makeReceiveMode(choice: ReceiveModeChoice): ReceiveMode {
  switch (choice.name) {
    case "contiguous":
      return new ContiguousMode();
    case "scatter":
      return new ScatterMode(choice.contiguousWhenIdle);
    case "speculative":
      return new SpeculativeMode(choice.depth);
    case "adaptive":
      return new AdaptiveMode(choice.depth);
    default:
      return unreachable(choice.name);
  }
}
